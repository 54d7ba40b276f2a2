//! The producer and the consumer of the README.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::Client;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};

async fn produce(bootstrap: &str) -> Result<(), Box<dyn std::error::Error>> {
    let producer = Client::connect(bootstrap)?.producer(ProducerConfig::new())?;
    let mut deliveries = Vec::new();
    for user in ["user1", "user2", "user1"] {
        let record = ProducerRecord::to("logins").key(user).value("login");
        deliveries.push(producer.send(&record).await?);
    }
    for delivery in deliveries {
        println!("written at offset {}", delivery.await?.offset);
    }
    Ok(())
}

async fn consume(bootstrap: &str) -> Result<(), Box<dyn std::error::Error>> {
    let config = ConsumerConfig::group("readme").offset_reset(OffsetReset::Earliest);
    let mut consumer = Client::connect(bootstrap)?.consumer(config)?;
    consumer.subscribe(["logins"])?;
    for _ in 0..3 {
        let record = consumer.recv().await?;
        println!("{:?} at offset {}", record.key, record.offset);
    }
    consumer.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bootstrap = std::env::args().nth(1);
    let bootstrap = bootstrap.as_deref().unwrap_or("localhost:9092");
    produce(bootstrap).await?;
    consume(bootstrap).await
}
