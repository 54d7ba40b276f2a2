//! The walk over plain and packed records: what it finds out, what it refuses, what it holds.

use super::super::{BATCH_HEADER_SIZE, BatchBuilder, Records, compress, recompress};
use super::*;
use crate::records::TimestampType;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// Far above what the tests unpack.
const LIMIT: usize = 1 << 24;

/// A record of the given fields, each already encoded, behind its length.
fn record(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8 * 2], body].concat()
}

/// The smallest record at an offset delta below 64: null key, null value, no headers.
fn at(offset_delta: u8) -> Vec<u8> {
    record(&[0, 0, offset_delta * 2, 1, 1, 0])
}

/// A batch of this section, packed, whose header says that it holds `count` records.
fn batch(codec: Compression, section: &[u8], count: i32) -> Vec<u8> {
    let empty = BatchBuilder::new().build().unwrap();
    let empty = BatchView::parse(&empty).unwrap();
    let times = (TimestampType::CreateTime, 0);
    let bytes = recompress(&empty, section, codec, None, times).unwrap();
    let mut bytes = bytes.to_vec();
    let at = super::super::header::field::RECORDS_COUNT;
    bytes[at..at + 4].copy_from_slice(&count.to_be_bytes());
    bytes
}

/// What the walk says of the same section under every codec: whether it is fine, and if not, in
/// which record it ends and why.
fn check(section: &[u8], count: i32, expected: Result<(), (usize, RecordErrorKind)>) {
    for codec in Compression::ALL {
        let bytes = batch(codec, section, count);
        let batch = BatchView::parse(&bytes).unwrap();
        let told = batch.walk_records(LIMIT, |_| ());
        match (told, &expected) {
            (Ok(()), Ok(())) => {}
            (Err(WalkError::Record(error)), Err((index, kind))) => {
                assert_eq!(error.index, *index, "{codec}: {error}");
                let short = |kind: &RecordErrorKind| {
                    matches!(kind, RecordErrorKind::Read(ReadError::Short { .. }))
                };
                // How much is missing is not known in front of what is still packed.
                let same = error.kind == *kind || short(&error.kind) && short(kind);
                assert!(same, "{codec}: {error}, expected {kind}");
            }
            (told, expected) => panic!("{codec}: {told:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn broken_records_have_typed_errors() {
    use RecordErrorKind::*;
    let refuse = |section: &[u8], kind| check(section, 1, Err((0, kind)));
    let short = |need, have| Read(ReadError::Short { need, have });
    refuse(&[], short(1, 0));
    refuse(&[3], NegativeLength(-2));
    refuse(&[4, 0], short(2, 1));
    refuse(&[0xff; 6], Read(ReadError::VarintTooLong { max: 5 }));
    refuse(&record(&[0, 0, 0, 8, b'k', 1, 0]), short(4, 3));
    refuse(&record(&[0, 0, 0, 1, 1, 0, 9]), LeftOver(1));
    // A value that reaches into the next record, which is there.
    refuse(&[record(&[0, 0, 0, 1, 6, 0]), at(1)].concat(), short(3, 1));
    for (body, count, remaining) in [
        (&[0, 0, 0, 1, 1, 1][..], -1, 0),
        (&[0, 0, 0, 1, 1, 4, 0, 0, 0], 2, 3),
        (&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f], i32::MAX, 0),
    ] {
        refuse(&record(body), HeaderCount { count, remaining });
    }
    refuse(&record(&[0, 0, 0, 1, 1, 2, 1, 1]), NullHeaderKey(-1));
}

#[test]
fn rule_09_count_offsets_and_end_are_checked() {
    use RecordErrorKind::*;
    let three = [at(0), at(1), at(2)].concat();
    let missing = |index| Err((index, Read(ReadError::Short { need: 1, have: 0 })));
    let delta = |index, found: i32| {
        let expected = index as i32;
        Err((index, OffsetDelta { expected, found }))
    };
    check(&three, 3, Ok(()));
    check(&[], 0, Ok(()));
    check(&three, -1, Err((0, NegativeCount(-1))));
    check(&three, 2, Err((2, TrailingBytes)));
    check(&three, 0, Err((0, TrailingBytes)));
    check(&three, 4, missing(3));
    check(&three, i32::MAX, missing(3));
    check(&[at(0), at(2)].concat(), 2, delta(1, 2));
    check(&at(1), 1, delta(0, 1));
    check(&[at(0), at(0)].concat(), 2, delta(1, 0));
    check(&[at(0), at(1), at(1)].concat(), 3, delta(2, 1));
    check(&[at(1), at(0)].concat(), 2, delta(0, 1));
    // -1, in zigzag.
    check(&record(&[0, 0, 1, 1, 1, 0]), 1, delta(0, -1));
}

#[test]
fn the_limit_is_exact() {
    let value = vec![7; 100_000];
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new().compression(codec, None);
        builder.append(0, None, Some(&value), &[]).unwrap();
        builder.append(0, None, Some(b"last"), &[]).unwrap();
        let bytes = builder.build().unwrap();
        let batch = BatchView::parse(&bytes).unwrap();
        let size = batch.uncompressed_records(LIMIT).unwrap().len();
        batch.walk_records(size, |_| ()).unwrap();
        for limit in [0, 1, 100, WINDOW, size - 1] {
            let told = batch.walk_records(limit, |_| ());
            let refused = matches!(
                told,
                Err(WalkError::Compression(CompressionError::TooLarge { .. }))
            );
            // What is not packed is there already.
            assert_eq!(refused, codec != Compression::None, "{codec} {limit}");
        }
    }
}

#[test]
fn a_damaged_end_is_seen_although_the_records_are_whole() {
    let section = [at(0), at(1)].concat();
    for (codec, tail) in [
        // The CRC and size, the checksum-less end mark, bytes behind the frame.
        (Compression::Gzip, 8),
        (Compression::Lz4, 4),
    ] {
        let packed = compress(codec, None, &section).unwrap();
        let broken = &packed[..packed.len() - tail];
        let unpacker = Unpacker::new(codec, broken, LIMIT).unwrap();
        let told = walk(Packed::new(unpacker), 2, |_| ());
        assert!(matches!(told, Err(WalkError::Compression(_))), "{codec}");
    }
    for codec in [Compression::Lz4, Compression::Zstd, Compression::Snappy] {
        let mut packed = compress(codec, None, &section).unwrap();
        packed.extend(b"tail");
        let unpacker = Unpacker::new(codec, &packed, LIMIT).unwrap();
        let told = walk(Packed::new(unpacker), 2, |_| ());
        assert!(matches!(told, Err(WalkError::Compression(_))), "{codec}");
    }
}

#[test]
fn both_framings_of_snappy_are_walked() {
    let section = [at(0), at(1), at(2)].concat();
    let raw = snap::raw::Encoder::new().compress_vec(&section).unwrap();
    let framed = compress(Compression::Snappy, None, &section).unwrap();
    for packed in [raw, framed] {
        let unpacker = Unpacker::new(Compression::Snappy, &packed, LIMIT).unwrap();
        walk(Packed::new(unpacker), 3, |_| ()).unwrap();
    }
}

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, OwnedHeaders);

/// Records, some of which are larger than the window.
fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let field = || {
        prop_oneof![
            9 => vec(any::<u8>(), 0..200),
            1 => vec(0..4u8, 0..3 * WINDOW),
        ]
    };
    let headers = vec((vec(any::<u8>(), 0..8), of(field())), 0..4);
    (any::<i64>(), of(field()), of(field()), headers)
}

fn build(records: &[OwnedRecord], codec: Compression) -> bytes::Bytes {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
            .collect();
        builder
            .append(*timestamp, key.as_deref(), value.as_deref(), &headers)
            .unwrap();
    }
    builder.build().unwrap()
}

proptest! {
    #[test]
    fn a_walk_tells_what_reading_tells(records in vec(any_record(), 1..12)) {
        for codec in Compression::ALL {
            let bytes = build(&records, codec);
            let batch = BatchView::parse(&bytes).unwrap();
            let mut walked = Vec::new();
            batch.walk_records(LIMIT, |record| walked.push(record)).unwrap();
            let section = batch.uncompressed_records(LIMIT).unwrap();
            let read: Vec<_> = Records::new(&section, batch.records_count)
                .map(|record| {
                    let record = record.unwrap();
                    WalkedRecord {
                        index: record.offset_delta,
                        timestamp_delta: record.timestamp_delta,
                        has_key: record.key.is_some(),
                    }
                })
                .collect();
            prop_assert_eq!(walked, read);
        }
    }

    #[test]
    fn a_truncated_section_is_an_error_at_every_byte(records in vec(any_record(), 1..3)) {
        let bytes = build(&records, Compression::None);
        let section = &bytes[BATCH_HEADER_SIZE..];
        let count = records.len() as i32;
        for end in (0..section.len()).filter(|end| *end < 600 || end % 997 == 0) {
            prop_assert!(walk_section(&section[..end], count, |_| ()).is_err());
            let packed = compress(Compression::Lz4, None, &section[..end]).unwrap();
            let unpacker = Unpacker::new(Compression::Lz4, &packed, LIMIT).unwrap();
            prop_assert!(walk(Packed::new(unpacker), count, |_| ()).is_err());
        }
    }
}
