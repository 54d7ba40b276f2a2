//! Changes of a group machine's state, and its timers.

use std::sync::Arc;

use super::classic::Group;
use super::command::{GroupId, MemberId};
use super::offsets::CommittedOffset;

/// One change of state.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A group looks like this from now on.
    GroupChanged {
        /// The whole group; members it shares with the former one are not copied.
        group: Arc<Group>,
        /// Whether the change outlives a restart. A group is written when it becomes stable, when
        /// it becomes empty and when a static member of a stable group changes its id; the steps
        /// of a rebalance are not, because after a restart the members rejoin anyway.
        durable: bool,
    },
    /// A group is gone.
    GroupRemoved {
        /// Which.
        group_id: GroupId,
    },
    /// An offset is committed.
    OffsetCommitted {
        /// Whose and where.
        key: OffsetKey,
        /// What.
        value: CommittedOffset,
    },
    /// A committed offset is gone.
    OffsetRemoved {
        /// Whose and where.
        key: OffsetKey,
    },
}

/// What a committed offset belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetKey {
    /// The group.
    pub group_id: GroupId,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// Names a timer of a group machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A member has been silent for its session timeout, a pending member has not come back, or
    /// the JoinGroup call of a new member has been parked for too long.
    Session {
        /// The group.
        group_id: GroupId,
        /// The member.
        member_id: MemberId,
    },
    /// The join phase of a rebalance is over: the initial delay or the rebalance timeout.
    Join {
        /// The group.
        group_id: GroupId,
    },
    /// The sync phase of a rebalance is over.
    Sync {
        /// The group.
        group_id: GroupId,
    },
    /// Time to look for expired offsets and empty groups.
    Expiry,
}
