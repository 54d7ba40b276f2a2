//! One partition after the other to one member after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Assignment, Assignor, Member, empty, in_order};
use crate::topic_partition::TopicPartition;

/// Kafka's `RoundRobinAssignor`: all partitions of all topics in order, each to the next member that
/// reads its topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin;

impl Assignor for RoundRobin {
    fn name(&self) -> &'static str {
        "roundrobin"
    }

    fn assign(
        &self,
        partitions: &BTreeMap<Arc<str>, i32>,
        members: &BTreeMap<String, Member>,
    ) -> Assignment {
        let mut assignment = empty(members);
        let ordered = in_order(members);
        let mut turn = 0;
        for (topic, count) in partitions {
            if !ordered
                .iter()
                .any(|(_, member)| member.topics.contains(topic))
            {
                continue;
            }
            for partition in 0..*count {
                // Somebody reads the topic, so this comes to an end.
                let id = loop {
                    let Some((id, member)) = ordered.get(turn % ordered.len()) else {
                        return assignment;
                    };
                    turn += 1;
                    if member.topics.contains(topic) {
                        break *id;
                    }
                };
                if let Some(mine) = assignment.get_mut(id) {
                    mine.push(TopicPartition::new(Arc::clone(topic), partition));
                }
            }
        }
        assignment
    }
}
