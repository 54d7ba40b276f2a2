//! Members of a group as processes (`src/bin/member.rs`), and a producer that never rests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use integration_tests::harness::wait::until;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Reports, send, settle};

/// Partition and offset.
pub(super) type Place = (i32, i64);

/// A member's process. Dropping it kills it.
pub(super) struct Member {
    child: Child,
    said: Arc<Mutex<Said>>,
    listener: Option<JoinHandle<()>>,
}

/// What a member has said.
#[derive(Clone, Default)]
pub(super) struct Said {
    /// The partitions it owned, after each change.
    pub(super) owned: Vec<BTreeSet<i32>>,
    /// What it read, in order.
    pub(super) read: Vec<Read>,
    errors: Vec<String>,
}

/// A message that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) place: Place,
    pub(super) value: usize,
    /// How many changes of what it owned the member had said before.
    pub(super) changes: usize,
}

impl Member {
    /// Starts one: address, group, topic, strategy, and perhaps an instance's name.
    pub(super) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_member"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the member's program runs");
        let said = Arc::<Mutex<Said>>::default();
        let output = child.stdout.take().expect("it was asked for");
        let listener = {
            let said = Arc::clone(&said);
            std::thread::spawn(move || listen(output, &said))
        };
        Self {
            child,
            said,
            listener: Some(listener),
        }
    }

    pub(super) fn said(&self) -> Said {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// What it owns now.
    pub(super) fn owned(&self) -> BTreeSet<i32> {
        self.said().owned.pop().unwrap_or_default()
    }

    /// SIGKILL; returns all it has said. Its session goes on without it.
    pub(super) fn kill(mut self) -> Said {
        self.child.kill().expect("it runs");
        self.end()
    }

    /// Has it leave in order, and waits for that.
    pub(super) fn leave(mut self) -> Said {
        drop(self.child.stdin.take());
        let status = until("the member to leave", || {
            self.child.try_wait().expect("a child can be asked for")
        });
        assert!(status.success(), "{status}");
        self.end()
    }

    fn end(&mut self) -> Said {
        self.child.wait().expect("a child can be waited for");
        if let Some(listener) = self.listener.take() {
            listener.join().expect("every line has its form");
        }
        let said = self.said();
        assert_eq!(said.errors, [""; 0]);
        said
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(output: ChildStdout, said: &Mutex<Said>) {
    for line in BufReader::new(output).lines() {
        let line = line.expect("its output can be read");
        let mut said = said.lock().expect("nobody panics with it");
        match line.split_once(' ') {
            Some(("owns", partitions)) => said.owned.push(numbers(partitions).collect()),
            Some(("read", text)) => {
                let message: Vec<i64> = numbers(text).collect();
                // The last line of one that was killed may be half.
                if let [partition, offset, value] = message[..] {
                    let read = Read {
                        place: (partition as i32, offset),
                        value: value as usize,
                        changes: said.owned.len(),
                    };
                    said.read.push(read);
                }
            }
            _ => said.errors.push(line),
        }
    }
}

fn numbers<T: std::str::FromStr>(text: &str) -> impl Iterator<Item = T> {
    text.split_whitespace().filter_map(|word| word.parse().ok())
}

/// Writes numbers to all partitions in turn until it is told to stop.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<Place, usize>>,
}

impl Writer {
    /// How many messages are under way: enough to never rest, few enough to be read in time.
    const AHEAD: i32 = 8;

    pub(super) fn start(
        producer: BaseProducer<Reports>,
        topic: &'static str,
        partitions: i32,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                while producer.in_flight_count() < Self::AHEAD {
                    let value = number.to_string();
                    let record: BaseRecord<'_, [u8], _, _> =
                        BaseRecord::with_opaque_to(topic, number);
                    let partition = number as i32 % partitions;
                    send(
                        &producer,
                        record.payload(value.as_bytes()).partition(partition),
                    );
                    number += 1;
                }
                producer.poll(Duration::from_millis(5));
            }
            let places = settle(&producer).into_iter();
            let places = places.map(|place| place.expect("the broker takes every message"));
            places
                .enumerate()
                .map(|(number, place)| (place, number))
                .collect()
        });
        Self { stop, thread }
    }

    /// Where each number has been put.
    pub(super) fn finish(self) -> BTreeMap<Place, usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("writing does not panic")
    }
}
