use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use tidemark_protocol::error::ErrorCode;

use super::*;
use crate::api::testing::{TestCatalog, each_version};
use crate::catalog::command::Refusal;
use crate::config::BrokerConfig;

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
        ConfigAlteration {
            name: "a".into(),
            op: 2,
            value: Some("x,y".into()),
        },
        ConfigAlteration {
            name: "b".into(),
            op: 1,
            value: None,
        },
    ]);
    let change = change(asked);
    assert_eq!(
        change.resource,
        ConfigResource {
            kind: ResourceKind::Broker,
            name: "1".into()
        }
    );
    assert_eq!(change.change, expected);
}

#[test]
fn every_version_carries_code_text_and_resource() {
    let outcome = |result| AlterConfigsResult {
        resource: ConfigResource {
            kind: ResourceKind::Topic,
            name: "orders".into(),
        },
        result,
    };
    let refusal = Refusal::new(ErrorCode::InvalidConfig, "why");
    let outcomes = vec![outcome(Ok(())), outcome(Err(refusal))];
    let responses = each_version(44, |_| respond(outcomes.clone()));
    for (version, read) in responses {
        let told: Vec<_> = read
            .responses
            .iter()
            .map(|one| {
                (
                    one.resource_type,
                    one.error_code,
                    one.error_message.as_deref(),
                )
            })
            .collect();
        assert_eq!(told, [(2, 0, None), (2, 40, Some("why"))], "{version}");
    }
}

/// One operation on the topic "orders" (cleanup.policy=delete), and what becomes of it: the
/// value afterwards or the error.
#[track_caller]
fn check(name: &str, op: i8, value: Option<&str>, expected: Result<Option<&str>, i16>) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let alterable = AlterableConfig::default()
        .with_name(text(name))
        .with_config_operation(op)
        .with_value(value.map(text));
    let asked_for = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name("orders".into())
        .with_configs(vec![alterable]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![asked_for]);
    let command = command(request);
    let topics = [("orders", 1, [("cleanup.policy", "delete")].as_slice())];
    let mut catalog = TestCatalog::with_topics(BrokerConfig::default(), &topics);
    let resources = asked(&command);
    let answer = Ok(catalog.run(Command::AlterConfigs(command)));
    let response = respond(outcomes(resources, answer));
    let [outcome] = response.responses.as_slice() else {
        panic!("one resource")
    };
    let image = catalog.image();
    let topic = image.topic("orders").expect("the topic is there");
    let told = match outcome.error_code {
        0 => Ok(topic.configs.get(name).map(String::as_str)),
        code => Err(code),
    };
    assert_eq!(told, expected);
}

#[test]
fn operations_and_their_errors() {
    check("retention.ms", 0, Some("1000"), Ok(Some("1000")));
    check("cleanup.policy", 1, None, Ok(None));
    check(
        "cleanup.policy",
        2,
        Some("compact"),
        Ok(Some("delete,compact")),
    );
    check("cleanup.policy", 3, Some("delete"), Ok(Some("")));
    check("retention.ms", 2, Some("1000"), Err(40));
    check("retention.ms", 0, Some("soon"), Err(40));
    check("no.such.config", 0, Some("1"), Err(40));
    check("retention.ms", 0, None, Err(42));
    check("retention.ms", 9, Some("1"), Err(42));
}
