use super::super::fixtures::{V2, kafka, values};
use super::super::{BatchBuilder, NO_PRODUCER_ID, Records, TimestampType};
use super::*;

/// One record, key "k", value null, timestamp 1000, base offset 5: laid out by hand from the
/// format's documentation, the CRC computed by another program.
const BY_HAND: [u8; 69] = [
    0, 0, 0, 0, 0, 0, 0, 5, // baseOffset
    0, 0, 0, 57, // batchLength
    0, 0, 0, 9, // partitionLeaderEpoch
    2, // magic
    0xb2, 0x7e, 0xf3, 0x02, // crc
    0, 0, // attributes
    0, 0, 0, 0, // lastOffsetDelta
    0, 0, 0, 0, 0, 0, 3, 0xe8, // baseTimestamp
    0, 0, 0, 0, 0, 0, 3, 0xe8, // maxTimestamp
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // producerId
    0xff, 0xff, // producerEpoch
    0xff, 0xff, 0xff, 0xff, // baseSequence
    0, 0, 0, 1, // recordsCount
    14, 0, 0, 0, // length 7, attributes, timestamp delta, offset delta
    2, b'k', 1, 0, // key, null value, no headers
];

#[test]
fn a_batch_laid_out_by_hand_reads_field_by_field() {
    let bytes = BY_HAND;
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!(batch.validate_crc(), Ok(()));
    assert_eq!(
        batch.header(),
        BatchHeader {
            base_offset: 5,
            batch_length: 57,
            partition_leader_epoch: 9,
            crc: 0xb27e_f302,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp: 1000,
            max_timestamp: 1000,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: 1,
        }
    );
    let mut built = BatchBuilder::new().base_offset(5).partition_leader_epoch(9);
    built.append(1000, Some(b"k"), None, &[]).unwrap();
    assert_eq!(built.build().unwrap()[..], bytes);
}

#[test]
fn batches_written_by_kafka_read_back() {
    for name in V2 {
        let bytes = kafka(name);
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.size_in_bytes(), bytes.len(), "{name}");
        assert_eq!(batch.validate_crc(), Ok(()), "{name}");
        let section = batch.uncompressed_records(10_000).unwrap();
        let mut walked = Vec::new();
        batch
            .walk_records(10_000, |record| walked.push(record.has_key))
            .unwrap();
        assert_eq!(walked, [true, false, true], "{name}");
        let records: Vec<_> = Records::new(&section, batch.records_count)
            .collect::<Result<_, _>>()
            .unwrap();
        let read: Vec<_> = records
            .iter()
            .map(|record| record.value.map(<[u8]>::to_vec))
            .collect();
        assert_eq!(read, values(), "{name}");
        let headers: Vec<_> = records[0]
            .headers()
            .map(|header| (header.key, header.value))
            .collect();
        let expected: [(&[u8], Option<&[u8]>); 3] =
            [(b"h", Some(b"1")), (b"h", None), (b"g", Some(b""))];
        assert_eq!(headers, expected, "{name}");
    }
}

#[test]
fn batches_are_built_byte_for_byte_like_kafkas() {
    let check = |name, mut builder: BatchBuilder| {
        let headers: [(&[u8], Option<&[u8]>); 3] =
            [(b"h", Some(b"1")), (b"h", None), (b"g", Some(b""))];
        let [first, second, third] = values();
        let base = 1_700_000_000_000;
        builder
            .append(base, Some(b"k1"), first.as_deref(), &headers)
            .unwrap();
        builder
            .append(base + 5, None, second.as_deref(), &[])
            .unwrap();
        builder
            .append(base + 1, Some(b"k3"), third.as_deref(), &[])
            .unwrap();
        assert_eq!(builder.build().unwrap(), kafka(name), "{name}");
    };
    let new = BatchBuilder::new;
    check("v2-none", new().base_offset(100));
    check(
        "v2-transactional",
        new()
            .base_offset(7)
            .partition_leader_epoch(9)
            .producer(4000, 3, 12)
            .transactional(true),
    );
    check(
        "v2-logappend",
        new()
            .base_offset(5)
            .partition_leader_epoch(2)
            .log_append_time(1_700_000_009_999),
    );
}

#[test]
fn flags_of_kafka_batches_are_seen() {
    let check = |name, transactional, control, kind| {
        let bytes = kafka(name);
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.is_transactional(), transactional, "{name}");
        assert_eq!(batch.is_control(), control, "{name}");
        assert_eq!(batch.timestamp_type(), kind, "{name}");
    };
    check("v2-none", false, false, TimestampType::CreateTime);
    check("v2-transactional", true, false, TimestampType::CreateTime);
    check("v2-marker", true, true, TimestampType::CreateTime);
    check("v2-logappend", false, false, TimestampType::LogAppendTime);
    let bytes = kafka("v2-logappend");
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!(batch.record_timestamp(3), 1_700_000_009_999);
}

#[test]
fn every_truncation_is_a_typed_error() {
    let bytes = BY_HAND;
    for have in 0..bytes.len() {
        let need = match have {
            0..17 => 17,
            17..61 => 61,
            _ => bytes.len(),
        };
        assert_eq!(
            BatchView::parse(&bytes[..have]),
            Err(BatchError::Truncated { have, need }),
            "{have} bytes"
        );
    }
}

#[test]
fn every_flipped_bit_is_detected() {
    let bytes = BY_HAND;
    // Base offset, length and leader epoch are not under the CRC: a broken length shows as such,
    // the other two are the broker's to write.
    for at in (field::BATCH_LENGTH..field::PARTITION_LEADER_EPOCH).chain(field::MAGIC..bytes.len())
    {
        for bit in 0..8 {
            let mut broken = bytes;
            broken[at] ^= 1 << bit;
            let seen = BatchView::parse(&broken).and_then(|batch| batch.validate_crc());
            assert!(seen.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn bad_magic_and_length_are_told_apart() {
    let check = |at: usize, patch: &[u8], expected| {
        let mut bytes = BY_HAND;
        bytes[at..at + patch.len()].copy_from_slice(patch);
        assert_eq!(BatchView::parse(&bytes), Err(expected));
    };
    check(field::MAGIC, &[1], BatchError::BadMagic { magic: 1 });
    check(field::MAGIC, &[0xff], BatchError::BadMagic { magic: -1 });
    check(
        field::BATCH_LENGTH,
        &[0, 0, 0, 48],
        BatchError::BadLength { length: 48 },
    );
    check(
        field::BATCH_LENGTH,
        &[0xff; 4],
        BatchError::BadLength { length: -1 },
    );
    check(
        field::BATCH_LENGTH,
        &i32::MAX.to_be_bytes(),
        BatchError::Truncated {
            have: 69,
            need: i32::MAX as usize + 12,
        },
    );
}

#[test]
fn patching_offset_and_epoch_keeps_the_crc() {
    let mut bytes = BY_HAND;
    let patch = BatchView::parse(&bytes)
        .unwrap()
        .patch_header(1_000_000, 17);
    bytes[..16].copy_from_slice(&patch);
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!(batch.validate_crc(), Ok(()));
    assert_eq!(
        (batch.base_offset, batch.partition_leader_epoch),
        (1_000_000, 17)
    );
    assert_eq!(
        (batch.last_offset(), batch.next_offset()),
        (1_000_000, 1_000_001)
    );
}

#[test]
fn consecutive_batches_are_walked_until_the_partial_one() {
    let one = BY_HAND.to_vec();
    let mut buffer = [one.clone(), one.clone(), one.clone()].concat();
    buffer.truncate(one.len() * 2 + 30);
    let mut batches = Batches::new(&buffer);
    assert!(batches.next().unwrap().is_ok());
    assert!(batches.next().unwrap().is_ok());
    assert_eq!(batches.position(), one.len() * 2);
    assert_eq!(
        batches.next().unwrap(),
        Err(BatchError::Truncated {
            have: 30,
            need: BATCH_HEADER_SIZE
        })
    );
    assert_eq!(batches.position(), one.len() * 2);
    assert!(batches.next().is_none());
}

#[test]
fn sequences_wrap_to_zero() {
    let mut header = BatchView::parse(&BY_HAND).unwrap().header();
    for (base, delta, last) in [
        (-1, 5, -1),
        (0, 4, 4),
        (i32::MAX, 0, i32::MAX),
        (i32::MAX, 1, 0),
        (i32::MAX - 1, 4, 2),
    ] {
        header.base_sequence = base;
        header.last_offset_delta = delta;
        assert_eq!(header.last_sequence(), last);
    }
}

#[test]
fn offsets_at_the_end_of_the_range_saturate() {
    let mut header = BatchView::parse(&BY_HAND).unwrap().header();
    header.base_offset = i64::MAX;
    header.last_offset_delta = i32::MAX;
    assert_eq!(
        (header.last_offset(), header.next_offset()),
        (i64::MAX, i64::MAX)
    );
}

#[test]
fn a_header_survives_its_bytes() {
    let bytes = kafka("v2-transactional");
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!(header.to_bytes(), bytes[..BATCH_HEADER_SIZE]);
}
