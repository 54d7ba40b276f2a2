//! A broker inside this process, with its data in memory: produces one record and fetches it.
//!
//! ```sh
//! cargo run -p tidemark-broker --example embedded
//! ```
//!
//! For data that stays, set `log.dirs` and start with `Environment::real()`.

use std::error::Error;
use std::io::Write;

use tidemark_broker::Broker;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_client::Connection;
use tidemark_protocol::StrBytes;
use tidemark_protocol::messages::create_topics_request::CreatableTopic;
use tidemark_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use tidemark_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use tidemark_protocol::messages::{
    BrokerId, CreateTopicsRequest, FetchRequest, ProduceRequest, TopicName,
};
use tidemark_protocol::records::{BatchBuilder, Batches, Records};

const TIMEOUT_MS: i32 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let line = produce_and_fetch().await?;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Runs a broker for as long as it takes; the line says what was fetched.
pub(crate) async fn produce_and_fetch() -> Result<String, Box<dyn Error>> {
    // Port 0: the system chooses one, and the handle says which.
    let config = BrokerConfig::from_pairs([
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
    ])?;
    let broker = Broker::start(config, Environment::in_memory()).await?;

    let mut connection = Connection::connect(broker.bootstrap(), "example").await?;
    let topic = TopicName(StrBytes::from_static_str("greetings"));
    create(&mut connection, &topic).await?;
    produce(&mut connection, &topic, "hello from inside").await?;
    let line = fetch(&mut connection, &topic).await?;

    drop(connection);
    broker.shutdown().await?;
    Ok(line)
}

async fn create(connection: &mut Connection, topic: &TopicName) -> Result<(), Box<dyn Error>> {
    let topic = CreatableTopic::default()
        .with_name(topic.clone())
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(TIMEOUT_MS);
    let response = connection.call(7, &request).await?;
    check(response.topics[0].error_code)
}

async fn produce(
    connection: &mut Connection,
    topic: &TopicName,
    value: &str,
) -> Result<(), Box<dyn Error>> {
    let mut batch = BatchBuilder::new();
    batch.append(0, None, Some(value.as_bytes()), &[])?;
    let partition = PartitionProduceData::default().with_records(Some(batch.build()?));
    let topic = TopicProduceData::default()
        .with_name(topic.clone())
        .with_partition_data(vec![partition]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(TIMEOUT_MS)
        .with_topic_data(vec![topic]);
    let response = connection.call(9, &request).await?;
    check(response.responses[0].partition_responses[0].error_code)
}

async fn fetch(connection: &mut Connection, topic: &TopicName) -> Result<String, Box<dyn Error>> {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let wanted = FetchTopic::default()
        .with_topic(topic.clone())
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(TIMEOUT_MS)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![wanted]);
    let response = connection.call(12, &request).await?;
    let partition = &response.responses[0].partitions[0];
    check(partition.error_code)?;
    let bytes = partition.records.clone().unwrap_or_default();
    let batch = Batches::new(&bytes).next().ok_or("nothing was fetched")??;
    let mut records = Records::new(batch.records_bytes(), batch.records_count);
    let record = records.next().ok_or("the batch is empty")??;
    let value = String::from_utf8_lossy(record.value.unwrap_or_default());
    let offset = batch.base_offset + i64::from(record.offset_delta);
    Ok(format!(
        "{}-{} offset {offset}: {value}",
        topic.0, partition.partition_index
    ))
}

fn check(code: i16) -> Result<(), Box<dyn Error>> {
    match tidemark_protocol::ErrorCode::from_code(code) {
        tidemark_protocol::ErrorCode::None => Ok(()),
        error => Err(error.to_string().into()),
    }
}
