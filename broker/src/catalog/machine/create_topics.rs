//! Decides on CreateTopics (Kafka's `ControllerApis.createTopics` and
//! `ReplicationControlManager.createTopics`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alter_configs::check_topic_configs;
use super::{CatalogMachine, MAX_PARTITIONS_PER_REQUEST, MAX_RECORDS_PER_COMMAND};
use crate::catalog::command::{
    CreateTopicResult, CreateTopics, CreatedTopic, ErrorCode, NewTopic, Refusal, Reply,
    ResourceKind, TopicDefaults,
};
use crate::catalog::records::{ConfigRecord, Record, TopicRecord};
use crate::catalog::topic_name;
use crate::config::{BrokerConfig, Overrides};

/// A request as far as it is decided.
struct Progress {
    /// The broker's configuration, which topics' configs must get on with.
    broker: Arc<BrokerConfig>,
    records: Vec<Record>,
    partitions: usize,
    /// The names of existing topics in the form in which colliding names are equal.
    taken: BTreeMap<String, String>,
    ids: BTreeSet<uuid::Uuid>,
}

impl CatalogMachine {
    pub(super) fn create_topics(&self, command: CreateTopics) -> (Vec<Record>, Reply) {
        let topics = &command.topics;
        if size(topics) > MAX_RECORDS_PER_COMMAND {
            return refuse_all(topics, super::TOO_MANY_RECORDS);
        }
        let order = Order::of(topics);
        let decided = || {
            topics
                .iter()
                .filter(|topic| order.single.contains(&*topic.name))
        };
        if asked_partitions(decided(), command.defaults) > MAX_PARTITIONS_PER_REQUEST {
            let text = "Excessively large number of partitions per request.";
            return refuse_all(topics, text);
        }
        let mut progress = self.start_creating(topics);
        let mut results = Vec::with_capacity(topics.len());
        for topic in decided() {
            let result = self.create_topic(topic, command.defaults, &mut progress);
            results.push(CreateTopicResult {
                name: topic.name.clone(),
                result,
            });
        }
        if progress.records.len() > MAX_RECORDS_PER_COMMAND {
            return refuse_all(topics, super::TOO_MANY_RECORDS);
        }
        results.extend(order.refused);
        if command.validate_only {
            progress.records.clear();
        }
        (progress.records, Reply::TopicsCreated(results))
    }

    fn start_creating(&self, topics: &[NewTopic]) -> Progress {
        // Only names with `.` or `_` can collide, and only then is the table worth its making.
        let needed = topics
            .iter()
            .any(|topic| topic_name::has_collision_chars(&topic.name));
        let names = self
            .image
            .topics()
            .map(|topic| &*topic.name)
            .filter(|_| needed);
        let colliding = names.filter(|name| topic_name::has_collision_chars(name));
        let taken = colliding.map(|name| (topic_name::collision_form(name), name.to_owned()));
        let broker = match topics.iter().all(|topic| topic.configs.is_empty()) {
            true => Arc::clone(&self.config),
            false => self.config_in_force(),
        };
        Progress {
            broker,
            records: Vec::new(),
            partitions: 0,
            taken: taken.collect(),
            ids: BTreeSet::new(),
        }
    }

    fn create_topic(
        &self,
        topic: &NewTopic,
        defaults: TopicDefaults,
        progress: &mut Progress,
    ) -> Result<CreatedTopic, Refusal> {
        self.check_name(topic, progress)?;
        let configs = check_new_configs(topic, &progress.broker)?;
        let num_partitions = self.check_layout(topic, defaults)?;
        let new_partitions = usize::try_from(num_partitions).unwrap_or(usize::MAX);
        self.check_room(progress.partitions.saturating_add(new_partitions))?;
        if topic.id.as_u128() <= 1
            || self.image.topic_by_id(topic.id).is_some()
            || !progress.ids.insert(topic.id)
        {
            // The caller's mistake and not the client's; such a topic would take another's place.
            return Err(Refusal::bare(ErrorCode::UnknownServerError));
        }
        progress.partitions += new_partitions;
        if topic_name::has_collision_chars(&topic.name) {
            progress
                .taken
                .insert(topic_name::collision_form(&topic.name), topic.name.clone());
        }
        // Configs come before partitions, so that a partition is never seen without them.
        let record = TopicRecord {
            name: topic.name.clone(),
            topic_id: topic.id,
        };
        progress.records.push(record.into());
        progress.records.extend(configs.iter().map(|(name, value)| {
            Record::from(ConfigRecord {
                resource_type: ResourceKind::Topic.to_wire(),
                resource_name: topic.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        }));
        let partitions = (0..num_partitions).map(|index| self.new_partition(topic.id, index));
        progress.records.extend(partitions);
        Ok(CreatedTopic {
            id: topic.id,
            num_partitions,
            replication_factor: 1,
            configs,
        })
    }

    fn check_name(&self, topic: &NewTopic, progress: &Progress) -> Result<(), Refusal> {
        let name = &topic.name;
        if self.image.topic(name).is_some() {
            let text = format!("Topic '{name}' already exists.");
            return Err(Refusal::new(ErrorCode::TopicAlreadyExists, text));
        }
        topic_name::validate(name)
            .map_err(|text| Refusal::new(ErrorCode::InvalidTopicException, text))?;
        // Kafka compares with existing topics only; two new topics of one request that collide are
        // refused here as well, for together they are what the rule forbids.
        if let Some(other) = progress.taken.get(&topic_name::collision_form(name)) {
            let text = format!("Topic '{name}' collides with existing topic: {other}");
            return Err(Refusal::new(ErrorCode::InvalidTopicException, text));
        }
        Ok(())
    }

    /// Checks partitions, replication factor and assignments; returns the number of partitions.
    fn check_layout(&self, topic: &NewTopic, defaults: TopicDefaults) -> Result<i32, Refusal> {
        if !topic.assignments.is_empty() {
            return self.check_assignments(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let text = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, text));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            let text = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::new(ErrorCode::InvalidPartitions, text));
        }
        let factor = match topic.replication_factor {
            -1 => defaults.replication_factor,
            factor => factor,
        };
        self.check_replication_factor(factor).map_err(|why| {
            let text = format!("Unable to replicate the partition {factor} time(s): {why}");
            Refusal::new(ErrorCode::InvalidReplicationFactor, text)
        })?;
        Ok(if topic.num_partitions == -1 {
            defaults.num_partitions
        } else {
            topic.num_partitions
        })
    }

    fn check_assignments(&self, topic: &NewTopic) -> Result<i32, Refusal> {
        let refuse = |text| Err(Refusal::new(ErrorCode::InvalidRequest, text));
        if topic.replication_factor != -1 {
            return refuse(
                "A manual partition assignment was specified, but replication factor was not set \
                 to -1.",
            );
        }
        if topic.num_partitions != -1 {
            return refuse(
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            );
        }
        let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
        let mut seen = BTreeSet::new();
        let mut others_have = None;
        for assignment in &topic.assignments {
            if !seen.insert(assignment.partition) {
                let partition = assignment.partition;
                return refuse(format!(
                    "Found multiple manual partition assignments for partition {partition}"
                ));
            }
            self.check_assignment(&assignment.brokers, others_have)?;
            others_have = Some(assignment.brokers.len());
        }
        if !seen.iter().copied().eq(0..seen.len() as i32) {
            return refuse(
                "partitions should be a consecutive 0-based integer sequence".to_owned(),
            );
        }
        Ok(seen.len() as i32)
    }
}

fn check_new_configs(topic: &NewTopic, broker: &BrokerConfig) -> Result<Overrides, Refusal> {
    let refuse = |text: String| Refusal::new(ErrorCode::InvalidConfig, text);
    let null = topic.configs.iter().filter(|(_, value)| value.is_none());
    let null: Vec<&str> = null.map(|(name, _)| name.as_str()).collect();
    if !null.is_empty() {
        let names = null.join(",");
        return Err(refuse(format!(
            "Null value not supported for topic configs: {names}"
        )));
    }
    let given = topic.configs.iter();
    let configs: Overrides = given
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    if !configs.is_empty() {
        check_topic_configs(broker, &configs)?;
    }
    Ok(configs)
}

/// How much a request asks for, the partitions left out: those have a limit of their own, which
/// topics that ask for none do not come near. Kafka counts the records that come of it, so that it
/// looks at everything first.
fn size(topics: &[NewTopic]) -> usize {
    topics.iter().map(|topic| 1 + topic.configs.len()).sum()
}

/// Sorts the names of a request into those to decide on and those to refuse at once.
struct Order {
    single: BTreeSet<String>,
    refused: Vec<CreateTopicResult>,
}

impl Order {
    fn of(topics: &[NewTopic]) -> Self {
        let mut single = BTreeSet::new();
        let mut duplicate = BTreeSet::new();
        for topic in topics {
            if !single.insert(topic.name.clone()) {
                duplicate.insert(topic.name.clone());
            }
        }
        single.retain(|name| !duplicate.contains(name));
        let refuse = |name: String, text: &str| CreateTopicResult {
            name,
            result: Err(Refusal::new(ErrorCode::InvalidRequest, text)),
        };
        let mut refused: Vec<_> = duplicate
            .into_iter()
            .map(|name| refuse(name, "Duplicate topic name."))
            .collect();
        if let Some(name) = single.take(topic_name::CLUSTER_METADATA) {
            let text = format!("Creation of internal topic {name} is prohibited.");
            refused.push(refuse(name, &text));
        }
        Self { single, refused }
    }
}

/// How many partitions a request asks for at most; less come of it if topics are refused.
fn asked_partitions<'a>(
    topics: impl Iterator<Item = &'a NewTopic>,
    defaults: TopicDefaults,
) -> i64 {
    let count = |topic: &NewTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => i64::from(defaults.num_partitions),
        (0, asked) => i64::from(asked.max(0)),
        (assigned, _) => assigned as i64,
    };
    topics.map(count).sum()
}

/// Refuses a request as a whole: then each of its topics gets an answer, duplicates too.
fn refuse_all(topics: &[NewTopic], text: &str) -> (Vec<Record>, Reply) {
    let refuse = |topic: &NewTopic| CreateTopicResult {
        name: topic.name.clone(),
        result: Err(Refusal::new(ErrorCode::PolicyViolation, text)),
    };
    (
        Vec::new(),
        Reply::TopicsCreated(topics.iter().map(refuse).collect()),
    )
}
