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
    AlterConfigs, AlterConfigsResult, Command, ConfigChange, ConfigResource, Reply, ResourceChange,
    ResourceKind,
};
use crate::coordinator::runtime::Failure;

pub(super) fn handle(_: &View, context: &Context, request: AlterConfigsRequest) -> Step {
    let command = command(request);
    let asked = asked(&command);
    let context = context.clone();
    Step::Catalog(
        Command::AlterConfigs(command),
        Box::new(move |_, answer| context.reply(&respond(outcomes(asked, answer)))),
    )
}

/// The resources of a request, in its order.
pub(super) fn asked(command: &AlterConfigs) -> Vec<ConfigResource> {
    command
        .resources
        .iter()
        .map(|change| change.resource.clone())
        .collect()
}

/// What became of each resource, in the order of the request.
pub(super) fn outcomes(
    asked: Vec<ConfigResource>,
    answer: Result<Reply, Failure>,
) -> Vec<AlterConfigsResult> {
    let results = results(answer, |reply| match reply {
        Reply::ConfigsAltered(results) => Some(results),
        _ => None,
    });
    let mut results = results.unwrap_or_else(|refusal| {
        let refuse = |resource| AlterConfigsResult {
            resource,
            result: Err(refusal.clone()),
        };
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

fn command(request: AlterConfigsRequest) -> AlterConfigs {
    AlterConfigs {
        resources: request.resources.into_iter().map(change).collect(),
        validate_only: request.validate_only,
    }
}

fn change(resource: AlterConfigsResource) -> ResourceChange {
    let configs = resource.configs.into_iter();
    let replaced = configs.map(|config| {
        (
            config.name.to_string(),
            config.value.map(|value| value.to_string()),
        )
    });
    ResourceChange {
        resource: ConfigResource {
            kind: ResourceKind::from_wire(resource.resource_type),
            name: resource.resource_name.to_string(),
        },
        change: ConfigChange::Replace(replaced.collect()),
    }
}

fn respond(outcomes: Vec<AlterConfigsResult>) -> AlterConfigsResponse {
    let responses = outcomes.into_iter().map(response).collect();
    AlterConfigsResponse::default().with_responses(responses)
}

fn response(outcome: AlterConfigsResult) -> AlterConfigsResourceResponse {
    let (code, message) = wire(&outcome.result);
    AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_resource_type(outcome.resource.kind.to_wire())
        .with_resource_name(StrBytes::from_string(outcome.resource.name))
}

impl ErrorCodes for AlterConfigsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.responses
            .iter()
            .for_each(|resource| visit(resource.error_code));
    }
}

#[cfg(test)]
mod tests;
