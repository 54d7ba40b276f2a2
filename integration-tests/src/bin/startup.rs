//! Measures a start: from spawning the broker on an empty directory to the first acknowledged
//! acks=all record (its topic is created on the way), and the memory of the idle process after it.
//!
//! `startup BINARY [RUNS]`; prints minimum, median and maximum. `scripts/bench startup` calls it.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{MetadataRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::records::BatchBuilder;

/// Bounds a hang; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().context("startup BINARY [RUNS]")?;
    let runs: usize = arguments.next().map_or(Ok(11), |runs| runs.parse())?;
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        let (time, size) = one_start(&binary).await?;
        times.push(time.as_secs_f64() * 1000.0);
        sizes.push(size as f64 / 1024.0);
    }
    show(
        "start to first acknowledged acks=all record, ms",
        &mut times,
    );
    show(
        "resident memory of the idle broker after it, MiB",
        &mut sizes,
    );
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the system's clock"
)]
async fn one_start(binary: &str) -> Result<(Duration, u64)> {
    let directory = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let address = format!("127.0.0.1:{port}");
    let started = Instant::now();
    let mut broker = Broker(
        Command::new(binary)
            .args([
                "serve",
                "--set",
                &format!("listeners=PLAINTEXT://{address}"),
            ])
            // As by default, but on a port that is free for certain.
            .args(["--set", "tidemark.http.listener=127.0.0.1:0"])
            .args([
                "--set",
                &format!("log.dirs={}", directory.path().join("data").display()),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {binary}"))?,
    );
    let mut connection = loop {
        match Connection::connect(&address, "startup").await {
            Ok(connection) => break connection,
            Err(_) if started.elapsed() < PATIENCE => {
                ensure!(broker.0.try_wait()?.is_none(), "the broker has ended");
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            Err(error) => bail!("the broker does not answer: {error}"),
        }
    };
    produce(&mut connection).await?;
    let time = started.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.0.id()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident
        .and_then(|text| text.split_whitespace().next())
        .context("no VmRSS")?;
    Ok((time, kib.parse()?))
}

async fn produce(connection: &mut Connection) -> Result<()> {
    let name = TopicName(StrBytes::from_static_str("first"));
    let topic = MetadataRequestTopic::default().with_name(Some(name.clone()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    let metadata = connection.call(9, &request).await?;
    ensure!(
        metadata.topics.iter().all(|topic| topic.error_code == 0),
        "no topic: {metadata:?}"
    );
    let mut batch = BatchBuilder::new();
    batch.append(0, Some(b"key"), Some(b"value"), &[])?;
    let data = PartitionProduceData::default().with_records(Some(batch.build()?));
    let topic = TopicProduceData::default()
        .with_name(name)
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    let response = connection.call(9, &request).await?;
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    for partition in partitions {
        ensure!(partition.error_code == 0, "refused: {partition:?}");
    }
    Ok(())
}

fn show(what: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let (least, median, most) = (at(0), at(values.len() / 2), at(values.len() - 1));
    println!("{what}: min {least:.1}, median {median:.1}, max {most:.1}");
}

struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
