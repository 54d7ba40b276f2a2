//! Reads partitions by oneself, in whole batches: nothing is decoded before it is asked for, and
//! records are borrowed from the received buffer.
//!
//! `cargo run -p tidemark-client --example consume_batches -- localhost:9092 events 0 3`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::{Client, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "events".to_owned());
    let partition: i32 = arguments.next().map_or(Ok(0), |index| index.parse())?;
    let records: usize = arguments
        .next()
        .map_or(Ok(usize::MAX), |count| count.parse())?;

    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = Client::connect(&bootstrap)?.consumer(config)?;
    consumer.assign([TopicPartition::new(topic, partition)])?;
    let (mut count, mut bytes) = (0, 0);
    while count < records {
        let fetched = consumer.recv_batches().await?;
        for batch in &fetched.batches {
            println!(
                "batch at offset {}: {} records, {} bytes",
                batch.header().base_offset,
                batch.header().records_count,
                batch.bytes().len()
            );
            for record in batch.decode(&fetched.partition)?.records() {
                bytes += record?.value().map_or(0, <[u8]>::len);
                count += 1;
            }
        }
        println!("{} of {} read", fetched.next_offset, fetched.high_watermark);
    }
    println!("{count} records, {bytes} bytes of values");
    consumer.close().await?;
    Ok(())
}
