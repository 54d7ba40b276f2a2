//! Looking at groups and deleting them.

use super::classic::{Group, GroupState, GroupType, Member};
use super::command::{DescribeGroup, GroupId, ListGroups};
use super::event::Event;
use super::offsets;
use super::reply::{DescribedGroup, DescribedMember, ListedGroup, Reply};
use super::{GroupDecision, GroupMachine};
use crate::coordinator::{Answer, Decision, ReplyToken, When};
use tidemark_protocol::ErrorCode;

/// Decides a DescribeGroups call for one group.
pub(super) fn describe(
    machine: &GroupMachine,
    request: &DescribeGroup,
    token: ReplyToken,
) -> GroupDecision {
    let described = match machine.group(&request.group_id) {
        Some(group) => described(group),
        None => missing(request),
    };
    Decision::reply_durable(token, Reply::Describe(described))
}

/// Decides a ListGroups call.
pub(super) fn list(
    machine: &GroupMachine,
    request: &ListGroups,
    token: ReplyToken,
) -> GroupDecision {
    let states = request.states.as_deref();
    let types = request.types.as_deref();
    let wanted = |group: &&Group| {
        states.is_none_or(|states| states.contains(&group.state()))
            && types.is_none_or(|types| types.contains(&GroupType::Classic))
    };
    let listed = |group: &Group| ListedGroup {
        group_id: group.group_id.clone(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        state: group.state(),
        group_type: GroupType::Classic,
    };
    let groups = machine.groups().filter(wanted).map(listed).collect();
    Decision::reply_durable(token, Reply::List(groups))
}

/// Decides a DeleteGroups call for one group: an empty group goes with all its offsets, of which
/// there may be any number. The group itself goes last; if something fails before, the caller is
/// told so and can go on with it.
pub(super) fn delete_group(
    machine: &GroupMachine,
    group_id: &GroupId,
    token: ReplyToken,
) -> GroupDecision {
    let refuse = |error| Decision::reply_now(token, Reply::DeleteGroup(error));
    match machine.group(group_id).map(Group::state) {
        None => refuse(ErrorCode::GroupIdNotFound),
        Some(GroupState::Empty) => {
            let mut decision = Decision {
                in_parts: true,
                ..Decision::default()
            };
            decision
                .events
                .extend(offsets::removals_of_group(machine, group_id));
            decision.events.push(Event::GroupRemoved {
                group_id: group_id.clone(),
            });
            let reply = Reply::DeleteGroup(ErrorCode::None);
            decision.answers.push(Answer {
                token,
                when: When::AfterDurable,
                reply,
            });
            decision
        }
        Some(_) => refuse(ErrorCode::NonEmptyGroup),
    }
}

fn described(group: &Group) -> DescribedGroup {
    // Before the group is stable, its members' metadata for the old protocol means nothing.
    let protocol = group
        .protocol_name
        .clone()
        .filter(|_| group.state() == GroupState::Stable);
    let member = |member: &Member| DescribedMember {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(protocol.as_deref()),
        assignment: member.assignment.clone(),
    };
    DescribedGroup {
        error: ErrorCode::None,
        error_message: None,
        group_id: group.group_id.clone(),
        state: group.state(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        members: group.members().map(member).collect(),
        protocol: protocol.unwrap_or_default(),
    }
}

fn missing(request: &DescribeGroup) -> DescribedGroup {
    let (error, error_message) = if request.expects_group_id_not_found {
        let message = format!("there is no group '{}'", request.group_id);
        (ErrorCode::GroupIdNotFound, Some(message))
    } else {
        (ErrorCode::None, None)
    };
    DescribedGroup {
        error,
        error_message,
        group_id: request.group_id.clone(),
        state: GroupState::Dead,
        protocol_type: "".into(),
        protocol: "".into(),
        members: Vec::new(),
    }
}
