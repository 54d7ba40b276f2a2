//! LeaveGroup (key 13, versions 0 to 5): members go, or an administrator removes them.
//!
//! Versions 0 to 2 carry one member, whose error is the answer's; version 3 and later carry a
//! batch and answer each member (rule 46).

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes};
use super::group_call::{Outcome, ask, failure, named, optional_text, optional_wire, text, wire};
use super::step::Step;
use super::view::View;
use crate::coordinator::group::command::{LeaveGroup, LeavingMember};
use crate::coordinator::group::{self, Command, Left, LeftMember, Reply};

pub(super) fn handle(view: &View, context: &Context, request: LeaveGroupRequest) -> Step {
    let group = request.group_id.to_string();
    ask(
        view,
        context,
        group,
        command(context.version, &request),
        respond,
    )
}

fn command(version: i16, request: &LeaveGroupRequest) -> Result<Command, ErrorCode> {
    let members = if version <= 2 {
        vec![LeavingMember {
            member_id: text(&request.member_id),
            group_instance_id: None,
            reason: None,
        }]
    } else {
        request.members.iter().map(leaving).collect()
    };
    Ok(Command::Leave(LeaveGroup {
        group_id: named(&request.group_id)?,
        members,
    }))
}

fn leaving(member: &MemberIdentity) -> LeavingMember {
    LeavingMember {
        member_id: text(&member.member_id),
        group_instance_id: optional_text(member.group_instance_id.as_ref()),
        reason: member.reason.as_ref().map(StrBytes::to_string),
    }
}

fn respond(version: i16, outcome: Outcome) -> LeaveGroupResponse {
    match outcome {
        Ok(Reply::Leave(left)) if version <= 2 => {
            LeaveGroupResponse::default().with_error_code(first_error(&left).code())
        }
        Ok(Reply::Leave(left)) => LeaveGroupResponse::default()
            .with_error_code(left.error.code())
            .with_members(left.members.iter().map(member_response).collect()),
        other => LeaveGroupResponse::default().with_error_code(failure(&other)),
    }
}

/// The call's error or, if it has none, the first one among the members.
fn first_error(left: &Left) -> group::ErrorCode {
    let members = left.members.iter().map(|member| member.error);
    let mut errors = std::iter::once(left.error).chain(members);
    errors
        .find(|error| *error != group::ErrorCode::None)
        .unwrap_or(group::ErrorCode::None)
}

fn member_response(member: &LeftMember) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(wire(&member.member_id))
        .with_group_instance_id(optional_wire(member.group_instance_id.as_ref()))
        .with_error_code(member.error.code())
}

impl ErrorCodes for LeaveGroupResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        self.members
            .iter()
            .for_each(|member| visit(member.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::super::group_call::testing::{codes, sent, versions};
    use super::*;

    fn left(error: group::ErrorCode, members: &[group::ErrorCode]) -> Reply {
        let member = |error: &group::ErrorCode| LeftMember {
            member_id: "m".into(),
            group_instance_id: Some("i".into()),
            error: *error,
        };
        Reply::Leave(Left {
            error,
            members: members.iter().map(member).collect(),
        })
    }

    #[test]
    fn rule_46_one_member_up_to_version_2_and_a_batch_after() {
        let identity = MemberIdentity::default()
            .with_group_instance_id(Some(StrBytes::from_static_str("i")))
            .with_reason(Some(StrBytes::from_static_str("done")));
        let request = LeaveGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("group").into())
            .with_member_id(StrBytes::from_static_str("m"))
            .with_members(vec![identity]);
        let expected = |member_id: &str, instance: Option<&str>, reason: Option<&str>| {
            let member = LeavingMember {
                member_id: member_id.into(),
                group_instance_id: instance.map(Into::into),
                reason: reason.map(Into::into),
            };
            let leave = LeaveGroup {
                group_id: "group".into(),
                members: vec![member],
            };
            Ok(Command::Leave(leave))
        };
        assert_eq!(command(2, &request), expected("m", None, None));
        assert_eq!(command(3, &request), expected("", Some("i"), Some("done")));
        let nameless = request.with_group_id(StrBytes::default().into());
        assert_eq!(command(3, &nameless), Err(ErrorCode::InvalidGroupId));
    }

    #[test]
    fn rule_46_old_versions_tell_the_members_error_as_the_calls() {
        use group::ErrorCode::{InvalidGroupId, None, UnknownMemberId};
        let check = |error, members: &[_], old: &[i16], new: &[i16]| {
            for version in versions(ApiKey::LeaveGroup) {
                let response = respond(version, Ok(left(error, members)));
                let expected = if version <= 2 { old } else { new };
                assert_eq!(
                    codes(&sent(version, &response)),
                    expected,
                    "version {version}"
                );
            }
        };
        check(None, &[None], &[0], &[0, 0]);
        check(None, &[UnknownMemberId], &[25], &[0, 25]);
        check(InvalidGroupId, &[], &[24], &[24]);
    }

    #[test]
    fn a_refusal_is_true_in_every_version() {
        for version in versions(ApiKey::LeaveGroup) {
            let response = respond(version, Err(ErrorCode::NotCoordinator));
            assert_eq!(codes(&sent(version, &response)), [16]);
        }
    }
}
