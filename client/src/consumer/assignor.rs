//! How the partitions of a group are shared out among its members.
//!
//! The group's leader, one of its members, runs an assignor over what all members have said of
//! themselves. Names and bytes are Kafka's own, so a group may mix this client with others, and any
//! of them may lead it.

mod cooperative;
mod range;
mod round_robin;
mod sticky;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::topic_partition::TopicPartition;

pub use cooperative::CooperativeSticky;
pub use range::Range;
pub use round_robin::RoundRobin;
pub use sticky::Sticky;

/// How members behave while a group shares its partitions out anew (Kafka:
/// `ConsumerPartitionAssignor.RebalanceProtocol`, KIP-429).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceProtocol {
    /// Everybody gives everything back first.
    Eager,
    /// Everybody keeps what they have, and gives back only what another one is to have; that takes
    /// a second round.
    Cooperative,
}

/// What the leader knows of one member (Kafka: `ConsumerPartitionAssignor.Subscription`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The topics that it wants to read.
    pub topics: Vec<Arc<str>>,
    /// What it has at the moment, if it says so.
    pub owned: Vec<TopicPartition>,
    /// The generation of which it has them, -1 for unknown (KIP-792).
    pub generation: i32,
    /// What its assignor has to say to the leader's.
    pub user_data: Option<Bytes>,
    /// The name that outlives it, for a static member (KIP-345).
    pub instance_id: Option<String>,
}

/// Partitions by member (Kafka: `ConsumerPartitionAssignor.GroupAssignment`).
pub type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// A way to share partitions out (Kafka: `ConsumerPartitionAssignor`).
pub trait Assignor: Send + Sync + 'static {
    /// The name that members agree on. Members with the same name have to share out alike.
    fn name(&self) -> &'static str;

    /// The ways of rebalancing that it is fit for.
    fn protocols(&self) -> &'static [RebalanceProtocol] {
        &[RebalanceProtocol::Eager]
    }

    /// What the member's assignor has to say to the leader's, given what the member last had and of
    /// which generation (-1 for none).
    fn user_data(&self, _last: &[TopicPartition], _generation: i32) -> Option<Bytes> {
        None
    }

    /// Shares the partitions out. `partitions` has the number of partitions of every topic that
    /// exists. Every member gets an entry; the same input gives the same result.
    fn assign(
        &self,
        partitions: &BTreeMap<Arc<str>, i32>,
        members: &BTreeMap<String, Member>,
    ) -> Assignment;
}

/// An assignment without partitions.
fn empty(members: &BTreeMap<String, Member>) -> Assignment {
    members.keys().map(|id| (id.clone(), Vec::new())).collect()
}

/// The members in Kafka's order: static ones first, by the names that outlive them, then the others
/// by their ids (`AbstractPartitionAssignor.MemberInfo.compareTo`).
fn in_order(members: &BTreeMap<String, Member>) -> Vec<(&String, &Member)> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by(
        |(a_id, a), (b_id, b)| match (&a.instance_id, &b.instance_id) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => a_id.cmp(b_id),
        },
    );
    ordered
}

#[cfg(test)]
mod tests;
