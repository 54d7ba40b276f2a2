//! Classic groups: the members agree among themselves, the coordinator keeps the order of steps.

mod draft;
mod join;
mod leave;
mod member;
mod protocols;
mod rebalance;
mod session;
mod state;
mod subscription;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use member::Member;
pub use state::{GroupState, GroupType};

pub use join::propose_member_id;

pub(super) use join::join;
pub(super) use leave::leave;
pub(super) use protocols::ProtocolCounts;
pub(super) use rebalance::{on_join_timer, on_loaded};
pub(super) use session::{heartbeat, on_session_timer, renewed_session};
pub(super) use sync::{on_sync_timer, sync};

use super::command::{GroupId, InstanceId, JoinGroup, MemberId};
use super::reply::JoinedMember;
use crate::types::Timestamp;
use tidemark_protocol::ErrorCode;

/// The protocol type of the consumer's own groups; the coordinator can read their subscriptions.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// A classic group.
///
/// Maps are ordered, so that everything the group does is a function of its contents: the same
/// calls lead to the same leader and the same answers on every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub group_id: GroupId,
    pub(super) state: GroupState,
    /// The state before; `None` for a group that is new or comes from the log.
    pub(super) previous_state: Option<GroupState>,
    /// When it came into its state; `None` when records do not tell.
    pub(super) state_since: Option<Timestamp>,
    /// `None` as long as it only holds offsets.
    pub(super) protocol_type: Option<Arc<str>>,
    /// The protocol chosen by the last completed join phase.
    pub(super) protocol_name: Option<Arc<str>>,
    pub(super) generation: i32,
    pub(super) leader: Option<MemberId>,
    /// Who comes and goes by [`Group::insert_member`] and [`Group::remove_member`].
    pub(super) members: BTreeMap<MemberId, Arc<Member>>,
    /// How many of the members support each protocol.
    pub(super) protocol_counts: ProtocolCounts,
    /// Which member holds an instance id.
    pub(super) static_members: BTreeMap<InstanceId, MemberId>,
    /// Ids given out to members that have not joined with them yet.
    pub(super) pending_join: BTreeSet<MemberId>,
    /// Members that have joined this generation and not asked for their assignment yet.
    pub(super) pending_sync: BTreeSet<MemberId>,
    /// The topics that the members of the last generation subscribed to; `None` when that cannot
    /// be known.
    pub(super) subscribed_topics: Option<Arc<BTreeSet<String>>>,
    /// Set while the first rebalance of an empty group waits for more members.
    pub(super) initial_delay: Option<InitialDelay>,
}

/// How the first rebalance of an empty group waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// The length of the wait that is under way.
    pub(super) delay_ms: i32,
    /// What may be added to it.
    pub(super) remaining_ms: i32,
    /// Whether somebody joined during this wait, which calls for another one.
    pub(super) member_added: bool,
}

impl Group {
    /// A group without members, protocol and history.
    pub(super) fn new(group_id: GroupId) -> Self {
        Self {
            group_id,
            state: GroupState::Empty,
            previous_state: None,
            state_since: None,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            protocol_counts: ProtocolCounts::default(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
            initial_delay: None,
        }
    }

    /// Its state.
    pub fn state(&self) -> GroupState {
        self.state
    }

    /// Its generation: counts completed join phases.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// Its members, ordered by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(AsRef::as_ref)
    }

    /// Whether `member_id` leads it.
    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Whether its members speak the consumer protocol.
    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether its members consume `topic`. When their subscriptions cannot be read, a consumer
    /// group is taken to consume everything and any other group nothing.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Whether a member of this type with these protocols can take part.
    pub(super) fn supports<'a>(
        &self,
        protocol_type: &str,
        mut protocols: impl Iterator<Item = &'a str>,
    ) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && protocols.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.any(|name| self.all_support(name))
    }

    /// Whether every member supports a protocol.
    fn all_support(&self, protocol: &str) -> bool {
        self.protocol_counts.of(protocol) == self.members.len()
    }

    /// Puts a member in its place, and returns who was there before.
    pub(super) fn insert_member(&mut self, member: Member) -> Option<Arc<Member>> {
        self.protocol_counts.add(&member);
        let before = self
            .members
            .insert(member.member_id.clone(), Arc::new(member));
        if let Some(before) = &before {
            self.protocol_counts.remove(before);
        }
        before
    }

    /// Takes a member out.
    pub(super) fn remove_member(&mut self, member_id: &str) -> Option<Arc<Member>> {
        let member = self.members.remove(member_id)?;
        self.protocol_counts.remove(&member);
        Some(member)
    }

    /// Has a member take over what it brings when it rejoins.
    pub(super) fn update_member(&mut self, member_id: &str, request: &JoinGroup) {
        if let Some(member) = self.members.get_mut(member_id) {
            self.protocol_counts.remove(member);
            Arc::make_mut(member).update(request);
            self.protocol_counts.add(member);
        }
    }

    /// Checks that `member_id` is a member and, for a static member, still the one that holds its
    /// instance id.
    pub(super) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<&Arc<Member>, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let holder = self
                .static_members
                .get(instance_id)
                .ok_or(ErrorCode::UnknownMemberId)?;
            if holder.as_ref() != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        self.members
            .get(member_id)
            .ok_or(ErrorCode::UnknownMemberId)
    }

    /// How many members wait in a parked JoinGroup call.
    pub(super) fn awaiting_join(&self) -> usize {
        self.members()
            .filter(|member| member.join.is_some())
            .count()
    }

    /// Whether nobody is missing in the join phase.
    pub(super) fn has_all_joined(&self) -> bool {
        self.pending_join.is_empty() && self.members().all(|member| member.join.is_some())
    }

    /// The longest rebalance timeout of its members, in milliseconds.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
            .max(0)
    }

    /// The protocol that most members would choose among those that all support; of several with
    /// equal votes the first by name.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members() {
            let choice = member
                .protocols
                .iter()
                .map(|(name, _)| name)
                .find(|name| self.all_support(name))?;
            *votes.entry(choice).or_default() += 1;
        }
        let best = votes.iter().rev().max_by_key(|(_, count)| **count)?;
        Some((*best.0).clone())
    }

    /// All members as the leader gets to see them.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref();
        let joined = |member: &Member| JoinedMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members().map(joined).collect()
    }

    /// Reads the members' subscriptions for the chosen protocol.
    pub(super) fn refresh_subscribed_topics(&mut self) {
        self.subscribed_topics = subscription::topics_of(self).map(Arc::new);
    }
}
