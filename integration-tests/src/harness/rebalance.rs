//! What librdkafka does when partitions are given and taken, noted for tests.

use std::sync::Mutex;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

/// Topic and number.
pub type TopicPartition = (String, i32);

/// Takes over what is assigned, as the crate's own context does, but does not ask the client for
/// its protocol each time, nor anything else once the consumer is closed: an event that is still in
/// the queue then would wait for an answer for ever, and with it whoever drops the consumer.
pub struct Changes {
    cooperative: bool,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    count: usize,
    partitions: Vec<TopicPartition>,
}

impl Changes {
    /// For a consumer of this `partition.assignment.strategy`.
    pub fn new(strategy: &str) -> Self {
        Self {
            cooperative: strategy == "cooperative-sticky",
            noted: Mutex::default(),
        }
    }

    /// How often something was given or taken.
    pub fn count(&self) -> usize {
        self.noted.lock().expect("nobody panics with it").count
    }

    /// The partitions that were given or taken since the last call.
    pub fn take(&self) -> Vec<TopicPartition> {
        let mut noted = self.noted.lock().expect("nobody panics with it");
        std::mem::take(&mut noted.partitions)
    }
}

impl ClientContext for Changes {}

impl ConsumerContext for Changes {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if consumer.closed() {
            return;
        }
        let gives = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done: KafkaResult<()> = match (gives, self.cooperative) {
            (true, true) => consumer.incremental_assign(list),
            (true, false) => consumer.assign(list),
            (false, true) => consumer.incremental_unassign(list),
            (false, false) => consumer.unassign(),
        };
        // Refused for a member that has lost all: it is told so again.
        let _ = done;
        let elements = list.elements();
        let partitions = elements
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()));
        let mut noted = self.noted.lock().expect("nobody panics with it");
        noted.partitions.extend(partitions);
        noted.count += 1;
    }
}
