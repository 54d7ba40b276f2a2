//! A member that reads until it is told to stop, and notes what happens to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Consumer, ConsumerError, ConsumerRecord, RebalanceListener, Told};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use integration_tests::harness::wait::until;

/// What has happened to a member so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) owned: BTreeSet<TopicPartition>,
    /// "assigned t-0 t-1", "revoked", "lost", in their order.
    pub(super) changes: Vec<String>,
    pub(super) records: Vec<ConsumerRecord>,
    pub(super) errors: Vec<ConsumerError>,
}

impl Said {
    /// The records' values, as often as they were read.
    pub(super) fn values(&self) -> Vec<i32> {
        self.records.iter().map(number).collect()
    }
}

/// The number that a record carries.
pub(super) fn number(record: &ConsumerRecord) -> i32 {
    let value = record.value.as_deref().unwrap();
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// Notes what a group does to a consumer.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<Mutex<Said>>);

impl Listener {
    pub(super) fn said(&self) -> Said {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        let names = partitions.iter().map(ToString::to_string);
        let names: BTreeSet<String> = names.collect();
        let mut line = what.to_owned();
        names.iter().for_each(|name| line.extend([" ", name]));
        let mut said = self.0.lock().unwrap();
        match what {
            "assigned" => said.owned.extend(partitions.iter().cloned()),
            _ => said.owned.retain(|owned| !partitions.contains(owned)),
        }
        said.changes.push(line);
    }
}

impl RebalanceListener for Listener {
    fn assigned<'a>(&'a mut self, _: &'a mut Consumer, new: &'a [TopicPartition]) -> Told<'a> {
        Box::pin(async move { self.note("assigned", new) })
    }

    fn revoked<'a>(&'a mut self, _: &'a mut Consumer, gone: &'a [TopicPartition]) -> Told<'a> {
        Box::pin(async move { self.note("revoked", gone) })
    }

    fn lost<'a>(&'a mut self, _: &'a mut Consumer, gone: &'a [TopicPartition]) -> Told<'a> {
        Box::pin(async move { self.note("lost", gone) })
    }
}

/// A consumer that reads in a task of its own.
pub(super) struct Reader {
    listener: Listener,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), ConsumerError>>,
}

impl Reader {
    /// Has a consumer that has subscribed read.
    pub(super) fn start(mut consumer: Consumer) -> Self {
        let listener = Listener::default();
        consumer.set_rebalance_listener(listener.clone());
        let (stop, mut stopped) = watch::channel(false);
        let notes = listener.clone();
        let task = tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => None,
                    next = consumer.recv() => Some(next),
                };
                match next {
                    None => return consumer.close().await,
                    Some(Ok(record)) => notes.0.lock().unwrap().records.push(record),
                    Some(Err(error)) => {
                        notes.0.lock().unwrap().errors.push(error.clone());
                        return Err(error);
                    }
                }
            }
        });
        Self {
            listener,
            stop,
            task,
        }
    }

    pub(super) fn said(&self) -> Said {
        self.listener.said()
    }

    pub(super) fn owned(&self) -> BTreeSet<TopicPartition> {
        self.listener.0.lock().unwrap().owned.clone()
    }

    /// Closes the consumer in good order.
    pub(super) async fn close(self) -> Said {
        self.stop.send_replace(true);
        self.task.await.unwrap().unwrap();
        self.listener.said()
    }

    /// Drops the consumer in the middle: its group hears nothing of it but the silence.
    pub(super) async fn kill(self) -> Said {
        self.task.abort();
        let _ = self.task.await;
        self.listener.said()
    }
}

/// Waits until these members share out so many partitions of a topic evenly, each one with one.
#[track_caller]
pub(super) fn settle(
    members: &[&Reader],
    topic: &str,
    partitions: i32,
) -> Vec<BTreeSet<TopicPartition>> {
    let all: BTreeSet<_> = (0..partitions)
        .map(|index| TopicPartition::new(topic, index))
        .collect();
    until("the members to share out", || {
        let owned: Vec<_> = members.iter().map(|member| member.owned()).collect();
        let sum: usize = owned.iter().map(BTreeSet::len).sum();
        let together: BTreeSet<_> = owned.iter().flatten().cloned().collect();
        let sizes = || owned.iter().map(BTreeSet::len);
        let even = sizes().max()? <= sizes().min()? + 1;
        (even && sum == all.len() && together == all).then_some(owned)
    })
}

/// Waits until all of them together have read all these values, as often as you like.
#[track_caller]
pub(super) fn read_all(members: &[&Reader], before: &[Said], values: std::ops::Range<i32>) {
    until("everything to be read", || {
        let now = members.iter().map(|member| member.said());
        let seen = now
            .chain(before.iter().cloned())
            .flat_map(|said| said.values());
        let seen: BTreeSet<i32> = seen.collect();
        values
            .clone()
            .all(|value| seen.contains(&value))
            .then_some(())
    });
}
