//! Reads a topic as a member of a group, record by record.
//!
//! `cargo run -p tidemark-client --example consume -- localhost:9092 events readers 3`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::Client;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "events".to_owned());
    let group = arguments.next().unwrap_or_else(|| "readers".to_owned());
    let records: usize = arguments
        .next()
        .map_or(Ok(usize::MAX), |count| count.parse())?;

    let config = ConsumerConfig::group(group).offset_reset(OffsetReset::Earliest);
    let mut consumer = Client::connect(&bootstrap)?.consumer(config)?;
    consumer.subscribe([topic])?;
    for _ in 0..records {
        let record = consumer.recv().await?;
        let text = |bytes: Option<&[u8]>| {
            bytes.map_or_else(
                || "null".into(),
                |bytes| String::from_utf8_lossy(bytes).into_owned(),
            )
        };
        println!(
            "{}-{} offset {}: {} = {}",
            record.topic,
            record.partition,
            record.offset,
            text(record.key.as_deref()),
            text(record.value.as_deref())
        );
    }
    // Commits what was read, and hands the partitions over to whoever is left in the group.
    consumer.close().await?;
    Ok(())
}
