//! A topic that is deleted and made anew again and again, and what a kill may leave of that.
//!
//! Its records are numbered and carry the number of their incarnation, so that a mix of two is
//! seen. It is talked to by hand: a kill comes between two steps, with requests under way.

use std::collections::BTreeSet;

use integration_tests::harness::calls::{
    CREATE_TOPICS, DELETE_TOPICS, FETCH, PRODUCE, batch, connect, create_topic_request,
    delete_topic_request, fetch_request, fetched, metadata, produce_request, produced,
};
use integration_tests::harness::calls::{Connection, RawError};
use tidemark_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, ProduceRequest};
use uuid::Uuid;

use super::plan::Renewing;
use super::trigger::Trigger;

const TOPIC: &str = "renewed";
const PARTITIONS: usize = 2;

/// The topic, as far as the test knows it.
pub(crate) struct Renewal {
    /// What it may be, `None` for not there: more than one thing as long as answers are missing.
    possible: Vec<Option<Incarnation>>,
    incarnations: usize,
    ids: BTreeSet<Uuid>,
}

#[derive(Clone)]
struct Incarnation {
    number: usize,
    /// Known once its creation was answered, or it was found.
    id: Option<Uuid>,
    /// How many records each partition has been sent.
    sent: [usize; PARTITIONS],
    /// How many of them were acknowledged.
    acknowledged: [usize; PARTITIONS],
}

impl Incarnation {
    fn value(&self, partition: usize, offset: usize) -> String {
        format!("incarnation {}: {partition} {offset}", self.number)
    }
}

impl Renewal {
    /// There is no topic yet.
    pub(crate) fn new() -> Self {
        Self {
            possible: vec![None],
            incarnations: 0,
            ids: BTreeSet::new(),
        }
    }

    /// Looks at what a start has found: one incarnation or none, whichever the answers allow, with
    /// all that was acknowledged and nothing of another one.
    pub(crate) async fn check(&mut self, address: &str) {
        let mut connection = connect(address).await;
        let metadata = metadata(&mut connection).await;
        let is_it = |topic: &&_| topic_name(topic).as_deref() == Some(TOPIC);
        let topic = metadata.topics.iter().find(is_it);
        let Some(topic) = topic else {
            let allowed = self.possible.iter().any(Option::is_none);
            assert!(allowed, "{TOPIC} is gone, and nobody has deleted it");
            self.possible = vec![None];
            return;
        };
        let id = topic.topic_id;
        let candidates = || self.possible.iter().flatten();
        let found = candidates()
            .find(|one| one.id == Some(id))
            .or_else(|| candidates().find(|one| one.id.is_none()));
        let mut found = found
            .unwrap_or_else(|| panic!("{id} should have been deleted, or was never created"))
            .clone();
        self.identify(&mut found, id);
        assert_eq!(topic.partitions.len(), PARTITIONS);
        for partition in 0..PARTITIONS {
            check_records(&mut connection, &mut found, partition).await;
        }
        self.possible = vec![Some(found)];
    }

    fn identify(&mut self, incarnation: &mut Incarnation, id: Uuid) {
        if incarnation.id.is_none() {
            assert!(self.ids.insert(id), "{id} was another incarnation's");
            incarnation.id = Some(id);
        }
    }

    /// Deletes the topic, makes it anew and writes to it. Ends early when the broker is killed.
    pub(crate) async fn run(&mut self, address: &str, plan: &Renewing, trigger: &Trigger) {
        if let Err(error) = self.steps(address, plan, trigger).await {
            let killed = matches!(error, RawError::Io(_) | RawError::Closed);
            assert!(killed, "{error}");
        }
    }

    async fn steps(
        &mut self,
        address: &str,
        plan: &Renewing,
        trigger: &Trigger,
    ) -> Result<(), RawError> {
        let mut connection = Connection::connect(address, "renewal").await?;
        let is_there = self.possible.iter().any(Option::is_some);
        if is_there {
            self.possible.push(None);
            let request = delete_topic_request(TOPIC);
            connection.send(DELETE_TOPICS, &request).await?;
            trigger.renewed();
        }
        if plan.at_once {
            self.create(&mut connection, trigger).await?;
        }
        if is_there {
            let deleted = connection
                .receive::<DeleteTopicsRequest>(DELETE_TOPICS)
                .await?;
            assert_eq!(deleted.responses[0].error_code, 0, "{deleted:?}");
            self.possible.remove(0);
            trigger.renewed();
        }
        if !plan.at_once {
            self.create(&mut connection, trigger).await?;
        }
        let created = connection
            .receive::<CreateTopicsRequest>(CREATE_TOPICS)
            .await?;
        assert_eq!(created.topics[0].error_code, 0, "{created:?}");
        let new = self.possible.pop().flatten();
        let mut new = new.expect("it was tried last");
        self.identify(&mut new, created.topics[0].topic_id);
        self.possible = vec![Some(new)];
        trigger.renewed();
        self.produce(&mut connection, plan, trigger).await
    }

    async fn create(
        &mut self,
        connection: &mut Connection,
        trigger: &Trigger,
    ) -> Result<(), RawError> {
        let new = Incarnation {
            number: self.incarnations,
            id: None,
            sent: [0; PARTITIONS],
            acknowledged: [0; PARTITIONS],
        };
        self.incarnations += 1;
        // Some directories stay for a minute, so that starts find them, some go at once.
        let delay = if new.number.is_multiple_of(2) {
            "60000"
        } else {
            "1"
        };
        self.possible.push(Some(new));
        let configs = [("file.delete.delay.ms", delay)];
        let request = create_topic_request(TOPIC, PARTITIONS as i32, &configs);
        connection.send(CREATE_TOPICS, &request).await?;
        trigger.renewed();
        Ok(())
    }

    async fn produce(
        &mut self,
        connection: &mut Connection,
        plan: &Renewing,
        trigger: &Trigger,
    ) -> Result<(), RawError> {
        let [Some(topic)] = &mut self.possible[..] else {
            panic!("its creation was answered");
        };
        let (mut sent, mut answered) = (0, 0);
        while answered < plan.records {
            while sent < plan.records && sent - answered < plan.ahead {
                let partition = sent % PARTITIONS;
                let value = topic.value(partition, topic.sent[partition]);
                topic.sent[partition] += 1;
                sent += 1;
                let mut request = produce_request(TOPIC, batch(&value, None), -1);
                request.topic_data[0].partition_data[0].index = partition as i32;
                connection.send(PRODUCE, &request).await?;
            }
            let response = produced(connection.receive::<ProduceRequest>(PRODUCE).await?);
            assert_eq!(response.error_code, 0, "{response:?}");
            let acknowledged = &mut topic.acknowledged[answered % PARTITIONS];
            assert_eq!(response.base_offset, *acknowledged as i64, "{response:?}");
            *acknowledged += 1;
            answered += 1;
            trigger.renewed();
        }
        Ok(())
    }
}

fn topic_name(
    topic: &tidemark_protocol::messages::metadata_response::MetadataResponseTopic,
) -> Option<String> {
    topic.name.as_ref().map(|name| name.0.to_string())
}

/// The log begins at 0 with what was sent, in order, and goes on at least to what was
/// acknowledged. What else of it is there now stays.
async fn check_records(connection: &mut Connection, topic: &mut Incarnation, partition: usize) {
    let mut found = Vec::new();
    loop {
        let mut request = fetch_request(TOPIC, found.len() as i64, 0, 0);
        request.topics[0].partitions[0].partition = partition as i32;
        let response = connection.call(FETCH, &request).await;
        let response = response.expect("Fetch is answered");
        let start = response.responses[0].partitions[0].log_start_offset;
        assert_eq!(start, 0, "{TOPIC}-{partition}");
        let more = fetched(&response);
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    let expected = (0..topic.sent[partition]).map(|number| {
        let value = topic.value(partition, number);
        (number as i64, value)
    });
    let expected: Vec<_> = expected.take(found.len()).collect();
    assert_eq!(found, expected, "{TOPIC}-{partition}");
    let acknowledged = topic.acknowledged[partition];
    assert!(
        found.len() >= acknowledged,
        "{acknowledged} acknowledged: {found:?}"
    );
    topic.sent[partition] = found.len();
    topic.acknowledged[partition] = found.len();
}
