//! The idempotent producers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use integration_tests::harness::wait::until;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::TOPICS;
use super::ledger::{Fate, Ledger, RecordId};
use super::plan::Round;
use super::trigger::Trigger;

const KEYS: usize = 8;

/// Two producers, each of which may be replaced by a new one.
pub(crate) struct Producers {
    address: String,
    ledger: Arc<Ledger>,
    trigger: Arc<Trigger>,
    slots: [Option<Slot>; 2],
    created: usize,
    /// Producers that are being closed.
    closing: Vec<JoinHandle<()>>,
}

struct Slot {
    producer: BaseProducer<Reports>,
    id: usize,
    sent: usize,
}

impl Producers {
    pub(crate) fn new(address: String, ledger: &Arc<Ledger>, trigger: &Arc<Trigger>) -> Self {
        Self {
            address,
            ledger: Arc::clone(ledger),
            trigger: Arc::clone(trigger),
            slots: [None, None],
            created: 0,
            closing: Vec::new(),
        }
    }

    /// Waits until everything that was under way when the broker was killed has been delivered,
    /// or given up with its producer.
    pub(crate) fn settle(&mut self) {
        for closing in self.closing.drain(..) {
            closing.join().expect("closing does not panic");
        }
        for slot in self.slots.iter().flatten() {
            until("records to be delivered after the restart", || {
                slot.producer.poll(Duration::from_millis(5));
                let fatal = slot.producer.client().fatal_error();
                assert_eq!(fatal, None, "producer {}", slot.id);
                (slot.producer.in_flight_count() == 0).then_some(())
            });
        }
    }

    /// Closes the producers that the next round replaces, while the broker is gone: what they have
    /// under way may be in the log or not.
    pub(crate) fn give_up(&mut self, next: &Round) {
        for (slot, replaced) in self.slots.iter_mut().zip(next.new_producers) {
            if let Some(slot) = slot.take_if(|_| replaced) {
                slot.producer
                    .context()
                    .given_up
                    .store(true, Ordering::Relaxed);
                self.closing.push(std::thread::spawn(move || drop(slot)));
            }
        }
    }

    /// Closes all.
    pub(crate) fn close(&mut self) {
        self.slots = [None, None];
    }

    /// Leaves them as they are.
    pub(crate) fn abandon(&mut self) {
        self.slots
            .iter_mut()
            .for_each(|slot| std::mem::forget(slot.take()));
    }

    /// Makes the producers that are missing.
    pub(crate) fn renew(&mut self, round: &Round) {
        for index in 0..self.slots.len() {
            if self.slots[index].is_some() {
                continue;
            }
            let id = self.created;
            self.created += 1;
            let context = Reports {
                id,
                ledger: Arc::clone(&self.ledger),
                trigger: Arc::clone(&self.trigger),
                given_up: AtomicBool::new(false),
            };
            let producer = ClientConfig::new()
                .set("bootstrap.servers", &self.address)
                .set("client.id", format!("producer-{id}"))
                .set("enable.idempotence", "true")
                .set("acks", "all")
                .set("linger.ms", "0")
                .set("batch.num.messages", round.batch_sizes[index].to_string())
                .set("compression.codec", round.codecs[index])
                .set("reconnect.backoff.ms", "2")
                .set("reconnect.backoff.max.ms", "10")
                .set("retry.backoff.ms", "2")
                .set("retry.backoff.max.ms", "10")
                .create_with_context(context)
                .expect("a producer");
            let slot = Slot {
                producer,
                id,
                sent: 0,
            };
            self.slots[index] = Some(slot);
        }
    }

    /// Sends until `round.ahead` records are under way with each producer.
    pub(crate) fn feed(&mut self, round: &Round) {
        for slot in self.slots.iter_mut().flatten() {
            while (slot.producer.in_flight_count() as usize) < round.ahead {
                let number = slot.sent;
                slot.sent += 1;
                let id = RecordId {
                    producer: slot.id,
                    number,
                };
                // A key belongs to one topic, so that its records have an order.
                let key = (slot.id * 5 + number * 7) % KEYS;
                let topic = TOPICS[key % TOPICS.len()].0;
                let (key, value) = (format!("key-{key}"), id.value());
                self.ledger.sent(id, topic, key.clone());
                let record = BaseRecord::with_opaque_to(topic, Box::new(id));
                slot.producer
                    .send(record.key(&key).payload(&value))
                    .unwrap_or_else(|(error, _)| panic!("{id:?} cannot be queued: {error}"));
            }
        }
    }

    /// Takes delivery reports.
    pub(crate) fn poll(&self) {
        for slot in self.slots.iter().flatten() {
            slot.producer.poll(Duration::ZERO);
        }
    }
}

/// Takes delivery reports into the ledger.
struct Reports {
    id: usize,
    ledger: Arc<Ledger>,
    trigger: Arc<Trigger>,
    given_up: AtomicBool,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<RecordId>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<RecordId>) {
        match result {
            Ok(message) => {
                let fate = Fate::Acknowledged(message.partition(), message.offset());
                self.ledger.resolve(*id, fate);
                self.trigger.delivered();
            }
            Err((error, _)) => {
                assert!(
                    self.given_up.load(Ordering::Relaxed),
                    "{id:?} failed with producer {}: {error}",
                    self.id
                );
                self.ledger.resolve(*id, Fate::Unknown);
            }
        }
    }
}
