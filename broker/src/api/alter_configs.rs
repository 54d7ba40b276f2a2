//! AlterConfigs (key 33, versions 0 to 2): replace all overrides of topics or of the broker. Old:
//! IncrementalAlterConfigs takes its place.
//!
//! The catalog decides; each resource changes as a whole or not at all. Only topics and the broker
//! have configs here (see `config_resource`).

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::admin_error::{results, wire};
use super::config_resource;
use super::context::{Context, ErrorCodes};
use super::step::Step;
use super::view::View;
use crate::catalog::command::{
    AlterConfigs, AlterConfigsResult, Command, ConfigChange, ConfigResource, Refusal, Reply,
    ResourceChange, ResourceKind,
};
use crate::coordinator::runtime::Unavailable;

pub(super) fn handle(_: &View, context: &Context, request: AlterConfigsRequest) -> Step {
    let validate_only = request.validate_only;
    let changes: Vec<_> = request.resources.into_iter().map(change).collect();
    let asked = asked(&changes);
    let context = context.clone();
    Step::Catalog(
        Command::AlterConfigs(AlterConfigs { resources: changes, validate_only }),
        Box::new(move |_, answer| {
            let responses = outcomes(asked, answer).into_iter().map(response).collect();
            context.reply(&AlterConfigsResponse::default().with_responses(responses))
        }),
    )
}

/// The resources of a request, in its order.
pub(super) fn asked(changes: &[ResourceChange]) -> Vec<ConfigResource> {
    changes.iter().map(|change| change.resource.clone()).collect()
}

/// What became of each resource, in the order of the request.
pub(super) fn outcomes(
    asked: Vec<ConfigResource>,
    answer: Result<Reply, Unavailable>,
) -> Vec<AlterConfigsResult> {
    let results = results(answer, |reply| match reply {
        Reply::ConfigsAltered(results) => Some(results),
        _ => None,
    });
    let mut results = results.unwrap_or_else(|refusal| {
        let refuse = |resource| AlterConfigsResult { resource, result: Err(refusal.clone()) };
        asked.into_iter().map(refuse).collect()
    });
    for AlterConfigsResult { resource, result } in &mut results {
        // The catalog knows these kinds by their number only; here they have a reason.
        if let ResourceKind::Other(kind) = resource.kind {
            *result = Err(config_resource::unsupported(kind));
        }
    }
    results
}

fn change(resource: AlterConfigsResource) -> ResourceChange {
    let configs = resource.configs.into_iter();
    let replaced =
        configs.map(|config| (config.name.to_string(), config.value.map(|value| value.to_string())));
    ResourceChange {
        resource: ConfigResource {
            kind: ResourceKind::from_wire(resource.resource_type),
            name: resource.resource_name.to_string(),
        },
        change: ConfigChange::Replace(replaced.collect()),
    }
}

fn response(outcome: AlterConfigsResult) -> AlterConfigsResourceResponse {
    let (code, message): (i16, Option<StrBytes>) = wire::<()>(&outcome.result);
    AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_resource_type(outcome.resource.kind.to_wire())
        .with_resource_name(StrBytes::from_string(outcome.resource.name))
}

impl ErrorCodes for AlterConfigsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.responses.iter().for_each(|resource| visit(resource.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_configs_request::AlterableConfig;
    use tidemark_protocol::error::ErrorCode;

    use super::*;
    use crate::api::testing::each_version;

    fn resource(kind: i8, name: &str) -> ConfigResource {
        ConfigResource { kind: ResourceKind::from_wire(kind), name: name.into() }
    }

    #[test]
    fn a_resource_of_the_request_reaches_the_catalog_whole() {
        let config = |name, value| {
            let config = AlterableConfig::default().with_name(StrBytes::from_static_str(name));
            config.with_value(value)
        };
        let asked = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name("orders".into())
            .with_configs(vec![config("a", Some("1".into())), config("b", None)]);
        let expected = ConfigChange::Replace(vec![
            ("a".into(), Some("1".into())),
            ("b".into(), None),
        ]);
        let change = change(asked);
        assert_eq!((change.resource, change.change), (resource(2, "orders"), expected));
    }

    #[test]
    fn kinds_without_configs_say_why_and_the_others_keep_their_result() {
        let told = || -> Result<Reply, Unavailable> {
            let refused = |text: &str| Err(Refusal::new(ErrorCode::InvalidRequest, text));
            let result = |kind, result| AlterConfigsResult { resource: resource(kind, "x"), result };
            Ok(Reply::ConfigsAltered(vec![
                result(2, Ok(())),
                result(4, refused("own")),
                result(16, refused("Unknown resource type 16")),
                result(99, refused("Unknown resource type 99")),
            ]))
        };
        let outcomes = outcomes(Vec::new(), told());
        let texts: Vec<_> = outcomes
            .iter()
            .map(|outcome| outcome.result.as_ref().err().and_then(|why| why.message.as_deref()))
            .collect();
        let subscriptions = "Client metrics subscriptions (KIP-714) are not supported.";
        let unknown = "Unknown resource type 99";
        assert_eq!(texts, [None, Some("own"), Some(subscriptions), Some(unknown)]);
    }

    #[test]
    fn every_version_carries_code_text_and_resource() {
        let answer = || Err(Unavailable("disk".into()));
        let asked = || vec![resource(2, "orders"), resource(4, ""), resource(8, "0")];
        let responses = each_version(33, |_| {
            let responses = outcomes(asked(), answer()).into_iter().map(response).collect();
            AlterConfigsResponse::default().with_responses(responses)
        });
        for (version, read) in responses {
            let told: Vec<_> = read
                .responses
                .iter()
                .map(|one| (one.resource_type, &*one.resource_name, one.error_code))
                .collect();
            assert_eq!(told, [(2, "orders", 56), (4, "", 56), (8, "0", 42)], "{version}");
            assert!(read.responses.iter().all(|one| one.error_message.is_some()));
        }
        let fine = AlterConfigsResult { resource: resource(2, "orders"), result: Ok(()) };
        assert_eq!(response(fine).error_message, None);
    }
}
