//! A broker inside this process, with its data in memory, and a client that reaches it without a
//! socket: writes one record and reads it.
//!
//! ```sh
//! cargo run -p tidemark-broker --example embedded
//! ```
//!
//! For data that stays, set `log.dirs` and start with `Environment::real()`. Clients of other
//! processes, and of other languages, find the broker at `broker.bootstrap()`.

use std::error::Error;
use std::io::Write;

use tidemark_broker::Broker;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{BoxStream, Client, ClientConfig, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let line = produce_and_fetch().await?;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Runs a broker for as long as it takes; the line says what was read.
pub(crate) async fn produce_and_fetch() -> Result<String, Box<dyn Error>> {
    // Port 0: the system chooses one, and the handle says which.
    let config = BrokerConfig::from_pairs([
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
    ])?;
    let broker = Broker::start(config, Environment::in_memory()).await?;

    // Whatever address the client asks for, it is this broker.
    let connector = broker.connector();
    let transport = move |_host: &str, _port: u16| {
        let connector = connector.clone();
        async move { Ok(Box::new(connector.connect().await?) as BoxStream) }
    };
    let client = Client::new(ClientConfig::new(&broker.bootstrap()).transport(transport))?;

    let producer = client.producer(ProducerConfig::new())?;
    let record = ProducerRecord::to("greetings").value("hello from inside");
    let written = producer.send(&record).await?.await?;

    let mut consumer =
        client.consumer(ConsumerConfig::new().offset_reset(OffsetReset::Earliest))?;
    consumer.assign([TopicPartition::new(
        "greetings",
        written.partition.partition,
    )])?;
    let record = consumer.recv().await?;
    let line = format!(
        "{}-{} offset {}: {}",
        record.topic,
        record.partition,
        record.offset,
        String::from_utf8_lossy(&record.value.unwrap_or_default())
    );

    consumer.close().await?;
    client.close();
    broker.shutdown().await?;
    Ok(line)
}
