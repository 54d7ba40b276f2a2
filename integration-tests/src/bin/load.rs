//! One client under load, measured from within: records, wall clock and the process's own CPU time.
//!
//! ```text
//! load fill    BOOTSTRAP TOPIC RECORDS          fills a topic for the consumers
//! load consume CLIENT BOOTSTRAP TOPIC RECORDS   CLIENT: native-raw native-decoded native-stream rdkafka
//! ```
//!
//! Prints one line: records, seconds, CPU seconds. `scripts/bench client` calls it.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the system's clock"
)]

use std::time::Instant;

use anyhow::{Context, Result, bail};
use integration_tests::harness::calls;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rustix::time::{ClockId, clock_gettime};
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::records::BatchBuilder;

/// Size of a record's value in bytes.
const VALUE: usize = 100;
/// Records of a batch that fills a topic: about 16 KiB, as clients send them by default.
const BATCH: usize = 150;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["fill", bootstrap, topic, records] => fill(bootstrap, topic, records.parse()?).await,
        ["consume", client, bootstrap, topic, records] => {
            let records = records.parse()?;
            let meter = Meter::start()?;
            let found = match client {
                "native-raw" => raw(bootstrap, topic, records).await?,
                "native-decoded" => decoded(bootstrap, topic, records).await?,
                "native-stream" => one_by_one(bootstrap, topic, records).await?,
                "rdkafka" => rdkafka_consume(bootstrap, topic, records)?,
                other => bail!("no client {other}"),
            };
            meter.show(found)
        }
        _ => bail!("load fill|consume ...: see the top of load.rs"),
    }
}

struct Meter {
    wall: Instant,
    cpu: f64,
}

fn cpu_seconds() -> Result<f64> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

impl Meter {
    fn start() -> Result<Self> {
        Ok(Self {
            wall: Instant::now(),
            cpu: cpu_seconds()?,
        })
    }

    fn show(&self, records: u64) -> Result<()> {
        let wall = self.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds()? - self.cpu;
        println!("{records} {wall:.3} {cpu:.3}");
        Ok(())
    }
}

async fn fill(bootstrap: &str, topic: &str, records: usize) -> Result<()> {
    let mut connection = calls::connect(bootstrap).await;
    calls::create_topic(&mut connection, topic, 1, &[("retention.ms", "-1")]).await;
    let value = [b'x'; VALUE];
    let mut builder = BatchBuilder::new();
    for _ in 0..BATCH {
        builder.append(1_700_000_000_000, None, Some(&value), &[])?;
    }
    let batch = builder.build()?;
    for _ in 0..records.div_ceil(BATCH) {
        calls::produce(&mut connection, topic, batch.clone(), 1).await;
    }
    Ok(())
}

fn consumer(bootstrap: &str, topic: &str) -> Result<tidemark_client::consumer::Consumer> {
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = Client::connect(bootstrap)?.consumer(config)?;
    consumer.assign([TopicPartition::new(topic, 0)])?;
    Ok(consumer)
}

/// Batches as they come, CRCs checked, records counted by the headers.
async fn raw(bootstrap: &str, topic: &str, records: u64) -> Result<u64> {
    let mut consumer = consumer(bootstrap, topic)?;
    let mut found = 0;
    while found < records {
        for batch in consumer.recv_batches().await?.batches {
            found += u64::try_from(batch.header().records_count)?;
        }
    }
    Ok(found)
}

/// Every record of the batches, borrowed.
async fn decoded(bootstrap: &str, topic: &str, records: u64) -> Result<u64> {
    let mut consumer = consumer(bootstrap, topic)?;
    let (mut found, mut bytes) = (0, 0);
    while found < records {
        let fetched = consumer.recv_batches().await?;
        for batch in &fetched.batches {
            for record in batch.decode(&fetched.partition)?.records() {
                bytes += record?.value().map_or(0, <[u8]>::len);
                found += 1;
            }
        }
    }
    anyhow::ensure!(bytes as u64 == found * VALUE as u64, "{bytes} bytes");
    Ok(found)
}

/// Record by record, each an owned value.
async fn one_by_one(bootstrap: &str, topic: &str, records: u64) -> Result<u64> {
    let mut consumer = consumer(bootstrap, topic)?;
    let mut bytes = 0;
    for _ in 0..records {
        let record = consumer.recv().await?;
        bytes += record.value.map_or(0, |value| value.len());
    }
    anyhow::ensure!(bytes as u64 == records * VALUE as u64, "{bytes} bytes");
    Ok(records)
}

fn rdkafka_consume(bootstrap: &str, topic: &str, records: u64) -> Result<u64> {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "load")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        .create()?;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)?;
    consumer.assign(&list)?;
    let mut bytes = 0;
    for _ in 0..records {
        let message = consumer
            .poll(std::time::Duration::from_secs(30))
            .context("no record came")?;
        bytes += message?.payload_len();
    }
    anyhow::ensure!(bytes as u64 == records * VALUE as u64, "{bytes} bytes");
    Ok(records)
}
