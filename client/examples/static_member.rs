//! A member of a group that keeps its partitions over restarts, and is removed for good in the end.
//!
//! `cargo run -p tidemark-client --example static_member -- localhost:9092 events billing host-7`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::Client;
use tidemark_client::admin::MemberToRemove;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, group, host] = arguments.as_slice() else {
        return Err("give a bootstrap address, a topic, a group and a name for this member".into());
    };
    let client = Client::connect(bootstrap)?;
    for run in 1..=2 {
        let config = ConsumerConfig::group(group)
            .instance_id(host.as_str())
            .offset_reset(OffsetReset::Earliest);
        let mut consumer = client.consumer(config)?;
        consumer.subscribe([topic.as_str()])?;
        let record = consumer.recv().await?;
        println!("run {run}: offset {}", record.offset);
        // Commits, and does not leave: nobody gets its partitions before its session is over.
        consumer.close().await?;
    }
    let members = [MemberToRemove::Instance(host.clone())];
    let admin = client.admin();
    let removed = admin
        .remove_members(group, members, "its host is gone")
        .await?;
    removed.all()?;
    println!("{host} has been removed");
    Ok(())
}
