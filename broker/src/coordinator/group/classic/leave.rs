//! LeaveGroup: members go, or an administrator removes them (Kafka's `classicGroupLeave`).

use super::super::command::{LeaveGroup, LeavingMember, MemberId};
use super::super::reply::{Left, LeftMember, Reply};
use super::super::{GroupDecision, GroupMachine};
use super::draft::Draft;
use super::{Group, GroupState};
use crate::coordinator::{Decision, ReplyToken, When};
use crate::types::Now;
use tidemark_protocol::ErrorCode;

/// Decides a LeaveGroup call.
pub(in super::super) fn leave(
    machine: &GroupMachine,
    now: Now,
    request: &LeaveGroup,
    token: ReplyToken,
) -> GroupDecision {
    if request.group_id.is_empty() {
        let left = Left {
            error: ErrorCode::InvalidGroupId,
            members: Vec::new(),
        };
        return Decision::reply_now(token, Reply::Leave(left));
    }
    let Some(group) = machine.group(&request.group_id) else {
        let unknown = |member| left_member(member, ErrorCode::UnknownMemberId);
        let members = request.members.iter().map(unknown).collect();
        let left = Left {
            error: ErrorCode::None,
            members,
        };
        return Decision::reply_now(token, Reply::Leave(left));
    };
    let mut draft = Draft::new(machine.config(), now, group.clone());
    let members: Vec<_> = request
        .members
        .iter()
        .map(|member| draft.let_go(member))
        .collect();
    let anybody = members.iter().any(|member| member.error == ErrorCode::None);
    let reply = Reply::Leave(Left {
        error: ErrorCode::None,
        members,
    });
    if !anybody {
        return Decision::reply_now(token, reply);
    }
    draft.answer(token, When::AfterDurable, reply);
    match draft.group.state {
        GroupState::Stable | GroupState::CompletingRebalance => draft.prepare_rebalance(),
        GroupState::PreparingRebalance => draft.maybe_complete_join_phase(),
        GroupState::Empty | GroupState::Dead => {}
    }
    draft.finish()
}

impl Draft<'_> {
    /// Removes one member and says how that went.
    fn let_go(&mut self, leaving: &LeavingMember) -> LeftMember {
        match find(&self.group, leaving) {
            Ok(member_id) => {
                self.dismiss(&member_id);
                left_member(leaving, ErrorCode::None)
            }
            Err(error) => left_member(leaving, error),
        }
    }
}

/// Who is meant: the holder of an instance id, a pending member or a member.
fn find(group: &Group, leaving: &LeavingMember) -> Result<MemberId, ErrorCode> {
    let instance_id = leaving.group_instance_id.as_deref();
    if leaving.member_id.is_empty() {
        let holder = instance_id.and_then(|instance_id| group.static_members.get(instance_id));
        return holder.cloned().ok_or(ErrorCode::UnknownMemberId);
    }
    if !group.pending_join.contains(&leaving.member_id) {
        group.validate_member(&leaving.member_id, instance_id)?;
    }
    Ok(leaving.member_id.clone())
}

fn left_member(leaving: &LeavingMember, error: ErrorCode) -> LeftMember {
    LeftMember {
        member_id: leaving.member_id.clone(),
        group_instance_id: leaving.group_instance_id.clone(),
        error,
    }
}
