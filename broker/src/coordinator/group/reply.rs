//! What the group coordinator answers, free of wire versions.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::classic::{GroupState, GroupType};
use super::command::{GroupId, InstanceId, MemberId};
use tidemark_protocol::ErrorCode;

/// The answer to the [`Command`](super::Command) of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Answers `Join`.
    Join(Joined),
    /// Answers `Sync`.
    Sync(Synced),
    /// Answers `Heartbeat`.
    Heartbeat(ErrorCode),
    /// Answers `Leave`.
    Leave(Left),
    /// Answers `CommitOffsets`: every partition of the request, in its order.
    CommitOffsets(Vec<CommittedTopic>),
    /// Answers `FetchOffsets`.
    FetchOffsets(Vec<FetchedTopic>),
    /// Answers `DeleteOffsets`.
    DeleteOffsets(DeletedOffsets),
    /// Answers `Describe`.
    Describe(DescribedGroup),
    /// Answers `List`, ordered by group id.
    List(Vec<ListedGroup>),
    /// Answers `DeleteGroup`.
    DeleteGroup(ErrorCode),
    /// Answers `ForgetTopics`.
    ForgetTopics {
        /// How many committed offsets went.
        offsets: usize,
    },
}

/// The answer to a JoinGroup call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// What went wrong; the other fields then hold what Kafka sends along.
    pub error: ErrorCode,
    /// The generation that has been joined, or -1.
    pub generation_id: i32,
    /// The group's protocol type (v7+).
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen. Versions before 7 cannot say null and send an empty string.
    pub protocol_name: Option<Arc<str>>,
    /// The leader's member id, or empty.
    pub leader: MemberId,
    /// The leader must not compute an assignment (v9+): the group keeps the one it has.
    pub skip_assignment: bool,
    /// The caller's member id.
    pub member_id: MemberId,
    /// For the leader: all members. Empty for followers.
    pub members: Vec<JoinedMember>,
}

impl Joined {
    /// A refusal.
    pub(super) fn refused(member_id: MemberId, error: ErrorCode) -> Reply {
        Reply::Join(Self {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: "".into(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        })
    }
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: MemberId,
    /// Set for a static member (v5+).
    pub group_instance_id: Option<InstanceId>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// The answer to a SyncGroup call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// What went wrong.
    pub error: ErrorCode,
    /// The group's protocol type (v5+).
    pub protocol_type: Option<Arc<str>>,
    /// The group's protocol (v5+).
    pub protocol_name: Option<Arc<str>>,
    /// The member's assignment; empty when the leader gave it none.
    pub assignment: Bytes,
}

impl Synced {
    /// A refusal.
    pub(super) fn refused(error: ErrorCode) -> Reply {
        Reply::Sync(Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        })
    }
}

/// The answer to a LeaveGroup call. Versions 0 to 2 have no members in the answer: there the one
/// member's error is the call's error when the call itself has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What is wrong with the whole call.
    pub error: ErrorCode,
    /// Each member of the request, in its order.
    pub members: Vec<LeftMember>,
}

/// One member in the answer to a LeaveGroup call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As in the request.
    pub member_id: MemberId,
    /// As in the request.
    pub group_instance_id: Option<InstanceId>,
    /// What went wrong for this member.
    pub error: ErrorCode,
}

/// Partitions and what went wrong for each, in the order of the request.
pub type PartitionErrors = Vec<(i32, ErrorCode)>;

/// One topic in the answer to an OffsetCommit call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTopic {
    /// As in the request.
    pub topic: Arc<str>,
    /// As in the request.
    pub topic_id: Uuid,
    /// Each partition and what went wrong there.
    pub partitions: PartitionErrors,
}

/// One topic in the answer to an OffsetFetch call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic's name.
    pub topic: Arc<str>,
    /// As in the request; nil when all topics were asked for.
    pub topic_id: Uuid,
    /// The offsets.
    pub partitions: Vec<FetchedPartition>,
}

/// One offset in the answer to an OffsetFetch call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// The partition.
    pub partition: i32,
    /// The committed offset, or -1 when there is none.
    pub offset: i64,
    /// The leader epoch that was committed with it (v5+), or -1.
    pub leader_epoch: i32,
    /// The metadata that was committed with it.
    pub metadata: Arc<str>,
    /// What went wrong for this partition.
    pub error: ErrorCode,
}

/// The answer to an OffsetDelete call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedOffsets {
    /// What is wrong with the whole call; then there are no topics.
    pub error: ErrorCode,
    /// The partitions of the request and what went wrong there, by topic.
    pub topics: Vec<(Arc<str>, PartitionErrors)>,
}

/// A group in the answer to a DescribeGroups call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// What went wrong.
    pub error: ErrorCode,
    /// Says more about the error (v6+).
    pub error_message: Option<String>,
    /// The group.
    pub group_id: GroupId,
    /// Its state; [`GroupState::Dead`] for a group that does not exist.
    pub state: GroupState,
    /// Its protocol type, or empty.
    pub protocol_type: Arc<str>,
    /// The chosen protocol of a stable group, else empty.
    pub protocol: Arc<str>,
    /// Its members, ordered by member id.
    pub members: Vec<DescribedMember>,
}

/// A member in the answer to a DescribeGroups call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: MemberId,
    /// Set for a static member (v4+).
    pub group_instance_id: Option<InstanceId>,
    /// The client id it joined with.
    pub client_id: Arc<str>,
    /// The address it joined from.
    pub client_host: Arc<str>,
    /// Its metadata for the chosen protocol; empty while the group is not stable.
    pub metadata: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

/// A group in the answer to a ListGroups call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group_id: GroupId,
    /// Its protocol type, or empty.
    pub protocol_type: Arc<str>,
    /// Its state (v4+).
    pub state: GroupState,
    /// Its type (v5+).
    pub group_type: GroupType,
}
