//! Reads a topic as a `Stream`, from a moment on.
//!
//! `cargo run -p tidemark-client --example consume_stream -- localhost:9092 events 1700000000000 3`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::future::poll_fn;
use std::pin::pin;

use futures_core::Stream;
use tidemark_client::consumer::ConsumerConfig;
use tidemark_client::{Client, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "events".to_owned());
    let since: i64 = arguments.next().map_or(Ok(0), |millis| millis.parse())?;
    let records: usize = arguments
        .next()
        .map_or(Ok(usize::MAX), |count| count.parse())?;

    let mut consumer = Client::connect(&bootstrap)?.consumer(ConsumerConfig::new())?;
    let partition = TopicPartition::new(topic, 0);
    consumer.assign([partition.clone()])?;
    consumer.seek_to_time(&partition, since)?;
    // With the futures crate at hand: `while let Some(record) = stream.try_next().await?`.
    let mut stream = pin!(consumer.stream());
    for _ in 0..records {
        if let Some(record) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
            let record = record?;
            println!("offset {} at {}", record.offset, record.timestamp);
        }
    }
    Ok(())
}
