//! DescribeGroups (key 15, versions 0 to 6): state, protocol and members of groups.
//!
//! A group that does not exist is in state Dead without an error up to version 5, and
//! GROUP_ID_NOT_FOUND with a message from version 6 on. A group that is named again is described
//! once. Without ACLs everybody may do everything, so the authorized operations (version 3 and
//! later, if asked for) are all there are.

use kafka_protocol::messages::describe_groups_response::{
    DescribedGroup as WireGroup, DescribedGroupMember,
};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::context::{Context, ErrorCodes};
use super::group_call::{Outcome, ask_each, failure, optional_wire, text, wire};
use super::metadata::{GROUP_OPERATIONS, OPERATIONS_NOT_ASKED};
use super::repeated::each_once;
use super::step::{GroupCall, Step};
use super::view::View;
use crate::coordinator::group::command::DescribeGroup;
use crate::coordinator::group::{self, Command, DescribedGroup, DescribedMember, Reply};

pub(super) fn handle(view: &View, context: &Context, request: DescribeGroupsRequest) -> Step {
    let version = context.version;
    let call = |group: &GroupId| GroupCall {
        group: group.to_string(),
        command: command(version, group),
    };
    let groups = each_once(request.groups);
    let calls = groups.iter().map(call).collect();
    let with_operations = request.include_authorized_operations;
    ask_each(view, context, calls, move |_, version, outcomes| {
        respond(version, with_operations, groups, outcomes)
    })
}

fn command(version: i16, group: &GroupId) -> Command {
    let expects_group_id_not_found = version >= 6;
    Command::Describe(DescribeGroup {
        group_id: text(group),
        expects_group_id_not_found,
    })
}

fn respond(
    version: i16,
    with_operations: bool,
    groups: Vec<GroupId>,
    outcomes: Vec<Outcome>,
) -> DescribeGroupsResponse {
    let described = groups
        .into_iter()
        .zip(outcomes)
        .map(|(group, outcome)| match outcome {
            Ok(Reply::Describe(described)) => wire_group(version, with_operations, described),
            other => WireGroup::default()
                .with_group_id(group)
                .with_error_code(failure(&other))
                .with_authorized_operations(OPERATIONS_NOT_ASKED),
        });
    DescribeGroupsResponse::default().with_groups(described.collect())
}

fn wire_group(version: i16, with_operations: bool, described: DescribedGroup) -> WireGroup {
    let found = described.error == group::ErrorCode::None;
    let operations = if version >= 3 && with_operations && found {
        GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let message = described.error_message.filter(|_| version >= 6);
    WireGroup::default()
        .with_error_code(described.error.code())
        .with_error_message(message.map(StrBytes::from_string))
        .with_group_id(wire(&described.group_id).into())
        .with_group_state(StrBytes::from_static_str(described.state.name()))
        .with_protocol_type(wire(&described.protocol_type))
        .with_protocol_data(wire(&described.protocol))
        .with_members(described.members.into_iter().map(wire_member).collect())
        .with_authorized_operations(operations)
}

fn wire_member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(wire(&member.member_id))
        .with_group_instance_id(optional_wire(member.group_instance_id.as_ref()))
        .with_client_id(wire(&member.client_id))
        .with_client_host(wire(&member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

impl ErrorCodes for DescribeGroupsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.groups.iter().for_each(|group| visit(group.error_code));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::ApiKey;
    use tidemark_protocol::error::ErrorCode;

    use super::super::group_call::testing::{codes, sent, versions};
    use super::*;
    use crate::coordinator::group::GroupState;

    fn described() -> DescribedGroup {
        let member = DescribedMember {
            member_id: "m".into(),
            group_instance_id: Some("i".into()),
            client_id: "client".into(),
            client_host: "/10.1.2.3".into(),
            metadata: Bytes::from_static(b"meta"),
            assignment: Bytes::from_static(b"part"),
        };
        DescribedGroup {
            error: group::ErrorCode::None,
            error_message: None,
            group_id: "group".into(),
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            protocol: "range".into(),
            members: vec![member],
        }
    }

    fn read(version: i16, with_operations: bool, outcome: Outcome) -> WireGroup {
        let groups = vec![StrBytes::from_static_str("group").into()];
        let response = respond(version, with_operations, groups, vec![outcome]);
        let mut read = sent(version, &response);
        assert_eq!(codes(&read), [read.groups[0].error_code]);
        read.groups.remove(0)
    }

    #[test]
    fn a_full_answer_is_true_in_every_version() {
        for version in versions(ApiKey::DescribeGroups) {
            for with_operations in [false, true] {
                let group = read(version, with_operations, Ok(Reply::Describe(described())));
                let all = with_operations && version >= 3;
                let operations = if all { 0b1101_0100_1000 } else { i32::MIN };
                assert_eq!(group.authorized_operations, operations);
                assert_eq!(group.group_state.as_str(), "Stable");
                assert_eq!(group.protocol_data.as_str(), "range");
                let member = &group.members[0];
                assert_eq!(member.group_instance_id.is_some(), version >= 4);
                assert_eq!(member.client_host.as_str(), "/10.1.2.3");
                assert_eq!(
                    (&*member.member_metadata, &*member.member_assignment),
                    (&b"meta"[..], &b"part"[..])
                );
            }
        }
    }

    #[test]
    fn a_group_that_is_not_there_is_an_error_from_version_6_on() {
        for version in versions(ApiKey::DescribeGroups) {
            let Command::Describe(asked) = command(version, &GroupId::default()) else {
                panic!("another command");
            };
            assert_eq!(asked.expects_group_id_not_found, version >= 6);
        }
        let missing = DescribedGroup {
            error: group::ErrorCode::GroupIdNotFound,
            error_message: Some("there is no such group".into()),
            state: GroupState::Dead,
            ..described()
        };
        let group = read(6, true, Ok(Reply::Describe(missing)));
        assert_eq!((group.error_code, group.group_state.as_str()), (69, "Dead"));
        assert_eq!(
            group.error_message.as_deref(),
            Some("there is no such group")
        );
        assert_eq!(group.authorized_operations, OPERATIONS_NOT_ASKED);
    }

    #[test]
    fn a_refusal_names_the_group_in_every_version() {
        for version in versions(ApiKey::DescribeGroups) {
            let group = read(version, true, Err(ErrorCode::NotCoordinator));
            assert_eq!((group.error_code, group.group_id.as_str()), (16, "group"));
        }
    }
}
