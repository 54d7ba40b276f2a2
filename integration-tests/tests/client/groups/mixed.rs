//! Groups of which this client's consumers are members along with those of other clients. Each of
//! the two leads the group for a while, and so shares out by what the other one tells of itself.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use integration_tests::harness::rebalance::Changes;
use integration_tests::harness::wait::until;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::foreign::{Process, java, python};

use super::reader::Reader;
use super::*;

/// The shortest session that Apache Kafka allows, in milliseconds.
const SESSION: &str = "6000";

/// What a member of another client has said.
#[derive(Default)]
struct Notes {
    owned: BTreeSet<i32>,
    values: Vec<i32>,
    closed: bool,
}

/// A member of another client.
struct Stranger {
    notes: Arc<Mutex<Notes>>,
    listener: JoinHandle<()>,
    end: End,
}

enum End {
    Signal(Process),
    Flag(Arc<AtomicBool>),
}

impl Stranger {
    fn start(kind: &str, site: &Site, strategy: &str) -> Option<Self> {
        let command = match kind {
            "rdkafka" => return Some(Self::in_process(site, strategy)),
            "kafka-python" => {
                let mut command = python("member.py")?;
                command.arg(kind);
                command
            }
            _ => java("Member")?,
        };
        Some(Self::process(command, site, strategy))
    }

    /// One that prints what members.py reads.
    fn process(mut command: std::process::Command, site: &Site, strategy: &str) -> Self {
        command.args([&site.bootstrap, &site.group, &site.topic, strategy, SESSION]);
        let mut process = Process::start(command);
        let output = process.child().stdout.take().unwrap();
        let notes = Arc::<Mutex<Notes>>::default();
        let taken = Arc::clone(&notes);
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                let mut notes = taken.lock().unwrap();
                if let Some(owned) = event["assignment"].as_array() {
                    let numbers = owned.iter().filter_map(serde_json::Value::as_i64);
                    notes.owned = numbers.map(|number| number as i32).collect();
                }
                if let Some(value) = event["value"].as_str() {
                    notes.values.push(value.parse().unwrap());
                }
                notes.closed |= event["closed"] == true;
            }
        });
        let end = End::Signal(process);
        Self {
            notes,
            listener,
            end,
        }
    }

    fn in_process(site: &Site, strategy: &str) -> Self {
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", &site.bootstrap)
            .set("group.id", &site.group)
            .set("partition.assignment.strategy", strategy)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", "100")
            .set("session.timeout.ms", SESSION)
            .set("heartbeat.interval.ms", "200")
            .set("fetch.wait.max.ms", "50");
        let consumer: BaseConsumer<Changes> =
            config.create_with_context(Changes::new(strategy)).unwrap();
        consumer.subscribe(&[&site.topic]).unwrap();
        let notes = Arc::<Mutex<Notes>>::default();
        let stop = Arc::<AtomicBool>::default();
        let (taken, stopped) = (Arc::clone(&notes), Arc::clone(&stop));
        let listener = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let message = consumer.poll(Duration::from_millis(20));
                let mut notes = taken.lock().unwrap();
                let assignment = consumer.assignment().unwrap();
                let owned = assignment.elements();
                notes.owned = owned.iter().map(|found| found.partition()).collect();
                if let Some(Ok(message)) = message {
                    let value = std::str::from_utf8(message.payload().unwrap()).unwrap();
                    notes.values.push(value.parse().unwrap());
                    // Refused for a partition that has gone: its next owner reads it again.
                    let _ = consumer.store_offset_from_message(&message);
                }
            }
            drop(consumer);
            taken.lock().unwrap().closed = true;
        });
        let end = End::Flag(stop);
        Self {
            notes,
            listener,
            end,
        }
    }

    fn owned(&self) -> BTreeSet<i32> {
        self.notes.lock().unwrap().owned.clone()
    }

    fn values(&self) -> Vec<i32> {
        self.notes.lock().unwrap().values.clone()
    }

    /// Has it leave in good order.
    fn leave(self) -> Vec<i32> {
        match self.end {
            End::Signal(mut process) => {
                let id = Pid::from_child(process.child());
                kill_process(id, Signal::TERM).unwrap();
                until("the other client to leave", || {
                    process.child().try_wait().unwrap()
                });
            }
            End::Flag(stop) => stop.store(true, Ordering::Relaxed),
        }
        self.listener.join().unwrap();
        let notes = self.notes.lock().unwrap();
        assert!(notes.closed, "it has left in good order");
        notes.values.clone()
    }
}

/// Waits until all partitions are shared out among the two, or with the one that is there.
#[track_caller]
fn shared_out(ours: Option<&Reader>, theirs: Option<&Stranger>) {
    let owned = || {
        let ours = ours.map(|ours| {
            let owned = ours.owned().into_iter();
            owned
                .map(|owned| owned.partition)
                .collect::<BTreeSet<i32>>()
        });
        [ours, theirs.map(Stranger::owned)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    until("the group to share out", || {
        let owned = owned();
        let sum: usize = owned.iter().map(BTreeSet::len).sum();
        let together: BTreeSet<i32> = owned.iter().flatten().copied().collect();
        let least = owned.iter().map(BTreeSet::len).min()?;
        let all = (0..PARTITIONS).collect();
        (sum == together.len() && together == all && least >= together.len() / owned.len())
            .then_some(())
    });
}

/// Writes so many values, and waits until all have been read and committed.
async fn round(site: &Site, from: i32, ours: Option<&Reader>, theirs: Option<&Stranger>) {
    shared_out(ours, theirs);
    let values = from..from + 60;
    site.write(values.clone()).await;
    until("everything to be read", || {
        let ours = ours.map(|ours| ours.said().values()).unwrap_or_default();
        let theirs = theirs.map(Stranger::values).unwrap_or_default();
        let seen: BTreeSet<i32> = ours.into_iter().chain(theirs).collect();
        values
            .clone()
            .all(|value| seen.contains(&value))
            .then_some(())
    });
    site.until_committed(i64::from(from + 60)).await;
}

async fn story(cluster: &Cluster, kind: &str, strategy: &str) {
    eprintln!("{kind}, {strategy}");
    let site = Site::new(cluster).await;
    let start = || {
        let config = site.config_with(strategy);
        Reader::start(site.member(config.auto_commit(Some(Duration::from_millis(100)))))
    };
    let first = start();
    round(&site, 0, Some(&first), None).await;
    let Some(stranger) = Stranger::start(kind, &site, strategy) else {
        return;
    };
    // Whoever was there first leads.
    round(&site, 60, Some(&first), Some(&stranger)).await;
    let first = first.close().await;
    round(&site, 120, None, Some(&stranger)).await;
    let second = start();
    round(&site, 180, Some(&second), Some(&stranger)).await;
    let theirs = stranger.leave();
    round(&site, 240, Some(&second), None).await;
    let second = second.close().await;
    let mut values = [first.values(), theirs, second.values()].concat();
    values.sort_unstable();
    assert_eq!(values, (0..300).collect::<Vec<_>>(), "each once");
}

async fn stories(kind: &str, strategies: &[&str]) {
    for_each_cluster(async |cluster| {
        for strategy in strategies {
            story(cluster, kind, strategy).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_librdkafka() {
    stories("rdkafka", &["range", "roundrobin", "cooperative-sticky"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_kafka_python() {
    stories("kafka-python", &["range", "roundrobin", "sticky"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_java() {
    let all = ["range", "roundrobin", "sticky", "cooperative-sticky"];
    stories("Java", &all).await;
}
