//! Heartbeat (key 12, versions 0 to 4): a member lives, and learns of a rebalance.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes};
use super::group_call::{Outcome, ask, failure, named, optional_text, text};
use super::step::Step;
use super::view::View;
use crate::coordinator::group::command::Heartbeat;
use crate::coordinator::group::{Command, Reply};

pub(super) fn handle(view: &View, context: &Context, request: HeartbeatRequest) -> Step {
    let group = request.group_id.to_string();
    ask(view, context, group, command(&request), |_, outcome| {
        respond(&outcome)
    })
}

fn command(request: &HeartbeatRequest) -> Result<Command, ErrorCode> {
    Ok(Command::Heartbeat(Heartbeat {
        group_id: named(&request.group_id)?,
        generation_id: request.generation_id,
        member_id: text(&request.member_id),
        group_instance_id: optional_text(request.group_instance_id.as_ref()),
    }))
}

fn respond(outcome: &Outcome) -> HeartbeatResponse {
    let code = match outcome {
        Ok(Reply::Heartbeat(error)) => error.code(),
        other => failure(other),
    };
    HeartbeatResponse::default().with_error_code(code)
}

impl ErrorCodes for HeartbeatResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::protocol::StrBytes;

    use super::super::group_call::testing::{codes, sent, versions};
    use super::*;
    use crate::coordinator::group;

    #[test]
    fn a_heartbeat_becomes_a_command_unless_it_names_no_group() {
        let request = HeartbeatRequest::default()
            .with_generation_id(3)
            .with_member_id(StrBytes::from_static_str("m"))
            .with_group_instance_id(Some(StrBytes::from_static_str("i")));
        assert_eq!(command(&request), Err(ErrorCode::InvalidGroupId));
        let request = request.with_group_id(StrBytes::from_static_str("group").into());
        let expected = Heartbeat {
            group_id: "group".into(),
            generation_id: 3,
            member_id: "m".into(),
            group_instance_id: Some("i".into()),
        };
        assert_eq!(command(&request), Ok(Command::Heartbeat(expected)));
    }

    #[test]
    fn answers_are_true_in_every_version() {
        let check = |outcome: Outcome, expected: i16| {
            for version in versions(ApiKey::Heartbeat) {
                assert_eq!(codes(&sent(version, &respond(&outcome))), [expected]);
            }
        };
        check(Ok(Reply::Heartbeat(group::ErrorCode::None)), 0);
        check(
            Ok(Reply::Heartbeat(group::ErrorCode::RebalanceInProgress)),
            27,
        );
        check(Err(ErrorCode::NotCoordinator), 16);
        // A reply to another question is a defect, and must not pass for success.
        check(Ok(Reply::DeleteGroup(group::ErrorCode::None)), -1);
    }
}
