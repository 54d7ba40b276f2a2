//! Decisions and what they lead to.

mod alter_configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod replay;
mod start;

use std::sync::Arc;

use uuid::Uuid;

use tidemark_protocol::error::ErrorCode::{
    InvalidConfig, InvalidPartitions, InvalidReplicaAssignment, InvalidReplicationFactor,
    InvalidRequest, InvalidTopicException, PolicyViolation, TopicAlreadyExists, UnknownTopicId,
    UnknownTopicOrPartition,
};

use super::CatalogMachine;
use crate::catalog::command::*;
use crate::catalog::image::{CatalogImage, METADATA_VERSION_FEATURE, Topic};
use crate::catalog::records::{BrokerEndpoint, BrokerFeature, Record};
use crate::config::BrokerConfig;
use crate::coordinator::{Decision, KeyValue, Machine, ReplyToken, When};
use crate::types::{Now, Offset};

/// The node id of the default configuration.
const NODE: i32 = 1;

/// A catalog together with its log, which is what a restart leaves of it.
pub(in crate::catalog) struct Catalog {
    pub(in crate::catalog) machine: CatalogMachine,
    pub(in crate::catalog) log: Vec<KeyValue>,
    next_id: u128,
}

impl Catalog {
    pub(in crate::catalog) fn new() -> Self {
        Self {
            machine: machine(),
            log: Vec::new(),
            next_id: 1000,
        }
    }

    /// What the runtime does with a command: decide, write, read back and apply.
    pub(in crate::catalog) fn run(&mut self, command: Command) -> Reply {
        let token = ReplyToken(7);
        let mut decision = self.machine.decide(Now::default(), command, token);
        assert!(decision.timers.is_empty());
        assert_eq!(decision.answers.len(), 1);
        let answer = decision.answers.pop().expect("there is one");
        assert_eq!((answer.token, answer.when), (token, When::AfterDurable));
        self.write(decision);
        answer.reply
    }

    fn write(&mut self, decision: Decision<CatalogMachine>) {
        for event in decision.events {
            let record = self
                .machine
                .encode(&event)
                .expect("every event has a record");
            assert_eq!(self.machine.decode(&record), Ok(Some(event.clone())));
            let offset = Offset(self.log.len() as i64);
            self.log.push(record);
            self.machine.apply(offset, event);
        }
    }

    /// Writes a record that no command leads to.
    fn write_record(&mut self, record: impl Into<Record>) {
        self.write(Decision {
            events: vec![record.into()],
            ..Decision::default()
        });
    }

    /// What the log adds up to after a restart.
    pub(in crate::catalog) fn restarted(&self) -> Self {
        let mut machine = machine();
        for (offset, record) in self.log.iter().enumerate() {
            if let Some(event) = machine.decode(record).expect("written by this machine") {
                machine.apply(Offset(offset as i64), event);
            }
        }
        let mut catalog = Self {
            machine,
            log: self.log.clone(),
            next_id: self.next_id,
        };
        let decision = catalog.machine.on_loaded(Now::default());
        assert!(decision.answers.is_empty());
        catalog.write(decision);
        catalog
    }

    pub(in crate::catalog) fn image(&self) -> &Arc<CatalogImage> {
        self.machine.image()
    }

    fn topic(&self, name: &str) -> &Arc<Topic> {
        self.image().topic(name).expect("the topic exists")
    }

    fn fresh_id(&mut self) -> Uuid {
        self.next_id += 1;
        Uuid::from_u128(self.next_id)
    }

    /// Asks for topics; returns the results.
    fn create(&mut self, topics: Vec<NewTopic>) -> Vec<CreateTopicResult> {
        self.create_or_validate(topics, false)
    }

    fn create_or_validate(
        &mut self,
        mut topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<CreateTopicResult> {
        for topic in topics.iter_mut().filter(|topic| topic.id.is_nil()) {
            topic.id = self.fresh_id();
        }
        let defaults = TopicDefaults {
            num_partitions: 3,
            replication_factor: 1,
        };
        let command = CreateTopics {
            topics,
            validate_only,
            defaults,
        };
        match self.run(Command::CreateTopics(command)) {
            Reply::TopicsCreated(results) => results,
            other => panic!("{other:?}"),
        }
    }

    /// Creates a topic that has to succeed.
    fn create_one(&mut self, topic: NewTopic) -> Uuid {
        let [result] = self.create(vec![topic]).try_into().expect("one result");
        result.result.expect("the topic is legal").id
    }

    fn delete(&mut self, topics: Vec<TopicSelector>) -> Vec<DeleteTopicResult> {
        let command = DeleteTopics {
            topics,
            deletion_enabled: true,
        };
        match self.run(Command::DeleteTopics(command)) {
            Reply::TopicsDeleted(results) => results,
            other => panic!("{other:?}"),
        }
    }
}

fn machine() -> CatalogMachine {
    CatalogMachine::new(Arc::new(BrokerConfig::default()))
}

/// A topic that leaves everything to the broker.
fn new_topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        id: Uuid::nil(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

fn sized(name: &str, num_partitions: i32) -> NewTopic {
    NewTopic {
        num_partitions,
        ..new_topic(name)
    }
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> NewTopic {
    let owned = |(name, value): &(&str, Option<&str>)| (name.to_string(), value.map(String::from));
    NewTopic {
        configs: configs.iter().map(owned).collect(),
        ..new_topic(name)
    }
}

fn by_name(name: &str) -> TopicSelector {
    TopicSelector {
        name: Some(name.to_owned()),
        id: Uuid::nil(),
    }
}

fn by_id(id: Uuid) -> TopicSelector {
    TopicSelector { name: None, id }
}

/// The code and text of a refusal; `None` for success.
fn told<T>(result: &Result<T, Refusal>) -> Option<(ErrorCode, &str)> {
    let refusal = result.as_ref().err()?;
    Some((refusal.code, refusal.message.as_deref().unwrap_or("(none)")))
}

fn registration() -> Registration {
    Registration {
        incarnation_id: Uuid::from_u128(500),
        endpoints: vec![BrokerEndpoint {
            name: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        features: vec![BrokerFeature {
            name: METADATA_VERSION_FEATURE.to_owned(),
            min_supported_version: 7,
            max_supported_version: 29,
        }],
        rack: None,
        log_dirs: vec![Uuid::from_u128(600)],
        finalized_features: [("group.version", 1), (METADATA_VERSION_FEATURE, 29)]
            .map(|(name, level)| (name.to_owned(), level))
            .into(),
    }
}
