//! Heartbeats and the sessions they keep alive.

use super::super::command::Heartbeat;
use super::super::event::Timer;
use super::super::reply::Reply;
use super::super::{GroupDecision, GroupMachine};
use super::draft::Draft;
use super::{Group, GroupState, Member};
use crate::coordinator::{Decision, ReplyToken, TimerChange};
use crate::types::Now;
use tidemark_protocol::ErrorCode;

/// Decides a Heartbeat call. It moves a timer and changes nothing else.
pub(in super::super) fn heartbeat(
    machine: &GroupMachine,
    now: Now,
    request: &Heartbeat,
    token: ReplyToken,
) -> GroupDecision {
    let (error, member) = match validate(machine, request) {
        Ok((group, member)) if group.state == GroupState::PreparingRebalance => {
            (ErrorCode::RebalanceInProgress, Some((group, member)))
        }
        // Clients send heartbeats as soon as they have joined, before they have synced.
        Ok(alive) => (ErrorCode::None, Some(alive)),
        Err(error) => (error, None),
    };
    let mut decision = Decision::reply_now(token, Reply::Heartbeat(error));
    decision
        .timers
        .extend(member.map(|(group, member)| renewed_session(now, group, member)));
    decision
}

/// A member has been silent for too long, or a pending member has not come back.
pub(in super::super) fn on_session_timer(
    machine: &GroupMachine,
    now: Now,
    group_id: &str,
    member_id: &str,
) -> GroupDecision {
    let Some(group) = machine.group(group_id) else {
        return Decision::default();
    };
    let expired = match group.members.get(member_id) {
        Some(member) => !member.is_alive_by_waiting(),
        None => group.pending_join.contains(member_id),
    };
    if !expired {
        return Decision::default();
    }
    let mut draft = Draft::new(machine.config(), now, group.clone());
    let was_member = group.members.contains_key(member_id);
    draft.dismiss(member_id);
    match group.state {
        GroupState::Stable | GroupState::CompletingRebalance if was_member => {
            draft.prepare_rebalance();
        }
        GroupState::PreparingRebalance if draft.group.has_all_joined() => {
            draft.complete_join_phase();
        }
        _ => {}
    }
    draft.finish()
}

/// The timer change that gives a member its whole session timeout again.
pub(in super::super) fn renewed_session(
    now: Now,
    group: &Group,
    member: &Member,
) -> TimerChange<Timer> {
    let timer = Timer::Session {
        group_id: group.group_id.clone(),
        member_id: member.member_id.clone(),
    };
    let deadline = Some(now.monotonic.plus_ms(i64::from(member.session_timeout_ms)));
    TimerChange { timer, deadline }
}

fn validate<'a>(
    machine: &'a GroupMachine,
    request: &Heartbeat,
) -> Result<(&'a Group, &'a Member), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group = machine
        .group(&request.group_id)
        .ok_or(ErrorCode::UnknownMemberId)?;
    let instance_id = request.group_instance_id.as_deref();
    let member = group.validate_member(&request.member_id, instance_id)?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    Ok((group, member))
}

impl Draft<'_> {
    /// Removes a member, pending ones included. Should it still wait for something, it learns
    /// that it is out; a client that lives joins anew.
    pub(super) fn dismiss(&mut self, member_id: &str) {
        self.refuse_join(member_id, "".into(), ErrorCode::UnknownMemberId);
        self.refuse_sync(member_id, ErrorCode::UnknownMemberId);
        self.remove_member(member_id);
    }
}
