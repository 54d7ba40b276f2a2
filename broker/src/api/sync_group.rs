//! SyncGroup (key 14, versions 0 to 5): the leader hands in the assignment, everybody gets a part.
//!
//! The answer to a follower waits for the leader. From version 5 on a member says which protocol
//! it believes in, and must: a null is INCONSISTENT_GROUP_PROTOCOL, as in Kafka.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes};
use super::group_call::{Outcome, ask, failure, named, optional_text, optional_wire, text};
use super::step::Step;
use super::view::View;
use crate::coordinator::group::command::SyncGroup;
use crate::coordinator::group::{Command, Reply};

pub(super) fn handle(view: &View, context: &Context, request: SyncGroupRequest) -> Step {
    let group = request.group_id.to_string();
    ask(
        view,
        context,
        group,
        command(context.version, &request),
        |_, outcome| respond(outcome),
    )
}

fn command(version: i16, request: &SyncGroupRequest) -> Result<Command, ErrorCode> {
    let protocol_is_named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= 5 && !protocol_is_named {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    let assignments = request.assignments.iter();
    Ok(Command::Sync(SyncGroup {
        group_id: named(&request.group_id)?,
        generation_id: request.generation_id,
        member_id: text(&request.member_id),
        group_instance_id: optional_text(request.group_instance_id.as_ref()),
        protocol_type: optional_text(request.protocol_type.as_ref()),
        protocol_name: optional_text(request.protocol_name.as_ref()),
        assignments: assignments
            .map(|assignment| (text(&assignment.member_id), assignment.assignment.clone()))
            .collect(),
    }))
}

/// Fields that a version does not have are left out by the encoder.
fn respond(outcome: Outcome) -> SyncGroupResponse {
    match outcome {
        Ok(Reply::Sync(synced)) => SyncGroupResponse::default()
            .with_error_code(synced.error.code())
            .with_protocol_type(optional_wire(synced.protocol_type.as_ref()))
            .with_protocol_name(optional_wire(synced.protocol_name.as_ref()))
            .with_assignment(synced.assignment),
        other => SyncGroupResponse::default().with_error_code(failure(&other)),
    }
}

impl ErrorCodes for SyncGroupResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
    use kafka_protocol::protocol::StrBytes;

    use super::super::group_call::testing::{codes, sent, versions};
    use super::*;
    use crate::coordinator::group::{self, Synced};

    fn request() -> SyncGroupRequest {
        SyncGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("group").into())
            .with_generation_id(3)
            .with_member_id(StrBytes::from_static_str("m"))
    }

    #[test]
    fn the_protocol_must_be_named_from_version_5_on() {
        let consumer = Some(StrBytes::from_static_str("consumer"));
        let half = request().with_protocol_type(consumer.clone());
        let whole = half.clone().with_protocol_name(consumer);
        for version in versions(ApiKey::SyncGroup) {
            let expected = (version >= 5).then_some(ErrorCode::InconsistentGroupProtocol);
            assert_eq!(command(version, &request()).err(), expected);
            assert_eq!(command(version, &half).err(), expected);
            assert_eq!(command(version, &whole).err(), None);
        }
    }

    #[test]
    fn an_empty_group_id_is_refused() {
        let nameless = request().with_group_id(StrBytes::default().into());
        assert_eq!(command(3, &nameless), Err(ErrorCode::InvalidGroupId));
        // Kafka looks at the protocol first.
        assert_eq!(
            command(5, &nameless),
            Err(ErrorCode::InconsistentGroupProtocol)
        );
    }

    #[test]
    fn the_command_carries_the_assignments() {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(StrBytes::from_static_str("m"))
            .with_assignment(Bytes::from_static(b"all"));
        let instance = Some(StrBytes::from_static_str("i"));
        let request = request()
            .with_group_instance_id(instance)
            .with_assignments(vec![assignment]);
        let expected = SyncGroup {
            group_id: "group".into(),
            generation_id: 3,
            member_id: "m".into(),
            group_instance_id: Some("i".into()),
            protocol_type: None,
            protocol_name: None,
            assignments: vec![("m".into(), Bytes::from_static(b"all"))],
        };
        assert_eq!(command(4, &request), Ok(Command::Sync(expected)));
    }

    #[test]
    fn rule_44_answers_are_true_in_every_version_and_a_missing_assignment_is_empty_bytes() {
        for version in versions(ApiKey::SyncGroup) {
            for assignment in [Bytes::new(), Bytes::from_static(b"part")] {
                let synced = Synced {
                    error: group::ErrorCode::None,
                    protocol_type: Some("consumer".into()),
                    protocol_name: Some("range".into()),
                    assignment: assignment.clone(),
                };
                let read = sent(version, &respond(Ok(Reply::Sync(synced))));
                assert_eq!(read.assignment, assignment);
                assert_eq!(read.protocol_name.is_some(), version >= 5);
            }
            let refused = respond(Err(ErrorCode::CoordinatorNotAvailable));
            assert_eq!(codes(&sent(version, &refused)), [15]);
        }
    }
}
