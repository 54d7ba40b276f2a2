//! FindCoordinator (key 10, versions 0 to 6): who coordinates a group.
//!
//! There is one broker, so the answer is always this one; but the topic in which groups keep their
//! state must exist first, and is created on the first question, as in Kafka. Only groups have
//! coordinators here: other key types are refused with INVALID_REQUEST, not sent to a coordinator
//! that does not exist.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::topic_creation;
use super::view::{OFFSETS_TOPIC, View};

const GROUP: i8 = 0;

pub(super) fn handle(view: &View, context: &Context, request: FindCoordinatorRequest) -> Step {
    if request.key_type != GROUP || view.groups.is_ready() {
        return answer(view, context, &request, None);
    }
    let offsets_topic = (OFFSETS_TOPIC.to_owned(), view.new_uuid());
    let create = topic_creation::create(&view.config(), [offsets_topic]);
    let context = context.clone();
    Step::Catalog(
        create,
        Box::new(move |view, created| {
            answer(view, &context, &request, topic_creation::failure(created))
        }),
    )
}

fn answer(
    view: &View,
    context: &Context,
    request: &FindCoordinatorRequest,
    failed: Option<String>,
) -> Step {
    let failed = failed
        .or_else(|| (!view.groups.is_ready()).then(|| format!("{OFFSETS_TOPIC} is not ready yet")));
    let (error, message) = match (request.key_type, failed) {
        (GROUP, None) => (ErrorCode::None, None),
        (GROUP, Some(why)) => (ErrorCode::CoordinatorNotAvailable, Some(why)),
        (other, _) => {
            let why = format!("key type {other} has no coordinators here: only groups (0) do");
            (ErrorCode::InvalidRequest, Some(why))
        }
    };
    let endpoint = view.endpoint(&context.listener);
    let found = error == ErrorCode::None;
    let node = BrokerId(if found { view.node.id } else { -1 });
    let host = StrBytes::from_string(if found { endpoint.host } else { String::new() });
    let port = if found { i32::from(endpoint.port) } else { -1 };
    // Kafka's word for success, which differs by version.
    let none = if context.version <= 3 { "NONE" } else { "" };
    let message = Some(message.map_or(StrBytes::from_static_str(none), StrBytes::from_string));
    let response = FindCoordinatorResponse::default();
    if context.version <= 3 {
        let message = if context.version >= 1 { message } else { None };
        return context.reply(
            &response
                .with_error_code(code(error))
                .with_error_message(message)
                .with_node_id(node)
                .with_host(host)
                .with_port(port),
        );
    }
    let coordinators = request.coordinator_keys.iter().map(|key| {
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(node)
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(code(error))
            .with_error_message(message.clone())
    });
    context.reply(&response.with_coordinators(coordinators.collect()))
}

impl ErrorCodes for FindCoordinatorResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        self.coordinators
            .iter()
            .for_each(|coordinator| visit(coordinator.error_code));
    }
}
