//! The group coordinator: classic consumer groups and committed offsets.
//!
//! One [`GroupMachine`] per partition of `__consumer_offsets`; [`partition_for`] says which one a
//! group belongs to. The machine behaves like Apache Kafka's coordinator and writes its records,
//! so Kafka's tools can read its log and its log can come from Kafka. Deliberate differences, all
//! of them towards fewer surprises:
//!
//! - A refused JoinGroup does not create a group, and a group that has only been joined is not
//!   written; Kafka writes an empty one, because its state lives in a log-backed map.
//! - A call that is parked twice (a client gave up its connection and tries again) and a parked
//!   SyncGroup of a member that leaves are answered; Kafka forgets them.
//! - JoinGroup and SyncGroup calls that are answered with the state of the current generation renew
//!   the member's session, as they did in Kafka's first coordinator: whoever talks is alive.
//! - A static member that comes back replaces client id and host, too (KAFKA-8500).
//! - The sweep for expired offsets spares a group in which somebody is between the two JoinGroup
//!   calls of the member-id handshake.

mod admin;
mod classic;
pub mod command;
mod config;
mod event;
mod offsets;
mod records;
mod reply;
mod router;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use classic::{Group, GroupState, GroupType, Member, propose_member_id};
pub use command::Command;
pub use config::GroupConfig;
pub use event::{Event, OffsetKey, Timer};
pub use offsets::CommittedOffset;
pub use reply::{
    CommittedTopic, DeletedOffsets, DescribedGroup, DescribedMember, FetchedPartition,
    FetchedTopic, Joined, JoinedMember, Left, LeftMember, ListedGroup, PartitionErrors, Reply,
    Synced,
};

pub use router::GroupRouter;
pub use tidemark_protocol::ErrorCode;

use super::{Decision, KeyValue, Machine, MalformedRecord, ReplyToken, TimerChange};
use crate::types::{Now, Offset};
use command::GroupId;
use offsets::Offsets;

/// What a group machine decides.
type GroupDecision = Decision<GroupMachine>;

/// The groups and offsets of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupMachine {
    config: GroupConfig,
    groups: BTreeMap<GroupId, Arc<Group>>,
    offsets: Offsets,
}

impl GroupMachine {
    /// A machine without groups; the log fills it.
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
        }
    }

    /// Its groups, ordered by id: for metrics and tests.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values().map(AsRef::as_ref)
    }

    fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id).map(AsRef::as_ref)
    }

    fn config(&self) -> &GroupConfig {
        &self.config
    }
}

impl Machine for GroupMachine {
    type Command = Command;
    type Reply = Reply;
    type Event = Event;
    type Timer = Timer;

    fn decide(&self, now: Now, command: Command, token: ReplyToken) -> Decision<Self> {
        match &command {
            Command::Join(request) => classic::join(self, now, request, token),
            Command::Sync(request) => classic::sync(self, now, request, token),
            Command::Heartbeat(request) => classic::heartbeat(self, now, request, token),
            Command::Leave(request) => classic::leave(self, now, request, token),
            Command::CommitOffsets(request) => offsets::commit(self, now, request, token),
            Command::FetchOffsets(request) => offsets::fetch(self, request, token),
            Command::DeleteOffsets(request) => offsets::delete(self, request, token),
            Command::Describe(request) => admin::describe(self, request, token),
            Command::List(request) => admin::list(self, request, token),
            Command::DeleteGroup { group_id } => admin::delete_group(self, group_id, token),
            Command::ForgetTopics { topics } => offsets::forget_topics(self, topics, token),
        }
    }

    fn on_timer(&self, now: Now, timer: Timer) -> Decision<Self> {
        match timer {
            Timer::Session {
                group_id,
                member_id,
            } => classic::on_session_timer(self, now, &group_id, &member_id),
            Timer::Join { group_id } => classic::on_join_timer(self, now, &group_id),
            Timer::Sync { group_id } => classic::on_sync_timer(self, now, &group_id),
            Timer::Expiry => offsets::on_expiry_timer(self, now),
        }
    }

    fn on_loaded(&self, now: Now) -> Decision<Self> {
        let mut decision = Decision::default();
        for group in self
            .groups()
            .filter(|group| group.members().next().is_some())
        {
            let loaded = classic::on_loaded(self, now, group);
            decision.events.extend(loaded.events);
            decision.answers.extend(loaded.answers);
            decision.timers.extend(loaded.timers);
        }
        let deadline = now
            .monotonic
            .plus_ms(self.config.offsets_retention_check_interval_ms);
        decision.timers.push(TimerChange {
            timer: Timer::Expiry,
            deadline: Some(deadline),
        });
        decision
    }

    fn apply(&mut self, _offset: Offset, event: Event) {
        match event {
            Event::GroupChanged { group, .. } => {
                if let Some(from) = group.previous_state {
                    let legal = group.state.legal_predecessors();
                    assert!(
                        legal.contains(&from),
                        "a group went from {from} to {}",
                        group.state
                    );
                }
                self.groups.insert(group.group_id.clone(), group);
            }
            Event::GroupRemoved { group_id } => {
                self.groups.remove(&group_id);
            }
            Event::OffsetCommitted { key, value } => {
                // A consumer that only stores offsets here makes a group by doing so.
                let group_id = key.group_id.clone();
                let new = || Arc::new(Group::new(group_id.clone()));
                self.groups.entry(group_id.clone()).or_insert_with(new);
                self.offsets.put(key, value);
            }
            Event::OffsetRemoved { key } => self.offsets.remove(&key),
        }
    }

    fn encode(&self, event: &Event) -> Option<KeyValue> {
        records::encode(event)
    }

    fn decode(&self, record: &KeyValue) -> Result<Option<Event>, MalformedRecord> {
        records::decode(record)
    }
}

/// The partition of `__consumer_offsets` that `group_id` lives in, of `partitions` (at least 1):
/// Java's `String.hashCode`, made positive the way Kafka does, modulo the number of partitions.
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    let hash = group_id.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // The absolute value of the smallest number does not fit; Kafka takes 0 for it.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}
