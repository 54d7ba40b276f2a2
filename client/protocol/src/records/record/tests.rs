use super::super::{BatchBuilder, BatchView};
use super::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// A record of the given fields, each already encoded, behind its length.
fn record(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8 * 2], body].concat()
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
    fn random_bytes_never_panic(section in vec(any::<u8>(), 0..300), count: i32) {
        let walked = Records::new(&section, count).filter_map(Result::ok).map(|record| {
            record.headers().count() == record.header_count()
        });
        prop_assert!(walked.into_iter().all(|whole| whole));
    }
}
