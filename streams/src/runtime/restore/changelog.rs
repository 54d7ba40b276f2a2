//! Reading a range of a partition: changelogs, and what else an application keeps in topics.

use std::time::Duration;

use tidemark_client::admin::OffsetSpec;
use tidemark_client::consumer::{
    ConsumerConfig, ConsumerError, IsolationLevel, OffsetReset, RecordRef,
};
use tidemark_client::{Client, Clock, TopicPartition};

use super::unlisted;
use crate::error::StreamsError;

/// A partition that goes on and brings nothing for so long cannot be read. Brokers that are restarted
/// are back by then, and another one leads.
pub(in crate::runtime) const NO_PROGRESS: Duration = Duration::from_secs(120);

/// What each record is told to.
pub(crate) type Tell<'a> = &'a mut (dyn FnMut(&RecordRef<'_>) -> Result<(), StreamsError> + Send);

/// Reads the records of a partition, from an offset (else its beginning) to another one (else its end).
pub(crate) async fn read_range(
    client: &Client,
    clock: &Clock,
    partition: &TopicPartition,
    (from, upto): (Option<i64>, Option<i64>),
    tell: Tell<'_>,
) -> Result<(), StreamsError> {
    let admin = client.admin();
    let list = async |spec| {
        let wanted = [(partition.clone(), spec)];
        let listed = admin
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await?;
        let offset = listed
            .all()?
            .into_values()
            .next()
            .and_then(|listed| listed.offset);
        offset.ok_or_else(|| unlisted(partition))
    };
    let from = match from {
        Some(from) => from,
        None => list(OffsetSpec::Earliest).await?,
    };
    let upto = match upto {
        Some(upto) => upto,
        None => list(OffsetSpec::Latest).await?,
    };
    if from >= upto {
        return Ok(());
    }
    let config = ConsumerConfig::new()
        .offset_reset(OffsetReset::Error)
        .max_partition_bytes(8 << 20);
    let mut consumer = client.consumer(config)?;
    consumer.assign([partition.clone()])?;
    consumer.seek(partition, from)?;
    let mut position = from;
    while position < upto {
        let next = clock.timeout(NO_PROGRESS, consumer.recv_batches()).await;
        let fetched = next.ok_or_else(|| StreamsError::NothingRead {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset: position,
            end: upto,
            waited: NO_PROGRESS,
        })??;
        for batch in &fetched.batches {
            let mut reader = batch.reader(partition)?;
            while let Some(next) = reader.next() {
                let (record, _) = next.map_err(|error| StreamsError::Decode {
                    topic: partition.topic.to_string(),
                    partition: partition.partition,
                    offset: position,
                    reason: error.to_string(),
                })?;
                if record.offset < upto {
                    tell(&record)?;
                }
            }
        }
        position = fetched.next_offset;
    }
    consumer.close().await?;
    Ok(())
}

/// Whether what was to be read is not there any more: somebody has deleted the beginning of the log
/// since it was asked where it begins.
pub(super) fn was_cut(error: &StreamsError) -> bool {
    matches!(
        error,
        StreamsError::Consume(ConsumerError::OffsetOutOfRange { .. })
    )
}

#[cfg(test)]
mod tests {
    use tidemark_broker::Broker;
    use tidemark_broker::config::BrokerConfig;
    use tidemark_broker::environment::Environment;
    use tidemark_client::admin::{Mode, NewTopic, RecordsBefore};
    use tidemark_client::producer::{ProducerConfig, ProducerRecord};

    use super::*;

    /// What is not there any more is told from what cannot be read: it is begun anew then.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_that_is_cut_while_it_is_to_be_read_is_known() {
        let options = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("tidemark.http.listener", "none"),
            ("log.dirs", "/cut"),
        ];
        let config = BrokerConfig::from_pairs(options).unwrap();
        let broker = Broker::start(config, Environment::in_memory())
            .await
            .unwrap();
        let client = Client::connect(&broker.bootstrap()).unwrap();
        let admin = client.admin();
        let made = admin
            .create_topics([NewTopic::new("log")], Mode::Apply)
            .await;
        made.unwrap().all().unwrap();
        let producer = client.producer(ProducerConfig::new()).unwrap();
        for _ in 0..10 {
            let record = ProducerRecord::to("log").value("x");
            producer.send(&record).await.unwrap().await.unwrap();
        }
        let log = TopicPartition::new("log", 0);
        let read = async |from| {
            let mut offsets = Vec::new();
            let (clock, range) = (Clock::system(), (from, Some(9)));
            let outcome = read_range(&client, &clock, &log, range, &mut |record| {
                offsets.push(record.offset);
                Ok(())
            })
            .await;
            outcome.map(|()| offsets)
        };
        assert_eq!(read(Some(7)).await.unwrap(), [7, 8]);
        let cut = [(log.clone(), RecordsBefore::Offset(5))];
        admin.delete_records(cut).await.unwrap().all().unwrap();
        let error = read(Some(2)).await.unwrap_err();
        assert!(was_cut(&error), "{error}");
        assert_eq!(read(None).await.unwrap(), [5, 6, 7, 8]);
        broker.shutdown().await.unwrap();
    }
}
