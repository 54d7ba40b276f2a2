use super::super::fixtures::{V2, kafka};
use super::super::{BatchBuilder, Records};
use super::*;

const LIMIT: usize = 100_000;

#[test]
fn recompression_changes_the_codec_and_nothing_else() {
    for name in V2 {
        let original = kafka(name);
        let before = BatchView::parse(&original).unwrap();
        for codec in Compression::ALL {
            let plain = before.uncompressed_records(LIMIT).unwrap();
            let times = (before.timestamp_type(), before.max_timestamp);
            let bytes = recompress(&before, &plain, codec, None, times).unwrap();
            let after = BatchView::parse(&bytes).unwrap();
            assert_eq!(after.validate_crc(), Ok(()));
            assert_eq!(after.compression(), Ok(codec));
            assert_eq!(
                after.uncompressed_records(LIMIT).unwrap(),
                before.uncompressed_records(LIMIT).unwrap(),
                "{name} to {codec}"
            );
            let mut expected = before.header();
            expected.batch_length = after.batch_length;
            expected.crc = after.crc;
            expected.attributes = expected.attributes & !COMPRESSION_MASK | i16::from(codec.id());
            assert_eq!(after.header(), expected);
        }
    }
}

#[test]
fn log_append_time_needs_no_decompression() {
    for name in V2 {
        let original = kafka(name);
        let before = BatchView::parse(&original).unwrap();
        let bytes = with_timestamps(&before, (TimestampType::LogAppendTime, 9_000));
        let after = BatchView::parse(&bytes).unwrap();
        assert_eq!(after.validate_crc(), Ok(()));
        assert_eq!(after.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(
            (after.max_timestamp, after.record_timestamp(123)),
            (9_000, 9_000)
        );
        assert_eq!(after.records_bytes(), before.records_bytes());
        assert_eq!(after.base_timestamp, before.base_timestamp);
        let plain = before.uncompressed_records(LIMIT).unwrap();
        let (codec, times) = (
            before.compression().unwrap(),
            (TimestampType::LogAppendTime, 9_000),
        );
        let both = recompress(&before, &plain, codec, None, times).unwrap();
        let both = BatchView::parse(&both).unwrap();
        assert_eq!(
            (both.attributes, both.max_timestamp),
            (after.attributes, after.max_timestamp)
        );
    }
}

#[test]
fn a_compacted_batch_keeps_its_range_and_horizon() {
    let mut builder = BatchBuilder::with_delete_horizon(5_000).base_offset(100);
    builder.append_at(3, 4_000, Some(b"k"), None, &[]).unwrap();
    assert!(builder.append_at(3, 4_000, Some(b"k"), None, &[]).is_err());
    let bytes = builder.last_offset_delta(9).build().unwrap();
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!(
        (batch.delete_horizon(), batch.last_offset()),
        (Some(5_000), 109)
    );
    let record = Records::new(batch.records_bytes(), 1)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            record.offset_delta,
            batch.record_timestamp(record.timestamp_delta)
        ),
        (3, 4_000)
    );
}

#[test]
fn an_empty_batch_is_only_a_header() {
    let builder = BatchBuilder::new()
        .base_offset(7)
        .compression(Compression::Zstd, None);
    let bytes = builder.last_offset_delta(4).build().unwrap();
    assert_eq!(bytes.len(), super::super::BATCH_HEADER_SIZE);
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!((batch.validate_crc(), batch.next_offset()), (Ok(()), 12));
    for codec in Compression::ALL {
        let again = recompress(&batch, &[], codec, None, (TimestampType::CreateTime, 0)).unwrap();
        assert_eq!(again.len(), super::super::BATCH_HEADER_SIZE, "{codec}");
    }
}

#[test]
fn another_producer_changes_three_fields_and_the_crc() {
    for name in V2 {
        let original = kafka(name);
        let before = BatchView::parse(&original).unwrap();
        let alone = Bytes::copy_from_slice(before.bytes());
        let shared = alone.clone();
        let copied = with_producer(shared, 77, 3, i32::MAX);
        assert_eq!(
            alone,
            before.bytes(),
            "{name}: shared bytes are not touched"
        );
        let address = alone.as_ptr();
        let in_place = with_producer(alone, 77, 3, i32::MAX);
        assert_eq!(
            in_place.as_ptr(),
            address,
            "{name}: no copy of bytes held alone"
        );
        assert_eq!(in_place, copied);
        let after = BatchView::parse(&in_place).unwrap();
        assert_eq!(after.validate_crc(), Ok(()));
        assert_eq!(after.records_bytes(), before.records_bytes());
        let mut expected = before.header();
        (expected.producer_id, expected.producer_epoch) = (77, 3);
        (expected.base_sequence, expected.crc) = (i32::MAX, after.crc);
        assert_eq!(after.header(), expected);
    }
    assert_eq!(with_producer(Bytes::from_static(b"no"), 1, 1, 1), b"no"[..]);
}

#[test]
fn a_used_buffer_and_a_limit_build_the_same_batch() {
    let fill = |mut builder: BatchBuilder| {
        builder
            .append(1, Some(b"k"), Some(b"v"), &[(b"h", None)])
            .unwrap();
        builder
    };
    let expected = fill(BatchBuilder::new()).build().unwrap();
    let used = fill(BatchBuilder::with_buffer(vec![9; 500]));
    assert_eq!(used.size_estimate(), expected.len());
    let mut full = used.clone();
    let limit = expected.len() + 8;
    assert!(
        !full
            .append_within(limit - 1, 2, None, Some(b"v"), &[])
            .unwrap()
    );
    assert_eq!(full.size_estimate(), expected.len());
    assert!(full.append_within(limit, 2, None, Some(b"v"), &[]).unwrap());
    assert_eq!(full.size_estimate(), limit);
    let mut empty = BatchBuilder::new();
    assert!(empty.append_within(0, 2, None, Some(b"v"), &[]).unwrap());
    assert_eq!(used.build().unwrap(), expected);
}
