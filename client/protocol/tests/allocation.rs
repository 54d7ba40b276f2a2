//! What bad bytes may cost in memory, measured with a counting allocator.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use targets::random::Random;
use targets::sides::{REQUESTS, RESPONSES, SIDES, Side};
use targets::swollen::{Fill, swollen};
use tidemark_protocol::records::{BatchBuilder, BatchView, Compression, compress, decompress};

thread_local! {
    /// Bytes held now, and the most held since the last reset; per thread, tests run in parallel.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(change: isize) {
    // The allocator also runs while a thread ends, when its counters are gone.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + change, most.max(now + change)));
    });
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` held at a time, above what was held before.
fn peak<T>(work: impl FnOnce() -> T) -> usize {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    drop(work());
    HELD.with(|held| usize::try_from(held.get().1 - before).unwrap_or(0))
}

#[test]
fn the_counter_counts() {
    assert!((1 << 20..1 << 21).contains(&peak(|| vec![1u8; 1 << 20])));
    assert_eq!(peak(|| ()), 0);
}

#[test]
fn decoding_costs_a_constant_times_the_body() {
    // The largest structs of the codec crate take some 200 bytes for the few they are encoded in.
    const PER_BYTE: usize = 400;
    const SLACK: usize = 4096;
    for (side, seed) in SIDES
        .into_iter()
        .flat_map(|side| (0..20_000).map(move |seed| (side, seed)))
    {
        let mut random = Random::new(seed);
        let (shape, version, mut body) = side.any(&mut random);
        random.damage(&mut body);
        let limit = body.len() * PER_BYTE + SLACK;
        let body = Bytes::from(body);
        let used = peak(|| side.decode_and_encode(shape.key, version, body));
        assert!(
            used <= limit,
            "seed {seed}: {} {} v{version} took {used}",
            shape.name,
            side.name
        );
    }
}

#[test]
fn an_element_of_a_response_costs_what_its_limit_reckons_with() {
    // The figure in the reason for `MAX_RESPONSE_ELEMENTS`.
    const PER_ELEMENT: usize = 400;
    const SLACK: usize = 4096;
    for shape in (RESPONSES.shapes)() {
        for version in shape.min..=shape.max {
            for (which, tags) in (0..20).flat_map(|which| [(which, false), (which, true)]) {
                let (claimed, count) = (1000, 1000);
                let fill = Fill {
                    claimed,
                    count,
                    tags,
                };
                let Some(body) = swollen(shape, version, which, &fill) else {
                    continue;
                };
                let walked = (RESPONSES.check)(shape.key, version, &body).unwrap();
                // What numbers take is bounded by the size, like the body encoded again.
                let limit = (walked.elements - walked.numbers) * PER_ELEMENT + 3 * body.len();
                let body = Bytes::from(body);
                let used = peak(|| RESPONSES.decode_and_encode(shape.key, version, body));
                assert!(
                    used <= limit + SLACK,
                    "{} v{version}, array {which}, tags {tags}: took {used}",
                    shape.name
                );
            }
        }
    }
}

#[test]
fn the_killer_bodies_cost_nothing() {
    let check = |side: &Side, key, version, body: &'static [u8]| {
        let body = Bytes::from_static(body);
        let used = peak(|| side.decode_and_encode(key, version, body).unwrap_err());
        assert!(used < 4096, "{} {key} v{version} took {used}", side.name);
    };
    check(&REQUESTS, 3, 0, &[0x03, 0x3c, 0x0c, 0x00, 0xb6]);
    check(&REQUESTS, 3, 13, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    // Counts of brokers in Metadata, of API keys in ApiVersions, of partitions in OffsetFetch.
    check(&RESPONSES, 3, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0]);
    check(
        &RESPONSES,
        3,
        12,
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
    );
    check(&RESPONSES, 18, 3, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    check(
        &RESPONSES,
        9,
        1,
        &[0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff],
    );
}

#[test]
fn a_count_without_its_elements_costs_nothing_in_any_array() {
    let fill = Fill {
        claimed: i32::MAX as usize,
        count: 1,
        tags: false,
    };
    for side in SIDES {
        let mut arrays = 0;
        for shape in (side.shapes)() {
            for version in shape.min..=shape.max {
                for which in 0..20 {
                    let Some(body) = swollen(shape, version, which, &fill) else {
                        break;
                    };
                    arrays += 1;
                    let body = Bytes::from(body);
                    let decode = || {
                        side.decode_and_encode(shape.key, version, body)
                            .unwrap_err()
                    };
                    let used = peak(decode);
                    let name = shape.name;
                    assert!(
                        used < 4096,
                        "{name} {} v{version}, {which}: {used}",
                        side.name
                    );
                }
            }
        }
        assert!(arrays > 400, "{arrays} of {}", side.name);
    }
}

#[test]
fn bombs_cost_their_limit_and_not_their_size() {
    let limit = 1 << 20;
    let zeros = vec![0; 100 << 20];
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let bomb = compress(codec, None, &zeros).unwrap();
        // Growing by doubling holds two buffers for a moment, and decoders have a fixed state.
        // zstd's own memory is not Rust's and not counted.
        let used = peak(|| decompress(codec, &bomb, limit).unwrap_err());
        assert!(used < 4 * limit, "{codec} took {used}");
    }
    let mut builder = BatchBuilder::new().compression(Compression::Zstd, None);
    builder.append(0, None, Some(&zeros), &[]).unwrap();
    let batch = builder.build().unwrap();
    let batch = BatchView::parse(&batch).unwrap();
    assert!(peak(|| batch.uncompressed_records(limit).unwrap_err()) < 4 * limit);
}
