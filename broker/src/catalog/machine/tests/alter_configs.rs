use super::*;
use crate::catalog::machine::MAX_RECORDS_PER_COMMAND;
use crate::config::{AlterOp, Overrides};

const SET: i8 = AlterOp::Set as i8;
const DELETE: i8 = AlterOp::Delete as i8;
const APPEND: i8 = AlterOp::Append as i8;
const SUBTRACT: i8 = AlterOp::Subtract as i8;

fn resource(kind: ResourceKind, name: &str) -> ConfigResource {
    ConfigResource {
        kind,
        name: name.to_owned(),
    }
}

fn topic(name: &str) -> ConfigResource {
    resource(ResourceKind::Topic, name)
}

fn broker(name: &str) -> ConfigResource {
    resource(ResourceKind::Broker, name)
}

fn replace(configs: &[(&str, Option<&str>)]) -> ConfigChange {
    let owned = |(name, value): &(&str, Option<&str>)| (name.to_string(), value.map(String::from));
    ConfigChange::Replace(configs.iter().map(owned).collect())
}

fn incremental(operations: &[(&str, i8, Option<&str>)]) -> ConfigChange {
    let owned = |(name, op, value): &(&str, i8, Option<&str>)| ConfigAlteration {
        name: name.to_string(),
        op: *op,
        value: value.map(String::from),
    };
    ConfigChange::Incremental(operations.iter().map(owned).collect())
}

/// A catalog with the topic `t`, which has two overrides.
fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    let configs = [
        ("retention.ms", Some("5000")),
        ("cleanup.policy", Some("compact")),
    ];
    catalog.create_one(configured("t", &configs));
    catalog
}

fn ask(
    catalog: &mut Catalog,
    changes: Vec<(ConfigResource, ConfigChange)>,
    validate_only: bool,
) -> Vec<AlterConfigsResult> {
    let resources = changes
        .into_iter()
        .map(|(resource, change)| ResourceChange { resource, change })
        .collect();
    let command = AlterConfigs {
        resources,
        validate_only,
    };
    match catalog.run(Command::AlterConfigs(command)) {
        Reply::ConfigsAltered(results) => results,
        other => panic!("{other:?}"),
    }
}

fn stored(catalog: &Catalog, resource: &ConfigResource) -> Overrides {
    let image = catalog.image();
    let stored = match resource.kind {
        ResourceKind::Topic => image.topic(&resource.name).map(|topic| &topic.configs),
        _ => image.broker_config(&resource.name),
    };
    stored
        .map(|stored| Overrides::clone(stored))
        .unwrap_or_default()
}

/// Checks what one change leads to: a refusal, or these overrides.
#[track_caller]
fn check(
    resource: ConfigResource,
    change: ConfigChange,
    expected: Result<&[(&str, &str)], (ErrorCode, &str)>,
) {
    let mut catalog = catalog();
    let before = catalog.log.len();
    let asked = vec![(resource.clone(), change)];
    let validated = ask(&mut catalog, asked.clone(), true);
    assert_eq!(catalog.log.len(), before, "only validated");
    let results = ask(&mut catalog, asked, false);
    assert_eq!(validated, results);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].resource, resource);
    assert_eq!(told(&results[0].result), expected.err());
    if let Ok(expected) = expected {
        let expected: Overrides = expected
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(stored(&catalog, &resource), expected);
    } else {
        assert_eq!(
            catalog.log.len(),
            before,
            "a refused change leaves no trace"
        );
    }
    assert_eq!(catalog.restarted().image(), catalog.image());
}

#[test]
fn incremental_changes_of_a_topic() {
    let check = |operations: &[(&str, i8, Option<&str>)], expected: &[(&str, &str)]| {
        check(topic("t"), incremental(operations), Ok(expected));
    };
    let policy = ("cleanup.policy", "compact");
    let retention = ("retention.ms", "5000");
    check(&[], &[policy, retention]);
    check(
        &[("retention.ms", SET, Some("7"))],
        &[policy, ("retention.ms", "7")],
    );
    check(
        &[("segment.ms", SET, Some("7"))],
        &[policy, retention, ("segment.ms", "7")],
    );
    check(&[("retention.ms", DELETE, None)], &[policy]);
    check(&[("retention.ms", DELETE, Some("ignored"))], &[policy]);
    check(&[("segment.ms", DELETE, None)], &[policy, retention]);
    check(
        &[("cleanup.policy", APPEND, Some("delete"))],
        &[("cleanup.policy", "compact,delete"), retention],
    );
    check(
        &[("cleanup.policy", APPEND, Some("compact"))],
        &[policy, retention],
    );
    check(
        &[
            ("cleanup.policy", SET, Some("delete")),
            ("retention.ms", DELETE, None),
        ],
        &[("cleanup.policy", "delete")],
    );
}

#[test]
fn a_legacy_change_replaces_all() {
    let check = |configs: &[(&str, Option<&str>)], expected: &[(&str, &str)]| {
        check(topic("t"), replace(configs), Ok(expected));
    };
    check(&[], &[]);
    check(
        &[("retention.ms", Some("5000"))],
        &[("retention.ms", "5000")],
    );
    check(&[("segment.ms", Some("9"))], &[("segment.ms", "9")]);
}

#[test]
fn bad_changes_of_a_topic_are_refused() {
    let refused = |name: &str, change: ConfigChange, code: ErrorCode, text: &str| {
        check(topic(name), change, Err((code, text)));
    };
    let set = |name, value| incremental(&[(name, SET, Some(value))]);
    refused(
        "t",
        set("nonsense", "1"),
        InvalidConfig,
        "Unknown topic config name: nonsense",
    );
    refused(
        "t",
        replace(&[("nonsense", Some("1"))]),
        InvalidConfig,
        "Unknown topic config name: nonsense",
    );
    refused(
        "t",
        incremental(&[("retention.ms", APPEND, Some("1"))]),
        InvalidConfig,
        "Can't APPEND to key retention.ms because its type is not LIST.",
    );
    refused(
        "t",
        incremental(&[("retention.ms", SUBTRACT, Some("1"))]),
        InvalidConfig,
        "Can't SUBTRACT to key retention.ms because its type is not LIST.",
    );
    let text = "Error due to duplicate config keys";
    let twice = [
        ("retention.ms", SET, Some("1")),
        ("retention.ms", DELETE, None),
    ];
    refused("t", incremental(&twice), InvalidRequest, text);
    let twice = [("retention.ms", Some("1")), ("retention.ms", Some("1"))];
    refused("t", replace(&twice), InvalidRequest, text);
    let text = "Null value not supported for : retention.ms, segment.ms";
    let null = [("retention.ms", SET, None), ("segment.ms", APPEND, None)];
    refused("t", incremental(&null), InvalidRequest, text);
    refused(
        "t",
        replace(&[("retention.ms", None), ("segment.ms", None)]),
        InvalidRequest,
        text,
    );
    let text = "Unknown operations type 9";
    refused(
        "t",
        incremental(&[("retention.ms", 9, Some("1"))]),
        InvalidRequest,
        text,
    );
    let long = "x".repeat(40_000);
    let text = "The configuration value cannot be added because it exceeds the maximum value size \
                of 32767 bytes.";
    refused("t", set("cleanup.policy", &long), InvalidConfig, text);
    let good = || set("retention.ms", "1");
    let text = "The topic 'missing' does not exist.";
    refused("missing", good(), UnknownTopicOrPartition, text);
    // Values are looked at before the topic is looked for.
    let text = "Unknown topic config name: nonsense";
    refused("missing", set("nonsense", "1"), InvalidConfig, text);
    let text = "Default topic resources are not allowed.";
    refused("", good(), InvalidRequest, text);
    let text = "Topic name is invalid: '..' is not allowed";
    refused("..", good(), InvalidTopicException, text);
}

#[test]
fn broker_configs_are_stored_for_this_broker_and_for_all() {
    let set = || incremental(&[("log.retention.ms", SET, Some("1000"))]);
    let expected: &[(&str, &str)] = &[("log.retention.ms", "1000")];
    check(broker("1"), set(), Ok(expected));
    check(broker(""), set(), Ok(expected));
    check(
        broker(""),
        replace(&[("log.retention.ms", Some("1000"))]),
        Ok(expected),
    );
}

#[test]
fn bad_changes_of_a_broker_are_refused() {
    let refused = |name: &str, change: ConfigChange, text: &str| {
        check(broker(name), change, Err((InvalidRequest, text)));
    };
    let set = |name, value| incremental(&[(name, SET, Some(value))]);
    let good = || set("log.retention.ms", "1");
    refused("x", good(), "Node id must be an integer, but it is: x");
    refused(
        "2",
        good(),
        "Unexpected broker id, expected 1, but received 2",
    );
    refused(
        "01",
        good(),
        "Unexpected broker id, expected 1, but received 1",
    );
    let text = "Cannot update these configs dynamically: log.dirs";
    refused("1", set("log.dirs", "/x"), text);
    refused("", set("log.dirs", "/x"), text);
    let text = "Can't APPEND to key log.retention.ms because its type is not LIST.";
    let change = incremental(&[("log.retention.ms", APPEND, Some("1"))]);
    check(broker("1"), change, Err((InvalidConfig, text)));
    for number in [0, 8, 16, 32, -1] {
        let text = format!("Unknown resource type {number}");
        let kind = ResourceKind::from_wire(number);
        check(resource(kind, "x"), good(), Err((InvalidRequest, &text)));
    }
}

#[test]
fn an_unchanged_config_is_written_again_for_brokers_only() {
    let mut catalog = catalog();
    let same = |name| incremental(&[(name, SET, Some("5000"))]);
    let before = catalog.log.len();
    ask(
        &mut catalog,
        vec![(topic("t"), same("retention.ms"))],
        false,
    );
    assert_eq!(catalog.log.len(), before);
    for more in 1..=2 {
        ask(
            &mut catalog,
            vec![(broker("1"), same("log.retention.ms"))],
            false,
        );
        assert_eq!(catalog.log.len(), before + more);
    }
}

#[test]
fn each_resource_of_a_request_has_its_own_result_in_its_place() {
    let mut catalog = catalog();
    let change = |value| incremental(&[("retention.ms", SET, Some(value))]);
    let broker_change = incremental(&[("log.retention.ms", SET, Some("9"))]);
    let asked = vec![
        (topic("missing"), change("1")),
        (topic("t"), change("2")),
        (broker(""), broker_change.clone()),
        (broker("1"), broker_change.clone()),
        (broker(""), broker_change),
    ];
    let results = ask(&mut catalog, asked, false);
    let told: Vec<_> = results.iter().map(|result| told(&result.result)).collect();
    let twice = Some((InvalidRequest, "Each resource must appear at most once."));
    let missing = Some((
        UnknownTopicOrPartition,
        "The topic 'missing' does not exist.",
    ));
    assert_eq!(told, [missing, None, twice, None, twice]);
    assert_eq!(
        stored(&catalog, &topic("t"))
            .get("retention.ms")
            .map(String::as_str),
        Some("2")
    );
    assert!(stored(&catalog, &broker("")).is_empty());
    assert_eq!(stored(&catalog, &broker("1")).len(), 1);
}

#[test]
fn a_topics_configs_are_checked_against_the_broker_as_it_runs() {
    let mut catalog = Catalog::new();
    let lag = [("min.compaction.lag.ms", Some("500"))];
    catalog.create_one(configured("before", &lag));
    let change = incremental(&[("log.cleaner.max.compaction.lag.ms", SET, Some("100"))]);
    let results = ask(&mut catalog, vec![(broker(""), change)], false);
    assert_eq!(told(&results[0].result), None);
    let results = catalog.create(vec![configured("after", &lag)]);
    let text = "conflict topic config setting min.compaction.lag.ms (500) > \
                max.compaction.lag.ms (100)";
    assert_eq!(
        told(&results[0].result),
        Some((ErrorCode::InvalidConfig, text))
    );
}

#[test]
fn a_request_for_too_much_is_refused_before_it_is_looked_at() {
    let text = "Unable to perform excessively large batch operation.";
    let too_much = Some((PolicyViolation, text));
    let check = |changes: Vec<(ConfigResource, ConfigChange)>, expected| {
        let mut catalog = catalog();
        let (count, before) = (changes.len(), catalog.log.len());
        let results = ask(&mut catalog, changes, false);
        assert_eq!(results.len(), count);
        assert_eq!(told(&results[0].result), expected);
        if expected == too_much {
            assert!(
                results
                    .iter()
                    .all(|result| told(&result.result) == expected)
            );
            assert_eq!(catalog.log.len(), before);
        }
    };
    let names: Vec<_> = (0..MAX_RECORDS_PER_COMMAND)
        .map(|n| format!("o{n}"))
        .collect();
    let operations: Vec<_> = names.iter().map(|name| (&**name, SET, Some("1"))).collect();
    let configs: Vec<_> = names.iter().map(|name| (&**name, Some("1"))).collect();
    // The resource counts, too. What nobody knows is kept for the broker, as in Kafka.
    let most = incremental(&operations[1..]);
    check(vec![(broker(""), most)], None);
    check(vec![(broker(""), incremental(&operations))], too_much);
    check(vec![(broker(""), replace(&configs))], too_much);
    check(vec![(topic("missing"), incremental(&operations))], too_much);
    let nothing = |name| (topic(name), incremental(&[]));
    let missing = Some((UnknownTopicOrPartition, "The topic 'o0' does not exist."));
    check(names.iter().map(|name| nothing(name)).collect(), missing);
    let resources = names
        .iter()
        .map(|name| nothing(name))
        .chain([nothing("one more")]);
    check(resources.collect(), too_much);
}
