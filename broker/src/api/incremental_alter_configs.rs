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
    let validate_only = request.validate_only;
    let changes: Vec<_> = request.resources.into_iter().map(change).collect();
    let asked = asked(&changes);
    let context = context.clone();
    Step::Catalog(
        Command::AlterConfigs(AlterConfigs { resources: changes, validate_only }),
        Box::new(move |_, answer| {
            let responses = outcomes(asked, answer).into_iter().map(response).collect();
            context.reply(&IncrementalAlterConfigsResponse::default().with_responses(responses))
        }),
    )
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
        self.responses.iter().for_each(|resource| visit(resource.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
    use tidemark_protocol::error::ErrorCode;

    use super::*;
    use crate::api::testing::each_version;
    use crate::catalog::command::Refusal;

    #[test]
    fn a_resource_of_the_request_reaches_the_catalog_whole() {
        let asked = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name("1".into())
            .with_configs(vec![
                AlterableConfig::default()
                    .with_name("a".into())
                    .with_config_operation(2)
                    .with_value(Some("x,y".into())),
                AlterableConfig::default()
                    .with_name("b".into())
                    .with_config_operation(1)
                    .with_value(None),
            ]);
        let expected = ConfigChange::Incremental(vec![
            ConfigAlteration { name: "a".into(), op: 2, value: Some("x,y".into()) },
            ConfigAlteration { name: "b".into(), op: 1, value: None },
        ]);
        let change = change(asked);
        assert_eq!(change.resource, ConfigResource { kind: ResourceKind::Broker, name: "1".into() });
        assert_eq!(change.change, expected);
    }

    #[test]
    fn every_version_carries_code_text_and_resource() {
        let outcome = |result| AlterConfigsResult {
            resource: ConfigResource { kind: ResourceKind::Topic, name: "orders".into() },
            result,
        };
        let refusal = Refusal::new(ErrorCode::InvalidConfig, "why");
        let outcomes = [outcome(Ok(())), outcome(Err(refusal))];
        let responses = each_version(44, |_| {
            let responses = outcomes.iter().cloned().map(response).collect();
            IncrementalAlterConfigsResponse::default().with_responses(responses)
        });
        for (version, read) in responses {
            let told: Vec<_> = read
                .responses
                .iter()
                .map(|one| (one.resource_type, one.error_code, one.error_message.as_deref()))
                .collect();
            assert_eq!(told, [(2, 0, None), (2, 40, Some("why"))], "{version}");
        }
    }
}
