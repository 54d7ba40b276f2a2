//! JoinGroup: a member enters the join phase (Kafka's `classicGroupJoin`).

use std::sync::Arc;

use super::super::command::{JoinGroup, MemberId};
use super::super::config::{
    GroupConfig, MAX_PENDING_MEMBERS, MAX_PROTOCOLS, NEW_MEMBER_JOIN_TIMEOUT_MS,
};
use super::super::records::MAX_STRING_BYTES;
use super::super::reply::{Joined, Reply};
use super::super::{GroupDecision, GroupMachine};
use super::draft::Draft;
use super::session::renewed_session;
use super::{Group, GroupState, Member};
use crate::coordinator::{Decision, ReplyToken, When};
use crate::types::Now;
use tidemark_protocol::ErrorCode;

/// Decides a JoinGroup call.
pub(in super::super) fn join(
    machine: &GroupMachine,
    now: Now,
    request: &JoinGroup,
    token: ReplyToken,
) -> GroupDecision {
    let refuse = |member_id: &MemberId, error| {
        Decision::reply_now(token, Joined::refused(member_id.clone(), error))
    };
    if let Some(error) = refusal(machine.config(), request) {
        return refuse(&request.member_id, error);
    }
    let unknown = request.member_id.is_empty();
    let group = match machine.group(&request.group_id) {
        Some(group) => group.clone(),
        None if unknown => Group::new(request.group_id.clone()),
        None => return refuse(&request.member_id, ErrorCode::UnknownMemberId),
    };
    if !has_room(&group, &request.member_id, machine.config().max_size) {
        return turn_away(machine, now, group, request, token);
    }
    if !group.supports(
        &request.protocol_type,
        request.protocols.iter().map(|(name, _)| &**name),
    ) {
        return refuse(&request.member_id, ErrorCode::InconsistentGroupProtocol);
    }
    if unknown {
        join_new(Draft::new(machine.config(), now, group), request, token)
    } else {
        join_known(Draft::new(machine.config(), now, group), request, token)
    }
}

/// What is wrong with the request, whatever the group.
fn refusal(config: &GroupConfig, request: &JoinGroup) -> Option<ErrorCode> {
    let sessions = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    if request.group_id.is_empty() {
        return Some(ErrorCode::InvalidGroupId);
    }
    if !sessions.contains(&request.session_timeout_ms) {
        return Some(ErrorCode::InvalidSessionTimeout);
    }
    if request.protocols.len() > MAX_PROTOCOLS {
        return Some(ErrorCode::InvalidRequest);
    }
    // The group is going to be written with 16-bit string lengths.
    let mut strings = [
        &request.group_id,
        &request.generated_member_id,
        &request.client_id,
        &request.client_host,
        &request.protocol_type,
    ]
    .into_iter()
    .chain(request.group_instance_id.as_ref())
    .chain(request.protocols.iter().map(|(name, _)| name));
    strings
        .any(|string| string.len() > MAX_STRING_BYTES)
        .then_some(ErrorCode::InvalidRequest)
}

/// Whether the group may take the caller in. During the join phase those who wait are counted, so
/// that a group that is too large for a lowered limit loses the last to rejoin.
fn has_room(group: &Group, member_id: &str, max_size: usize) -> bool {
    let member = group.members.get(member_id);
    match group.state {
        GroupState::Empty | GroupState::Dead => true,
        GroupState::PreparingRebalance => {
            member.is_some_and(|member| member.join.is_some()) || group.awaiting_join() < max_size
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            member.is_some() || group.members.len() < max_size
        }
    }
}

/// The group is full: the caller is told so, and forgotten if the group knew it.
fn turn_away(
    machine: &GroupMachine,
    now: Now,
    group: Group,
    request: &JoinGroup,
    token: ReplyToken,
) -> GroupDecision {
    let reply = Joined::refused("".into(), ErrorCode::GroupMaxSizeReached);
    let known = group.members.contains_key(&request.member_id)
        || group.pending_join.contains(&request.member_id);
    if !known {
        return Decision::reply_now(token, reply);
    }
    let mut draft = Draft::new(machine.config(), now, group);
    draft.remove_member(&request.member_id);
    draft.answer(token, When::Now, reply);
    draft.finish()
}

/// The caller has no member id yet.
fn join_new(mut draft: Draft<'_>, request: &JoinGroup, token: ReplyToken) -> GroupDecision {
    let new_id = &request.generated_member_id;
    let holder = request
        .group_instance_id
        .as_ref()
        .and_then(|instance_id| draft.group.static_members.get(instance_id).cloned());
    if let Some(old_id) = holder {
        draft.replace_static_member(&old_id, request, token);
    } else if request.group_instance_id.is_some() || !request.require_known_member_id {
        draft.add_member(new_id.clone(), request, token);
    } else if draft.group.pending_join.len() >= MAX_PENDING_MEMBERS {
        let error = ErrorCode::CoordinatorLoadInProgress;
        return Decision::reply_now(token, Joined::refused("".into(), error));
    } else {
        draft.group.pending_join.insert(new_id.clone());
        draft.set_session(new_id, i64::from(request.session_timeout_ms));
        let error = ErrorCode::MemberIdRequired;
        draft.answer(token, When::Now, Joined::refused(new_id.clone(), error));
    }
    draft.finish()
}

/// The caller names its member id.
fn join_known(mut draft: Draft<'_>, request: &JoinGroup, token: ReplyToken) -> GroupDecision {
    let member_id = &request.member_id;
    let refuse =
        |error| Decision::reply_now(token, Joined::refused(request.member_id.clone(), error));
    if draft.group.pending_join.contains(member_id) {
        if request.group_instance_id.is_some() {
            // Ids are only given out ahead to dynamic members; Apache Kafka trips over this, too.
            return refuse(ErrorCode::UnknownServerError);
        }
        draft.add_member(member_id.clone(), request, token);
        return draft.finish();
    }
    let instance_id = request.group_instance_id.as_deref();
    let member = match draft.group.validate_member(member_id, instance_id) {
        Ok(member) => member,
        Err(error) => return refuse(error),
    };
    let unchanged = member.protocols == request.protocols;
    let already_joined = match draft.group.state {
        // It may have missed the answer to its first call.
        GroupState::CompletingRebalance => unchanged,
        // A leader rejoins when it wants a rebalance, for example because a topic has grown.
        GroupState::Stable => unchanged && !draft.group.is_leader(member_id),
        GroupState::PreparingRebalance => false,
        GroupState::Empty | GroupState::Dead => return refuse(ErrorCode::UnknownMemberId),
    };
    if already_joined {
        let mut decision = Decision::reply_durable(token, Reply::Join(draft.joined(member_id)));
        decision
            .timers
            .push(renewed_session(draft.now, &draft.group, member));
        return decision;
    }
    draft.update_member(member_id, request, token);
    draft.rebalance_or_complete_join();
    draft.finish()
}

impl Draft<'_> {
    /// Adds a member whose call is parked, and rebalances.
    fn add_member(&mut self, member_id: MemberId, request: &JoinGroup, token: ReplyToken) {
        if let Some(wait) = &mut self.group.initial_delay {
            wait.member_added = true;
        }
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(request.protocol_type.clone());
        }
        let mut member = Member::from_request(member_id.clone(), request);
        member.is_new = true;
        member.join = Some(token);
        self.insert_member(member);
        self.set_session(&member_id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance_or_complete_join();
    }

    /// Parks a member's call and takes over what it brings. A call of the same member that was
    /// parked before comes from a connection that the client has given up; it is told to try
    /// again, so that nobody waits for ever.
    fn update_member(&mut self, member_id: &MemberId, request: &JoinGroup, token: ReplyToken) {
        self.refuse_join(member_id, member_id.clone(), ErrorCode::RebalanceInProgress);
        self.group.update_member(member_id, request);
        if let Some(member) = self.member_mut(member_id) {
            member.join = Some(token);
        }
    }

    /// A static member is back under a new id. Whoever still holds the old id is fenced. A stable
    /// group stays stable if the chosen protocol does; while the leader assigns, the group has to
    /// rebalance, because the leader would assign to the old id (KAFKA-9801).
    fn replace_static_member(&mut self, old_id: &MemberId, request: &JoinGroup, token: ReplyToken) {
        let old_leader = self.group.leader.clone();
        self.refuse_join(old_id, old_id.clone(), ErrorCode::FencedInstanceId);
        self.refuse_sync(old_id, ErrorCode::FencedInstanceId);
        self.swap_member_id(old_id, request, token);
        match self.group.state {
            GroupState::Stable if self.group.select_protocol() == self.group.protocol_name => {
                self.confirm_replacement(request, old_leader);
            }
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(),
            _ => self.maybe_complete_join_phase(),
        }
    }

    fn swap_member_id(&mut self, old_id: &MemberId, request: &JoinGroup, token: ReplyToken) {
        let new_id = request.generated_member_id.clone();
        let was_leader = self.group.is_leader(old_id);
        let Some(old) = self.group.members.get(old_id).cloned() else {
            return;
        };
        self.remove_member(old_id);
        // Client id and host follow the new incarnation (KAFKA-8500), the assignment stays.
        let mut member = Member::from_request(new_id.clone(), request);
        member.assignment = old.assignment.clone();
        member.join = Some(token);
        self.insert_member(member);
        if was_leader {
            self.group.leader = Some(new_id.clone());
        }
        self.restart_session(&new_id);
    }

    /// Answers a static member that has taken its old place in a stable group. A client that
    /// cannot be told to skip the assignment is told of the old leader, so that it does not take
    /// itself for one and compute an assignment that nobody awaits.
    fn confirm_replacement(&mut self, request: &JoinGroup, old_leader: Option<MemberId>) {
        let member_id = &request.generated_member_id;
        self.group.refresh_subscribed_topics();
        self.persist();
        let token = self
            .member_mut(member_id)
            .and_then(|member| member.join.take());
        let mut joined = self.joined(member_id);
        if request.supports_skipping_assignment {
            joined.skip_assignment = self.group.is_leader(member_id);
        } else {
            joined.leader = old_leader.unwrap_or_default();
            joined.members = Vec::new();
        }
        if let Some(token) = token {
            self.answer(token, When::AfterDurable, Reply::Join(joined));
        }
    }
}

/// The member id that a handler proposes for a new member: the instance id of a static member or
/// else the client id, a dash and a random UUID, as Kafka forms it.
pub fn propose_member_id(
    client_id: &str,
    group_instance_id: Option<&str>,
    random: uuid::Uuid,
) -> MemberId {
    Arc::from(format!(
        "{}-{random}",
        group_instance_id.unwrap_or(client_id)
    ))
}
