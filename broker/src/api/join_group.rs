//! JoinGroup (key 11, versions 0 to 9): a member enters the join phase of a rebalance.
//!
//! The answer comes when the group's members have joined, so it may take as long as a rebalance.
//! Version 0 has no rebalance timeout: the session timeout stands in. Version 4 sends a new member
//! back with an id first (rule 39), version 5 knows static members, version 7 names the protocol
//! type and can say null, version 9 can tell a static leader to skip the assignment.

use std::sync::Arc;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::context::{Context, ErrorCodes, detached};
use super::group_call::{Outcome, ask, failure, named, optional_text, optional_wire, text, wire};
use super::step::Step;
use super::view::View;
use crate::coordinator::group::command::JoinGroup;
use crate::coordinator::group::{Command, Joined, JoinedMember, Reply, propose_member_id};

pub(super) fn handle(view: &View, context: &Context, request: JoinGroupRequest) -> Step {
    let group = request.group_id.to_string();
    let command = command(context, &request, view.new_uuid());
    // The call may be parked for minutes: nothing of its frame is kept as long.
    let member_id = detached(&request.member_id);
    ask(view, context, group, command, move |version, outcome| {
        respond(version, member_id, outcome)
    })
}

/// `random` becomes part of the member's id if it is new.
fn command(
    context: &Context,
    request: &JoinGroupRequest,
    random: Uuid,
) -> Result<Command, ErrorCode> {
    let instance_id = request.group_instance_id.as_ref();
    let proposed = propose_member_id(
        context.client_name(),
        instance_id.map(StrBytes::as_str),
        random,
    );
    let protocols = request.protocols.iter();
    Ok(Command::Join(JoinGroup {
        group_id: named(&request.group_id)?,
        member_id: text(&request.member_id),
        group_instance_id: optional_text(instance_id),
        protocol_type: text(&request.protocol_type),
        protocols: protocols
            .map(|protocol| (text(&protocol.name), protocol.metadata.clone()))
            .collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match context.version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        client_id: Arc::from(context.client_name()),
        client_host: Arc::from(context.client_host()),
        require_known_member_id: context.version >= 4,
        supports_skipping_assignment: context.version >= 9,
        reason: request.reason.as_ref().map(StrBytes::to_string),
        generated_member_id: proposed,
    }))
}

/// `member_id` is the request's: a refusal sends it back.
fn respond(version: i16, member_id: StrBytes, outcome: Outcome) -> JoinGroupResponse {
    match outcome {
        Ok(Reply::Join(joined)) => joined_response(version, joined),
        other => JoinGroupResponse::default()
            .with_error_code(failure(&other))
            .with_generation_id(-1)
            .with_protocol_name(protocol_name(version, None))
            .with_member_id(member_id),
    }
}

fn joined_response(version: i16, joined: Joined) -> JoinGroupResponse {
    let member = |member: JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(wire(&member.member_id))
            .with_group_instance_id(optional_wire(member.group_instance_id.as_ref()))
            .with_metadata(member.metadata)
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error.code())
        .with_generation_id(joined.generation_id)
        .with_protocol_type(optional_wire(joined.protocol_type.as_ref()))
        .with_protocol_name(protocol_name(version, joined.protocol_name.as_deref()))
        .with_leader(wire(&joined.leader))
        .with_skip_assignment(version >= 9 && joined.skip_assignment)
        .with_member_id(wire(&joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}

/// Where there is no protocol, version 7 and later say null and earlier ones send "".
fn protocol_name(version: i16, name: Option<&str>) -> Option<StrBytes> {
    let name = name.unwrap_or_default();
    (version < 7 || !name.is_empty()).then(|| wire(name))
}

impl ErrorCodes for JoinGroupResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;

    use super::super::group_call::testing::{codes, context, sent, versions};
    use super::*;
    use crate::coordinator::group;

    fn request() -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from_static(b"topics"));
        JoinGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("group").into())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol])
    }

    fn join(version: i16, request: &JoinGroupRequest) -> JoinGroup {
        match command(
            &context(ApiKey::JoinGroup, version),
            request,
            Uuid::from_u128(1),
        ) {
            Ok(Command::Join(join)) => join,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rule_39_from_version_4_on_a_new_member_must_come_back_with_its_id() {
        for version in versions(ApiKey::JoinGroup) {
            let join = join(version, &request());
            assert_eq!(join.require_known_member_id, version >= 4);
            assert_eq!(join.supports_skipping_assignment, version >= 9);
            assert_eq!(
                join.rebalance_timeout_ms,
                if version == 0 { 10_000 } else { 60_000 }
            );
        }
    }

    #[test]
    fn the_command_says_who_asks_and_proposes_an_id() {
        let instance = Some(StrBytes::from_static_str("instance"));
        let dynamic = join(9, &request());
        let fixed = join(9, &request().with_group_instance_id(instance));
        assert_eq!(
            (&*dynamic.client_id, &*dynamic.client_host),
            ("client", "/10.1.2.3")
        );
        assert_eq!(
            dynamic.protocols,
            [("range".into(), Bytes::from_static(b"topics"))]
        );
        assert!(dynamic.generated_member_id.starts_with("client-"));
        assert!(fixed.generated_member_id.starts_with("instance-"));
        assert_eq!(fixed.group_instance_id.as_deref(), Some("instance"));
    }

    #[test]
    fn an_empty_group_id_is_refused() {
        let nameless = request().with_group_id(StrBytes::default().into());
        let refused = command(&context(ApiKey::JoinGroup, 9), &nameless, Uuid::nil());
        assert_eq!(refused, Err(ErrorCode::InvalidGroupId));
    }

    #[test]
    fn a_full_answer_is_true_in_every_version() {
        for version in versions(ApiKey::JoinGroup) {
            let member = JoinedMember {
                member_id: "m".into(),
                group_instance_id: Some("i".into()),
                metadata: Bytes::from_static(b"meta"),
            };
            let joined = Joined {
                error: group::ErrorCode::None,
                generation_id: 3,
                protocol_type: Some("consumer".into()),
                protocol_name: Some("range".into()),
                leader: "m".into(),
                skip_assignment: true,
                member_id: "m".into(),
                members: vec![member],
            };
            let response = respond(version, StrBytes::default(), Ok(Reply::Join(joined)));
            let read = sent(version, &response);
            assert_eq!(read.generation_id, 3);
            assert_eq!(read.protocol_name.as_deref(), Some("range"));
            assert_eq!(read.protocol_type.is_some(), version >= 7);
            assert_eq!(read.skip_assignment, version >= 9);
            assert_eq!(read.members[0].group_instance_id.is_some(), version >= 5);
            assert_eq!(&*read.members[0].metadata, b"meta");
        }
    }

    #[test]
    fn a_refusal_is_true_in_every_version() {
        for version in versions(ApiKey::JoinGroup) {
            let member_id = StrBytes::from_static_str("m");
            let response = respond(version, member_id, Err(ErrorCode::NotCoordinator));
            let read = sent(version, &response);
            assert_eq!(codes(&read), [16]);
            assert_eq!((read.generation_id, read.member_id.as_str()), (-1, "m"));
            assert_eq!(
                read.protocol_name.as_deref(),
                if version < 7 { Some("") } else { None }
            );
        }
    }
}
