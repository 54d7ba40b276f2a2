//! Records against bytes that Apache Kafka's own serializer wrote, and against anything.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const ID: Uuid = Uuid::from_u128(0x517c94f6_2e40_467e_96d3_438ddad69e58);
const DIRECTORY: Uuid = Uuid::from_u128(0x32453738_4541_3537_3035_324434333642);

/// The bytes of a record as `MetadataRecordSerde` of Apache Kafka 4.3.1 writes them.
struct Fixture {
    record: Record,
    bytes: Vec<u8>,
    /// Whether this is the version that is written here as well.
    written: bool,
}

fn current(record: impl Into<Record>, hex: &str) -> Fixture {
    Fixture {
        record: record.into(),
        bytes: unhex(hex),
        written: true,
    }
}

fn older(record: impl Into<Record>, hex: &str) -> Fixture {
    Fixture {
        record: record.into(),
        bytes: unhex(hex),
        written: false,
    }
}

#[rustfmt::skip]
fn fixtures() -> Vec<Fixture> {
    vec![
        current(TopicRecord { name: text("orders"), topic_id: ID }, "010200076f7264657273517c94f62e40467e96d3438ddad69e5800"),
        older(plain_partition(&[]), "01030000000003517c94f62e40467e96d3438ddad69e5802000000000200000000010100000000000000\
            000000000000"),
        older(plain_partition(&[DIRECTORY]), "01030100000003517c94f62e40467e96d3438ddad69e5802000000000200000000010100000000000000\
            0000000000023245373845413537303532443433364200"),
        current(plain_partition(&[DIRECTORY]), "01030200000003517c94f62e40467e96d3438ddad69e5802000000000200000000010100000000000000\
            0000000000023245373845413537303532443433364200"),
        older(full_partition(0), "01030000000003517c94f62e40467e96d3438ddad69e5804000000010000000200000003020000000202\
            00000001020000012c00000002000000070000000901000101"),
        older(full_partition(1), "01030100000003517c94f62e40467e96d3438ddad69e5804000000010000000200000003020000000202\
            00000001020000012c000000020000000700000009043245373845413537303532443433364200000000\
            0000000000000000000000000000000000000000000000000000000101000101"),
        current(full_partition(2), "01030200000003517c94f62e40467e96d3438ddad69e5804000000010000000200000003020000000202\
            00000001020000012c000000020000000700000009043245373845413537303532443433364200000000\
            000000000000000000000000000000000000000000000000000000010300010101050200000001020502\
            00000003"),
        older(empty_partition(), "010300ffffffff0000000000000000000000000000000001010101ffffffffffffffffffffffff00"),
        older(empty_partition(), "010301ffffffff0000000000000000000000000000000001010101ffffffffffffffffffffffff0100"),
        current(empty_partition(), "010302ffffffff0000000000000000000000000000000001010101ffffffffffffffffffffffff0100"),
        older(PartitionChangeRecord::unchanged(ID, 3), "01050000000003517c94f62e40467e96d3438ddad69e5800"),
        older(PartitionChangeRecord::unchanged(ID, 3), "01050100000003517c94f62e40467e96d3438ddad69e5800"),
        current(PartitionChangeRecord::unchanged(ID, 3), "01050200000003517c94f62e40467e96d3438ddad69e5800"),
        older(full_change(0), "01050000000003517c94f62e40467e96d3438ddad69e580600050200000002010400000002020d040000\
            0001000000020000000303050200000001040101050101"),
        older(full_change(1), "01050100000003517c94f62e40467e96d3438ddad69e580700050200000002010400000002020d040000\
            000100000002000000030305020000000104010105010108310432453738454135373035324434333642\
            0000000000000000000000000000000000000000000000000000000000000001"),
        current(full_change(2), "01050200000003517c94f62e40467e96d3438ddad69e580900050200000002010400000002020d040000\
            000100000002000000030305020000000104010105010106050200000001070101083104324537384541\
            353730353244343336420000000000000000000000000000000000000000000000000000000000000001"),
        current(config(2, "orders", "retention.ms", Some("60000")), "01040002076f72646572730d726574656e74696f6e2e6d7306363030303000"),
        current(config(4, "", "log.retention.ms", None), "0104000401116c6f672e726574656e74696f6e2e6d730000"),
        current(RemoveTopicRecord { topic_id: ID }, "010900517c94f62e40467e96d3438ddad69e5800"),
        current(ProducerIdsRecord { broker_id: 0, broker_epoch: 5, next_producer_id: 1000 }, "010f0000000000000000000000000500000000000003e800"),
        current(FeatureLevelRecord { name: text("metadata.version"), feature_level: 29 }, "010c00116d657461646174612e76657273696f6e001d00"),
        older(registration(0), "01000000000000517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e54455854\
            0a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d657461646174612e\
            76657273696f6e0007001d00000000"),
        older(registration(1), "01000100000000517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e54455854\
            0a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d657461646174612e\
            76657273696f6e0007001d0000000000"),
        older(registration(2), "0100020000000000517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e544558\
            540a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d65746164617461\
            2e76657273696f6e0007001d0000000000"),
        current(registration(3), "0100030000000000517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e544558\
            540a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d65746164617461\
            2e76657273696f6e0007001d000000000100110232453738454135373035324434333642"),
        older(flagged_registration(0), "01000000000000517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e54455854\
            0a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d657461646174612e\
            76657273696f6e0007001d000372310100"),
        older(flagged_registration(1), "01000100000000517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e54455854\
            0a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d657461646174612e\
            76657273696f6e0007001d00037231010100"),
        older(flagged_registration(2), "0100020000000001517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e544558\
            540a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d65746164617461\
            2e76657273696f6e0007001d00037231010100"),
        current(flagged_registration(3), "0100030000000001517c94f62e40467e96d3438ddad69e580000000000000005030a504c41494e544558\
            540a3132372e302e302e3198b400000007534543555245043a3a31238500030002116d65746164617461\
            2e76657273696f6e0007001d00037231010100"),
        older(registration_change(0), "011100000000000000000000000005010001ff"),
        older(registration_change(1), "011101000000000000000000000005020001ff010101"),
        current(registration_change(2), "011102000000000000000000000005030001ff01010102110232453738454135373035324434333642"),
        current(NoOpRecord, "01140000"),
        current(BeginTransactionRecord { name: Some(text("Bootstrap records")) }, "01170001001212426f6f747374726170207265636f726473"),
        current(BeginTransactionRecord { name: None }, "01170000"),
        current(EndTransactionRecord, "01180000"),
        current(AbortTransactionRecord { reason: Some(text("Controller failover")) }, "01190001001414436f6e74726f6c6c6572206661696c6f766572"),
    ]
}

/// A record of a kind that is passed over: UserScramCredentialRecord.
const SCRAM: &str = "010b000261010201020202030000100000";

#[test]
fn kafkas_bytes_are_read_and_written() {
    for Fixture {
        record,
        bytes,
        written,
    } in fixtures()
    {
        assert_eq!(Record::decode(&bytes), Ok(Some(record.clone())));
        if written {
            assert_eq!(record.encode(), bytes, "{record:?}");
        }
    }
}

#[test]
fn there_is_a_fixture_of_each_kind_in_the_version_that_is_written() {
    let written = fixtures().into_iter().filter(|fixture| fixture.written);
    let keys: std::collections::BTreeSet<u8> = written
        .filter_map(|fixture| fixture.bytes.get(1).copied())
        .collect();
    assert_eq!(
        Vec::from_iter(keys),
        [0, 2, 3, 4, 5, 9, 12, 15, 17, 20, 23, 24, 25]
    );
}

#[test]
fn what_is_cut_off_or_too_long_is_an_error() {
    for Fixture { bytes, .. } in fixtures() {
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            assert!(Record::decode(cut).is_err(), "{cut:x?}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Record::decode(&longer).is_err(), "{longer:x?}");
    }
}

#[test]
fn unknown_versions_of_a_kind_that_matters_are_an_error() {
    let check = |key: u8, version: u8| {
        let error = Record::decode(&[1, key, version, 0]).unwrap_err();
        assert!(error.why.starts_with("version"), "{error}");
    };
    for (key, version) in [
        (0, 4),
        (2, 1),
        (3, 3),
        (4, 1),
        (5, 3),
        (9, 1),
        (12, 1),
        (15, 1),
    ] {
        check(key, version);
    }
    for (key, version) in [(17, 3), (20, 1), (23, 1), (24, 1), (25, 1)] {
        check(key, version);
    }
}

#[test]
fn other_kinds_are_passed_over() {
    assert_eq!(Record::decode(&unhex(SCRAM)), Ok(None));
    for key in [1, 7, 8, 10, 11, 14, 18, 19, 21, 22, 26, 27, 28, 99] {
        assert_eq!(Record::decode(&[1, key, 0, 1, 2, 3]), Ok(None), "{key}");
    }
}

#[test]
fn other_frames_are_an_error() {
    for frame_version in [0, 2, 127] {
        let error = Record::decode(&[frame_version, 20, 0, 0]).unwrap_err();
        assert_eq!(
            error.why,
            format!("frame version {frame_version} is not known")
        );
    }
}

proptest! {
    #[test]
    fn any_record_survives_its_bytes(record in strategies::record()) {
        prop_assert_eq!(Record::decode(&record.encode()), Ok(Some(record)));
    }

    #[test]
    fn any_bytes_are_answered(key in 0_u8..30, version in 0_u8..4, body: Vec<u8>) {
        let _ = Record::decode(&[&[1, key, version], body.as_slice()].concat());
    }

    #[test]
    fn one_changed_byte_never_panics(
        record in strategies::record(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = record.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Record::decode(&bytes);
    }
}

fn plain_partition(directories: &[Uuid]) -> PartitionRecord {
    PartitionRecord {
        partition_id: 3,
        topic_id: ID,
        replicas: vec![0],
        isr: vec![0],
        leader: 0,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: directories.to_vec(),
        ..empty_partition()
    }
}

fn full_partition(version: u32) -> PartitionRecord {
    PartitionRecord {
        partition_id: 3,
        topic_id: ID,
        replicas: vec![1, 2, 3],
        isr: vec![2],
        removing_replicas: vec![1],
        adding_replicas: vec![300],
        leader: 2,
        leader_recovery_state: 1,
        leader_epoch: 7,
        partition_epoch: 9,
        directories: if version >= 1 {
            directories()
        } else {
            Vec::new()
        },
        eligible_leader_replicas: (version >= 2).then(|| vec![1]),
        last_known_elr: (version >= 2).then(|| vec![3]),
    }
}

fn empty_partition() -> PartitionRecord {
    PartitionRecord {
        partition_id: -1,
        topic_id: Uuid::nil(),
        replicas: Vec::new(),
        isr: Vec::new(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: -1,
        leader_recovery_state: 0,
        leader_epoch: -1,
        partition_epoch: -1,
        directories: Vec::new(),
        eligible_leader_replicas: None,
        last_known_elr: None,
    }
}

fn full_change(version: u32) -> PartitionChangeRecord {
    PartitionChangeRecord {
        isr: Some(vec![2]),
        leader: 2,
        replicas: Some(vec![1, 2, 3]),
        removing_replicas: Some(vec![1]),
        adding_replicas: Some(Vec::new()),
        leader_recovery_state: 1,
        directories: (version >= 1).then(directories),
        eligible_leader_replicas: (version >= 2).then(|| vec![1]),
        last_known_elr: (version >= 2).then(Vec::new),
        ..PartitionChangeRecord::unchanged(ID, 3)
    }
}

fn config(resource_type: i8, resource: &str, name: &str, value: Option<&str>) -> ConfigRecord {
    ConfigRecord {
        resource_type,
        resource_name: text(resource),
        name: text(name),
        value: value.map(text),
    }
}

fn registration(version: u32) -> RegisterBrokerRecord {
    let endpoint = |name, host, port, security_protocol| BrokerEndpoint {
        name: text(name),
        host: text(host),
        port,
        security_protocol,
    };
    RegisterBrokerRecord {
        broker_id: 0,
        is_migrating_zk_broker: false,
        incarnation_id: ID,
        broker_epoch: 5,
        end_points: vec![
            endpoint("PLAINTEXT", "127.0.0.1", 39092, 0),
            endpoint("SECURE", "::1", 9093, 3),
        ],
        features: vec![BrokerFeature {
            name: text("metadata.version"),
            min_supported_version: 7,
            max_supported_version: 29,
        }],
        rack: None,
        fenced: false,
        in_controlled_shutdown: false,
        log_dirs: if version >= 3 {
            vec![DIRECTORY]
        } else {
            Vec::new()
        },
    }
}

fn flagged_registration(version: u32) -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        is_migrating_zk_broker: version >= 2,
        rack: Some(text("r1")),
        fenced: true,
        in_controlled_shutdown: version >= 1,
        log_dirs: Vec::new(),
        ..registration(version)
    }
}

fn registration_change(version: u32) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: 0,
        broker_epoch: 5,
        fenced: -1,
        in_controlled_shutdown: i8::from(version >= 1),
        log_dirs: if version >= 2 {
            vec![DIRECTORY]
        } else {
            Vec::new()
        },
    }
}

fn directories() -> Vec<Uuid> {
    vec![DIRECTORY, Uuid::nil(), Uuid::from_u128(1)]
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
