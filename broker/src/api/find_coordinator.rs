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
use super::repeated::each_once;
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
    let not_available = ErrorCode::CoordinatorNotAvailable;
    let of_all = if request.key_type != GROUP {
        let why = format!(
            "key type {} has no coordinators here: only groups (0) do",
            request.key_type
        );
        Some((ErrorCode::InvalidRequest, why))
    } else if let Some(why) = failed {
        Some((not_available, why))
    } else if !view.groups.is_ready() {
        Some((not_available, format!("{OFFSETS_TOPIC} is not ready yet")))
    } else {
        None
    };
    let of_all = of_all.map(|(error, why)| (error, StrBytes::from_string(why)));
    let offline = StrBytes::from_string(format!(
        "the partition of {OFFSETS_TOPIC} that keeps this group is offline"
    ));
    let failure = |key: &str| match &of_all {
        Some(failure) => Some(failure.clone()),
        None if view.groups.route(key).is_none() => Some((not_available, offline.clone())),
        None => None,
    };
    let endpoint = view.endpoint(&context.listener);
    let node = (view.node.id, endpoint);
    context.reply(&respond(context.version, request, &node, &failure))
}

/// The answer: for each key this node, or why there is no coordinator. A key that is asked for
/// again is answered once.
fn respond(
    version: i16,
    request: &FindCoordinatorRequest,
    node: &(i32, Endpoint),
    failure: &dyn Fn(&str) -> Option<(ErrorCode, StrBytes)>,
) -> FindCoordinatorResponse {
    let this_host = StrBytes::from_string(node.1.host.clone());
    let coordinator = |key: &StrBytes| {
        let failed = failure(key);
        let (id, host, port) = match &failed {
            None => (node.0, this_host.clone(), i32::from(node.1.port)),
            Some(_) => (-1, StrBytes::new(), -1),
        };
        let (error, text) = failed.unwrap_or((ErrorCode::None, StrBytes::new()));
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(BrokerId(id))
            .with_host(host)
            .with_port(port)
            .with_error_code(code(error))
            .with_error_message(Some(text))
    };
    let response = FindCoordinatorResponse::default();
    if version > 3 {
        let keys = each_once(&request.coordinator_keys);
        let coordinators = keys.into_iter().map(coordinator);
        return response.with_coordinators(coordinators.collect());
    }
    let only = coordinator(&request.key);
    // Kafka's text for "no error", which the one field for all cases carried.
    let text = match only.error_code {
        0 => Some(StrBytes::from_static_str("NONE")),
        _ => only.error_message,
    };
    response
        .with_error_code(only.error_code)
        .with_error_message(text)
        .with_node_id(only.node_id)
        .with_host(only.host)
        .with_port(only.port)
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
            let failure = |_: &str| match (key_type, failed) {
                (GROUP, None) => None,
                (GROUP, Some(why)) => {
                    let why = StrBytes::from_string(why.to_owned());
                    Some((ErrorCode::CoordinatorNotAvailable, why))
                }
                _ => Some((ErrorCode::InvalidRequest, "no such coordinators".into())),
            };
            respond(version, &request, &(3, endpoint), &failure)
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

    #[test]
    fn a_key_that_is_asked_for_again_is_answered_once() {
        let keys = ["a", "b", "a", "a"].map(StrBytes::from_static_str);
        let request = FindCoordinatorRequest::default().with_coordinator_keys(keys.into());
        let endpoint = Endpoint {
            host: "host".into(),
            port: 9092,
        };
        let response = respond(4, &request, &(3, endpoint), &|_| None);
        let told: Vec<_> = response
            .coordinators
            .iter()
            .map(|told| &*told.key)
            .collect();
        assert_eq!(told, ["a", "b"]);
    }
}
