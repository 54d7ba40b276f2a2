use super::super::fixtures::{kafka, values};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const LIMIT: usize = 100_000;

const SETS: [&str; 12] = [
    "v0-none",
    "v0-gzip",
    "v0-snappy",
    "v0-lz4",
    "v1-none",
    "v1-none-logappend",
    "v1-gzip",
    "v1-gzip-logappend",
    "v1-snappy",
    "v1-snappy-logappend",
    "v1-lz4",
    "v1-lz4-logappend",
];

#[test]
fn sets_written_by_kafka_read_back() {
    for name in SETS {
        let records = read_message_set(&kafka(name), LIMIT).unwrap();
        let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [100, 101, 102], "{name}");
        let read: Vec<_> = records
            .iter()
            .map(|record| record.value.as_ref().map(|value| value.to_vec()))
            .collect();
        assert_eq!(read, values(), "{name}");
        let keys: Vec<_> = records.iter().map(|record| record.key.as_deref()).collect();
        assert_eq!(keys, [Some(&b"k1"[..]), None, Some(&b"k3"[..])], "{name}");
        let times: Vec<_> = records.iter().map(|record| record.timestamp).collect();
        let kinds = records.iter().map(|record| record.timestamp_type);
        let kind = match name {
            _ if name.starts_with("v0") => {
                assert_eq!(times, [-1, -1, -1]);
                None
            }
            _ if name.ends_with("logappend") => {
                assert!(times[0] > 1_700_000_000_005 && times.iter().all(|time| *time == times[0]));
                Some(TimestampType::LogAppendTime)
            }
            _ => {
                assert_eq!(
                    times,
                    [1_700_000_000_000, 1_700_000_000_005, 1_700_000_000_001]
                );
                Some(TimestampType::CreateTime)
            }
        };
        assert!(kinds.into_iter().all(|found| found == kind), "{name}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    for name in SETS {
        let set = kafka(name);
        for end in 1..set.len() {
            // A cut between two messages leaves a shorter set that is whole.
            match read_message_set(&set.slice(..end), LIMIT) {
                Ok(records) => assert!(name.contains("none") && records.len() < 3, "{name} {end}"),
                Err(error) => assert!(matches!(error, LegacyError::Read(_)), "{name} {error}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_a_message_is_detected() {
    let set = kafka("v1-gzip");
    for at in ENTRY_OVERHEAD..set.len() {
        let mut broken = set.to_vec();
        broken[at] ^= 4;
        let error = read_message_set(&Bytes::from(broken), LIMIT).unwrap_err();
        assert!(matches!(error, LegacyError::BadCrc { .. }), "{error}");
    }
}

#[test]
fn the_limit_counts_all_wrappers_together() {
    let set = kafka("v1-lz4");
    let plain = kafka("v1-none").len();
    let twice = Bytes::from([set.clone(), set.clone()].concat());
    assert_eq!(read_message_set(&set, plain).unwrap().len(), 3);
    assert_eq!(read_message_set(&twice, plain * 2).unwrap().len(), 6);
    assert!(matches!(
        read_message_set(&twice, plain * 2 - 1),
        Err(LegacyError::Compression(_))
    ));
}

#[test]
fn a_wrapper_offset_of_zero_leaves_inner_offsets_alone() {
    let mut set = kafka("v1-gzip").to_vec();
    set[..8].fill(0);
    let records = read_message_set(&Bytes::from(set.clone()), LIMIT).unwrap();
    assert_eq!(records.last().map(|record| record.offset), Some(2));
    set[7] = 1;
    assert!(matches!(
        read_message_set(&Bytes::from(set), LIMIT),
        Err(LegacyError::BadWrapperOffset {
            wrapper: 1,
            last: 2
        })
    ));
}

/// A message set of one message with a right CRC.
fn message(magic: u8, attributes: u8, value: &[u8]) -> Bytes {
    let mut body = vec![magic, attributes];
    body.extend_from_slice(&[0; 8][..if magic == 0 { 0 } else { 8 }]);
    body.extend_from_slice(&[0xff; 4]);
    body.extend_from_slice(&(value.len() as i32).to_be_bytes());
    body.extend_from_slice(value);
    let mut set = vec![0; 8];
    set.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    set.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    set.extend_from_slice(&body);
    Bytes::from(set)
}

#[test]
fn odd_messages_are_refused() {
    let check = |set: &Bytes, wanted: fn(&LegacyError) -> bool| {
        let error = read_message_set(set, LIMIT).unwrap_err();
        assert!(wanted(&error), "{error}");
    };
    check(&message(2, 0, b""), |error| {
        matches!(error, LegacyError::BadMagic(2))
    });
    check(&message(1, 4, b""), |error| {
        matches!(error, LegacyError::BadCodec(4))
    });
    check(&message(1, 7, b""), |error| {
        matches!(error, LegacyError::BadCodec(7))
    });
    let nested = |inner: &Bytes| {
        message(
            1,
            1,
            &super::super::compress(Compression::Gzip, None, inner).unwrap(),
        )
    };
    let plain = message(1, 0, b"v");
    assert_eq!(read_message_set(&nested(&plain), LIMIT).unwrap().len(), 1);
    check(&nested(&nested(&plain)), |error| {
        matches!(error, LegacyError::NestedWrapper)
    });
    check(&nested(&message(0, 0, b"v")), |error| {
        matches!(error, LegacyError::BadMagic(0))
    });
    check(&nested(&Bytes::new()), |error| {
        matches!(error, LegacyError::EmptyWrapper)
    });
}

proptest! {
    #[test]
    fn random_bytes_never_panic(set in vec(any::<u8>(), 0..200), attributes: u8, magic in 0..3u8) {
        let _ = read_message_set(&Bytes::from(set.clone()), 4096);
        let _ = read_message_set(&message(magic, attributes, &set), 4096);
    }
}
