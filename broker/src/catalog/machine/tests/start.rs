use super::*;
use crate::catalog::command::PRODUCER_ID_BLOCK_SIZE;
use crate::catalog::records::{
    AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, NoOpRecord,
    ProducerIdsRecord, TopicRecord,
};
use crate::coordinator::MalformedRecord;
use crate::types::ProducerId;

fn register(catalog: &mut Catalog, registration: Registration) -> Result<i64, Refusal> {
    match catalog.run(Command::RegisterBroker(registration)) {
        Reply::BrokerRegistered(result) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_first_start_writes_features_and_registration() {
    let mut catalog = Catalog::new();
    assert_eq!(register(&mut catalog, registration()), Ok(0));
    let records: Vec<_> = catalog
        .log
        .iter()
        .map(|record| catalog.machine.decode(record))
        .collect();
    let level = |name: &str, feature_level| {
        let name = name.to_owned();
        Ok(Some(
            crate::catalog::records::FeatureLevelRecord {
                name,
                feature_level,
            }
            .into(),
        ))
    };
    assert_eq!(
        records[..2],
        [
            level(METADATA_VERSION_FEATURE, 29),
            level("group.version", 1)
        ]
    );
    assert_eq!(records.len(), 3);
    let image = catalog.image();
    assert_eq!(image.metadata_version(), Some(29));
    assert_eq!(*image.features(), registration().finalized_features);
    let broker = image.broker(NODE).expect("registered");
    assert_eq!(broker.end_points, registration().endpoints);
    assert!(!broker.fenced);
}

#[test]
fn a_later_start_writes_what_has_changed() {
    let check = |next: Registration, records: usize, epoch: i64| {
        let mut catalog = Catalog::new();
        assert_eq!(register(&mut catalog, registration()), Ok(0));
        let mut catalog = catalog.restarted();
        let before = catalog.log.len();
        assert_eq!(register(&mut catalog, next), Ok(epoch));
        assert_eq!(catalog.log.len() - before, records);
        assert_eq!(catalog.restarted().image(), catalog.image());
    };
    check(registration(), 0, 0);
    let rack = Some("r".to_owned());
    check(
        Registration {
            rack,
            ..registration()
        },
        1,
        0,
    );
    check(
        Registration {
            endpoints: Vec::new(),
            ..registration()
        },
        1,
        0,
    );
    let incarnation_id = Uuid::from_u128(501);
    check(
        Registration {
            incarnation_id,
            ..registration()
        },
        1,
        3,
    );
    let mut next = registration();
    next.finalized_features
        .insert("group.version".to_owned(), 0);
    next.finalized_features
        .insert("transaction.version".to_owned(), 2);
    check(next, 2, 0);
}

#[test]
fn a_feature_at_level_0_is_gone() {
    let mut catalog = Catalog::new();
    assert_eq!(register(&mut catalog, registration()), Ok(0));
    let mut next = registration();
    next.finalized_features
        .insert("group.version".to_owned(), 0);
    assert_eq!(register(&mut catalog, next), Ok(0));
    assert_eq!(catalog.image().features().get("group.version"), None);
}

#[test]
fn a_newer_log_is_not_read_as_an_older_one() {
    let mut catalog = Catalog::new();
    assert_eq!(register(&mut catalog, registration()), Ok(0));
    let before = catalog.log.len();
    let mut older = registration();
    older
        .finalized_features
        .insert(METADATA_VERSION_FEATURE.to_owned(), 28);
    let refusal = register(&mut catalog, older);
    let text = "The log is at metadata.version 29, above 28; it cannot be lowered.";
    assert_eq!(
        told(&refusal),
        Some((ErrorCode::InvalidUpdateVersion, text))
    );
    assert_eq!(catalog.log.len(), before);
}

#[test]
fn new_partitions_lie_in_the_only_directory_that_is_known() {
    let check = |log_dirs: Option<Vec<u128>>, expected: u128| {
        let mut catalog = Catalog::new();
        if let Some(log_dirs) = log_dirs {
            let log_dirs = log_dirs.into_iter().map(Uuid::from_u128).collect();
            assert_eq!(
                register(
                    &mut catalog,
                    Registration {
                        log_dirs,
                        ..registration()
                    }
                ),
                Ok(0)
            );
        }
        catalog.create_one(sized("t", 1));
        let partition = &catalog.topic("t").partitions[&0.into()];
        assert_eq!(
            partition.directories.as_slice(),
            [Uuid::from_u128(expected)]
        );
    };
    check(None, 0);
    check(Some(vec![]), 0);
    check(Some(vec![600]), 600);
    check(Some(vec![600, 601]), 1);
}

fn allocate(catalog: &mut Catalog, count: i32) -> Result<ProducerIdBlock, Refusal> {
    match catalog.run(Command::AllocateProducerIds { count }) {
        Reply::ProducerIds(result) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn producer_ids_are_never_given_out_twice() {
    let mut catalog = Catalog::new();
    let count = PRODUCER_ID_BLOCK_SIZE;
    let block = |first| {
        Ok(ProducerIdBlock {
            first: ProducerId(first),
            count,
        })
    };
    assert_eq!(allocate(&mut catalog, count), block(0));
    assert_eq!(allocate(&mut catalog, count), block(1000));
    let mut catalog = catalog.restarted();
    assert_eq!(allocate(&mut catalog, count), block(2000));
    // A record that would go back is passed over.
    let record = ProducerIdsRecord {
        broker_id: NODE,
        broker_epoch: 0,
        next_producer_id: 5,
    };
    catalog.write_record(record);
    assert_eq!(allocate(&mut catalog, count), block(3000));
}

#[test]
fn producer_ids_can_run_out() {
    let exhausted = Some((ErrorCode::UnknownServerError, "(none)"));
    let mut catalog = Catalog::new();
    for count in [0, -1, i32::MIN] {
        assert_eq!(told(&allocate(&mut catalog, count)), exhausted);
    }
    let next_producer_id = i64::MAX - 10;
    catalog.write_record(ProducerIdsRecord {
        broker_id: NODE,
        broker_epoch: 0,
        next_producer_id,
    });
    assert_eq!(told(&allocate(&mut catalog, 11)), exhausted);
    let first = ProducerId(next_producer_id);
    assert_eq!(
        allocate(&mut catalog, 10),
        Ok(ProducerIdBlock { first, count: 10 })
    );
}

fn begin() -> BeginTransactionRecord {
    BeginTransactionRecord { name: None }
}

fn topic_record(name: &str, id: u128) -> TopicRecord {
    TopicRecord {
        name: name.to_owned(),
        topic_id: Uuid::from_u128(id),
    }
}

#[test]
fn a_transaction_counts_once_it_has_ended() {
    let mut catalog = Catalog::new();
    catalog.write_record(begin());
    catalog.write_record(topic_record("t", 50));
    assert_eq!(catalog.image().topic("t"), None);
    catalog.write_record(EndTransactionRecord);
    catalog.topic("t");
    assert_eq!(catalog.image().offset(), Offset(2));
    assert_eq!(catalog.restarted().image(), catalog.image());
}

#[test]
fn an_aborted_transaction_does_not_count() {
    let mut catalog = Catalog::new();
    catalog.create_one(sized("kept", 1));
    catalog.write_record(begin());
    catalog.write_record(topic_record("t", 50));
    catalog.delete(vec![by_name("kept")]);
    catalog.write_record(AbortTransactionRecord { reason: None });
    assert_eq!(catalog.image().topic("t"), None);
    catalog.topic("kept");
    catalog.create_one(new_topic("later"));
    catalog.topic("later");
    assert_eq!(catalog.restarted().image(), catalog.image());
}

#[test]
fn a_transaction_that_a_crash_left_open_is_aborted_at_load() {
    let mut catalog = Catalog::new();
    catalog.write_record(begin());
    catalog.write_record(topic_record("t", 50));
    let mut restarted = catalog.restarted();
    assert_eq!(restarted.log.len(), 3, "the abort is in the log");
    restarted.create_one(new_topic("later"));
    let again = restarted.restarted();
    again.topic("later");
    assert_eq!(again.image().topic("t"), None);
    assert_eq!(
        again.log.len(),
        restarted.log.len(),
        "nothing is open any more"
    );
}

#[test]
fn a_record_without_a_value_is_an_error() {
    let record = KeyValue {
        key: None,
        value: None,
    };
    let why = "the value is null".to_owned();
    let expected = MalformedRecord {
        what: "metadata record",
        why,
    };
    assert_eq!(machine().decode(&record), Err(expected));
}

#[test]
fn a_record_that_says_nothing_moves_the_offset() {
    let mut catalog = Catalog::new();
    assert_eq!(catalog.image().offset(), Offset(-1));
    catalog.write_record(NoOpRecord);
    assert_eq!(catalog.image().offset(), Offset(0));
}
