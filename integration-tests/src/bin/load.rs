//! One client under load, measured from within: records, wall clock and the process's own CPU time.
//!
//! ```text
//! load fill    BOOTSTRAP TOPIC RECORDS          fills a topic for the consumers
//! load consume CLIENT BOOTSTRAP TOPIC RECORDS   CLIENT: native-raw native-decoded native-stream rdkafka
//! load produce CLIENT BOOTSTRAP TOPIC RECORDS   CLIENT: native native-futures rdkafka
//! load rtt     CLIENT BOOTSTRAP TOPIC RECORDS   CLIENT: native rdkafka bare; one record at a time
//! ```
//!
//! `rtt` prints the median round trip in microseconds in front; `bare` is the same request to the
//! same broker over a plain socket, with no client in between.
//!
//! Prints one line: records, seconds, CPU seconds. `scripts/bench client` calls it.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the system's clock"
)]

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use integration_tests::harness::calls;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer as _};
use rustix::time::{ClockId, clock_gettime};
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{Acks, ProducerConfig, ProducerRecord, RecordParts};
use tidemark_client::{Client, TopicPartition};
use tidemark_protocol::StrBytes;
use tidemark_protocol::frame::encode_request;
use tidemark_protocol::records::BatchBuilder;

/// Size of a record's value in bytes.
const VALUE: usize = 100;
/// Bounds a hang; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(120);
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
        ["produce", client, bootstrap, topic, records] => {
            let records = records.parse()?;
            let meter = Meter::start()?;
            match client {
                "native" => produce_counted(bootstrap, topic, records).await?,
                "native-futures" => produce_futures(bootstrap, topic, records).await?,
                "rdkafka" => rdkafka_produce(bootstrap, topic, records)?,
                other => bail!("no client {other}"),
            }
            meter.show(records)
        }
        ["rtt", client, bootstrap, topic, records] => {
            let records = records.parse()?;
            let meter = Meter::start()?;
            let mut times = match client {
                "native" => rtt_native(bootstrap, topic, records).await?,
                "rdkafka" => rtt_rdkafka(bootstrap, topic, records).await?,
                "bare" => rtt_bare(bootstrap, topic, records).await?,
                other => bail!("no client {other}"),
            };
            times.sort_by(f64::total_cmp);
            let median = times.get(times.len() / 2).context("no round trips")?;
            print!("{median:.1} ");
            meter.show(records)
        }
        _ => bail!("load fill|consume|produce|rtt ...: see the top of load.rs"),
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

/// Fire and count, back-pressure by waiting.
async fn produce_counted(bootstrap: &str, topic: &str, records: u64) -> Result<()> {
    let producer = Client::connect(bootstrap)?.producer(ProducerConfig::new())?;
    let topic: Arc<str> = topic.into();
    let value = [b'x'; VALUE];
    let parts = RecordParts {
        value: Some(&value),
        ..RecordParts::default()
    };
    for _ in 0..records {
        if !producer.try_send(&topic, &parts)? {
            producer.send_counted(&topic, &parts).await?;
        }
    }
    let counts = producer.close(PATIENCE).await;
    anyhow::ensure!(counts.delivered == records, "{counts:?}");
    Ok(())
}

/// Every outcome awaited.
async fn produce_futures(bootstrap: &str, topic: &str, records: u64) -> Result<()> {
    let producer = Client::connect(bootstrap)?.producer(ProducerConfig::new())?;
    let record = ProducerRecord::to(topic).value(&[b'x'; VALUE][..]);
    let mut waiting = VecDeque::new();
    for _ in 0..records {
        waiting.push_back(producer.send(&record).await?);
        if waiting.len() > 50_000
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.await?;
        }
    }
    producer.flush().await;
    for delivery in waiting {
        delivery.await?;
    }
    Ok(())
}

fn rdkafka_producer(bootstrap: &str) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "1000000");
    config
}

fn rdkafka_produce(bootstrap: &str, topic: &str, records: u64) -> Result<()> {
    let producer: BaseProducer = rdkafka_producer(bootstrap).create()?;
    let value = [b'x'; VALUE];
    for at in 0..records {
        let mut record = BaseRecord::<(), [u8]>::to(topic).payload(&value);
        while let Err((error, back)) = producer.send(record) {
            let full = rdkafka::types::RDKafkaErrorCode::QueueFull;
            anyhow::ensure!(error.rdkafka_error_code() == Some(full), "{error}");
            producer.poll(Duration::from_millis(10));
            record = back;
        }
        if at % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

/// acks=1, one record at a time, its outcome awaited before the next.
async fn rtt_native(bootstrap: &str, topic: &str, records: u64) -> Result<Vec<f64>> {
    let config = ProducerConfig::new()
        .acks(Acks::Leader)
        .linger(Duration::ZERO);
    let producer = Client::connect(bootstrap)?.producer(config)?;
    let record = ProducerRecord::to(topic).value(&[b'x'; VALUE][..]);
    let mut times = Vec::new();
    for _ in 0..records {
        let began = Instant::now();
        producer.send(&record).await?.await?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

async fn rtt_rdkafka(bootstrap: &str, topic: &str, records: u64) -> Result<Vec<f64>> {
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "1")
        .set("linger.ms", "0")
        .create()?;
    let value = [b'x'; VALUE];
    let mut times = Vec::new();
    for _ in 0..records {
        let began = Instant::now();
        let record = FutureRecord::<(), [u8]>::to(topic).payload(&value);
        let sent = producer.send(record, PATIENCE).await;
        sent.map_err(|(error, _)| error)?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// The same request over a socket of the system's, made once and sent again and again by a thread
/// that blocks: what the broker and the wire take, and nothing else.
async fn rtt_bare(bootstrap: &str, topic: &str, records: u64) -> Result<Vec<f64>> {
    const VERSION: i16 = 12;
    let producer = Client::connect(bootstrap)?.producer(ProducerConfig::new())?;
    producer.send(&ProducerRecord::to(topic)).await?.await?;
    let mut connection = calls::connect(bootstrap).await;
    let before = calls::latest_offset(&mut connection, topic).await;
    let mut builder = BatchBuilder::new();
    builder.append(1_700_000_000_000, None, Some(&[b'x'; VALUE]), &[])?;
    let request = calls::produce_request(topic, builder.build()?, 1);
    let client_id = StrBytes::from_static_str("bare");
    let request = encode_request(VERSION, 1, Some(client_id), &request)?;
    let mut stream = std::net::TcpStream::connect(bootstrap)?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut response = Vec::new();
    for _ in 0..records {
        let began = Instant::now();
        stream.write_all(&request)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        response.resize(u32::from_be_bytes(length) as usize, 0);
        stream.read_exact(&mut response)?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let written = calls::latest_offset(&mut connection, topic).await - before;
    anyhow::ensure!(written == i64::try_from(records)?, "{written} are written");
    Ok(times)
}
