//! librdkafka, through the `rdkafka` crate, against the built binary: a client that shares no code
//! with this repository, in the language of its tests.
//!
//! What it is told is compared with what Apache Kafka tells it; the error codes are librdkafka's
//! names for Kafka's.

mod admin;
mod groups;
mod members;
mod records;
mod times;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use integration_tests::harness::process::{Launch, Running};
use integration_tests::harness::rebalance::Changes;
use integration_tests::harness::wait::until;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

/// How long a call of the client may take. Not a demand on speed.
const CALL: Duration = Duration::from_secs(60);
/// How long one look at a client's events lasts; the client works in its own threads.
const LOOK: Duration = Duration::from_millis(100);

/// A broker with its directory.
struct Site {
    broker: Running,
    _dir: TempDir,
}

impl Site {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(options: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let launch = Launch::new(dir.path())
            .set("group.initial.rebalance.delay.ms", "0")
            .set("offsets.topic.num.partitions", "2")
            .set("auto.create.topics.enable", "false");
        let set = |launch: Launch, (key, value): &(&str, &str)| launch.set(key, value);
        Self {
            broker: options.iter().fold(launch, set).start(),
            _dir: dir,
        }
    }

    fn address(&self) -> &str {
        self.broker.bootstrap()
    }

    /// The configuration of a client; all else are the client's defaults.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    /// A consumer of partitions that are assigned by hand.
    fn consumer(&self) -> BaseConsumer {
        let mut config = self.client();
        config
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true");
        config.create().expect("a consumer")
    }

    /// A member of a group that reads one topic from the start.
    fn member(&self, group: &str, topic: &str, options: &[(&str, &str)]) -> BaseConsumer<Changes> {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        for (key, value) in options {
            config.set(*key, *value);
        }
        let member = config.create_with_context(Changes::new("range"));
        let member: BaseConsumer<Changes> = member.expect("a consumer");
        member.subscribe(&[topic]).expect("a subscription");
        member
    }

    fn producer(&self, options: &[(&str, &str)]) -> BaseProducer<Reports> {
        let mut config = self.client();
        for (key, value) in options {
            config.set(*key, *value);
        }
        let producer = config.create_with_context(Reports::default());
        producer.expect("a producer")
    }

    async fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = configs
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value));
        let created = self
            .admin()
            .create_topics([&topic], &AdminOptions::new())
            .await;
        let created = created.expect("CreateTopics is answered");
        assert_eq!(created, [Ok(name.to_owned())]);
    }

    /// Everything in a partition that can be read, from an offset on.
    fn read_from(&self, topic: &str, partition: i32, from: Offset) -> Vec<OwnedMessage> {
        let consumer = self.consumer();
        let watermarks = consumer.fetch_watermarks(topic, partition, CALL);
        let (low, high) = watermarks.expect("the broker knows its partitions");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, from)
            .expect("a good offset");
        consumer.assign(&list).expect("an assignment");
        let mut next = from.to_raw().filter(|offset| *offset >= 0).unwrap_or(low);
        let mut messages = Vec::new();
        while next < high {
            let message = poll(&consumer);
            assert_eq!(message.offset(), next, "{topic}-{partition}");
            next += 1;
            messages.push(message);
        }
        messages
    }

    fn read(&self, topic: &str) -> Vec<OwnedMessage> {
        self.read_from(topic, 0, Offset::Beginning)
    }

    /// Stops the broker in order.
    fn stop(self) {
        self.broker.stop();
    }
}

/// The next message.
#[track_caller]
fn poll<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> OwnedMessage {
    let message = until("a message", || consumer.poll(LOOK));
    message.expect("messages, no errors").detach()
}

/// Partition and offset of a message that was taken, or why it was not.
type Report = Result<(i32, i64), RDKafkaErrorCode>;

/// What became of each message, by the number it was sent with.
#[derive(Default)]
struct Reports(Mutex<BTreeMap<usize, Report>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let report = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(code(error)),
        };
        let before = self
            .0
            .lock()
            .expect("nobody panics with it")
            .insert(number, report);
        assert_eq!(before, None, "{number} is reported once");
    }
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    match error {
        KafkaError::AdminOp(code) => *code,
        other => other
            .rdkafka_error_code()
            .unwrap_or_else(|| panic!("no code in {error:?}")),
    }
}

/// Queues a message.
fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
    producer: &BaseProducer<Reports>,
    record: BaseRecord<'_, K, P, usize>,
) {
    let sent = producer.send(record);
    sent.unwrap_or_else(|(error, _)| panic!("cannot be queued: {error}"));
}

/// Waits for all that was queued, and returns what became of it, by number.
fn settle(producer: &BaseProducer<Reports>) -> Vec<Report> {
    producer
        .flush(CALL)
        .expect("everything is reported in time");
    let reports = producer.context().0.lock();
    reports
        .expect("nobody panics with it")
        .values()
        .copied()
        .collect()
}

/// Partition 0, with offsets that begin at 0: what [`settle`] gives for the only messages.
fn in_order(count: usize) -> Vec<Report> {
    (0..count).map(|offset| Ok((0, offset as i64))).collect()
}
