//! Chooses partitions by a rule of its own, and does with each failure what the error advises.
//!
//! `cargo run -p tidemark-client --example partitioner -- localhost:9092 orders`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::Client;
use tidemark_client::producer::{Advice, Partitioner, ProducerConfig, ProducerRecord};

/// Urgent records have partition 0 to themselves.
struct UrgentFirst;

impl Partitioner for UrgentFirst {
    fn partition(
        &self,
        _topic: &str,
        key: Option<&[u8]>,
        _value: Option<&[u8]>,
        partitions: u32,
    ) -> Option<u32> {
        let others = partitions.saturating_sub(1).max(1);
        match key {
            Some(key) if key.starts_with(b"urgent") => Some(0),
            key => Some(
                (1 + key.map_or(0, |key| key.len() as u32) % others)
                    .min(partitions.saturating_sub(1)),
            ),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic] = arguments.as_slice() else {
        return Err("give a bootstrap address and a topic".into());
    };
    let config = ProducerConfig::new().partitioner(UrgentFirst);
    let producer = Client::connect(bootstrap)?.producer(config)?;
    let large = "x".repeat(2 << 20);
    for (key, value) in [
        ("urgent-1", "now"),
        ("later-1", "some day"),
        ("later-2", &large),
    ] {
        let record = ProducerRecord::to(topic.as_str())
            .key(key)
            .value(value.to_owned());
        let outcome = match producer.send(&record).await {
            Ok(delivery) => delivery.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(written) => println!("{key} is in partition {}", written.partition.partition),
            Err(error) => match error.advice() {
                Advice::SendAgain if error.maybe_written() => {
                    println!("{key} may be there: {error}")
                }
                Advice::SendAgain => println!("{key} is to be sent again: {error}"),
                Advice::ChangeRecord => println!("{key} is put aside"),
                // What the producer itself cannot do is not for this loop to mend.
                _ => return Err(error.into()),
            },
        }
    }
    Ok(())
}
