//! Writes records and waits for their outcomes.
//!
//! `cargo run -p tidemark-client --example produce -- localhost:9092 events`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::Client;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "events".to_owned());

    let producer = Client::connect(&bootstrap)?.producer(ProducerConfig::new())?;
    let mut deliveries = Vec::new();
    for user in ["ada", "bob", "ada"] {
        let record = ProducerRecord::to(topic.as_str()).key(user).value("login");
        // The record is on its way from here on; nobody waits for it yet.
        deliveries.push(producer.send(&record).await?);
    }
    producer.flush().await;
    for delivery in deliveries {
        let written = delivery.await?;
        println!("{} offset {}", written.partition, written.offset);
    }
    Ok(())
}
