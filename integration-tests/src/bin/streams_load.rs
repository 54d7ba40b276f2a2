//! The streams library under load, measured from within: records, wall clock and the process's own
//! CPU time.
//!
//! ```text
//! streams_load fill QUERY BOOTSTRAP TOPIC RECORDS KEYS   fills a topic with what the query reads
//! streams_load run  QUERY BOOTSTRAP TOPIC RECORDS...     QUERY: see `topology`
//! streams_load restore    BOOTSTRAP TOPIC RECORDS DIR    runs `count-long` with its state in DIR, stops,
//!                                                        and measures until it runs again
//! ```
//!
//! Prints lines of records, seconds, CPU seconds. A run prints one for each number of records, each
//! from the end of the one before (the first from the start) until these are processed, and one for all
//! of it until everything is committed and the instance has stopped. `scripts/bench streams` calls it.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the system's clock"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use integration_tests::harness::calls;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tidemark_protocol::records::BatchBuilder;
use tidemark_streams::time::{SessionWindows, TimeWindows};
use tidemark_streams::{
    Consumed, Fold, Streams, StreamsBuilder, StreamsConfig, Topology, json_data,
};

/// Size of a record's value in bytes, together with its key 100.
const VALUE: usize = 88;
/// Records of a batch that fills a topic: about 16 KiB, as clients send them by default.
const BATCH: usize = 150;
/// Records for each millisecond of event time.
const PER_MILLI: u64 = 100;
/// When event time begins.
const BEGIN: i64 = 1_700_000_000_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["fill", query, bootstrap, topic, records, keys] => {
            fill(query, bootstrap, topic, records.parse()?, keys.parse()?).await
        }
        ["run", query, bootstrap, topic, ref parts @ ..] => {
            let parts: Result<Vec<u64>, _> = parts.iter().map(|part| part.parse()).collect();
            run(query, bootstrap, topic, &parts?).await
        }
        ["restore", bootstrap, topic, records, dir] => {
            restore(bootstrap, topic, records.parse()?, dir).await
        }
        _ => bail!("streams_load fill|run|restore ...: see the top of streams_load.rs"),
    }
}

/// An event of the seed.
#[derive(Clone, Serialize, Deserialize)]
struct Event {
    user_id: String,
    event_type: String,
    value: f64,
    timestamp: i64,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Totals {
    event_count: u64,
    total_value: f64,
}

json_data!(Event, Totals);

fn topology(query: &str, topic: &str) -> Result<Topology> {
    // It was made when the input was.
    let out = format!("{topic}-out");
    let builder = StreamsBuilder::new();
    let seconds = Duration::from_secs;
    let records = || {
        builder.stream_with(
            [topic],
            Consumed::<Bytes, ()>::new().watermark_delay(seconds(1)),
        )
    };
    let windows = |windows| {
        records()
            .group_by_key()
            .windowed_by(windows)
            .count()
            .values()
            .to(&out)
    };
    match query {
        "count" => windows(TimeWindows::tumbling(seconds(10))),
        // One window that takes everything.
        "count-long" => windows(TimeWindows::tumbling(seconds(100_000))),
        "hop" => windows(TimeWindows::hopping(seconds(10), seconds(1))),
        "sessions" => {
            let gap = SessionWindows::with_gap(Duration::from_millis(500));
            let sessions = records().group_by_key().windowed_by_session(gap).count();
            sessions.values().to(&out);
        }
        "json" => {
            // The topic's key is the event's type: no repartition topic is measured here.
            let consumed = Consumed::<Bytes, Event>::new()
                .timestamp(|_, event| Some(event.timestamp))
                .watermark_delay(seconds(1));
            builder
                .stream_with([topic], consumed)
                .group_by_key()
                .windowed_by(TimeWindows::tumbling(seconds(10)))
                .aggregate(Fold::new(
                    Totals::default,
                    |_: &Bytes, event: Event, totals: &mut Totals| {
                        totals.event_count += 1;
                        totals.total_value += event.value;
                    },
                ))
                .values()
                .to(&out);
        }
        other => bail!("no query {other}"),
    }
    Ok(builder.build()?)
}

async fn fill(query: &str, bootstrap: &str, topic: &str, records: u64, keys: u64) -> Result<()> {
    let mut connection = calls::connect(bootstrap).await;
    calls::create_topic(&mut connection, topic, 1, &[("retention.ms", "-1")]).await;
    let _ = calls::create_topic(&mut connection, &format!("{topic}-out"), 1, &[]).await;
    let types = ["click", "purchase", "view", "login", "logout"];
    let mut random = 7_u64;
    let mut every = EveryKey::new(keys);
    let mut at = 0;
    while at < records {
        let mut builder = BatchBuilder::new();
        for _ in 0..BATCH {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let chance = random >> 33;
            // Up to a quarter of a second out of order.
            let timestamp = BEGIN + (at / PER_MILLI) as i64 - (chance % 250) as i64;
            let (key, value) = if query == "json" {
                let kind = types[(chance % 5) as usize];
                let event = Event {
                    user_id: format!("user{}", chance % keys),
                    event_type: kind.to_owned(),
                    value: (chance % 10_000) as f64 / 100.0,
                    timestamp,
                };
                (kind.to_owned(), serde_json::to_vec(&event)?)
            } else {
                let key = match query {
                    "count-long" => every.next(),
                    _ => chance % keys,
                };
                (format!("user{key:08}"), vec![b'x'; VALUE])
            };
            builder.append(timestamp, Some(key.as_bytes()), Some(&value), &[])?;
            at += 1;
        }
        calls::produce(&mut connection, topic, builder.build()?, 1).await;
    }
    Ok(())
}

/// Every key once in an order like chance, then every key once in another one, and so on: so that it is
/// known how many keys there are.
struct EveryKey {
    keys: u64,
    /// One less than a power of two; a linear congruential generator passes through all numbers up to it.
    mask: u64,
    state: u64,
    factor: u64,
    told: u64,
}

impl EveryKey {
    fn new(keys: u64) -> Self {
        Self {
            keys,
            mask: keys.next_power_of_two() - 1,
            state: 1,
            factor: 1_664_525,
            told: 0,
        }
    }

    fn next(&mut self) -> u64 {
        loop {
            self.state = self
                .state
                .wrapping_mul(self.factor)
                .wrapping_add(1_013_904_223)
                & self.mask;
            // The lower bits by themselves would come round soon.
            let key = self.state ^ (self.state >> (self.mask.count_ones() / 2));
            if key < self.keys {
                self.told += 1;
                if self.told.is_multiple_of(self.keys) {
                    // Any factor that is one more than a multiple of four does.
                    self.factor = self.factor.wrapping_mul(5);
                }
                return key;
            }
        }
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn records_in(streams: &Streams) -> Result<u64> {
    let metrics = streams.metrics();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("tidemark_streams_records_in_total "));
    let number = line
        .and_then(|line| line.split(' ').nth(1))
        .context("no such metric")?;
    Ok(number.parse()?)
}

async fn processed(streams: &Streams, records: u64) -> Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
            error = streams.failed() => return Err(error.into()),
        }
        if records_in(streams)? >= records {
            return Ok(());
        }
    }
}

fn application(query: &str) -> String {
    let time = clock_gettime(ClockId::Realtime);
    format!("bench-{query}-{}{}", time.tv_sec, time.tv_nsec)
}

async fn run(query: &str, bootstrap: &str, topic: &str, parts: &[u64]) -> Result<()> {
    let topology = topology(query, topic)?;
    let begin = (Instant::now(), cpu_seconds());
    let since = |(wall, cpu): (Instant, f64)| {
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        format!("{wall:.3} {cpu:.3}")
    };
    let streams =
        Streams::start(&topology, StreamsConfig::new(application(query), bootstrap)).await?;
    let (mut all, mut last) = (0, begin);
    for records in parts {
        all += records;
        processed(&streams, all).await?;
        println!("{records} {}", since(last));
        last = (Instant::now(), cpu_seconds());
    }
    streams.close(Duration::from_secs(120)).await?;
    println!("{all} {}", since(begin));
    Ok(())
}

async fn restore(bootstrap: &str, topic: &str, records: u64, dir: &str) -> Result<()> {
    let topology = topology("count-long", topic)?;
    let application = application("restore");
    let config = StreamsConfig::new(application, bootstrap).state_dir(dir);
    let streams = Streams::start(&topology, config.clone()).await?;
    processed(&streams, records).await?;
    streams.close(Duration::from_secs(300)).await?;
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let streams = Streams::start(&topology, config).await?;
    while streams.tasks().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{records} {wall:.3} {cpu:.3}");
    streams.close(Duration::from_secs(120)).await?;
    Ok(())
}
