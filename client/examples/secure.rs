//! Speaks TLS and proves who it is. The password comes from the environment.
//!
//! `PASSWORD=... cargo run -p tidemark-client --example secure -- broker:9094 ca.pem alice events`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig, SaslConfig, SaslMechanism, TlsConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, ca, user, topic] = arguments.as_slice() else {
        return Err("give a bootstrap address, a CA file, a user and a topic".into());
    };
    let sasl = SaslConfig::new(SaslMechanism::ScramSha512, user, std::env::var("PASSWORD")?);
    let config = ClientConfig::new(bootstrap)
        .tls(TlsConfig::ca(&std::fs::read(ca)?)?)
        .sasl(sasl);
    let producer = Client::new(config)?.producer(ProducerConfig::new())?;
    let record = ProducerRecord::to(topic.as_str()).value("a secret");
    let written = producer.send(&record).await?.await?;
    println!("{} offset {}", written.partition, written.offset);
    Ok(())
}
