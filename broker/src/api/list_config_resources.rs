//! ListConfigResources (key 74, versions 0 to 1, KIP-1142): names of what has configs.
//!
//! Version 0 lists client metrics subscriptions only, and there are none. Version 1 lists the types
//! that the client names, or with an empty list all. Kafka also lists each broker as a resource of
//! type BROKER_LOGGER; here loggers have no configs, so nothing of that type is listed.

use std::sync::Arc;

use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::config_resource::{self, BROKER, CLIENT_METRICS, TOPIC};
use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::view::View;
use crate::catalog::image::Topic;

pub(super) fn handle(view: &View, context: &Context, request: ListConfigResourcesRequest) -> Step {
    let topics = view.catalog.topics().map(name);
    context.reply(&respond(
        context.version,
        &request.resource_types,
        view.node.id,
        topics,
    ))
}

fn name(topic: &Arc<Topic>) -> &str {
    &topic.name
}

fn respond<'a>(
    version: i16,
    asked: &[i8],
    node_id: i32,
    topics: impl Iterator<Item = &'a str>,
) -> ListConfigResourcesResponse {
    let known: &[i8] = if version == 0 {
        &[CLIENT_METRICS]
    } else {
        &config_resource::ALL
    };
    if asked.iter().any(|kind| !known.contains(kind)) {
        return ListConfigResourcesResponse::default()
            .with_error_code(code(ErrorCode::UnsupportedVersion));
    }
    let wanted = |kind| known.contains(&kind) && (asked.is_empty() || asked.contains(&kind));
    let resource = |kind, name: String| {
        ConfigResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name))
    };
    let mut resources = Vec::new();
    if wanted(BROKER) {
        resources.push(resource(BROKER, node_id.to_string()));
    }
    if wanted(TOPIC) {
        resources.extend(topics.map(|name| resource(TOPIC, name.to_owned())));
    }
    ListConfigResourcesResponse::default().with_config_resources(resources)
}

impl ErrorCodes for ListConfigResourcesResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{each_version, encodes};

    fn check(version: i16, asked: &[i8], expected: Result<&[(i8, &str)], i16>) {
        let response = respond(version, asked, 3, ["orders", "users"].into_iter());
        encodes(74, version, &response);
        let listed: Vec<_> = response
            .config_resources
            .iter()
            .map(|resource| (resource.resource_type, &*resource.resource_name))
            .collect();
        let told = if response.error_code == 0 {
            Ok(listed.as_slice())
        } else {
            Err(response.error_code)
        };
        assert_eq!(told, expected, "version {version}, types {asked:?}");
    }

    #[test]
    fn types_select_and_an_empty_list_means_all() {
        let all: &[(i8, &str)] = &[(4, "3"), (2, "orders"), (2, "users")];
        check(1, &[], Ok(all));
        check(1, &[2, 4], Ok(all));
        check(1, &[2, 2], Ok(&all[1..]));
        check(1, &[4], Ok(&all[..1]));
        for none in [8, 16, 32] {
            check(1, &[none], Ok(&[]));
        }
        for unknown in [0, 1, 64, -1] {
            check(1, &[2, unknown], Err(35));
        }
        check(0, &[], Ok(&[]));
    }

    #[test]
    fn every_version_can_be_encoded() {
        for (version, read) in each_version(74, |_| respond(1, &[], 3, ["orders"].into_iter())) {
            assert_eq!(read.config_resources.len(), 2, "{version}");
        }
    }
}
