//! Every refusal, with Kafka's code, and what an accepted batch looks like afterwards.

use std::collections::BTreeMap;

use tidemark_protocol::records::BatchBuilder;
use tidemark_protocol::records::header::field;

use super::*;
use crate::config::{BrokerConfig, TopicConfig};
use crate::partition::PartitionSettings;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const HOUR_MS: i64 = 3_600_000;
/// The newest Produce version.
const NEWEST: i16 = 13;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// What a topic without settings of its own demands.
fn rules() -> BatchRules {
    let broker = BrokerConfig::default();
    let topic = TopicConfig::resolve(&broker, &BTreeMap::new());
    PartitionSettings::new(&topic, &broker).rules
}

fn compacted() -> BatchRules {
    BatchRules {
        compacted: true,
        ..rules()
    }
}

/// A batch of records with these timestamps and with keys.
fn batch_at(timestamps: &[i64], codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for timestamp in timestamps {
        builder
            .append(*timestamp, Some(b"key"), Some(b"value"), &[])
            .unwrap();
    }
    builder.build().unwrap()
}

fn good() -> Bytes {
    batch_at(&[NOW.0; 3], Compression::None)
}

/// A batch with some bytes changed and a CRC that is right again.
fn forged(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut copy = batch.to_vec();
    copy[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&copy[field::ATTRIBUTES..]);
    copy[field::CRC..field::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    copy.into()
}

fn attributes(batch: &Bytes, bits: i16) -> Bytes {
    let header = BatchHeader::parse(batch).unwrap();
    let changed = (header.attributes | bits).to_be_bytes();
    forged(batch, field::ATTRIBUTES, &changed)
}

/// The same batch under another codec, whatever its records are.
fn packed(batch: &Bytes, codec: Compression) -> Bytes {
    let view = BatchView::parse(batch).unwrap();
    let times = (view.timestamp_type(), view.max_timestamp);
    recompress(&view, view.records_bytes(), codec, None, times).unwrap()
}

/// Topics that keep the codec of every batch, and that have every batch unpacked or packed anew.
fn with_any_codec(rules: &BatchRules) -> [BatchRules; 3] {
    [None, Some(Compression::None), Some(Compression::Zstd)].map(|codec| BatchRules {
        compression: codec.map(|codec| (codec, None)),
        ..rules.clone()
    })
}

fn joined(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

fn check(story: &str, bytes: Bytes, version: i16, rules: &BatchRules, expected: Option<ErrorCode>) {
    let verdict = validate(Some(bytes), version, rules, NOW);
    let code = verdict.as_ref().err().map(|refused| refused.code);
    assert_eq!(code, expected, "{story}: {verdict:?}");
    if let Err(refused) = verdict {
        assert!(!refused.message.is_empty(), "{story}");
    }
}

#[test]
fn a_good_batch_is_taken_as_it_came() {
    for codec in CODECS {
        let bytes = batch_at(&[NOW.0, NOW.0 - 5], codec);
        let valid = validate(Some(bytes.clone()), NEWEST, &rules(), NOW).unwrap();
        assert_eq!(valid.bytes, bytes, "{codec:?}");
        assert_eq!(valid.header, BatchHeader::parse(&bytes).unwrap());
    }
}

#[test]
fn rule_09_exactly_one_batch() {
    let refuse = |story: &str, records: Option<Bytes>, expected| {
        let refused = validate(records, NEWEST, &rules(), NOW).unwrap_err();
        assert_eq!(refused.code, expected, "{story}");
    };
    refuse("null records", None, ErrorCode::InvalidRecord);
    refuse("no bytes", Some(Bytes::new()), ErrorCode::InvalidRecord);
    refuse(
        "two batches",
        Some(joined(&[&good(), &good()])),
        ErrorCode::InvalidRecord,
    );
    refuse(
        "two batches and a few bytes",
        Some(joined(&[&good(), &good(), b"tail"])),
        ErrorCode::InvalidRecord,
    );
    // Kafka cuts off what is no whole batch.
    for tail in [&b"tail"[..], &good()[..70]] {
        let valid = validate(Some(joined(&[&good(), tail])), NEWEST, &rules(), NOW).unwrap();
        assert_eq!(valid.bytes, good());
    }
}

#[test]
fn truncated_batches_are_none_and_damaged_ones_corrupt() {
    let whole = good();
    for length in 1..whole.len() {
        check(
            &format!("the first {length} bytes"),
            whole.slice(..length),
            NEWEST,
            &rules(),
            Some(ErrorCode::InvalidRecord),
        );
    }
    // A flipped bit anywhere behind the leader epoch shows, whatever field it is in. Those in
    // front of it are the broker's to write and have no CRC.
    for at in field::MAGIC..whole.len() {
        let mut copy = whole.to_vec();
        copy[at] ^= 0x10;
        let verdict = validate(Some(copy.into()), NEWEST, &rules(), NOW);
        let refused = verdict.unwrap_err();
        assert_eq!(refused.code, ErrorCode::CorruptMessage, "byte {at}");
    }
    for length in [-1, 0, 48, i32::MAX, i32::MIN] {
        let mut copy = whole.to_vec();
        copy[field::BATCH_LENGTH..field::BATCH_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
        let expected = match length {
            i32::MAX => Some(ErrorCode::InvalidRecord),
            _ => Some(ErrorCode::CorruptMessage),
        };
        check(
            &format!("length {length}"),
            copy.into(),
            NEWEST,
            &rules(),
            expected,
        );
    }
}

#[test]
fn rule_09_the_header_agrees_with_itself() {
    let batch = good();
    let delta = |delta: i32| forged(&batch, field::LAST_OFFSET_DELTA, &delta.to_be_bytes());
    let count = |count: i32| forged(&batch, field::RECORDS_COUNT, &count.to_be_bytes());
    let produced = |sequence| {
        let mut builder = BatchBuilder::new().producer(9, 0, sequence);
        builder.append(NOW.0, None, None, &[]).unwrap();
        builder.build().unwrap()
    };
    let invalid = Some(ErrorCode::InvalidRecord);
    let cases = [
        (
            "base offset 1",
            forged(&batch, field::BASE_OFFSET, &1_i64.to_be_bytes()),
            invalid,
        ),
        (
            "base offset -1",
            forged(&batch, field::BASE_OFFSET, &(-1_i64).to_be_bytes()),
            invalid,
        ),
        ("last offset delta -1", delta(-1), invalid),
        ("last offset delta too small", delta(1), invalid),
        ("last offset delta too large", delta(3), invalid),
        ("the largest last offset delta", delta(i32::MAX), invalid),
        ("no record", count(0), invalid),
        ("a negative count", count(-1), invalid),
        ("a record too few", count(2), invalid),
        ("the largest count", count(i32::MAX), invalid),
        ("a control batch", attributes(&batch, 0x20), invalid),
        ("a delete horizon", attributes(&batch, 0x40), invalid),
        ("a producer without a sequence", produced(-1), invalid),
        ("a producer with a sequence", produced(0), None),
        (
            "a transactional batch",
            attributes(&batch, 0x10),
            Some(ErrorCode::InvalidTxnState),
        ),
    ];
    for (story, bytes, expected) in cases {
        check(story, bytes, NEWEST, &rules(), expected);
    }
}

#[test]
fn rule_09_count_and_offsets_that_agree_must_also_be_those_of_the_records() {
    let forged_count = |batch: &Bytes, count: i32| {
        let batch = forged(batch, field::RECORDS_COUNT, &count.to_be_bytes());
        forged(&batch, field::LAST_OFFSET_DELTA, &(count - 1).to_be_bytes())
    };
    for codec in CODECS {
        let batch = packed(&good(), codec);
        for rules in with_any_codec(&rules()) {
            for count in [1, 2, 4, 1_000, i32::MAX] {
                let story = format!("{count} claimed of 3 in {codec:?}");
                let expected = Some(ErrorCode::InvalidRecord);
                check(
                    &story,
                    forged_count(&batch, count),
                    NEWEST,
                    &rules,
                    expected,
                );
            }
            check("3 of 3", forged_count(&batch, 3), NEWEST, &rules, None);
        }
    }
}

#[test]
fn records_that_make_no_sense_are_invalid_although_the_crc_is_right() {
    let batch = good();
    let invalid = Some(ErrorCode::InvalidRecord);
    // The first record: length, attributes, timestamp delta, offset delta, key length, ...; the
    // others follow it.
    let size = 1 + usize::from(batch[field::RECORDS] / 2);
    let second = field::RECORDS + size;
    let cases: [(&str, usize, &[u8]); 9] = [
        ("a negative record length", field::RECORDS, &[0x01]),
        ("a record longer than the batch", field::RECORDS, &[0x7e]),
        ("a record shorter than its fields", field::RECORDS, &[0x04]),
        ("a key longer than its record", field::RECORDS + 4, &[0x7e]),
        ("offsets that begin with 1", field::RECORDS + 3, &[0x02]),
        ("offsets that begin with -1", field::RECORDS + 3, &[0x01]),
        ("the same offset twice", second + 3, &[0x00]),
        ("an offset left out", second + 3, &[0x04]),
        ("offsets that go back", second + size + 3, &[0x00]),
    ];
    for (story, at, bytes) in cases {
        for codec in CODECS {
            let bytes = packed(&forged(&batch, at, bytes), codec);
            for rules in with_any_codec(&rules()) {
                let story = format!("{story} in {codec:?}");
                check(&story, bytes.clone(), NEWEST, &rules, invalid);
            }
        }
    }
}

#[test]
fn rule_15_only_magic_2() {
    for magic in [0_u8, 1, 3, 127, 255] {
        let mut copy = good().to_vec();
        copy[field::MAGIC] = magic;
        let expected = match magic {
            0 | 1 => ErrorCode::InvalidRecord,
            _ => ErrorCode::CorruptMessage,
        };
        check(
            &format!("magic {magic}"),
            copy.into(),
            NEWEST,
            &rules(),
            Some(expected),
        );
    }
    // Real old messages: offset, size, crc, magic, attributes, [timestamp,] key, value.
    for (magic, rest) in [(0_u8, 10), (1, 18)] {
        let size: i32 = 6 + rest;
        let mut old = vec![0; 8];
        old.extend(size.to_be_bytes());
        old.extend([0; 4]);
        old.push(magic);
        old.extend(vec![0xff; rest as usize + 1]);
        let story = format!("a message of magic {magic}");
        let expected = Some(ErrorCode::InvalidRecord);
        check(&story, old.into(), NEWEST, &rules(), expected);
    }
}

#[test]
fn codecs_by_version() {
    for version in [3, 6, 7, 8, 9, 12, 13] {
        for codec in CODECS {
            let refused = codec == Compression::Zstd && version < 7;
            check(
                &format!("{codec:?} in version {version}"),
                batch_at(&[NOW.0], codec),
                version,
                &rules(),
                refused.then_some(ErrorCode::UnsupportedCompressionType),
            );
        }
    }
    for codec in 5..=7 {
        check(
            &format!("codec {codec}"),
            attributes(&good(), codec),
            NEWEST,
            &rules(),
            Some(ErrorCode::CorruptMessage),
        );
    }
}

#[test]
fn rule_10_a_compacted_topic_needs_keys() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new().compression(codec, None);
        for key in [Some(&b"a"[..]), None, Some(b""), None] {
            builder.append(NOW.0, key, Some(b"v"), &[]).unwrap();
        }
        let bytes = builder.build().unwrap();
        check("anywhere else", bytes.clone(), NEWEST, &rules(), None);
        let refused = validate(Some(bytes), NEWEST, &compacted(), NOW).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRecord, "{codec:?}");
        let faulty: Vec<_> = refused.records.iter().map(|(index, _)| *index).collect();
        assert_eq!(faulty, [1, 3], "an empty key is a key");
        check(
            "with keys",
            batch_at(&[NOW.0; 2], codec),
            NEWEST,
            &compacted(),
            None,
        );
    }
}

#[test]
fn rule_10_no_more_than_a_hundred_records_are_named() {
    let mut builder = BatchBuilder::new();
    for _ in 0..1_000 {
        builder.append(NOW.0, None, None, &[]).unwrap();
    }
    let bytes = builder.build().unwrap();
    let refused = validate(Some(bytes), NEWEST, &compacted(), NOW).unwrap_err();
    assert_eq!(refused.records.len(), MAX_RECORD_ERRORS);
}

#[test]
fn a_bomb_is_refused_however_small_it_looks() {
    // One record of 101 MiB of zeros packs into some kilobytes; Snappy needs megabytes.
    let mut plain = BatchBuilder::new();
    plain
        .append(NOW.0, Some(b"k"), Some(&vec![0; 101 << 20]), &[])
        .unwrap();
    let plain = plain.build().unwrap();
    let roomy = BatchRules {
        max_message_bytes: 8 << 20,
        ..rules()
    };
    for codec in CODECS.into_iter().skip(1) {
        let bomb = packed(&plain, codec);
        assert!(bomb.len() < 8 << 20, "{codec:?}: {}", bomb.len());
        for rules in with_any_codec(&roomy) {
            let refused = validate(Some(bomb.clone()), NEWEST, &rules, NOW).unwrap_err();
            assert_eq!(refused.code, ErrorCode::MessageTooLarge, "{codec:?}");
            assert!(refused.message.contains("expands"), "{}", refused.message);
        }
    }
}

#[test]
fn a_compressed_section_that_does_not_open_is_corrupt() {
    for codec in CODECS.into_iter().skip(1) {
        let packed = batch_at(&[NOW.0; 200], codec);
        let size = packed.len();
        for rules in with_any_codec(&rules()) {
            for at in [field::RECORDS, size - 9] {
                let broken = forged(&packed, at, &[0xff; 8]);
                let verdict = validate(Some(broken), NEWEST, &rules, NOW);
                let code = verdict.unwrap_err().code;
                // Damage may also unpack to something else, where the codec has no checksum.
                let expected = [ErrorCode::CorruptMessage, ErrorCode::InvalidRecord];
                assert!(expected.contains(&code), "{codec:?} at {at}: {code:?}");
            }
        }
    }
}

#[test]
fn rule_11_sizes_before_and_after_recompression() {
    let small = |bytes: usize| BatchRules {
        max_message_bytes: bytes,
        ..rules()
    };
    let too_large = Some(ErrorCode::MessageTooLarge);
    let batch = good();
    let size = batch.len();
    check("just fits", batch.clone(), NEWEST, &small(size), None);
    check("a byte more", batch, NEWEST, &small(size - 1), too_large);

    // 10 kB of the same byte, packed: small as it comes, large as the topic wants it.
    let mut builder = BatchBuilder::new().compression(Compression::Gzip, None);
    builder
        .append(NOW.0, None, Some(&[7; 10_000]), &[])
        .unwrap();
    let packed = builder.build().unwrap();
    let as_it_comes = small(1_000);
    check("packed", packed.clone(), NEWEST, &as_it_comes, None);
    let unpacked = BatchRules {
        compression: Some((Compression::None, None)),
        ..as_it_comes
    };
    check("unpacked", packed, NEWEST, &unpacked, too_large);
}

#[test]
fn rule_11_a_batch_must_fit_in_a_segment() {
    let batch = good();
    let segment = |bytes| BatchRules {
        segment_bytes: bytes,
        ..rules()
    };
    check("fits", batch.clone(), NEWEST, &segment(batch.len()), None);
    let expected = Some(ErrorCode::RecordListTooLarge);
    let smaller = segment(batch.len() - 1);
    check("does not", batch, NEWEST, &smaller, expected);
}

#[test]
fn rule_12_timestamps_have_bounds() {
    let bounded = BatchRules {
        before_max_ms: 2 * HOUR_MS,
        ..rules()
    };
    assert_eq!(bounded.after_max_ms, HOUR_MS, "Kafka's default");
    let early = NOW.0 - 2 * HOUR_MS;
    let late = NOW.0 + HOUR_MS;
    let invalid = Some(ErrorCode::InvalidTimestamp);
    for codec in CODECS {
        for (timestamps, expected) in [
            (vec![early, NOW.0, late], None),
            (vec![early - 1], invalid),
            (vec![late + 1], invalid),
            (vec![NOW.0, early - 1, NOW.0], invalid),
            (vec![NOW.0, late + 1, NOW.0], invalid),
            (vec![i64::MAX], invalid),
            (vec![-1], None),
        ] {
            let story = format!("{timestamps:?} in {codec:?}");
            check(
                &story,
                batch_at(&timestamps, codec),
                NEWEST,
                &bounded,
                expected,
            );
        }
        let ancient = batch_at(&[0, 1], codec);
        check("no lower bound by default", ancient, NEWEST, &rules(), None);
    }
    let bytes = batch_at(&[NOW.0, late + 1, early - 1, early], Compression::None);
    let refused = validate(Some(bytes), NEWEST, &bounded, NOW).unwrap_err();
    let faulty: Vec<_> = refused.records.iter().map(|(index, _)| *index).collect();
    assert_eq!(faulty, [1, 2]);
}

/// The header is in order, the CRC is right, and what is packed is never looked at by those who
/// trust the header: the time index, retention, the bounds.
#[test]
fn rule_12_a_header_within_bounds_hides_no_time_beyond_them() {
    let bounded = BatchRules {
        before_max_ms: HOUR_MS,
        ..rules()
    };
    for codec in CODECS {
        for (timestamp, rules) in [
            (NOW.0 + HOUR_MS + 1, rules()),
            (NOW.0 - HOUR_MS - 1, bounded.clone()),
        ] {
            let batch = batch_at(&[NOW.0, timestamp, NOW.0], codec);
            let calm = forged(&batch, field::MAX_TIMESTAMP, &NOW.0.to_be_bytes());
            for rules in with_any_codec(&rules) {
                let refused = validate(Some(calm.clone()), NEWEST, &rules, NOW).unwrap_err();
                assert_eq!(refused.code, ErrorCode::InvalidTimestamp, "{codec:?}");
                let faulty: Vec<_> = refused.records.iter().map(|(index, _)| *index).collect();
                assert_eq!(faulty, [1], "{codec:?}");
            }
        }
    }
}

#[test]
fn rule_10_rule_12_each_record_has_its_first_fault_and_one_bad_time_decides_the_code() {
    let mut builder = BatchBuilder::new();
    let late = NOW.0 + 2 * HOUR_MS;
    for (timestamp, key) in [
        (NOW.0, None),
        (late, None),
        (late, Some(&b"key"[..])),
        (NOW.0, Some(b"key")),
    ] {
        builder.append(timestamp, key, Some(b"v"), &[]).unwrap();
    }
    let bytes = builder.build().unwrap();
    let refused = validate(Some(bytes), NEWEST, &compacted(), NOW).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidTimestamp);
    let told: Vec<_> = refused
        .records
        .iter()
        .map(|(index, text)| (*index, text.contains("key")))
        .collect();
    assert_eq!(told, [(0, true), (1, true), (2, false)]);
}

#[test]
fn rule_12_timestamp_arithmetic_does_not_wrap() {
    let bounded = BatchRules {
        before_max_ms: HOUR_MS,
        ..rules()
    };
    for base in [i64::MAX, i64::MIN, i64::MIN + 1] {
        let batch = forged(&good(), field::BASE_TIMESTAMP, &base.to_be_bytes());
        let expected = Some(ErrorCode::InvalidTimestamp);
        check(&format!("base {base}"), batch, NEWEST, &bounded, expected);
    }
}

#[test]
fn rule_12_a_producer_does_not_send_append_times() {
    let mut builder = BatchBuilder::new().log_append_time(NOW.0);
    builder.append(NOW.0, Some(b"k"), None, &[]).unwrap();
    let bytes = builder.build().unwrap();
    let expected = Some(ErrorCode::InvalidTimestamp);
    let append_time = BatchRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules()
    };
    check(
        "LogAppendTime topic",
        bytes.clone(),
        NEWEST,
        &append_time,
        expected,
    );
    let refused = validate(Some(bytes), NEWEST, &append_time, NOW).unwrap_err();
    assert_eq!(refused.records.len(), 1, "the record is named");
}

/// Kafka does not refuse these, and neither does it believe them.
#[test]
fn rule_12_a_header_that_does_not_say_what_the_records_say_is_put_right() {
    let lies = |codec| {
        let batch = batch_at(&[NOW.0, NOW.0 + 7, NOW.0 - 7], codec);
        let told = |max: i64| forged(&batch, field::MAX_TIMESTAMP, &max.to_be_bytes());
        [
            told(NOW.0 + 1),
            told(-1),
            told(i64::MIN),
            told(i64::MAX),
            attributes(&batch, 0x08),
        ]
    };
    for topic in [
        None,
        Some((Compression::Lz4, None)),
        Some((Compression::None, None)),
    ] {
        let rules = BatchRules {
            compression: topic,
            ..rules()
        };
        for sent in CODECS {
            for lie in lies(sent) {
                let valid = validate(Some(lie), NEWEST, &rules, NOW).unwrap();
                let stored = BatchView::parse(&valid.bytes).unwrap();
                stored.validate_crc().unwrap();
                assert_eq!(stored.max_timestamp, NOW.0 + 7, "{sent:?} for {topic:?}");
                assert_eq!(stored.timestamp_type(), TimestampType::CreateTime);
                assert_eq!(stored.record_timestamp(-7), NOW.0 - 7);
            }
        }
    }
}

#[test]
fn rule_12_no_batch_is_older_than_no_timestamp() {
    for codec in CODECS {
        let valid = validate(Some(batch_at(&[-9, -5], codec)), NEWEST, &rules(), NOW).unwrap();
        assert_eq!(valid.header.max_timestamp, -1, "{codec:?}");
    }
}

#[test]
fn log_append_time_is_the_brokers() {
    let rules = BatchRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules()
    };
    for codec in CODECS {
        // Timestamps that a CreateTime topic would refuse are of no matter here.
        let sent = batch_at(&[5, i64::MAX, 7], codec);
        let valid = validate(Some(sent.clone()), NEWEST, &rules, NOW).unwrap();
        let stored = BatchView::parse(&valid.bytes).unwrap();
        stored.validate_crc().unwrap();
        assert_eq!(stored.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(stored.max_timestamp, NOW.0);
        assert_eq!(stored.record_timestamp(0), NOW.0);
        assert_eq!(stored.compression(), Ok(codec));
        assert_eq!(valid.header, stored.header());
        let sent = BatchView::parse(&sent).unwrap();
        assert_eq!(stored.records_bytes(), sent.records_bytes());
    }
}

#[test]
fn another_codec_of_the_topic_changes_the_packing_and_nothing_else() {
    for topic in CODECS {
        let rules = BatchRules {
            compression: Some((topic, topic.default_level())),
            ..rules()
        };
        for sent in CODECS {
            let bytes = batch_at(&[NOW.0, NOW.0 + 1, NOW.0 - 1], sent);
            let valid = validate(Some(bytes.clone()), NEWEST, &rules, NOW).unwrap();
            let (before, after) = (
                BatchView::parse(&bytes).unwrap(),
                BatchView::parse(&valid.bytes).unwrap(),
            );
            after.validate_crc().unwrap();
            assert_eq!(after.compression(), Ok(topic));
            assert_eq!(valid.header, after.header());
            assert_eq!(
                before.uncompressed_records(1 << 20).unwrap(),
                after.uncompressed_records(1 << 20).unwrap(),
            );
            assert_eq!(after.max_timestamp, before.max_timestamp);
            if sent == topic {
                assert_eq!(valid.bytes, bytes, "the same codec keeps the bytes");
            }
        }
    }
}

#[test]
fn faulty_records_are_not_packed_up_anew() {
    let rules = BatchRules {
        compression: Some((Compression::Gzip, None)),
        ..rules()
    };
    let mut builder = BatchBuilder::new().compression(Compression::Lz4, None);
    builder.append(NOW.0, None, Some(b"v"), &[]).unwrap();
    let one = builder.build().unwrap();
    // The header says two records, the section holds one.
    let two = forged(&one, field::RECORDS_COUNT, &2_i32.to_be_bytes());
    let two = forged(&two, field::LAST_OFFSET_DELTA, &1_i32.to_be_bytes());
    let expected = Some(ErrorCode::InvalidRecord);
    check("one of two", two, NEWEST, &rules, expected);
    check("one of one", one, NEWEST, &rules, None);
}

#[test]
fn the_first_fault_in_kafkas_order_is_the_one_told() {
    // Each batch has the fault of its line and of all lines below it.
    let mut worst = BatchBuilder::new().compression(Compression::None, None);
    for _ in 0..3 {
        worst.append(i64::MAX, None, Some(b"v"), &[]).unwrap();
    }
    let keyless = worst.build().unwrap();
    let control = attributes(&keyless, 0x20);
    let mut bad_crc = control.to_vec();
    bad_crc[field::CRC] ^= 1;
    let offset = {
        let mut copy = bad_crc.clone();
        copy[field::BASE_OFFSET + 7] = 9;
        Bytes::from(copy)
    };
    let tiny = BatchRules {
        max_message_bytes: 100,
        ..compacted()
    };
    assert!(keyless.len() < 100);
    let tinier = BatchRules {
        max_message_bytes: 10,
        ..compacted()
    };
    let cases = [
        (
            "offset before size",
            offset,
            &tinier,
            ErrorCode::InvalidRecord,
        ),
        (
            "size before CRC",
            bad_crc.clone().into(),
            &tinier,
            ErrorCode::MessageTooLarge,
        ),
        (
            "CRC before attributes",
            bad_crc.into(),
            &tiny,
            ErrorCode::CorruptMessage,
        ),
        (
            "attributes before records",
            control,
            &tiny,
            ErrorCode::InvalidRecord,
        ),
        (
            "keys before timestamps",
            keyless,
            &tiny,
            ErrorCode::InvalidRecord,
        ),
    ];
    for (story, bytes, rules, expected) in cases {
        check(story, bytes, NEWEST, rules, Some(expected));
    }
}
