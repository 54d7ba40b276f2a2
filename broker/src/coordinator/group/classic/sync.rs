//! SyncGroup: the leader hands in the assignment, everybody gets their part (Kafka's
//! `classicGroupSync`).

use std::collections::HashMap;

use bytes::Bytes;

use super::super::command::{MemberId, SyncGroup};
use super::super::reply::{Reply, Synced};
use super::super::{GroupDecision, GroupMachine};
use super::draft::Draft;
use super::{Group, GroupState};
use crate::coordinator::{Decision, ReplyToken, When};
use crate::types::Now;
use tidemark_protocol::ErrorCode;

/// Decides a SyncGroup call.
pub(in super::super) fn sync(
    machine: &GroupMachine,
    now: Now,
    request: &SyncGroup,
    token: ReplyToken,
) -> GroupDecision {
    let group = match validate(machine, request) {
        Ok(group) => group,
        Err(error) => return Decision::reply_now(token, Synced::refused(error)),
    };
    let member_id = &request.member_id;
    let mut draft = Draft::new(machine.config(), now, group.clone());
    draft.heard_sync_from(member_id);
    if group.state == GroupState::Stable {
        let reply = draft.synced(member_id);
        draft.restart_session(member_id);
        draft.answer(token, When::AfterDurable, reply);
        let unchanged = !group.pending_sync.contains(member_id);
        return if unchanged {
            draft.finish_unchanged()
        } else {
            draft.finish()
        };
    }
    draft.park_sync(member_id, token);
    if group.is_leader(member_id) {
        draft.assign(&request.assignments);
    }
    draft.finish()
}

/// Members that have not asked for their assignment in time are out.
pub(in super::super) fn on_sync_timer(
    machine: &GroupMachine,
    now: Now,
    group_id: &str,
) -> GroupDecision {
    let Some(group) = machine.group(group_id) else {
        return Decision::default();
    };
    let phase = matches!(
        group.state,
        GroupState::CompletingRebalance | GroupState::Stable
    );
    if !phase || group.pending_sync.is_empty() {
        return Decision::default();
    }
    let mut draft = Draft::new(machine.config(), now, group.clone());
    for member_id in &group.pending_sync {
        draft.remove_member(member_id);
    }
    draft.prepare_rebalance();
    draft.finish()
}

/// The group, if the caller is a member that may sync now.
fn validate<'a>(machine: &'a GroupMachine, request: &SyncGroup) -> Result<&'a Group, ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group = machine
        .group(&request.group_id)
        .ok_or(ErrorCode::UnknownMemberId)?;
    if group.state == GroupState::Empty {
        return Err(ErrorCode::UnknownMemberId);
    }
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs = |asked: Option<&str>, is: Option<&str>| {
        asked.is_some_and(|asked| is.is_some_and(|is| asked != is))
    };
    if differs(
        request.protocol_type.as_deref(),
        group.protocol_type.as_deref(),
    ) || differs(
        request.protocol_name.as_deref(),
        group.protocol_name.as_deref(),
    ) {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    if group.state == GroupState::PreparingRebalance {
        return Err(ErrorCode::RebalanceInProgress);
    }
    Ok(group)
}

impl Draft<'_> {
    /// What a member of a stable group is told.
    fn synced(&self, member_id: &str) -> Reply {
        let assignment = self
            .group
            .members
            .get(member_id)
            .map(|member| member.assignment.clone());
        Reply::Sync(Synced {
            error: ErrorCode::None,
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol_name.clone(),
            assignment: assignment.unwrap_or_default(),
        })
    }

    /// The sync phase is over for a member; when it was the last one, nobody is waited for.
    fn heard_sync_from(&mut self, member_id: &MemberId) {
        self.group.pending_sync.remove(member_id);
        if self.group.pending_sync.is_empty() {
            self.stop_timer(self.sync_timer());
        }
    }

    /// Parks a call. One of the same member that was parked before is sent away; its connection
    /// has been given up.
    fn park_sync(&mut self, member_id: &MemberId, token: ReplyToken) {
        self.refuse_sync(member_id, ErrorCode::RebalanceInProgress);
        if let Some(member) = self.member_mut(member_id) {
            member.sync = Some(token);
        }
    }

    /// The leader has spoken: gives everybody their part, members that it left out an empty one,
    /// and answers all parked calls once that is written.
    fn assign(&mut self, assignments: &[(MemberId, Bytes)]) {
        let parts: HashMap<&str, &Bytes> = assignments
            .iter()
            .map(|(member_id, part)| (&**member_id, part))
            .collect();
        self.transition_to(GroupState::Stable);
        self.persist();
        for member_id in self.member_ids() {
            let Some(member) = self.member_mut(&member_id) else {
                continue;
            };
            // A copy, because a slice would keep the whole request in memory.
            let part = parts.get(&*member_id).map_or(&[][..], |part| part);
            member.assignment = Bytes::copy_from_slice(part);
            if let Some(token) = member.sync.take() {
                let reply = self.synced(&member_id);
                self.answer(token, When::AfterDurable, reply);
                // Its session may have ended unnoticed while the call was parked.
                self.restart_session(&member_id);
            }
        }
    }
}
