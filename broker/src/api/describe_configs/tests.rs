use super::*;
use crate::api::testing::{catalog, each_version, encodes};

fn config() -> BrokerConfig {
    let pairs = [("node.id", "3"), ("log.segment.bytes", "2097152")];
    let started = BrokerConfig::from_pairs(pairs).expect("the options are valid");
    let overrides = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    let cluster_wide = overrides("message.max.bytes", "1000");
    let per_broker = overrides("log.retention.ms", "5000");
    started
        .with_overrides(&cluster_wide, &per_broker)
        .expect("the overrides are valid")
}

fn resource(kind: i8, name: &'static str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_configuration_keys(None)
}

fn ask(resources: Vec<DescribeConfigsResource>) -> DescribeConfigsRequest {
    DescribeConfigsRequest::default()
        .with_resources(resources)
        .with_include_synonyms(true)
        .with_include_documentation(true)
}

fn answer(request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let catalog = catalog(&[
        ("orders", 2, &[("retention.ms", "1000")]),
        ("users", 1, &[]),
    ]);
    let response = respond(&catalog, &config(), 3, request);
    encodes(32, 4, &response);
    response
}

fn find<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    result
        .configs
        .iter()
        .find(|config| &*config.name == name)
        .expect("the config is told")
}

#[test]
fn rule_65_every_version_tells_all_configs_of_topics_and_brokers() {
    let request = || {
        ask(vec![
            resource(2, "orders"),
            resource(4, "3"),
            resource(4, ""),
        ])
    };
    for (version, read) in each_version(32, |_| answer(request())) {
        let [topic, broker, defaults] = read.results.as_slice() else {
            panic!("three results")
        };
        for result in [topic, broker, defaults] {
            assert_eq!(
                (result.error_code, result.error_message.as_deref()),
                (0, Some(""))
            );
            assert!(result.configs.is_sorted_by_key(|config| &config.name));
            for config in &result.configs {
                assert_eq!(config.config_type != 0, version >= 3, "{:?}", config.name);
                let documented = config
                    .documentation
                    .as_ref()
                    .is_some_and(|text| !text.is_empty());
                assert_eq!(documented, version >= 3, "{:?}", config.name);
                assert!((1..=5).contains(&config.config_source), "{:?}", config.name);
            }
        }
        assert_eq!((topic.resource_type, &*topic.resource_name), (2, "orders"));
        assert!(
            topic.configs.len() > 30,
            "{} configs of the topic",
            topic.configs.len()
        );
        assert!(
            broker.configs.len() > 60,
            "{} configs of the broker",
            broker.configs.len()
        );
        assert_eq!(defaults.configs.len(), 1);
    }
}

#[test]
fn rule_65_values_tell_where_they_come_from() {
    let response = answer(ask(vec![
        resource(2, "orders"),
        resource(4, "3"),
        resource(4, ""),
    ]));
    let [topic, broker, defaults] = response.results.as_slice() else {
        panic!("three results")
    };
    let check = |result, name, value, source, expected: &[(&str, Option<&str>, i8)]| {
        let config = find(result, name);
        assert_eq!(
            (config.value.as_deref(), config.config_source),
            (Some(value), source),
            "{name}"
        );
        let synonyms: Vec<_> = config
            .synonyms
            .iter()
            .map(|synonym| (&*synonym.name, synonym.value.as_deref(), synonym.source))
            .collect();
        assert_eq!(synonyms, expected, "{name}");
    };
    check(
        topic,
        "retention.ms",
        "1000",
        1,
        &[
            ("retention.ms", Some("1000"), 1),
            ("log.retention.ms", Some("5000"), 2),
            ("log.retention.hours", Some("168"), 5),
        ],
    );
    check(
        topic,
        "segment.bytes",
        "2097152",
        4,
        &[
            ("log.segment.bytes", Some("2097152"), 4),
            ("log.segment.bytes", Some("1073741824"), 5),
        ],
    );
    let message_max: &[_] = &[
        ("message.max.bytes", Some("1000"), 3),
        ("message.max.bytes", Some("1048588"), 5),
    ];
    check(topic, "max.message.bytes", "1000", 3, message_max);
    check(broker, "message.max.bytes", "1000", 3, message_max);
    check(defaults, "message.max.bytes", "1000", 3, &message_max[..1]);
    assert!(find(broker, "node.id").read_only);
    assert!(!find(broker, "message.max.bytes").read_only);
}

#[test]
fn rule_65_null_and_empty_key_lists_mean_all() {
    let count = |keys: Option<Vec<StrBytes>>| {
        let resource = resource(2, "users").with_configuration_keys(keys);
        let response = answer(ask(vec![resource]));
        response
            .results
            .iter()
            .map(|result| result.configs.len())
            .sum::<usize>()
    };
    let all = count(None);
    assert!(all > 30);
    assert_eq!(count(Some(Vec::new())), all);
    assert_eq!(
        count(Some(vec![
            "flush.ms".into(),
            "flush.ms".into(),
            "nonsense".into()
        ])),
        1
    );
    assert_eq!(count(Some(vec!["nonsense".into()])), 0);
}

#[test]
fn only_what_is_asked_is_told() {
    let plain = DescribeConfigsRequest::default().with_resources(vec![resource(2, "orders")]);
    let response = answer(plain);
    let configs = response.results.iter().flat_map(|result| &result.configs);
    for config in configs {
        assert!(config.synonyms.is_empty() && config.documentation.is_none());
        assert_ne!(config.config_type, 0);
    }
}

#[test]
fn resources_without_configs_have_an_error_of_their_own() {
    for (kind, name, code, text) in [
        (2, "nowhere", 3, ""),
        (2, "", 17, "the empty string"),
        (2, "a b", 17, "other than ASCII"),
        (4, "4", 42, "expected 3 or empty string, but received 4"),
        (4, "x", 42, "must be an integer"),
        (8, "3", 42, "loggers"),
        (16, "subscription", 42, "KIP-714"),
        (32, "group", 42, "groups"),
    ] {
        let response = answer(ask(vec![resource(kind, name), resource(2, "users")]));
        let [refused, fine] = response.results.as_slice() else {
            panic!("two results")
        };
        assert_eq!(refused.error_code, code, "{kind} {name}");
        let told = refused.error_message.as_deref().expect("a text");
        assert!(told.contains(text), "{told}");
        assert_eq!(
            (refused.resource_type, &*refused.resource_name),
            (kind, name)
        );
        assert!(refused.configs.is_empty());
        assert_eq!(fine.error_code, 0, "the other resource is told");
    }
}

#[test]
fn an_unknown_type_refuses_the_whole_request() {
    for kind in [0, 1, 3, 64, -1] {
        let response = answer(ask(vec![resource(2, "users"), resource(kind, "x")]));
        let codes: Vec<_> = response
            .results
            .iter()
            .map(|result| result.error_code)
            .collect();
        assert_eq!(codes, [42, 42], "{kind}");
        assert!(
            response
                .results
                .iter()
                .all(|result| result.configs.is_empty())
        );
    }
}

/// The resources that are answered, each with how many configs.
fn counts(resources: Vec<DescribeConfigsResource>) -> Vec<(i8, String, usize)> {
    let results = answer(ask(resources)).results.into_iter();
    let told = |result: DescribeConfigsResult| {
        let name = result.resource_name.to_string();
        (result.resource_type, name, result.configs.len())
    };
    results.map(told).collect()
}

#[test]
fn a_resource_that_is_named_again_is_described_once() {
    let keys = |keys: &[&'static str]| {
        let keys = keys.iter().map(|key| StrBytes::from_static_str(key));
        resource(2, "users").with_configuration_keys(Some(keys.collect()))
    };
    let all = counts(vec![resource(2, "users")])[0].2;
    let times = |resource: &DescribeConfigsResource| vec![resource.clone(); 1_000];
    let users = |count| (2, "users".to_owned(), count);
    assert_eq!(counts(times(&resource(2, "users"))), [users(all)]);
    // What is asked of it at several places is told in one.
    let twice = vec![
        keys(&["flush.ms"]),
        resource(2, "orders"),
        keys(&["flush.ms", "segment.ms"]),
    ];
    assert_eq!(counts(twice), [users(2), (2, "orders".to_owned(), all)]);
    let then_all = vec![
        keys(&["flush.ms"]),
        resource(2, "users"),
        keys(&["segment.ms"]),
    ];
    assert_eq!(counts(then_all), [users(all)]);
    let then_empty = vec![keys(&["flush.ms"]), keys(&[])];
    assert_eq!(counts(then_empty), [users(all)]);
}

#[test]
fn a_broker_has_one_answer_however_its_number_is_written() {
    let spelled = vec![
        resource(4, "03"),
        resource(4, "3"),
        resource(4, "+3"),
        resource(4, ""),
    ];
    let told = counts(spelled);
    let names: Vec<_> = told.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["03", ""]);
}

#[test]
fn the_refusal_of_a_request_is_not_as_long_as_a_name_in_it() {
    let name: &'static str = "x".repeat(30_000).leak();
    let topics = (0..100).map(|number: i32| {
        resource(2, "").with_resource_name(StrBytes::from_string(number.to_string()))
    });
    let resources = [resource(99, name)].into_iter().chain(topics);
    let response = respond(&catalog(&[]), &config(), 3, ask(resources.collect()));
    assert_eq!(response.results.len(), 101);
    let size = encodes(32, 4, &response).frame.len();
    assert!(size < 2 * 30_000, "{size} bytes");
}
