//! Sticky, and without a standstill.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::sticky::share_out;
use super::{Assignment, Assignor, Member, RebalanceProtocol};
use crate::consumer::protocol::Bounded;
use crate::topic_partition::TopicPartition;

/// Kafka's `CooperativeStickyAssignor` (KIP-429): members go on reading what stays with them while
/// the rest moves. A partition that moves is given to nobody in the first round; once its owner has
/// let go of it, a second round gives it to the new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct CooperativeSticky;

impl Assignor for CooperativeSticky {
    fn name(&self) -> &'static str {
        "cooperative-sticky"
    }

    fn protocols(&self) -> &'static [RebalanceProtocol] {
        &[RebalanceProtocol::Cooperative, RebalanceProtocol::Eager]
    }

    /// The generation.
    fn user_data(&self, _last: &[TopicPartition], generation: i32) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&generation.to_be_bytes()))
    }

    fn assign(
        &self,
        partitions: &BTreeMap<Arc<str>, i32>,
        members: &BTreeMap<String, Member>,
    ) -> Assignment {
        let generation = |member: &Member| {
            let told = member
                .user_data
                .as_ref()
                .and_then(|data| Bounded::new(data).i32());
            match member.generation {
                -1 => told.unwrap_or(-1),
                known => known,
            }
        };
        let before = |member: &Member| (member.owned.clone(), generation(member));
        let mut assignment = share_out(partitions, members, before);
        let mut owners: HashMap<&TopicPartition, Vec<&String>> = HashMap::new();
        for (id, member) in members {
            for partition in &member.owned {
                owners.entry(partition).or_default().push(id);
            }
        }
        for (id, mine) in &mut assignment {
            mine.retain(|partition| {
                let others = owners.get(partition);
                others.is_none_or(|owners| owners.iter().all(|owner| *owner == id))
            });
        }
        assignment
    }
}
