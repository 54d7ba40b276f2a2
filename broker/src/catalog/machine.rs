//! The catalog as a replayed machine.

mod alter_configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod placement;
mod producer_ids;
mod register_broker;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::command::{Command, Reply};
use super::image::CatalogImage;
use super::records::{AbortTransactionRecord, Record};
use crate::config::BrokerConfig;
use crate::coordinator::{Answer, Decision, KeyValue, Machine, MalformedRecord, ReplyToken, When};
use crate::types::{Now, Offset};

/// The most records that one command may write, and so the most partitions and configs that one
/// request may create (Kafka's `QuorumController.MAX_RECORDS_PER_USER_OP`). What is above it gets
/// POLICY_VIOLATION.
pub const MAX_RECORDS_PER_COMMAND: usize = 10_000;

/// The most partitions that a request may ask to create (Kafka's
/// `ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
pub const MAX_PARTITIONS_PER_REQUEST: i64 = 10_000;

/// The most partitions that the broker keeps: each costs a directory, open files and memory, so
/// that clients must not be able to make any number of them. Kafka has no such limit.
pub const MAX_PARTITIONS: usize = 200_000;

const _: () = assert!(MAX_PARTITIONS_PER_REQUEST as usize <= MAX_PARTITIONS);

/// What a request gets that would write more than [`MAX_RECORDS_PER_COMMAND`].
const TOO_MANY_RECORDS: &str = "Unable to perform excessively large batch operation.";

/// The catalog: decides on commands and keeps the picture that the log adds up to.
///
/// Every answer waits until all that was written before it is on disk, refusals too: that a topic
/// exists already must not be told before it is sure to exist after a crash.
///
/// The picture is copied on write. A picture that is handed out after each decision costs one copy
/// of the tables for a decision; handed out after each record it costs one for each record and
/// shows topics without their partitions, so the former is the way to publish it.
pub struct CatalogMachine {
    node_id: i32,
    /// As the broker was started; what was set at run time is in the picture.
    config: Arc<BrokerConfig>,
    image: Arc<CatalogImage>,
    /// The picture with the records of the open transaction.
    in_transaction: Option<Arc<CatalogImage>>,
}

impl CatalogMachine {
    /// A catalog before the first record of its log, on a node that was started with this
    /// configuration.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        Self {
            node_id: config.node_id,
            config,
            image: Arc::default(),
            in_transaction: None,
        }
    }

    /// The picture that the log adds up to, without the records of an open transaction.
    pub fn image(&self) -> &Arc<CatalogImage> {
        &self.image
    }
}

impl Machine for CatalogMachine {
    type Command = Command;
    type Reply = Reply;
    type Event = Record;
    /// The catalog waits for nothing.
    type Timer = std::convert::Infallible;

    fn decide(&self, _now: Now, command: Command, token: ReplyToken) -> Decision<Self> {
        let (events, reply) = match command {
            Command::CreateTopics(command) => self.create_topics(command),
            Command::DeleteTopics(command) => self.delete_topics(command),
            Command::CreatePartitions(command) => self.create_partitions(command),
            Command::AlterConfigs(command) => self.alter_configs(command),
            Command::AllocateProducerIds { count } => self.allocate_producer_ids(count),
            Command::RegisterBroker(command) => self.register_broker(command),
        };
        let answers = vec![Answer {
            token,
            when: When::AfterDurable,
            reply,
        }];
        Decision {
            events,
            answers,
            ..Decision::default()
        }
    }

    fn on_timer(&self, _now: Now, timer: Self::Timer) -> Decision<Self> {
        match timer {}
    }

    fn on_loaded(&self, _now: Now) -> Decision<Self> {
        let mut decision = Decision::default();
        if self.in_transaction.is_some() {
            // Whoever began it is gone. Left open, it would swallow every later record.
            let reason = Some("The broker restarted".to_owned());
            decision
                .events
                .push(AbortTransactionRecord { reason }.into());
        }
        decision
    }

    fn apply(&mut self, offset: Offset, event: Record) {
        match &event {
            Record::BeginTransaction(_) => self.in_transaction = Some(Arc::clone(&self.image)),
            Record::EndTransaction(_) => {
                self.image = self
                    .in_transaction
                    .take()
                    .unwrap_or_else(|| Arc::clone(&self.image));
            }
            Record::AbortTransaction(_) => self.in_transaction = None,
            _ => {}
        }
        let image = self.in_transaction.as_mut().unwrap_or(&mut self.image);
        Arc::make_mut(image).apply(offset, event);
    }

    fn encode(&self, event: &Record) -> Option<KeyValue> {
        Some(KeyValue {
            key: None,
            value: Some(event.encode()),
        })
    }

    fn decode(&self, record: &KeyValue) -> Result<Option<Record>, MalformedRecord> {
        match &record.value {
            Some(value) => Record::decode(value),
            None => Err(MalformedRecord {
                what: "metadata record",
                why: "the value is null".to_owned(),
            }),
        }
    }
}
