use super::*;
use tidemark_protocol::records::BatchBuilder;

fn batch(base: i64, values: &[&str], codec: Compression, from: i64) -> Batch {
    let mut builder = BatchBuilder::new()
        .base_offset(base)
        .partition_leader_epoch(7)
        .compression(codec, None);
    for (at, value) in (0..).zip(values) {
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"h", None)];
        builder
            .append(1000 + at, Some(b"key"), Some(value.as_bytes()), &headers)
            .unwrap();
    }
    let bytes = builder.build().unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    Batch {
        bytes,
        header,
        from,
    }
}

fn fetched(batches: Vec<Batch>, next_offset: i64) -> Fetched {
    Fetched {
        partition: TopicPartition::new("t", 1),
        batches,
        next_offset,
        high_watermark: 100,
        last_stable_offset: 100,
        log_start_offset: 0,
    }
}

/// Offsets and values, errors as text.
fn all(cursor: &mut RecordCursor) -> Vec<Result<(i64, String), String>> {
    let mut found = Vec::new();
    while let Some(next) = cursor.next() {
        found.push(match next {
            Ok(record) => {
                let value = record.value.unwrap_or_default();
                Ok((record.offset, String::from_utf8(value.to_vec()).unwrap()))
            }
            Err(error) => Err(error.to_string()),
        });
    }
    found
}

fn ok(list: &[(i64, &str)]) -> Vec<Result<(i64, String), String>> {
    list.iter()
        .map(|(offset, value)| Ok((*offset, (*value).to_owned())))
        .collect()
}

#[test]
fn records_of_every_codec_come_whole() {
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batches = vec![batch(5, &["a", "b"], codec, 0), batch(7, &["c"], codec, 0)];
        let mut cursor = RecordCursor::new(fetched(batches, 9), 5);
        let first = cursor.next().unwrap().unwrap();
        assert_eq!((&*first.topic, first.partition, first.offset), ("t", 1, 5));
        assert_eq!((first.timestamp, first.leader_epoch), (1000, 7));
        assert_eq!(first.timestamp_type, TimestampType::CreateTime);
        assert_eq!(first.key.as_deref(), Some(&b"key"[..]));
        let headers: Vec<_> = first
            .headers
            .iter()
            .map(|(k, v)| (&k[..], v.as_deref()))
            .collect();
        assert_eq!(headers, [(&b"h"[..], Some(&b"1"[..])), (&b"h"[..], None)]);
        assert_eq!(
            cursor.position(),
            Position {
                offset: 6,
                epoch: 7
            }
        );
        assert_eq!(all(&mut cursor), ok(&[(6, "b"), (7, "c")]));
        // What was left out behind the last batch counts as read.
        assert_eq!(cursor.position().offset, 9);
    }
}

#[test]
fn records_below_the_fetch_offset_are_passed_over() {
    let whole = batch(5, &["a", "b", "c"], Compression::Zstd, 7);
    assert_eq!((whole.first_offset(), whole.next_offset()), (7, 8));
    let section = whole.decode(&TopicPartition::new("t", 0)).unwrap();
    let borrowed: Vec<i64> = section
        .records()
        .map(|record| record.unwrap().offset)
        .collect();
    assert_eq!(borrowed, [7]);
    let mut cursor = RecordCursor::new(fetched(vec![whole], 8), 7);
    assert_eq!(all(&mut cursor), ok(&[(7, "c")]));
}

#[test]
fn a_batch_that_is_not_what_it_says_stops_the_reading_in_front_of_it() {
    let good = batch(5, &["a"], Compression::None, 0);
    let mut bad = batch(6, &["b", "c"], Compression::None, 0);
    let mut bytes = bad.bytes.to_vec();
    let records = tidemark_protocol::records::BATCH_HEADER_SIZE;
    // The length of the first record.
    bytes[records] = 0xff;
    bad.bytes = bytes.into();
    let mut cursor = RecordCursor::new(fetched(vec![good, bad.clone()], 8), 5);
    let found = all(&mut cursor);
    assert_eq!(found[0], Ok((5, "a".to_owned())));
    let error = found[1].as_ref().unwrap_err();
    assert!(
        error.starts_with("t-1: the batch at offset 6 is corrupt: record 0"),
        "{error}"
    );
    assert_eq!((found.len(), cursor.position().offset), (2, 6));

    let unpackable = Batch {
        bytes: bad.bytes.slice(..records + 2),
        ..batch(6, &["b"], Compression::Zstd, 0)
    };
    let error = unpackable
        .decode(&TopicPartition::new("t", 0))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("t-0: the batch at offset 6 is corrupt: "),
        "{error}"
    );
}
