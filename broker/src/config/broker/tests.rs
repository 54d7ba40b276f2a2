use super::*;
use crate::config::spec::Valid;

/// Builds a broker with these options; `expected` is the error, "" for none.
fn check(pairs: &[(&str, &str)], expected: &str) {
    let found = BrokerConfig::from_pairs(pairs.iter().copied());
    let found = found
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert_eq!(found, expected, "{pairs:?}");
}

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_table_is_sorted_and_every_default_is_valid() {
    assert!(OPTIONS.is_sorted_by(|a, b| a.name < b.name));
    for spec in OPTIONS {
        if let Some(default) = spec.default {
            spec.parse(default).expect("a default is valid");
        }
        let is_known = |name: &&str| option(name).is_some();
        assert!(spec.synonyms.iter().all(is_known), "{}", spec.name);
    }
}

#[test]
fn every_range_ends_where_it_says() {
    for spec in OPTIONS {
        let check = |value: i64, expected: bool| {
            assert_eq!(
                spec.parse(&value.to_string()).is_ok(),
                expected,
                "{}={value}",
                spec.name
            );
        };
        match spec.valid {
            Valid::AtLeast(min) => {
                check(min, true);
                check(min - 1, false);
            }
            Valid::Between(min, max) | Valid::BetweenOr(min, max, _) => {
                check(min, true);
                check(max, true);
                check(
                    min - 1,
                    matches!(spec.valid, Valid::BetweenOr(_, _, o) if o == min - 1),
                );
                check(max + 1, false);
            }
            _ => {}
        }
    }
}

#[test]
fn without_any_option_the_broker_serves_this_machine() {
    let config = BrokerConfig::default();
    assert_eq!(config.node_id, 1);
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(
        config.listeners[0].to_string(),
        "PLAINTEXT://127.0.0.1:9092"
    );
    assert_eq!(config.advertised_listeners, config.listeners);
    assert_eq!(config.data_dir, PathBuf::from("./tidemark-data"));
    assert_eq!(
        config.http,
        Some(HttpListener {
            host: "127.0.0.1".to_owned(),
            port: 9644
        })
    );
    assert!(config.tidemark_acks_all_durable);
    assert_eq!(config.offsets_topic_num_partitions, 50);
    assert_eq!(config.value("log.retention.ms"), None);
    assert_eq!(
        config.value("log.retention.hours"),
        Some(&Value::Number(168))
    );
}

#[test]
fn rules_about_several_options() {
    check(&[("node.id", "3")], "");
    check(
        &[("node.id", "3"), ("broker.id", "4")],
        "Invalid value 4 for configuration broker.id: Value must be the same as that of node.id, \
         which is 3",
    );
    check(
        &[("log.retention.hours", "0")],
        "Invalid value 0 for configuration log.retention.hours: Value must be at least 1, or -1 \
         for no limit",
    );
    check(&[("log.retention.ms", "-1")], "");
    check(&[("log.retention.minutes", "-7")], "");
    check(
        &[("log.roll.ms", "0")],
        "Invalid value 0 for configuration log.roll.ms: Value must be at least 1",
    );
    check(
        &[("log.flush.interval.ms", "-1")],
        "Invalid value -1 for configuration log.flush.interval.ms: Value must be at least 0",
    );
    check(
        &[("queued.max.request.bytes", "1000")],
        "Invalid value 1000 for configuration queued.max.request.bytes: Value must be 0 or less, \
         or at least socket.request.max.bytes, which is 104857600",
    );
    check(&[("queued.max.request.bytes", "104857600")], "");
    check(
        &[("max.connections.per.ip", "0")],
        "Invalid value 0 for configuration max.connections.per.ip: Value can be 0 only when \
         max.connections.per.ip.overrides is set",
    );
    check(
        &[
            ("max.connections.per.ip", "0"),
            ("max.connections.per.ip.overrides", "::1:5"),
        ],
        "",
    );
    check(
        &[("log.dirs", "/a,/b")],
        "Invalid value /a,/b for configuration log.dirs: Value must be one directory; several \
         are not supported",
    );
    check(
        &[("log.dirs", "")],
        "Invalid value  for configuration log.dirs: The list must not be empty",
    );
    check(
        &[
            ("log.cleaner.min.compaction.lag.ms", "2"),
            ("log.cleaner.max.compaction.lag.ms", "1"),
        ],
        "conflict topic config setting log.cleaner.min.compaction.lag.ms (2) > \
         log.cleaner.max.compaction.lag.ms (1)",
    );
    check(&[("retention.ms", "2")], "Unknown option: retention.ms");
}

#[test]
fn all_mistakes_are_shown_at_once() {
    check(
        &[
            ("num.partitions", "0"),
            ("node.id", "x"),
            ("listeners", "SSL://:1"),
        ],
        "Invalid value x for configuration broker.id: Not a number of type INT\n\
         Invalid value x for configuration node.id: Not a number of type INT\n\
         Invalid value 0 for configuration num.partitions: Value must be at least 1\n\
         Invalid value SSL://:1 for configuration listeners: the security protocol SSL of \
         listener SSL is not served yet; PLAINTEXT is the only one",
    );
}

#[test]
fn node_id_and_broker_id_are_one() {
    let id = |name| BrokerConfig::from_pairs([(name, "7")]).map(|c| (c.node_id, c.broker_id));
    assert_eq!(id("node.id"), Ok((7, 7)));
    assert_eq!(id("broker.id"), Ok((7, 7)));
}

#[test]
fn log_dirs_comes_before_log_dir() {
    let config = BrokerConfig::from_pairs([("log.dir", "/a"), ("log.dirs", "/b")]);
    assert_eq!(
        config.map(|config| config.data_dir),
        Ok(PathBuf::from("/b"))
    );
}

#[test]
fn http_can_be_moved_and_switched_off() {
    let http = |text| BrokerConfig::from_pairs([("tidemark.http.listener", text)]).map(|c| c.http);
    let at = |host: &str, port| {
        Ok(Some(HttpListener {
            host: host.to_owned(),
            port,
        }))
    };
    assert_eq!(http(""), Ok(None));
    assert_eq!(http("none"), Ok(None));
    assert_eq!(http("[::1]:0"), at("::1", 0));
    assert_eq!(http(":80"), at("", 80));
    check(
        &[("tidemark.http.listener", "here")],
        "Invalid value here for configuration tidemark.http.listener: expected host:port, an IPv6 \
         address in brackets",
    );
}

#[test]
fn connection_limits_take_the_last_colon() {
    let limits = |text| {
        BrokerConfig::from_pairs([("max.connections.per.ip.overrides", text)])
            .map(|config| config.max_connections_per_ip_overrides.0.clone())
    };
    let expected = BTreeMap::from([("10.0.0.1".to_owned(), 5), ("::1".to_owned(), 7)]);
    assert_eq!(limits("10.0.0.1:5, [::1]:7"), Ok(expected.clone()));
    assert_eq!(limits("10.0.0.1:5,::1:7"), Ok(expected));
    assert_eq!(limits(""), Ok(BTreeMap::new()));
    for bad in ["a", "a:", "a:-1", ":1", "a b:1", "a:1,"] {
        let error = limits(bad).expect_err(bad).to_string();
        assert!(
            error.contains("max.connections.per.ip.overrides: Value must be"),
            "{error}"
        );
    }
}

#[test]
fn overrides_replace_weaker_layers_and_their_synonyms() {
    let config = BrokerConfig::from_pairs([("log.roll.ms", "5"), ("num.partitions", "3")])
        .expect("valid options");
    let changed = config
        .with_overrides(
            &overrides(&[("log.retention.ms", "9"), ("message.max.bytes", "10")]),
            &overrides(&[("message.max.bytes", "20"), ("no.such.option", "x")]),
        )
        .expect("valid overrides");
    assert_eq!(changed.log_retention_ms, Some(9));
    assert_eq!(changed.message_max_bytes, 20);
    assert_eq!(changed.num_partitions, 3);
    assert_eq!(changed.log_roll_ms, Some(5));
    let back = changed.with_overrides(&Overrides::new(), &Overrides::new());
    assert_eq!(back, Ok(config));
}

#[test]
fn only_dynamic_options_can_be_overridden() {
    let config = BrokerConfig::default();
    let alter = |name, value| {
        let result = config.with_overrides(&overrides(&[(name, value)]), &Overrides::new());
        result
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(alter("log.retention.ms", "1"), "");
    assert_eq!(
        alter("num.partitions", "2"),
        "Cannot update these configs dynamically: num.partitions"
    );
    assert_eq!(
        alter("log.retention.hours", "2"),
        "Cannot update these configs dynamically: log.retention.hours"
    );
    assert_eq!(
        alter("log.segment.bytes", "2"),
        "Invalid value 2 for configuration log.segment.bytes: Value must be at least 1048576"
    );
}

/// Kafka lets exactly the strongest broker name of each topic option change at run time.
#[test]
fn topic_defaults_are_dynamic_as_in_kafka() {
    for spec in topic::OPTIONS {
        for (at, name) in spec.synonyms.iter().enumerate() {
            let dynamic = option(name).expect("the synonym is known").dynamic;
            let expected = if at == 0 {
                Dynamic::ClusterWide
            } else {
                Dynamic::ReadOnly
            };
            assert_eq!(dynamic, expected, "{name}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_value_panics(at in 0..OPTIONS.len(), value in ".{0,40}|-?[0-9]{1,20}") {
        let spec = &OPTIONS[at];
        if let Ok(config) = BrokerConfig::from_pairs([(spec.name, value.as_str())]) {
            proptest::prop_assert!(!config.listeners.is_empty());
        }
    }
}
