//! IncrementalAlterConfigs (key 44, versions 0 to 1, KIP-339): set, delete, append to or subtract
//! from single overrides of topics or of the broker.
//!
//! The catalog decides; each resource changes as a whole or not at all. Only topics and the broker
//! have configs here (see `config_resource`); Kafka also sets the levels of its loggers.

use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::admin_error::wire;
use super::alter_configs::{asked, outcomes};
use super::context::{Context, ErrorCodes};
use super::step::Step;
use super::view::View;
use crate::catalog::command::{
    AlterConfigs, AlterConfigsResult, Command, ConfigAlteration, ConfigChange, ConfigResource,
    ResourceChange, ResourceKind,
};

pub(super) fn handle(_: &View, context: &Context, request: IncrementalAlterConfigsRequest) -> Step {
    let command = command(request);
    let asked = asked(&command);
    let context = context.clone();
    Step::Catalog(
        Command::AlterConfigs(command),
        Box::new(move |_, answer| context.reply(&respond(outcomes(asked, answer)))),
    )
}

fn command(request: IncrementalAlterConfigsRequest) -> AlterConfigs {
    AlterConfigs {
        resources: request.resources.into_iter().map(change).collect(),
        validate_only: request.validate_only,
    }
}

fn change(resource: AlterConfigsResource) -> ResourceChange {
    let alterations = resource.configs.into_iter().map(|config| ConfigAlteration {
        name: config.name.to_string(),
        op: config.config_operation,
        value: config.value.map(|value| value.to_string()),
    });
    ResourceChange {
        resource: ConfigResource {
            kind: ResourceKind::from_wire(resource.resource_type),
            name: resource.resource_name.to_string(),
        },
        change: ConfigChange::Incremental(alterations.collect()),
    }
}

fn respond(outcomes: Vec<AlterConfigsResult>) -> IncrementalAlterConfigsResponse {
    let responses = outcomes.into_iter().map(response).collect();
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

fn response(outcome: AlterConfigsResult) -> AlterConfigsResourceResponse {
    let (code, message) = wire(&outcome.result);
    AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_resource_type(outcome.resource.kind.to_wire())
        .with_resource_name(StrBytes::from_string(outcome.resource.name))
}

impl ErrorCodes for IncrementalAlterConfigsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.responses
            .iter()
            .for_each(|resource| visit(resource.error_code));
    }
}

#[cfg(test)]
mod tests;
