//! Writes many records without asking for each outcome: only counts are kept.
//!
//! `cargo run -p tidemark-client --example produce_counted -- localhost:9092 numbers 100000`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use tidemark_client::Client;
use tidemark_client::producer::{ProducerConfig, RecordParts};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic: Arc<str> = arguments
        .next()
        .unwrap_or_else(|| "numbers".to_owned())
        .into();
    let records: u64 = arguments
        .next()
        .map_or(Ok(100_000), |count| count.parse())?;

    let producer = Client::connect(&bootstrap)?.producer(ProducerConfig::new())?;
    for number in 0..records {
        let value = number.to_be_bytes();
        // Borrowed: the bytes go straight into their batch. Waits while the buffer is full.
        let parts = RecordParts {
            value: Some(&value),
            ..RecordParts::default()
        };
        producer.send_counted(&topic, &parts).await?;
    }
    let counts = producer.close(Duration::from_secs(60)).await;
    println!("{} delivered, {} failed", counts.delivered, counts.failed);
    if let Some(error) = producer.last_error() {
        println!("the last failure: {error}; {:?}", error.advice());
    }
    Ok(())
}
