//! The fixtures were written by Apache Kafka's own classes (group coordinator 4.3.1); its record
//! schemas are those of 4.2.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::classic::{Group, GroupState, Member};
use super::super::event::OffsetKey;
use super::super::offsets::CommittedOffset;
use super::*;
use crate::types::Timestamp;

const OFFSET_KEY: &str = "0001000267310005746f70696300000007";
const LEGACY_OFFSET_KEY: &str = "0000000267310005746f70696300000007";
const GROUP_KEY: &str = "000200026731";

fn unhex(hex: &str) -> Bytes {
    let byte = |index| u8::from_str_radix(&hex[index..index + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn record(key: &str, value: Option<&str>) -> KeyValue {
    KeyValue {
        key: Some(unhex(key)),
        value: value.map(unhex),
    }
}

fn offset_key() -> OffsetKey {
    OffsetKey {
        group_id: "g1".into(),
        topic: "topic".into(),
        partition: 7,
    }
}

fn committed(leader_epoch: i32, metadata: &str, expires: Option<i64>) -> CommittedOffset {
    CommittedOffset {
        offset: 42,
        leader_epoch,
        metadata: metadata.into(),
        commit_timestamp: Timestamp(1_700_000_000_000),
        expire_timestamp: expires.map(Timestamp),
        topic_id: Uuid::nil(),
    }
}

/// Reads a fixture; if `written` is set, the event must also be written like that.
#[track_caller]
fn check(record: KeyValue, expected: Option<Event>, written: bool) {
    let event = decode(&record).expect("a fixture can be read");
    assert_eq!(event, expected);
    if written {
        assert_eq!(
            encode(&event.expect("what is written is known")),
            Some(record)
        );
    }
}

#[test]
fn offsets_are_read_in_every_version_and_written_as_kafka_does() {
    let check = |value: &str, expected: CommittedOffset, written: bool| {
        let event = || {
            Some(Event::OffsetCommitted {
                key: offset_key(),
                value: expected.clone(),
            })
        };
        check(record(OFFSET_KEY, Some(value)), event(), written);
        check(record(LEGACY_OFFSET_KEY, Some(value)), event(), false);
    };
    let plain = "0000000000000000002a00036dc3a90000018bcfe56800";
    check(plain, committed(-1, "mé", None), false);
    let expiring = "0001000000000000002a00036dc3a90000018bcfe568000000018bcfe65260";
    check(expiring, committed(-1, "mé", Some(1_700_000_060_000)), true);
    let without_expiry = "0001000000000000002a00036dc3a90000018bcfe56800ffffffffffffffff";
    check(without_expiry, committed(-1, "mé", None), false);
    check(
        "0002000000000000002a00036dc3a90000018bcfe56800",
        committed(-1, "mé", None),
        false,
    );
    let with_epoch = "0003000000000000002a0000000500036dc3a90000018bcfe56800";
    check(with_epoch, committed(5, "mé", None), false);
    check(
        "0004000000000000002a00000005046dc3a90000018bcfe5680000",
        committed(5, "mé", None),
        true,
    );
    let with_topic_id =
        "0004000000000000002affffffff010000018bcfe568000100100102030405060708090a0b0c0d0e0f10";
    let topic_id = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    check(
        with_topic_id,
        CommittedOffset {
            topic_id,
            ..committed(-1, "", None)
        },
        true,
    );
    // A tagged field of the future is passed over.
    let with_unknown_tag = "0004000000000000002affffffff010000018bcfe568000105020102";
    check(with_unknown_tag, committed(-1, "", None), false);
}

#[test]
fn tombstones_remove() {
    check(
        record(OFFSET_KEY, None),
        Some(Event::OffsetRemoved { key: offset_key() }),
        true,
    );
    check(
        record(LEGACY_OFFSET_KEY, None),
        Some(Event::OffsetRemoved { key: offset_key() }),
        false,
    );
    check(
        record(GROUP_KEY, None),
        Some(Event::GroupRemoved {
            group_id: "g1".into(),
        }),
        true,
    );
}

fn member(member_id: &str, fill: impl FnOnce(&mut Member)) -> Member {
    let mut member = Member {
        member_id: member_id.into(),
        group_instance_id: None,
        client_id: "".into(),
        client_host: "".into(),
        rebalance_timeout_ms: 5,
        session_timeout_ms: 6_000,
        protocols: vec![("range".into(), Bytes::new())],
        assignment: Bytes::new(),
        join: None,
        sync: None,
        is_new: false,
    };
    fill(&mut member);
    member
}

/// The group of the fixtures, as far as `version` can tell.
fn stable_group(version: i16) -> Group {
    let mut group = Group::new("g1".into());
    group.state = GroupState::Stable;
    group.protocol_type = Some("consumer".into());
    group.protocol_name = Some("range".into());
    group.generation = 9;
    group.leader = Some("m-1".into());
    group.state_since = (version >= 2).then_some(Timestamp(1_700_000_000_000));
    let first = member("m-1", |member| {
        member.group_instance_id = (version >= 3).then(|| "inst".into());
        member.client_id = "c".into();
        member.client_host = "/127.0.0.1".into();
        member.rebalance_timeout_ms = if version >= 1 { 60_000 } else { 10_000 };
        member.session_timeout_ms = 10_000;
        member.protocols = vec![("range".into(), Bytes::from_static(&[0, 1, 2]))];
        member.assignment = Bytes::from_static(&[3]);
    });
    let second = member("m-2", |member| {
        member.client_host = "/::1".into();
        member.rebalance_timeout_ms = if version >= 1 { 5 } else { 6_000 };
    });
    for member in [first, second] {
        if let Some(instance_id) = &member.group_instance_id {
            group
                .static_members
                .insert(instance_id.clone(), member.member_id.clone());
        }
        group.insert_member(member);
    }
    group
}

#[test]
fn groups_are_read_in_every_version_and_written_as_kafka_does() {
    let check = |version: i16, value: &str| {
        let group = Arc::new(stable_group(version));
        let event = Event::GroupChanged {
            group,
            durable: true,
        };
        check(record(GROUP_KEY, Some(value)), Some(event), version == 3);
    };
    check(
        0,
        "00000008636f6e73756d657200000009000572616e676500036d2d310000000200036d2d3100\
         0163000a2f3132372e302e302e310000271000000003000102000000010300036d2d32000000\
         042f3a3a31000017700000000000000000",
    );
    check(
        1,
        "00010008636f6e73756d657200000009000572616e676500036d2d310000000200036d2d3100\
         0163000a2f3132372e302e302e310000ea600000271000000003000102000000010300036d2d\
         32000000042f3a3a3100000005000017700000000000000000",
    );
    check(
        2,
        "00020008636f6e73756d657200000009000572616e676500036d2d310000018bcfe568000000\
         000200036d2d31000163000a2f3132372e302e302e310000ea60000027100000000300010200\
         0000010300036d2d32000000042f3a3a3100000005000017700000000000000000",
    );
    check(
        3,
        "00030008636f6e73756d657200000009000572616e676500036d2d310000018bcfe568000000\
         000200036d2d310004696e7374000163000a2f3132372e302e302e310000ea60000027100000\
         0003000102000000010300036d2d32ffff000000042f3a3a3100000005000017700000000000\
         000000",
    );
    check(
        4,
        "000409636f6e73756d6572000000090672616e6765046d2d310000018bcfe5680003046d2d31\
         05696e737402630b2f3132372e302e302e310000ea600000271004000102020300046d2d3200\
         01052f3a3a31000000050000177001010000",
    );
}

#[test]
fn a_group_without_members_is_empty() {
    let check = |value: &str, written: bool| {
        let group = Arc::new(Group::new("g1".into()));
        let event = Event::GroupChanged {
            group,
            durable: true,
        };
        check(record(GROUP_KEY, Some(value)), Some(event), written);
    };
    check("0000000000000000ffffffff00000000", false);
    check("0001000000000000ffffffff00000000", false);
    check("0002000000000000ffffffffffffffffffffffff00000000", false);
    check("0003000000000000ffffffffffffffffffffffff00000000", true);
    check("000401000000000000ffffffffffffffff0100", false);
}

#[test]
fn kinds_and_versions_of_the_future_are_passed_over() {
    check(record("0003000267310000", Some("0000")), None, false);
    check(record(OFFSET_KEY, Some("0005ffff")), None, false);
    check(record(OFFSET_KEY, Some("ffff")), None, false);
    check(record(GROUP_KEY, Some("000500")), None, false);
}

#[test]
fn malformed_records_are_refused() {
    #[track_caller]
    fn check(record: KeyValue, what: &'static str, why: &str) {
        assert_eq!(
            decode(&record),
            Err(MalformedRecord {
                what,
                why: why.into()
            })
        );
    }
    let value = Some("0004000000000000002a00000005046dc3a90000018bcfe5680000");
    check(
        KeyValue {
            key: None,
            value: None,
        },
        "a record's key",
        "invalid missing key",
    );
    check(record("00", None), "a record's key", "it ends early");
    check(
        record("0001000267", value),
        "OffsetCommitKey",
        "it ends early",
    );
    check(
        record("0001000267310005746f7069630000000700", value),
        "OffsetCommitKey",
        "1 bytes follow its end",
    );
    check(
        record("0001ffff0005746f70696300000007", value),
        "OffsetCommitKey",
        "invalid null string",
    );
    check(
        record("0001fffe0005746f70696300000007", value),
        "OffsetCommitKey",
        "invalid length",
    );
    check(
        record("00020002c328", None),
        "GroupMetadataKey",
        "invalid UTF-8",
    );
    check(
        record(OFFSET_KEY, Some("00")),
        "OffsetCommitValue",
        "it ends early",
    );
    check(
        record(
            OFFSET_KEY,
            Some("0004000000000000002a00000005046dc3a90000018bcfe5680001"),
        ),
        "OffsetCommitValue",
        "it ends early",
    );
    check(
        record(
            OFFSET_KEY,
            Some("0004000000000000002a00000005046dc3a90000018bcfe56800ffffffffff"),
        ),
        "OffsetCommitValue",
        "invalid varint",
    );
    check(
        record(OFFSET_KEY, Some("0004000000000000002a00000005ffffffff0f")),
        "OffsetCommitValue",
        "it ends early",
    );
    check(
        record(
            OFFSET_KEY,
            Some("0004000000000000002a0000000501000000000000000001000100"),
        ),
        "OffsetCommitValue",
        "it ends early",
    );
    // 2 billion members in 4 bytes.
    let many = "0003000000000000ffffffffffffffffffffffff7fffffff";
    check(
        record(GROUP_KEY, Some(many)),
        "GroupMetadataValue",
        "it ends early",
    );
    let negative = "0003000000000000ffffffffffffffffffffffff80000000";
    check(
        record(GROUP_KEY, Some(negative)),
        "GroupMetadataValue",
        "invalid length",
    );
    let null = "0003000000000000ffffffffffffffffffffffffffffffff";
    check(
        record(GROUP_KEY, Some(null)),
        "GroupMetadataValue",
        "invalid null array",
    );
    // Members, but no protocol; a leader who is no member; the same member twice.
    let member = "00036d2d31ffff000163000000000005000017700000000000000000";
    let group = |protocol: &str, leader: &str, members: &str, count: u8| {
        let since = "ffffffffffffffff";
        format!("0003000163000000{count:02x}{protocol}{leader}{since}000000{count:02x}{members}")
    };
    let check_group = |value: &str, why: &str| {
        check(record(GROUP_KEY, Some(value)), "GroupMetadataValue", why);
    };
    check_group(
        &group("ffff", "00036d2d31", member, 1),
        "invalid null protocol",
    );
    check_group(&group("000172", "00036d2d32", member, 1), "invalid leader");
    check_group(&group("000172", "ffff", member, 1), "invalid leader");
    check_group(
        &group("000172", "00036d2d31", &member.repeat(2), 2),
        "invalid repeated member id",
    );
    let fixed = |id: &str| format!("{id}000169000163000000000005000017700000000000000000");
    let twins = fixed("00036d2d31") + &fixed("00036d2d32");
    let twins = group("000172", "00036d2d31", &twins, 2);
    check_group(&twins, "invalid repeated group instance id");
}

fn any_text() -> impl Strategy<Value = Arc<str>> {
    proptest::collection::vec(any::<char>(), 0..200)
        .prop_map(|letters| letters.into_iter().collect::<String>().into())
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from)
}

fn any_offset() -> impl Strategy<Value = CommittedOffset> {
    let expires = proptest::option::of(0..i64::MAX);
    (
        any::<i64>(),
        -1..i32::MAX,
        any_text(),
        any::<i64>(),
        expires,
        any::<u128>(),
    )
        .prop_map(
            |(offset, leader_epoch, metadata, committed, expires, topic_id)| CommittedOffset {
                offset,
                // An offset with an expiry time has no room for the other two.
                leader_epoch: if expires.is_some() { -1 } else { leader_epoch },
                metadata,
                commit_timestamp: Timestamp(committed),
                expire_timestamp: expires.map(Timestamp),
                topic_id: Uuid::from_u128(if expires.is_some() { 0 } else { topic_id }),
            },
        )
}

fn any_group() -> impl Strategy<Value = Group> {
    let fields = (
        any_text(),
        any_text(),
        any_bytes(),
        any_bytes(),
        any::<bool>(),
        0..i32::MAX,
    );
    let members = proptest::collection::btree_map(any_text(), fields, 0..5);
    let texts = (any_text(), "consumer|connect", "[a-z]{1,8}");
    (texts, any::<i32>(), 0..i64::MAX, members).prop_map(|(texts, generation, since, members)| {
        let (group_id, protocol_type, protocol) = texts;
        let mut group = Group::new(group_id);
        group.protocol_type = Some(protocol_type.into());
        group.generation = generation;
        group.state_since = Some(Timestamp(since));
        let protocol: Arc<str> = protocol.into();
        for (id, (client_id, client_host, metadata, assignment, fixed, timeout_ms)) in members {
            group.state = GroupState::Stable;
            group.protocol_name = Some(protocol.clone());
            group.leader = Some(id.clone());
            let instance_id = fixed.then(|| format!("instance of {id}").into());
            group
                .static_members
                .extend(instance_id.clone().map(|instance| (instance, id.clone())));
            let member = member(&id, |member| {
                member.group_instance_id = instance_id;
                member.client_id = client_id;
                member.client_host = client_host;
                member.session_timeout_ms = timeout_ms;
                member.protocols = vec![(protocol.clone(), metadata)];
                member.assignment = assignment;
            });
            group.insert_member(member);
        }
        group.refresh_subscribed_topics();
        group
    })
}

proptest! {
    #[test]
    fn offsets_come_back_as_they_were(
        group_id in any_text(), topic in any_text(), partition: i32, value in any_offset()
    ) {
        let event = Event::OffsetCommitted { key: OffsetKey { group_id, topic, partition }, value };
        let record = encode(&event).expect("offsets are written");
        prop_assert_eq!(decode(&record), Ok(Some(event)));
    }

    #[test]
    fn groups_come_back_as_they_were(group in any_group()) {
        let event = Event::GroupChanged { group: group.into(), durable: true };
        let record = encode(&event).expect("durable changes are written");
        prop_assert_eq!(decode(&record), Ok(Some(event)));
    }

    #[test]
    fn a_record_that_is_cut_short_is_refused(
        group in any_group(), value in any_offset(), cut: prop::sample::Index
    ) {
        let group = Event::GroupChanged { group: group.into(), durable: true };
        let offset = Event::OffsetCommitted { key: offset_key(), value };
        for event in [group, offset] {
            let mut record = encode(&event).expect("both are written");
            let value = record.value.take().expect("neither is a tombstone");
            record.value = Some(value.slice(..cut.index(value.len())));
            prop_assert!(decode(&record).is_err());
        }
    }

    #[test]
    fn anything_can_be_handed_in(
        key in proptest::collection::vec(any::<u8>(), 0..40), kind in 0..4_u8,
        value in proptest::collection::vec(any::<u8>(), 0..80), version in 0..6_u8
    ) {
        let key = [vec![0, kind], key].concat();
        let value = [vec![0, version], value].concat();
        // It is read, passed over or refused; it does not panic.
        let _ = decode(&KeyValue { key: Some(key.into()), value: Some(value.clone().into()) });
        for key in [OFFSET_KEY, GROUP_KEY] {
            let _ = decode(&KeyValue { key: Some(unhex(key)), value: Some(value.clone().into()) });
        }
    }
}
