//! What bad bytes may cost in memory, measured with a counting allocator.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use targets::dense;
use targets::random::{Random, body};
use targets::requests::decode_and_encode;
use tidemark_protocol::guard::{Checked, ELEMENT_BYTES, check, shapes};
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

/// What decoding a body may take, and encoding it again, which the decoder's users here do as well.
fn allowed(key: i16, version: i16, body: &[u8]) -> usize {
    const SLACK: usize = 4096;
    let elements = check(key, version, body).map_or(0, |walked| walked.elements);
    elements * ELEMENT_BYTES + 2 * body.len() + SLACK
}

#[test]
fn decoding_costs_a_constant_times_the_elements() {
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let count = shapes::all().count();
        let shape = shapes::all().nth(random.below(count)).unwrap();
        let version = shape.min + random.below((shape.max - shape.min + 1) as usize) as i16;
        let mut body = body(shape, version, &mut random);
        random.damage(&mut body);
        let limit = allowed(shape.key, version, &body);
        let body = Bytes::from(body);
        let used = peak(|| decode_and_encode(shape.key, version, body));
        assert!(
            used <= limit,
            "seed {seed}: {} v{version} took {used}",
            shape.name
        );
    }
}

/// Elements of a byte or two each, in every array of every request: what a sender would choose who
/// wants to cost the most.
#[test]
fn the_densest_bodies_cost_no_more_per_element() {
    let mut most = 0;
    for shape in shapes::all() {
        for version in shape.min..=shape.max {
            for array in 0..dense::arrays(shape, version) {
                for (inner, tagged) in [(0, false), (0, true), (1, false), (1, true)] {
                    let count = 300;
                    let fill = dense::Fill {
                        array,
                        count,
                        inner,
                        tagged,
                    };
                    let body = dense::body(shape, version, fill);
                    let story = format!("{} v{version} {fill:?}", shape.name);
                    let walked = check(shape.key, version, &body).expect(&story);
                    assert!(walked.elements >= count && walked.trailing == 0, "{story}");
                    let limit = allowed(shape.key, version, &body);
                    let body = Bytes::from(body);
                    let used = peak(|| decode_and_encode(shape.key, version, body).expect(&story));
                    assert!(used <= limit, "{story} took {used} of {limit}");
                    most = most.max(used / walked.elements);
                }
            }
        }
    }
    // The bound has a reason.
    assert!(most > ELEMENT_BYTES / 4, "{most} bytes are the most");
}

#[test]
fn one_element_too_many_is_refused_before_the_decoder_runs() {
    // OffsetFetch v8 names groups, each with topics: 100,000 empty ones take 400 KB.
    let shape = shapes::find(9).unwrap();
    let fill = dense::Fill {
        array: 0,
        count: 100_000,
        inner: 0,
        tagged: false,
    };
    let body = Bytes::from(dense::body(shape, 8, fill));
    assert!(body.len() < 500_000);
    assert!(Checked::new(9, 8, body.clone(), 100_000).is_ok());
    let checked = peak(|| assert!(Checked::new(9, 8, body, 99_999).is_err()));
    assert!(checked < 4096, "{checked}");
}

#[test]
fn the_killer_bodies_cost_nothing() {
    for (key, version, body) in [
        (3, 0, &[0x03, 0x3c, 0x0c, 0x00, 0xb6][..]),
        (3, 13, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let body = Bytes::copy_from_slice(body);
        assert!(peak(|| decode_and_encode(key, version, body)) < 4096);
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

#[test]
fn a_walk_holds_its_window_and_not_what_it_walks_over() {
    let zeros = vec![0; 1 << 20];
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new().compression(codec, None);
        for _ in 0..64 {
            builder.append(0, None, Some(&zeros), &[]).unwrap();
        }
        let bytes = builder.build().unwrap();
        let batch = BatchView::parse(&bytes).unwrap();
        // A window, an inflater's tables, two LZ4 blocks or one of Snappy's. zstd's memory is not
        // Rust's: see `zstd_window.rs`.
        let used = peak(|| batch.walk_records(100 << 20, |_| ()).unwrap());
        assert!(used < 200 * 1024, "{codec} took {used}");
        if codec != Compression::None {
            assert!(peak(|| batch.walk_records(1000, |_| ()).unwrap_err()) < 200 * 1024);
        }
    }
}
