//! Moves about in a partition: from an offset, from the beginning, from the end, with pauses.
//!
//! `cargo run -p tidemark-client --example seek -- localhost:9092 events 1`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::consumer::{ConsumerConfig, IsolationLevel};
use tidemark_client::{Client, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, offset] = arguments.as_slice() else {
        return Err("give a bootstrap address, a topic and an offset".into());
    };
    // Records of transactions that were aborted, or have not ended, are not given.
    let config = ConsumerConfig::new().isolation_level(IsolationLevel::ReadCommitted);
    let mut consumer = Client::connect(bootstrap)?.consumer(config)?;
    let partition = TopicPartition::new(topic.as_str(), 0);
    consumer.assign([partition.clone()])?;

    consumer.seek(&partition, offset.parse()?)?;
    let record = consumer.recv().await?;
    println!("offset {} from there", record.offset);

    consumer.seek_to_beginning(&partition)?;
    let record = consumer.recv().await?;
    println!("offset {} from the beginning", record.offset);

    // Nothing is given until it is resumed; what was fetched ahead is kept.
    consumer.pause(std::slice::from_ref(&partition))?;
    println!("paused: {:?}", consumer.paused());
    consumer.resume(std::slice::from_ref(&partition))?;
    let record = consumer.recv().await?;
    println!("offset {} after the pause", record.offset);
    println!("the next one is {:?}", consumer.position(&partition));
    consumer.close().await?;
    Ok(())
}
