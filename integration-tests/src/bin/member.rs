//! A member of a consumer group in a process of its own, so that a test can kill it.
//!
//! `member ADDRESS GROUP TOPIC STRATEGY [INSTANCE]`. It says on standard output, in a line each,
//! which partitions it owns after each change (`owns 0 2 5`) and what it reads (`read PARTITION
//! OFFSET VALUE`), and commits only what it has said. Problems are lines, too (`error ...`). It
//! leaves the group in order when its standard input ends, which it also does when the test dies.

use std::io::{Read, StdoutLock, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use integration_tests::harness::rebalance::Changes;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

/// How long a poll waits. The client works in its own threads.
const LOOK: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, group, topic, strategy, instance @ ..] = &arguments[..] else {
        bail!("member ADDRESS GROUP TOPIC STRATEGY [INSTANCE]");
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", group)
        .set("partition.assignment.strategy", strategy)
        .set("auto.offset.reset", "earliest")
        // Stored once it has been said, committed by the client.
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "100")
        .set("session.timeout.ms", "3000")
        .set("heartbeat.interval.ms", "200")
        .set("fetch.wait.max.ms", "50");
    if let Some(instance) = instance.first() {
        // Long enough to come back in it.
        config
            .set("group.instance.id", instance)
            .set("session.timeout.ms", "30000");
    }
    let consumer: BaseConsumer<Changes> = config.create_with_context(Changes::new(strategy))?;
    consumer.subscribe(&[topic])?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        // An error is an end as well.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopped.store(true, Ordering::Relaxed);
    });
    let mut voice = Voice {
        out: std::io::stdout().lock(),
        changes_said: 0,
    };
    while !stop.load(Ordering::Relaxed) {
        let message = consumer.poll(LOOK);
        // Before anything that is read after a change.
        voice.say_what_is_owned(&consumer)?;
        match message {
            None => {}
            Some(Err(error)) => voice.say(&format!("error {error}"))?,
            Some(Ok(message)) => {
                let value = std::str::from_utf8(message.payload().context("no value")?)?;
                let (partition, offset) = (message.partition(), message.offset());
                voice.say(&format!("read {partition} {offset} {value}"))?;
                // Refused if the partition has been given away meanwhile: its next owner reads
                // the message again.
                let _ = consumer.store_offset_from_message(&message);
            }
        }
    }
    Ok(())
}

struct Voice {
    out: StdoutLock<'static>,
    changes_said: usize,
}

impl Voice {
    fn say_what_is_owned(&mut self, consumer: &BaseConsumer<Changes>) -> Result<()> {
        let changes = consumer.context().count();
        if changes == self.changes_said {
            return Ok(());
        }
        self.changes_said = changes;
        let assignment = consumer.assignment()?;
        let partitions = assignment.elements();
        let numbers = partitions.iter().map(|found| found.partition().to_string());
        self.say(&format!("owns {}", numbers.collect::<Vec<_>>().join(" ")))
    }

    /// One line, one write: half a line is no message that was read.
    fn say(&mut self, line: &str) -> Result<()> {
        self.out.write_all(format!("{line}\n").as_bytes())?;
        self.out.flush()?;
        Ok(())
    }
}
