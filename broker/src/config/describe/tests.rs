use super::*;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// `name=value source read-only? [synonym=value source, ...]`, the sources as numbers.
fn show(entry: &Entry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonym = |s: &Synonym| format!("{}={} {}", s.name, text(&s.value), s.source.id());
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    let read_only = if entry.read_only { " read-only" } else { "" };
    let value = text(&entry.value);
    let source = entry.source.id();
    format!(
        "{}={value} {source}{read_only} [{}]",
        entry.name,
        synonyms.join(", ")
    )
}

fn find(entries: &[Entry], name: &str) -> String {
    show(
        entries
            .iter()
            .find(|entry| entry.name == name)
            .expect("the option is described"),
    )
}

fn broker(given: &[(&str, &str)], cluster: &[(&str, &str)], own: &[(&str, &str)]) -> BrokerConfig {
    BrokerConfig::from_pairs(given.iter().copied())
        .and_then(|config| config.with_overrides(&overrides(cluster), &overrides(own)))
        .expect("the broker's options are valid")
}

#[test]
fn topics_show_where_their_values_come_from() {
    let check = |broker: &BrokerConfig, topic: &[(&str, &str)], expected: &str| {
        let name = expected.split('=').next().expect("a name");
        assert_eq!(
            find(&describe_topic(broker, &overrides(topic)), name),
            expected
        );
    };
    let plain = BrokerConfig::default();
    check(
        &plain,
        &[],
        "segment.bytes=1073741824 5 [log.segment.bytes=1073741824 5]",
    );
    check(
        &plain,
        &[],
        "max.message.bytes=1048588 5 [message.max.bytes=1048588 5]",
    );
    check(
        &plain,
        &[],
        "min.cleanable.dirty.ratio=0.5 5 [log.cleaner.min.cleanable.ratio=0.5 5]",
    );
    check(&plain, &[], "remote.storage.enable=false 5 []");
    check(
        &plain,
        &[("cleanup.policy", "compact , delete")],
        "cleanup.policy=compact,delete 1 [cleanup.policy=compact,delete 1, \
         log.cleanup.policy=delete 5]",
    );
    check(
        &plain,
        &[("min.cleanable.dirty.ratio", "1")],
        "min.cleanable.dirty.ratio=1.0 1 [min.cleanable.dirty.ratio=1.0 1, \
         log.cleaner.min.cleanable.ratio=0.5 5]",
    );
    let altered = broker(
        &[("log.segment.bytes", "3000000")],
        &[("log.segment.bytes", "4000000")],
        &[("log.segment.bytes", "5000000")],
    );
    check(
        &altered,
        &[("segment.bytes", "2000000")],
        "segment.bytes=2000000 1 [segment.bytes=2000000 1, log.segment.bytes=5000000 2, \
         log.segment.bytes=4000000 3, log.segment.bytes=3000000 4, \
         log.segment.bytes=1073741824 5]",
    );
    check(
        &altered,
        &[],
        "segment.bytes=5000000 2 [log.segment.bytes=5000000 2, log.segment.bytes=4000000 3, \
         log.segment.bytes=3000000 4, log.segment.bytes=1073741824 5]",
    );
}

/// `configSynonyms` drops what comes before the strongest name, so coarse units alone show
/// nothing.
#[test]
fn coarse_units_show_only_behind_the_finest() {
    let retention = |given: &[(&str, &str)]| {
        find(
            &describe_topic(&broker(given, &[], &[]), &Overrides::new()),
            "retention.ms",
        )
    };
    assert_eq!(retention(&[]), "retention.ms=604800000 5 []");
    assert_eq!(
        retention(&[("log.retention.hours", "1")]),
        "retention.ms=3600000 5 []"
    );
    assert_eq!(
        retention(&[("log.retention.hours", "1"), ("log.retention.ms", "5")]),
        "retention.ms=5 4 [log.retention.ms=5 4, log.retention.hours=1 4, \
         log.retention.hours=168 5]"
    );
    let flush = find(
        &describe_topic(&BrokerConfig::default(), &Overrides::new()),
        "flush.ms",
    );
    assert_eq!(flush, "flush.ms=9223372036854775807 5 []");
}

#[test]
fn new_topics_show_the_layer_of_each_value() {
    let config = broker(
        &[
            ("log.retention.hours", "1"),
            ("log.segment.bytes", "3000000"),
        ],
        &[("log.segment.bytes", "4000000")],
        &[("message.max.bytes", "20")],
    );
    let entries = describe_new_topic(&config, &overrides(&[("cleanup.policy", "compact")]));
    let check = |name: &str, expected: &str| assert_eq!(find(&entries, name), expected);
    check("cleanup.policy", "cleanup.policy=compact 1 []");
    check("max.message.bytes", "max.message.bytes=20 2 []");
    check("segment.bytes", "segment.bytes=4000000 3 []");
    check("retention.ms", "retention.ms=3600000 4 []");
    check("segment.ms", "segment.ms=604800000 5 []");
    assert_eq!(
        entries.len(),
        describe_topic(&config, &Overrides::new()).len()
    );
}

#[test]
fn brokers_show_where_their_values_come_from() {
    let config = broker(
        &[("log.retention.hours", "24"), ("num.partitions", " 3 ")],
        &[("log.retention.ms", "9"), ("message.max.bytes", "10")],
        &[("message.max.bytes", "20")],
    );
    let entries = describe_broker(&config);
    let check = |name: &str, expected: &str| assert_eq!(find(&entries, name), expected);
    check(
        "log.retention.hours",
        "log.retention.hours=168 4 read-only [log.retention.hours=24 4, log.retention.hours=168 5]",
    );
    check(
        "log.retention.ms",
        "log.retention.ms=9 3 [log.retention.ms=9 3, log.retention.hours=24 4, \
         log.retention.hours=168 5]",
    );
    check(
        "log.retention.minutes",
        "log.retention.minutes=null 5 read-only []",
    );
    check(
        "message.max.bytes",
        "message.max.bytes=20 2 [message.max.bytes=20 2, message.max.bytes=10 3, \
         message.max.bytes=1048588 5]",
    );
    check(
        "num.partitions",
        "num.partitions=3 4 read-only [num.partitions= 3  4, num.partitions=1 5]",
    );
    check(
        "advertised.listeners",
        "advertised.listeners=null 5 read-only []",
    );
    let defaults: Vec<String> = describe_broker_defaults(&config).iter().map(show).collect();
    assert_eq!(
        defaults,
        [
            "log.retention.ms=9 3 [log.retention.ms=9 3]",
            "message.max.bytes=10 3 [message.max.bytes=10 3]",
        ]
    );
}

/// Rule 65 of the protocol facts: every option, with default, source, type and documentation.
#[test]
fn rule_65_every_option_is_described_in_full() {
    let config = BrokerConfig::default();
    let topics = describe_topic(&config, &Overrides::new());
    let brokers = describe_broker(&config);
    let shown = |specs: &'static [OptionSpec]| specs.iter().filter(|spec| !spec.internal).count();
    assert_eq!(topics.len(), shown(topic::OPTIONS));
    assert_eq!(brokers.len(), shown(broker::OPTIONS));
    for entries in [&topics, &brokers] {
        assert!(entries.is_sorted_by(|a, b| a.name < b.name));
        for entry in entries {
            assert!(
                entry.is_default && entry.source == ConfigSource::Default,
                "{}",
                entry.name
            );
            assert!(
                !entry.doc.is_empty() && entry.doc.ends_with('.'),
                "{}",
                entry.name
            );
            assert!((1..=9).contains(&entry.config_type.id()));
        }
    }
    assert!(
        topics
            .iter()
            .all(|entry| entry.value.is_some() && !entry.read_only)
    );
}

#[test]
fn an_internal_option_shows_once_it_is_set() {
    let has = |topic: &[(&str, &str)]| {
        let entries = describe_topic(&BrokerConfig::default(), &overrides(topic));
        entries
            .iter()
            .any(|entry| entry.name == "internal.segment.bytes")
    };
    assert!(!has(&[]));
    assert!(has(&[("internal.segment.bytes", "100")]));
}

/// The numbers of `DescribeConfigsResponse.ConfigType` and `ConfigSource`.
#[test]
fn numbers_are_kafkas() {
    let types = [
        (ConfigType::Boolean, 1),
        (ConfigType::String, 2),
        (ConfigType::Int, 3),
        (ConfigType::Short, 4),
        (ConfigType::Long, 5),
        (ConfigType::Double, 6),
        (ConfigType::List, 7),
        (ConfigType::Class, 8),
        (ConfigType::Password, 9),
    ];
    assert!(types.iter().all(|(kind, id)| kind.id() == *id));
    let sources = [
        (ConfigSource::Topic, 1),
        (ConfigSource::DynamicBroker, 2),
        (ConfigSource::DynamicDefaultBroker, 3),
        (ConfigSource::StaticBroker, 4),
        (ConfigSource::Default, 5),
    ];
    assert!(sources.iter().all(|(source, id)| source.id() == *id));
}
