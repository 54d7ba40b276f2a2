//! A member of a group that commits by itself, and is told when partitions come and go.
//!
//! `cargo run -p tidemark-client --example rebalance -- localhost:9092 events workers 3`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example shows what it does"
)]

use std::sync::Arc;

use tidemark_client::consumer::assignor::CooperativeSticky;
use tidemark_client::consumer::{Consumer, ConsumerConfig, OffsetReset, RebalanceListener, Told};
use tidemark_client::{Client, TopicPartition};

struct Announcer;

impl RebalanceListener for Announcer {
    fn assigned<'a>(
        &'a mut self,
        _consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move { println!("{} partitions came", partitions.len()) })
    }

    fn revoked<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            // The last chance to commit what was read of them.
            if let Err(error) = consumer.commit().await {
                eprintln!("not committed: {error}");
            }
            println!("{} partitions go", partitions.len());
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "events".to_owned());
    let group = arguments.next().unwrap_or_else(|| "workers".to_owned());
    let records: usize = arguments
        .next()
        .map_or(Ok(usize::MAX), |count| count.parse())?;

    let config = ConsumerConfig::group(group)
        .offset_reset(OffsetReset::Earliest)
        .assignors(vec![Arc::new(CooperativeSticky)])
        .auto_commit(None);
    let mut consumer = Client::connect(&bootstrap)?.consumer(config)?;
    consumer.set_rebalance_listener(Announcer);
    consumer.subscribe([topic])?;
    for at in 1..=records {
        let record = consumer.recv().await?;
        println!(
            "{} bytes of work",
            record.value.map_or(0, |value| value.len())
        );
        if at % 100 == 0 {
            consumer.commit().await?;
        }
    }
    consumer.close().await?;
    Ok(())
}
