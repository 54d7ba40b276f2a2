//! What callers ask of the group coordinator, free of wire versions.
//!
//! A handler turns each group of a request into one command for the machine of that group's
//! partition. Where the answer depends on the request's version, the command says so in a flag
//! whose doc comment names the version.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{GroupState, GroupType};

/// Names a group.
pub type GroupId = Arc<str>;
/// Names a member of a group; the empty string stands for "none yet".
pub type MemberId = Arc<str>;
/// Names a static member across its restarts (`group.instance.id`, KIP-345).
pub type InstanceId = Arc<str>;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// JoinGroup; may stay parked until the group's members have joined.
    Join(JoinGroup),
    /// SyncGroup; may stay parked until the leader has sent the assignment.
    Sync(SyncGroup),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(LeaveGroup),
    /// OffsetCommit.
    CommitOffsets(CommitOffsets),
    /// OffsetFetch, for one group.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// DescribeGroups, for one group.
    Describe(DescribeGroup),
    /// ListGroups, for the groups of this partition.
    List(ListGroups),
    /// DeleteGroups, for one group.
    DeleteGroup {
        /// The group to delete.
        group_id: GroupId,
    },
    /// Topics are gone; the offsets committed for them go too.
    ForgetTopics {
        /// Names of the deleted topics; there may be thousands, and the command goes to every
        /// machine.
        topics: Arc<[Arc<str>]>,
    },
}

/// A JoinGroup call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group.
    pub group_id: GroupId,
    /// The member's id; empty in its first call.
    pub member_id: MemberId,
    /// Set for a static member (v5+).
    pub group_instance_id: Option<InstanceId>,
    /// The class of protocols, such as `consumer` or `connect`.
    pub protocol_type: Arc<str>,
    /// The protocols that the member supports with its metadata for each, best first.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// Without a heartbeat for so long, the member is out. Milliseconds.
    pub session_timeout_ms: i32,
    /// How long the group waits for this member in a rebalance. Milliseconds; v0 has none and
    /// passes the session timeout.
    pub rebalance_timeout_ms: i32,
    /// The client id from the request header; empty when absent.
    pub client_id: Arc<str>,
    /// The client's address, in Kafka's form `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// Version 4 and later: a dynamic member must come back with the id it was given (KIP-394).
    pub require_known_member_id: bool,
    /// Version 9 and later: the answer can tell a static leader to skip the assignment (KIP-814).
    pub supports_skipping_assignment: bool,
    /// Why the member joins (v8+), for the log.
    pub reason: Option<String>,
    /// The id that a new member gets, made by [`propose_member_id`](super::propose_member_id)
    /// from fresh randomness, because a machine has none. Unused for known members.
    pub generated_member_id: MemberId,
}

/// A SyncGroup call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group_id: GroupId,
    /// The generation that the member has joined.
    pub generation_id: i32,
    /// The member.
    pub member_id: MemberId,
    /// Set for a static member (v3+).
    pub group_instance_id: Option<InstanceId>,
    /// The protocol type that the member believes in (v5+).
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that the member believes in (v5+).
    pub protocol_name: Option<Arc<str>>,
    /// From the leader: each member's assignment.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// A Heartbeat call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The group.
    pub group_id: GroupId,
    /// The member's generation.
    pub generation_id: i32,
    /// The member.
    pub member_id: MemberId,
    /// Set for a static member (v3+).
    pub group_instance_id: Option<InstanceId>,
}

/// A LeaveGroup call. Versions 0 to 2 carry one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group_id: GroupId,
    /// Who leaves, or is removed by an administrator.
    pub members: Vec<LeavingMember>,
}

/// One member of a [`LeaveGroup`] call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// The member; empty when an administrator removes a static member by its instance id.
    pub member_id: MemberId,
    /// The static member's instance id (v3+).
    pub group_instance_id: Option<InstanceId>,
    /// Why (v5+), for the log.
    pub reason: Option<String>,
}

/// An OffsetCommit call. The handler has already refused partitions that do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group; the empty id is allowed.
    pub group_id: GroupId,
    /// The member's generation; -1 from an administrator or a consumer that assigns itself.
    pub generation_id: i32,
    /// The member; empty as above.
    pub member_id: MemberId,
    /// Set for a static member (v7+).
    pub group_instance_id: Option<InstanceId>,
    /// How long to keep the offsets (v2 to v4), in milliseconds; -1 leaves it to the broker.
    pub retention_time_ms: i64,
    /// Version 9 and later: an unknown group is GROUP_ID_NOT_FOUND, not ILLEGAL_GENERATION.
    pub expects_group_id_not_found: bool,
    /// The offsets, by topic.
    pub topics: Vec<CommitTopic>,
}

/// The offsets of one topic in a [`CommitOffsets`] call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's id when it is known, else nil. It is stored with the offset, and a later
    /// incarnation of the topic does not see the offset.
    pub topic_id: Uuid,
    /// The offsets.
    pub partitions: Vec<CommitPartition>,
}

/// One offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    /// The partition.
    pub partition: i32,
    /// The next offset to consume.
    pub offset: i64,
    /// The leader epoch of the last consumed record (v6+), or -1.
    pub leader_epoch: i32,
    /// Whatever the client wants to keep with the offset.
    pub metadata: Option<Arc<str>>,
}

/// An OffsetFetch call for one group. Its `require_stable` waits for open transactions, which do
/// not reach this coordinator, so it has no field here; the member id and epoch of v9 concern
/// KIP-848 groups only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The group; the empty id is allowed.
    pub group_id: GroupId,
    /// What to fetch; `None` for all offsets of the group.
    pub topics: Option<Vec<FetchTopic>>,
}

/// One topic of a [`FetchOffsets`] call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's id (v10+), else nil.
    pub topic_id: Uuid,
    /// The partitions.
    pub partitions: Vec<i32>,
}

/// An OffsetDelete call. The handler has already refused partitions that do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsets {
    /// The group.
    pub group_id: GroupId,
    /// The partitions whose offsets go, by topic.
    pub topics: Vec<(Arc<str>, Vec<i32>)>,
}

/// A DescribeGroups call for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroup {
    /// The group; the empty id is allowed.
    pub group_id: GroupId,
    /// Version 6 and later: an unknown group is an error with a message. Before, it is a group in
    /// state `Dead` without an error.
    pub expects_group_id_not_found: bool,
}

/// A ListGroups call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    /// Only groups in one of these states (v4+); `None` for all.
    pub states: Option<Vec<GroupState>>,
    /// Only groups of one of these types (v5+); `None` for all.
    pub types: Option<Vec<GroupType>>,
}

impl ListGroups {
    /// The filters by name, in any case; no names filter nothing. A name of nothing matches
    /// nothing, so that a filter of any length comes down to a few states and types.
    pub fn named<'a>(
        states: impl Iterator<Item = &'a str>,
        types: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            states: filter(states, GroupState::parse),
            types: filter(types, GroupType::parse),
        }
    }
}

fn filter<'a, T: PartialEq>(
    names: impl Iterator<Item = &'a str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<Vec<T>> {
    let mut names = names.peekable();
    names.peek()?;
    let mut wanted = Vec::new();
    for value in names.filter_map(parse) {
        if !wanted.contains(&value) {
            wanted.push(value);
        }
    }
    Some(wanted)
}
