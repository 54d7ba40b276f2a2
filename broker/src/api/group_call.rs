//! What the group APIs share: the way to a group's coordinator and back.
//!
//! Each of these handlers is two pure functions around one question: the request becomes a
//! [`Command`] or is refused, and what the coordinator replied becomes the response. [`ask`] and
//! [`ask_each`] do what lies between. The error codes follow Kafka's `GroupCoordinatorService`:
//! NOT_COORDINATOR while this broker coordinates no groups, so that the client looks the
//! coordinator up again, COORDINATOR_NOT_AVAILABLE when its log cannot be written, and
//! UNKNOWN_SERVER_ERROR when what is to be written is larger than one batch may be.

use std::sync::Arc;

use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::step::{GroupCall, Step};
use super::view::View;
use crate::coordinator::group::{Command, Reply};
use crate::coordinator::runtime::Failure;

/// What came of a question: the coordinator's reply, or why it did not get to one.
pub(super) type Outcome = Result<Reply, ErrorCode>;

/// Asks the coordinator of one group; `respond` makes the response of the version from the
/// outcome. A command that is an error is refused with it and asks nobody.
pub(super) fn ask<M: Encodable + HeaderVersion + ErrorCodes>(
    view: &View,
    context: &Context,
    group: String,
    command: Result<Command, ErrorCode>,
    respond: impl FnOnce(i16, Outcome) -> M + Send + 'static,
) -> Step {
    let command = match command {
        Ok(command) => command,
        Err(error) => return context.reply(&respond(context.version, Err(error))),
    };
    let calls = vec![GroupCall { group, command }];
    ask_each(view, context, calls, |_, version, mut outcomes| {
        respond(
            version,
            outcomes.pop().unwrap_or(Err(ErrorCode::UnknownServerError)),
        )
    })
}

/// Asks the coordinators of several groups; `respond` gets one outcome per call, in their order.
pub(super) fn ask_each<M: Encodable + HeaderVersion + ErrorCodes>(
    view: &View,
    context: &Context,
    calls: Vec<GroupCall>,
    respond: impl FnOnce(&View, i16, Vec<Outcome>) -> M + Send + 'static,
) -> Step {
    if !view.groups.is_ready() {
        let outcomes = calls
            .iter()
            .map(|_| Err(ErrorCode::NotCoordinator))
            .collect();
        return context.reply(&respond(view, context.version, outcomes));
    }
    let context = context.detached();
    Step::Groups(
        calls,
        Box::new(move |view, answers| {
            let outcomes = answers.into_iter().map(outcome).collect();
            context.reply(&respond(view, context.version, outcomes))
        }),
    )
}

/// What an answer of the executor means to a client.
pub(super) fn outcome(answer: Result<Reply, Failure>) -> Outcome {
    answer.map_err(|failure| match failure {
        Failure::Unavailable(_) => ErrorCode::CoordinatorNotAvailable,
        Failure::TooLarge { .. } => ErrorCode::UnknownServerError,
    })
}

/// The code for an outcome that is not the reply that belongs to the question.
pub(super) fn failure(outcome: &Outcome) -> i16 {
    match outcome {
        Err(error) => code(*error),
        Ok(_) => code(ErrorCode::UnknownServerError),
    }
}

/// A group id that must not be empty. Only APIs that are older than groups with members, and those
/// that look after their remains, take the empty one.
pub(super) fn named(group: &StrBytes) -> Result<Arc<str>, ErrorCode> {
    if group.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else {
        Ok(text(group))
    }
}

/// A string of a request as the coordinator keeps it.
pub(super) fn text(string: &StrBytes) -> Arc<str> {
    Arc::from(string.as_str())
}

/// A string of a request that may be null.
pub(super) fn optional_text(string: Option<&StrBytes>) -> Option<Arc<str>> {
    string.map(text)
}

/// A string of the coordinator for a response.
pub(super) fn wire(string: &str) -> StrBytes {
    StrBytes::from_string(string.to_owned())
}

/// A string of the coordinator that may be null, for a response.
pub(super) fn optional_wire(string: Option<&Arc<str>>) -> Option<StrBytes> {
    string.map(|string| wire(string))
}

/// What the tests of the group APIs share.
#[cfg(test)]
pub(super) mod testing {
    use std::ops::RangeInclusive;

    use bytes::{Buf, Bytes};
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
    use tidemark_protocol::frame::encode_response;

    use super::super::context::{Context, ErrorCodes};
    use super::super::registry::{self, Api};

    /// The API, as the registry has it.
    fn api(key: ApiKey) -> &'static Api {
        registry::find(key as i16).expect("the API is served")
    }

    /// The versions that are served.
    pub(in super::super) fn versions(key: ApiKey) -> RangeInclusive<i16> {
        api(key).min..=api(key).max
    }

    /// A request's envelope.
    pub(in super::super) fn context(key: ApiKey, version: i16) -> Context {
        Context {
            api: api(key),
            version,
            correlation_id: 7,
            client_id: Some(StrBytes::from_static_str("client")),
            peer: "10.1.2.3:4567".parse().expect("an address"),
            listener: "PLAINTEXT".into(),
        }
    }

    /// What a client of this version reads when `message` is sent.
    pub(in super::super) fn sent<M>(version: i16, message: &M) -> M
    where
        M: Encodable + Decodable + HeaderVersion,
    {
        let frame = encode_response(version, 7, message)
            .unwrap_or_else(|error| panic!("version {version} cannot be encoded: {error}"));
        let mut body: Bytes = frame.into();
        // Length and correlation id, and in the flexible header an empty list of tagged fields.
        body.advance(if M::header_version(version) >= 1 {
            9
        } else {
            8
        });
        let message = M::decode(&mut body, version).expect("what was encoded");
        assert!(
            body.is_empty(),
            "version {version} has {} bytes too many",
            body.len()
        );
        message
    }

    /// The error codes that the metrics see, NONE included.
    pub(in super::super) fn codes(message: &impl ErrorCodes) -> Vec<i16> {
        let mut codes = Vec::new();
        message.error_codes(&mut |code| codes.push(code));
        codes
    }
}
