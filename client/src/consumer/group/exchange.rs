//! What membership is told and what it asks for.

use bytes::Bytes;
use tidemark_protocol::ErrorCode;

use crate::consumer::commit::CommitIdentity;
use crate::topic_partition::TopicPartition;

/// A request to the coordinator. Answers come back with its ticket; those to an earlier one are not
/// looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Join(u64, Join),
    Sync(u64, Sync),
    Heartbeat(u64, CommitIdentity),
    /// Nobody waits for the answer.
    Leave {
        member_id: String,
        reason: &'static str,
    },
}

/// JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) member_id: String,
    /// Assignor names with what the member tells each of them.
    pub(crate) protocols: Vec<(&'static str, Bytes)>,
    /// For the broker's log (KIP-800).
    pub(crate) reason: &'static str,
}

/// SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sync {
    pub(crate) identity: CommitIdentity,
    pub(crate) protocol: String,
    /// The leader's decision; empty from everybody else.
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// The coordinator's answer to a join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) leader: String,
    pub(crate) protocol: String,
    /// A static leader that came back: the old assignment stands (KIP-814).
    pub(crate) skip_assignment: bool,
    /// Id, instance id and what the member tells; only the leader gets them.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// How a call has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The broker's reason.
    Code(ErrorCode),
    /// The member is to join again under this id (KIP-394).
    MemberId(String),
    /// There is no coordinator, or no answer; another try may help.
    Unreachable(String),
    /// No try will help.
    Hopeless(String),
}

/// A change of what the member reads, for the application to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Commit, then let go.
    Revoke(Vec<TopicPartition>),
    /// Let go; others may have them already, so there is nothing to commit.
    Lose(Vec<TopicPartition>),
    /// Begin with these.
    Assign(Vec<TopicPartition>),
}

/// What to do next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) calls: Vec<Call>,
    /// Look for the coordinator anew.
    pub(crate) find_coordinator: bool,
    /// There is a change for the application.
    pub(crate) change: bool,
    /// When to look again although nothing happens, in clock milliseconds.
    pub(crate) deadline: Option<u64>,
}

impl Step {
    pub(super) fn at(&mut self, moment: u64) {
        self.deadline = Some(self.deadline.map_or(moment, |at| at.min(moment)));
    }
}
