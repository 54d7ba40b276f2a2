//! Reads everything and compares it with the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use integration_tests::harness::wait::until;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::ledger::{Fate, Ledger, RecordId, Sent};
use super::{PARTITIONS, TOPICS};

const CALL: Duration = Duration::from_secs(30);

/// Where a record was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

/// What has been read so far.
#[derive(Default)]
struct Found {
    places: BTreeMap<RecordId, Place>,
    /// The last record of each producer in each partition.
    last: BTreeMap<(usize, String, i32), usize>,
}

/// Checks the whole log. No record may be under way.
pub(crate) fn check(address: &str, ledger: &Ledger) {
    let sent = ledger.snapshot();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "checker")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "5")
        .create()
        .expect("a consumer");
    let mut found = Found::default();
    for (topic, _) in TOPICS {
        for partition in 0..PARTITIONS {
            read(&consumer, topic, partition, &sent, &mut found);
        }
    }
    for (id, record) in &sent {
        match record.fate {
            Fate::Sent => panic!("{id:?} is still under way"),
            Fate::Acknowledged(partition, offset) => {
                let place = Place {
                    topic: record.topic.to_owned(),
                    partition,
                    offset,
                };
                assert_eq!(found.places.get(id), Some(&place), "{id:?} {record:?}");
            }
            Fate::Unknown => {}
        }
    }
    check_prefixes(&sent, &found);
}

/// Reads one partition: no gap, no record of others, none twice, each producer's in order.
fn read(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    sent: &BTreeMap<RecordId, Sent>,
    found: &mut Found,
) {
    let bounds = consumer.fetch_watermarks(topic, partition, CALL);
    let (low, high) = bounds.expect("the broker knows its partitions");
    assert_eq!(low, 0, "{topic}-{partition}: nothing has been deleted");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)
        .expect("a good offset");
    consumer.assign(&list).expect("an assignment");
    let mut next = 0;
    while next < high {
        let message = until("the next record", || consumer.poll(CALL));
        let message = message.unwrap_or_else(|error| panic!("{topic}-{partition}: {error}"));
        assert_eq!(message.offset(), next, "{topic}-{partition}: a gap");
        found.take(&message, sent);
        next += 1;
    }
}

impl Found {
    fn take(&mut self, message: &BorrowedMessage<'_>, sent: &BTreeMap<RecordId, Sent>) {
        let id = RecordId::of_value(message.payload().expect("all records have values"));
        let place = Place {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        };
        let record = sent
            .get(&id)
            .unwrap_or_else(|| panic!("{id:?} at {place:?} was never sent"));
        assert_eq!(record.topic, place.topic, "{id:?}");
        assert_eq!(message.key(), Some(record.key.as_bytes()), "{id:?}");
        let stream = (id.producer, place.topic.clone(), place.partition);
        if let Some(last) = self.last.insert(stream, id.number) {
            assert!(last < id.number, "{id:?} follows {last} at {place:?}");
        }
        if let Some(first) = self.places.insert(id, place.clone()) {
            panic!("{id:?} is there twice: {first:?} and {place:?}");
        }
    }
}

/// Of the records that a producer sent with one key there is a beginning, without holes.
fn check_prefixes(sent: &BTreeMap<RecordId, Sent>, found: &Found) {
    let mut ended = BTreeSet::new();
    for (id, record) in sent {
        let stream = (id.producer, &record.key);
        if !found.places.contains_key(id) {
            ended.insert(stream);
        } else {
            assert!(
                !ended.contains(&stream),
                "{id:?} {record:?} is there, an earlier one is not"
            );
        }
    }
}
