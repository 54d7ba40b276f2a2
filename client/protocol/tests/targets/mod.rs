//! What the fuzzer and the stable tests both run: each function takes any bytes and may only
//! return. `integration-tests/fuzz` includes this folder by its path.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each user of this folder needs a part of it"
)]

pub mod dense;
pub mod random;
pub mod requests;

use bytes::Bytes;
use tidemark_protocol::api::RequestHeader;
use tidemark_protocol::frame::FrameDecoder;
use tidemark_protocol::guard::{self, shapes};
use tidemark_protocol::records::{
    BATCH_HEADER_SIZE, BatchView, Batches, Compression, Records, TimestampType, decompress,
    read_message_set, recompress, walk_section, with_timestamps,
};

/// What may come out of a decompressor here.
const MAX_OUTPUT: usize = 1 << 16;

/// API key, version, body: through the guard and the codec crate's decoder.
pub fn guard_and_decode(data: &[u8]) {
    let Some((&[a, b, c, d], body)) = data.split_first_chunk::<4>() else {
        return;
    };
    // Most keys and versions do not exist; those that do are folded out of any two bytes.
    let (mut key, mut version) = (i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d]));
    if let Some(shape) = shapes::find(key.rem_euclid(93)) {
        key = shape.key;
        version = shape.min + version.rem_euclid(shape.max - shape.min + 1);
    }
    if let Ok(walked) = guard::check(key, version, body) {
        assert_eq!(walked.consumed + walked.trailing, body.len());
        assert!(walked.elements <= walked.consumed);
    }
    let body = Bytes::copy_from_slice(body);
    if let Ok(Some(encoded)) = requests::decode_and_encode(key, version, body) {
        // Encoding is canonical: what was decoded once decodes again, to the same bytes.
        let again = requests::decode_and_encode(key, version, encoded.clone().freeze());
        assert_eq!(again, Ok(Some(encoded)));
    }
}

/// A stream of frames with requests in them.
pub fn frames(data: &[u8]) {
    let mut decoder = FrameDecoder::new(1 << 20);
    for chunk in data.chunks(7) {
        decoder.feed(chunk);
        while let Ok(Some(frame)) = decoder.decode(&|key| if key == 0 { 1 << 20 } else { 1000 }) {
            if let Ok((header, body)) = RequestHeader::decode(&frame) {
                assert!(body.len() < frame.len());
                let _ = guard::check(header.api_key, header.api_version, &body);
            }
        }
    }
    assert!(decoder.buffer_mut().capacity() < (1 << 21) + 2 * data.len());
}

/// Consecutive batches, the records in them, and what is done to batches.
pub fn batches(data: &[u8]) {
    for batch in Batches::new(data).map_while(Result::ok) {
        let mut bytes = batch
            .patch_header(batch.base_offset, batch.partition_leader_epoch)
            .to_vec();
        bytes.extend_from_slice(&batch.bytes()[16..]);
        assert_eq!(bytes, batch.bytes());
        let _ = (
            batch.validate_crc(),
            batch.last_sequence(),
            batch.next_offset(),
        );
        let mut walked = Vec::new();
        let walk = batch.walk_records(MAX_OUTPUT, |record| walked.push(record));
        let Ok(section) = batch.uncompressed_records(MAX_OUTPUT) else {
            assert!(walk.is_err(), "a walk ends at what does not unpack");
            continue;
        };
        let mut again = Vec::new();
        let over = walk_section(&section, batch.records_count, |record| again.push(record));
        assert_eq!((walk.is_ok(), walked), (over.is_ok(), again));
        for record in Records::new(&section, batch.records_count).map_while(Result::ok) {
            assert_eq!(record.headers().count(), record.header_count());
        }
        let stamped = with_timestamps(&batch, (TimestampType::LogAppendTime, 5));
        let stamped = BatchView::parse(&stamped).expect("a stamped batch is a batch");
        assert_eq!(stamped.validate_crc(), Ok(()));
        let times = (batch.timestamp_type(), batch.max_timestamp);
        let plain = recompress(&batch, &section, Compression::None, None, times);
        let plain = plain.expect("it is not too large");
        assert_eq!(plain[BATCH_HEADER_SIZE..], *section);
    }
}

/// The records section alone, its count first.
pub fn records(data: &[u8]) {
    if let Some((count, section)) = data.split_first() {
        let count = i32::from(*count);
        let mut walked = Vec::new();
        let walk = walk_section(section, count, |record| {
            walked.push((record.timestamp_delta, record.has_key));
        });
        let read: Vec<_> = Records::new(section, count)
            .map_while(Result::ok)
            .map(|record| (record.timestamp_delta, record.key.is_some()))
            .collect();
        // Both read the same; the walk asks for more, so that it may end earlier.
        assert!(read.starts_with(&walked));
        assert!(walk.is_err() || read.len() == walked.len());
    }
}

/// Every codec, with the codec in the first byte.
pub fn decompressors(data: &[u8]) {
    let Some((codec, input)) = data.split_first() else {
        return;
    };
    let Some(codec) = Compression::from_id(codec % 5) else {
        return;
    };
    if let Ok(output) = decompress(codec, input, MAX_OUTPUT) {
        assert!(output.len() <= MAX_OUTPUT);
    }
}

/// An old message set, once as it is and once with the CRC of its first message put right, since
/// no damage gets past the CRC else.
pub fn legacy(data: &[u8]) {
    let _ = read_message_set(&Bytes::copy_from_slice(data), MAX_OUTPUT);
    let mut repaired = data.to_vec();
    let size = data
        .get(8..12)
        .and_then(|size| size.try_into().ok())
        .map(i32::from_be_bytes);
    let end = size
        .and_then(|size| usize::try_from(size).ok())
        .and_then(|size| size.checked_add(12));
    if let Some(covered) = end.and_then(|end| data.get(16..end)) {
        repaired[12..16].copy_from_slice(&crc32fast::hash(covered).to_be_bytes());
        let _ = read_message_set(&Bytes::from(repaired), MAX_OUTPUT);
    }
}
