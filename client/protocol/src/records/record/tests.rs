use super::super::{BatchBuilder, BatchView};
use super::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// A record of the given fields, each already encoded, behind its length.
fn record(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8 * 2], body].concat()
}

/// The smallest record at an offset delta below 64: null key, null value, no headers.
fn at(offset_delta: u8) -> Vec<u8> {
    record(&[0, 0, offset_delta * 2, 1, 1, 0])
}

fn check(section: &[u8], count: i32, index: usize, kind: RecordErrorKind) {
    assert_eq!(
        Records::new(section, count).validate(),
        Err(RecordError { index, kind })
    );
}

#[test]
fn broken_records_have_typed_errors() {
    use RecordErrorKind::*;
    let short = |need, have| Read(ReadError::Short { need, have });
    check(&[], 1, 0, short(1, 0));
    check(&[3], 1, 0, NegativeLength(-2));
    check(&[4, 0], 1, 0, short(2, 1));
    check(&[0xff; 6], 1, 0, Read(ReadError::VarintTooLong { max: 5 }));
    check(&record(&[0, 0, 0, 8, b'k', 1, 0]), 1, 0, short(4, 3));
    check(&record(&[0, 0, 0, 1, 1, 0, 9]), 1, 0, LeftOver(1));
    check(
        &record(&[0, 0, 0, 1, 1, 1]),
        1,
        0,
        HeaderCount {
            count: -1,
            remaining: 0,
        },
    );
    check(
        &record(&[0, 0, 0, 1, 1, 4, 0, 0, 0]),
        1,
        0,
        HeaderCount {
            count: 2,
            remaining: 3,
        },
    );
    check(&record(&[0, 0, 0, 1, 1, 2, 1, 1]), 1, 0, NullHeaderKey(-1));
}

#[test]
fn count_offsets_and_end_are_checked() {
    use RecordErrorKind::*;
    let three = [at(0), at(1), at(2)].concat();
    assert_eq!(
        Records::new(&three, 3)
            .validate()
            .map(|summary| summary.count),
        Ok(3)
    );
    check(&three, -1, 0, NegativeCount(-1));
    check(&three, 2, 2, TrailingBytes(7));
    check(&three, 4, 3, Read(ReadError::Short { need: 1, have: 0 }));
    check(
        &three,
        i32::MAX,
        3,
        Read(ReadError::Short { need: 1, have: 0 }),
    );
    check(
        &[at(0), at(2)].concat(),
        2,
        1,
        OffsetDelta {
            expected: 1,
            found: 2,
        },
    );
    check(
        &[at(1)].concat(),
        1,
        0,
        OffsetDelta {
            expected: 0,
            found: 1,
        },
    );
    assert_eq!(
        Records::new(&[], 0).validate(),
        Ok(RecordsSummary::default())
    );
}

#[test]
fn any_negative_length_is_null_but_not_empty() {
    let section = record(&[0, 0, 0, 5, 0, 0]);
    let read = Records::new(&section, 1).next().unwrap().unwrap();
    assert_eq!((read.key, read.value), (None, Some(&b""[..])));
}

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, OwnedHeaders);

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let field = || vec(any::<u8>(), 0..200);
    let headers = vec((vec(any::<u8>(), 0..8), of(field())), 0..4);
    (any::<i64>(), of(field()), of(field()), headers)
}

fn append(builder: &mut BatchBuilder, (timestamp, key, value, headers): &OwnedRecord) {
    let headers: Vec<_> = headers
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .collect();
    builder
        .append(*timestamp, key.as_deref(), value.as_deref(), &headers)
        .unwrap();
}

proptest! {
    #[test]
    fn what_is_built_reads_back(records in vec(any_record(), 0..12)) {
        let mut builder = BatchBuilder::new().base_offset(77);
        records.iter().for_each(|record| append(&mut builder, record));
        let estimate = builder.size_estimate();
        let bytes = builder.build().unwrap();
        prop_assert_eq!(estimate, bytes.len());
        let batch = BatchView::parse(&bytes).unwrap();
        prop_assert_eq!(batch.validate_crc(), Ok(()));
        prop_assert!(batch.validate_records(batch.records_bytes()).is_ok());
        let read: Vec<OwnedRecord> = Records::new(batch.records_bytes(), batch.records_count)
            .map(|record| {
                let record = record.unwrap();
                let headers = record
                    .headers()
                    .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                    .collect();
                let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
                let timestamp = batch.record_timestamp(record.timestamp_delta);
                (timestamp, owned(record.key), owned(record.value), headers)
            })
            .collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn a_truncated_section_is_an_error_at_every_byte(records in vec(any_record(), 1..4)) {
        let mut builder = BatchBuilder::new();
        records.iter().for_each(|record| append(&mut builder, record));
        let bytes = builder.build().unwrap();
        let section = &bytes[super::super::BATCH_HEADER_SIZE..];
        for end in 0..section.len() {
            prop_assert!(Records::new(&section[..end], records.len() as i32).validate().is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(section in vec(any::<u8>(), 0..300), count: i32) {
        let walked = Records::new(&section, count).filter_map(Result::ok).map(|record| {
            record.headers().count() == record.header_count()
        });
        prop_assert!(walked.into_iter().all(|whole| whole));
    }
}
