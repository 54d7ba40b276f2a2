//! Decides on CreatePartitions (Kafka's `ControllerApis.createPartitions` and
//! `ReplicationControlManager.createPartitions`).

use std::collections::BTreeSet;

use super::{CatalogMachine, MAX_RECORDS_PER_COMMAND};
use crate::catalog::command::{
    CreatePartitions, CreatePartitionsResult, ErrorCode, NewPartitions, Refusal, Reply,
};
use crate::catalog::image::Topic;
use crate::catalog::records::Record;

impl CatalogMachine {
    pub(super) fn create_partitions(&self, command: CreatePartitions) -> (Vec<Record>, Reply) {
        let mut seen = BTreeSet::new();
        let names = command.topics.iter().map(|topic| topic.name.as_str());
        let repeated: BTreeSet<&str> = names.filter(|name| !seen.insert(*name)).collect();
        let mut records = Vec::new();
        let duplicate = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        let mut results: Vec<_> = repeated
            .iter()
            .map(|name| CreatePartitionsResult {
                name: (*name).to_owned(),
                result: Err(duplicate.clone()),
            })
            .collect();
        for topic in command
            .topics
            .iter()
            .filter(|topic| !repeated.contains(&*topic.name))
        {
            let result = self.widen(topic, &mut records);
            results.push(CreatePartitionsResult {
                name: topic.name.clone(),
                result,
            });
        }
        if command.validate_only {
            records.clear();
        }
        (records, Reply::PartitionsCreated(results))
    }

    fn widen(&self, request: &NewPartitions, records: &mut Vec<Record>) -> Result<(), Refusal> {
        let topic = self
            .image
            .topic(&request.name)
            .ok_or_else(|| Refusal::bare(ErrorCode::UnknownTopicOrPartition))?;
        let additional = check_count(request, topic)?;
        if topic.internal {
            // Groups are spread by the number of partitions: with another one, every group would
            // be looked for where its state is not.
            let text = format!("{} keeps its number of partitions.", request.name);
            return Err(Refusal::new(ErrorCode::InvalidPartitions, text));
        }
        // A topic that spans nodes can only be a foreign one that was opened here.
        let replicas = topic
            .partitions
            .values()
            .next()
            .map_or(1, |first| first.replicas.len());
        match &request.assignments {
            Some(assignments) => {
                if assignments.len() != additional {
                    let given = assignments.len();
                    let text = format!(
                        "Attempted to add {additional} additional partition(s), but only {given} \
                         assignment(s) were specified."
                    );
                    return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
                }
                for brokers in assignments {
                    self.check_assignment(brokers, Some(replicas))?;
                }
            }
            None => {
                let factor = i16::try_from(replicas).unwrap_or(i16::MAX);
                self.check_replication_factor(factor)
                    .map_err(|text| Refusal::new(ErrorCode::InvalidReplicationFactor, text))?;
            }
        }
        // In Kafka the list of records overflows here, with part of the partitions in it; the
        // topic is refused as a whole instead, with the error that other requests get for it.
        if records.len().saturating_add(additional) > MAX_RECORDS_PER_COMMAND {
            return Err(Refusal::new(
                ErrorCode::PolicyViolation,
                super::TOO_MANY_RECORDS,
            ));
        }
        self.check_room(records.len() + additional)?;
        let first = topic.partitions.len() as i32;
        records.extend((first..request.count).map(|index| self.new_partition(topic.id, index)));
        Ok(())
    }
}

/// How many partitions are to be added.
fn check_count(request: &NewPartitions, topic: &Topic) -> Result<usize, Refusal> {
    let present = topic.partitions.len();
    let count = usize::try_from(request.count).unwrap_or(0);
    let text = match count.checked_sub(present) {
        Some(0) => format!("Topic already has {present} partition(s)."),
        Some(additional) => return Ok(additional),
        None => format!(
            "The topic {} currently has {present} partition(s); {} would not be an increase.",
            request.name, request.count
        ),
    };
    Err(Refusal::new(ErrorCode::InvalidPartitions, text))
}
