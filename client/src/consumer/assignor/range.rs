//! Topic by topic, neighbouring partitions to each member.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Assignment, Assignor, Member, empty, in_order};
use crate::topic_partition::TopicPartition;

/// Kafka's `RangeAssignor`: each topic is cut into as many ranges as it has members; the first ones
/// get one partition more where it does not come out even. Partitions of the same number of several
/// topics go to the same member, which joins rely on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range;

impl Assignor for Range {
    fn name(&self) -> &'static str {
        "range"
    }

    fn assign(
        &self,
        partitions: &BTreeMap<Arc<str>, i32>,
        members: &BTreeMap<String, Member>,
    ) -> Assignment {
        let mut assignment = empty(members);
        let ordered = in_order(members);
        for (topic, count) in partitions {
            let readers = ordered
                .iter()
                .filter(|(_, member)| member.topics.contains(topic));
            let readers: Vec<&String> = readers.map(|(id, _)| *id).collect();
            let Ok(number) = i32::try_from(readers.len()) else {
                continue;
            };
            if number == 0 {
                continue;
            }
            let (each, more) = (count / number, count % number);
            let mut next = 0;
            for (at, id) in (0..).zip(readers) {
                let end = next + each + i32::from(at < more);
                if let Some(mine) = assignment.get_mut(id) {
                    mine.extend((next..end).map(|p| TopicPartition::new(Arc::clone(topic), p)));
                }
                next = end;
            }
        }
        assignment
    }
}
