use kafka_protocol::messages::alter_configs_request::AlterableConfig;
use tidemark_protocol::error::ErrorCode;

use super::*;
use crate::api::testing::{TestCatalog, each_version};
use crate::catalog::command::Refusal;
use crate::config::BrokerConfig;
use crate::coordinator::runtime::Unavailable;

fn resource(kind: i8, name: &str) -> ConfigResource {
    ConfigResource {
        kind: ResourceKind::from_wire(kind),
        name: name.into(),
    }
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
    let expected = ConfigChange::Replace(vec![("a".into(), Some("1".into())), ("b".into(), None)]);
    let change = change(asked);
    assert_eq!(
        (change.resource, change.change),
        (resource(2, "orders"), expected)
    );
}

#[test]
fn kinds_without_configs_say_why_and_the_others_keep_their_result() {
    let told = || -> Result<Reply, Failure> {
        let refused = |text: &str| Err(Refusal::new(ErrorCode::InvalidRequest, text));
        let result = |kind, result| AlterConfigsResult {
            resource: resource(kind, "x"),
            result,
        };
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
        .map(|outcome| {
            outcome
                .result
                .as_ref()
                .err()
                .and_then(|why| why.message.as_deref())
        })
        .collect();
    let subscriptions = "Client metrics subscriptions (KIP-714) are not supported.";
    let unknown = "Unknown resource type 99";
    assert_eq!(
        texts,
        [None, Some("own"), Some(subscriptions), Some(unknown)]
    );
}

#[test]
fn every_version_carries_code_text_and_resource() {
    let answer = || Err(Unavailable("disk".into()).into());
    let asked = || vec![resource(2, "orders"), resource(4, ""), resource(8, "0")];
    let responses = each_version(33, |_| respond(outcomes(asked(), answer())));
    for (version, read) in responses {
        let told: Vec<_> = read
            .responses
            .iter()
            .map(|one| (one.resource_type, &*one.resource_name, one.error_code))
            .collect();
        assert_eq!(
            told,
            [(2, "orders", 56), (4, "", 56), (8, "0", 42)],
            "{version}"
        );
        assert!(read.responses.iter().all(|one| one.error_message.is_some()));
    }
    let fine = AlterConfigsResult {
        resource: resource(2, "orders"),
        result: Ok(()),
    };
    assert_eq!(response(fine).error_message, None);
}

/// One resource with one config, and the error that comes of it.
#[track_caller]
fn check(kind: i8, name: &str, config: (&str, Option<&str>), expected: i16) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let alterable = AlterableConfig::default()
        .with_name(text(config.0))
        .with_value(config.1.map(text));
    let asked = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(vec![alterable]);
    let command = command(AlterConfigsRequest::default().with_resources(vec![asked]));
    let mut catalog = TestCatalog::with_topics(BrokerConfig::default(), &[("orders", 1, &[])]);
    let resources = super::asked(&command);
    let answer = Ok(catalog.run(Command::AlterConfigs(command)));
    let response = respond(outcomes(resources, answer));
    let codes: Vec<_> = response
        .responses
        .iter()
        .map(|one| one.error_code)
        .collect();
    assert_eq!(codes, [expected]);
}

#[test]
fn errors_have_kafkas_codes() {
    check(2, "orders", ("retention.ms", Some("1000")), 0);
    check(2, "orders", ("retention.ms", Some("soon")), 40);
    check(2, "orders", ("no.such.config", Some("1")), 40);
    check(2, "orders", ("retention.ms", None), 42);
    check(2, "nowhere", ("retention.ms", Some("1000")), 3);
    check(2, "a b", ("retention.ms", Some("1000")), 17);
    check(2, "", ("retention.ms", Some("1000")), 42);
    check(4, "1", ("log.retention.ms", Some("1000")), 0);
    check(4, "", ("log.retention.ms", Some("1000")), 0);
    check(4, "1", ("log.retention.ms", Some("soon")), 42);
    check(4, "1", ("node.id", Some("2")), 42);
    check(4, "2", ("log.retention.ms", Some("1000")), 42);
    check(8, "1", ("root", Some("INFO")), 42);
    check(16, "s", ("interval.ms", Some("1")), 42);
    check(32, "g", ("consumer.session.timeout.ms", Some("1")), 42);
    check(0, "x", ("a", Some("1")), 42);
}
