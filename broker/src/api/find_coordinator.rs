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
use super::view::{Endpoint, OFFSETS_TOPIC, View};

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
    let endpoint = view.endpoint(&context.listener);
    context.reply(&respond(
        context.version,
        request,
        view.node.id,
        endpoint,
        failed,
    ))
}

/// The answer; `failed` says why there is no coordinator for groups.
fn respond(
    version: i16,
    request: &FindCoordinatorRequest,
    node_id: i32,
    endpoint: Endpoint,
    failed: Option<String>,
) -> FindCoordinatorResponse {
    let (error, text) = match (request.key_type, failed) {
        // Kafka's text for "no error", which the one field for all cases carried.
        (GROUP, None) if version <= 3 => (ErrorCode::None, "NONE".to_owned()),
        (GROUP, None) => (ErrorCode::None, String::new()),
        (GROUP, Some(why)) => (ErrorCode::CoordinatorNotAvailable, why),
        (other, _) => {
            let why = format!("key type {other} has no coordinators here: only groups (0) do");
            (ErrorCode::InvalidRequest, why)
        }
    };
    let found = error == ErrorCode::None;
    let node = BrokerId(if found { node_id } else { -1 });
    let host = StrBytes::from_string(if found { endpoint.host } else { String::new() });
    let port = if found { i32::from(endpoint.port) } else { -1 };
    let text = Some(StrBytes::from_string(text));
    let response = FindCoordinatorResponse::default();
    if version <= 3 {
        return response
            .with_error_code(code(error))
            .with_error_message(text)
            .with_node_id(node)
            .with_host(host)
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.iter().map(|key| {
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(node)
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(code(error))
            .with_error_message(text.clone())
    });
    response.with_coordinators(coordinators.collect())
}

impl ErrorCodes for FindCoordinatorResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        self.coordinators
            .iter()
            .for_each(|coordinator| visit(coordinator.error_code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::each_version;

    /// Node id, host, port, error and text.
    type Told = (i32, String, i32, i16, String);

    /// What is answered about one key, in every version.
    fn told(key_type: i8, failed: Option<&str>) -> Vec<(i16, Told)> {
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec!["group".into()]);
        let make = |version| {
            let endpoint = Endpoint {
                host: "host".into(),
                port: 9092,
            };
            respond(version, &request, 3, endpoint, failed.map(str::to_owned))
        };
        let text = |text: Option<StrBytes>| text.map(|text| text.to_string()).unwrap_or_default();
        let read = each_version(10, make).into_iter().map(|(version, read)| {
            if version <= 3 {
                let (host, why) = (read.host.to_string(), text(read.error_message));
                return (
                    version,
                    (read.node_id.0, host, read.port, read.error_code, why),
                );
            }
            let [one] = read.coordinators.as_slice() else {
                panic!("one coordinator")
            };
            assert_eq!(&*one.key, "group");
            let (host, why) = (one.host.to_string(), text(one.error_message.clone()));
            (
                version,
                (one.node_id.0, host, one.port, one.error_code, why),
            )
        });
        read.collect()
    }

    #[test]
    fn every_version_names_this_node_or_says_why_not() {
        for (version, told) in told(GROUP, None) {
            let text = if (1..=3).contains(&version) {
                "NONE"
            } else {
                ""
            };
            assert_eq!(told, (3, "host".into(), 9092, 0, text.into()), "{version}");
        }
        for (version, told) in told(GROUP, Some("why")) {
            let text = if version >= 1 { "why" } else { "" };
            assert_eq!(told, (-1, String::new(), -1, 15, text.into()), "{version}");
        }
        for key_type in [1, 2, 9] {
            assert!(
                told(key_type, None)
                    .iter()
                    .all(|(_, told)| told.0 == -1 && told.3 == 42)
            );
        }
    }
}
