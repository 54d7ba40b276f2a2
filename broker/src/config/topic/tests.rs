use super::*;
use crate::config::spec::ConfigType;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Checks overrides on a broker with the given options; `expected` is the error, "" for none.
fn check(broker: &[(&str, &str)], topic: &[(&str, &str)], expected: &str) {
    let broker = BrokerConfig::from_pairs(broker.iter().copied()).expect("the broker's options");
    let found = validate_overrides(&broker, &overrides(topic));
    let found = found
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert_eq!(found, expected, "{topic:?}");
}

fn check_one(name: &str, value: &str, expected: &str) {
    let expected = match expected {
        "" => String::new(),
        reason => format!("Invalid value {value} for configuration {name}: {reason}"),
    };
    check(&[], &[(name, value)], &expected);
}

#[test]
fn the_table_is_sorted_and_every_default_is_valid() {
    assert!(OPTIONS.is_sorted_by(|a, b| a.name < b.name));
    for spec in OPTIONS {
        if let Some(default) = spec.default {
            spec.parse(default).expect("a default is valid");
        }
    }
}

/// Kafka 4.2's `LogConfig`: name, type, default.
#[test]
fn names_types_and_defaults_are_kafkas() {
    let expected = [
        ("cleanup.policy", ConfigType::List, "delete"),
        ("compression.gzip.level", ConfigType::Int, "-1"),
        ("compression.lz4.level", ConfigType::Int, "9"),
        ("compression.type", ConfigType::String, "producer"),
        ("compression.zstd.level", ConfigType::Int, "3"),
        ("delete.retention.ms", ConfigType::Long, "86400000"),
        ("file.delete.delay.ms", ConfigType::Long, "60000"),
        ("flush.messages", ConfigType::Long, "9223372036854775807"),
        ("flush.ms", ConfigType::Long, "9223372036854775807"),
        (
            "follower.replication.throttled.replicas",
            ConfigType::List,
            "",
        ),
        ("index.interval.bytes", ConfigType::Int, "4096"),
        (
            "leader.replication.throttled.replicas",
            ConfigType::List,
            "",
        ),
        ("local.retention.bytes", ConfigType::Long, "-2"),
        ("local.retention.ms", ConfigType::Long, "-2"),
        (
            "max.compaction.lag.ms",
            ConfigType::Long,
            "9223372036854775807",
        ),
        ("max.message.bytes", ConfigType::Int, "1048588"),
        (
            "message.timestamp.after.max.ms",
            ConfigType::Long,
            "3600000",
        ),
        (
            "message.timestamp.before.max.ms",
            ConfigType::Long,
            "9223372036854775807",
        ),
        ("message.timestamp.type", ConfigType::String, "CreateTime"),
        ("min.cleanable.dirty.ratio", ConfigType::Double, "0.5"),
        ("min.compaction.lag.ms", ConfigType::Long, "0"),
        ("min.insync.replicas", ConfigType::Int, "1"),
        ("preallocate", ConfigType::Boolean, "false"),
        ("remote.log.copy.disable", ConfigType::Boolean, "false"),
        ("remote.log.delete.on.disable", ConfigType::Boolean, "false"),
        ("remote.storage.enable", ConfigType::Boolean, "false"),
        ("retention.bytes", ConfigType::Long, "-1"),
        ("retention.ms", ConfigType::Long, "604800000"),
        ("segment.bytes", ConfigType::Int, "1073741824"),
        ("segment.index.bytes", ConfigType::Int, "10485760"),
        ("segment.jitter.ms", ConfigType::Long, "0"),
        ("segment.ms", ConfigType::Long, "604800000"),
        (
            "unclean.leader.election.enable",
            ConfigType::Boolean,
            "false",
        ),
    ];
    let broker = BrokerConfig::default();
    let shown = OPTIONS.iter().filter(|spec| !spec.internal);
    let found: Vec<(&str, ConfigType, String)> = shown
        .map(|spec| {
            let value = value(&broker, &Overrides::new(), spec.name).expect("it has a default");
            (spec.name, spec.kind, value.to_string())
        })
        .collect();
    let expected: Vec<(&str, ConfigType, String)> = expected
        .iter()
        .map(|(name, kind, value)| (*name, *kind, (*value).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_range_ends_where_kafkas_does() {
    let at_least = [
        ("delete.retention.ms", 0_i64),
        ("file.delete.delay.ms", 0),
        ("flush.messages", 1),
        ("flush.ms", 0),
        ("index.interval.bytes", 0),
        ("internal.segment.bytes", 1),
        ("local.retention.bytes", -2),
        ("local.retention.ms", -2),
        ("max.compaction.lag.ms", 1),
        ("max.message.bytes", 0),
        ("message.timestamp.after.max.ms", 0),
        ("message.timestamp.before.max.ms", 0),
        ("min.compaction.lag.ms", 0),
        ("min.insync.replicas", 1),
        ("retention.ms", -1),
        ("segment.bytes", 1_048_576),
        ("segment.index.bytes", 4),
        ("segment.jitter.ms", 0),
        ("segment.ms", 1),
    ];
    for (name, min) in at_least {
        check_one(name, &min.to_string(), "");
        let reason = format!("Value must be at least {min}");
        check_one(name, &(min - 1).to_string(), &reason);
    }
    check_one("retention.bytes", &i64::MIN.to_string(), "");
    let between = [
        ("compression.lz4.level", 1_i64, 17_i64),
        ("compression.zstd.level", -131_072, 22),
    ];
    for (name, min, max) in between {
        check_one(name, &min.to_string(), "");
        check_one(name, &max.to_string(), "");
        let low = format!("Value must be at least {min}");
        check_one(name, &(min - 1).to_string(), &low);
        let high = format!("Value must be no more than {max}");
        check_one(name, &(max + 1).to_string(), &high);
    }
    let gzip = "Value must be between 1 and 9 or equal to -1";
    for (level, reason) in [("-1", ""), ("1", ""), ("9", ""), ("0", gzip), ("10", gzip)] {
        check_one("compression.gzip.level", level, reason);
    }
    check_one("min.cleanable.dirty.ratio", "0", "");
    check_one("min.cleanable.dirty.ratio", "1.0", "");
    check_one(
        "min.cleanable.dirty.ratio",
        "1.01",
        "Value must be no more than 1",
    );
    check_one(
        "min.cleanable.dirty.ratio",
        "-0.1",
        "Value must be at least 0",
    );
}

#[test]
fn values_of_the_wrong_type_are_named() {
    check_one("retention.ms", "abc", "Not a number of type LONG");
    check_one("retention.ms", "", "Not a number of type LONG");
    check_one(
        "retention.ms",
        "9223372036854775808",
        "Not a number of type LONG",
    );
    check_one("segment.bytes", "2147483648", "Not a number of type INT");
    check_one("segment.bytes", " 1048576 ", "");
    check_one(
        "min.cleanable.dirty.ratio",
        "NaN",
        "Not a number of type DOUBLE",
    );
    check_one("preallocate", "TRUE", "");
    check_one(
        "preallocate",
        "yes",
        "Expected value to be either true or false",
    );
    let codecs = "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer";
    check_one("compression.type", "none", codecs);
    let clocks = "String must be one of: CreateTime, LogAppendTime";
    check_one("message.timestamp.type", "createtime", clocks);
}

#[test]
fn cleanup_policy_is_a_set_of_two() {
    check_one("cleanup.policy", "compact , delete", "");
    check_one("cleanup.policy", "", "");
    check_one(
        "cleanup.policy",
        "shrink",
        "String must be one of: compact, delete",
    );
    check_one("cleanup.policy", "delete,delete", "");
    check_one(
        "cleanup.policy",
        "delete,",
        "Entries of the list must not be empty",
    );
}

#[test]
fn throttled_replicas_are_pairs_or_a_star() {
    let name = "leader.replication.throttled.replicas";
    let reason = "must be * or a list of replicas in the form [partitionId]:[brokerId],...";
    for (value, reason) in [
        ("", ""),
        ("*", ""),
        ("0:1,1:1", ""),
        ("0", reason),
        ("*,0:1", reason),
        ("a:b", reason),
    ] {
        check_one(name, value, reason);
    }
}

#[test]
fn unknown_names_come_before_bad_values() {
    check(
        &[],
        &[("retention.mss", "1")],
        "Unknown topic config name: retention.mss",
    );
    check(
        &[],
        &[("cleanup.policy", "x"), ("log.retention.ms", "1")],
        "Unknown topic config name: log.retention.ms",
    );
}

#[test]
fn values_must_agree_with_each_other_and_with_the_broker() {
    check(
        &[],
        &[
            ("min.compaction.lag.ms", "2"),
            ("max.compaction.lag.ms", "1"),
        ],
        "conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)",
    );
    check(
        &[],
        &[
            ("min.compaction.lag.ms", "2"),
            ("max.compaction.lag.ms", "2"),
        ],
        "",
    );
    check(
        &[("log.cleaner.max.compaction.lag.ms", "10")],
        &[("min.compaction.lag.ms", "11")],
        "conflict topic config setting min.compaction.lag.ms (11) > max.compaction.lag.ms (10)",
    );
    check(
        &[],
        &[("remote.storage.enable", "true")],
        "remote.storage.enable cannot be true: this broker has no remote storage (tiered storage)",
    );
    check(&[], &[("remote.storage.enable", "false")], "");
}

#[test]
fn a_value_fits_a_metadata_string() {
    let name = "leader.replication.throttled.replicas";
    let fits = ",".repeat(MAX_VALUE_LENGTH);
    check(&[], &[(name, &fits)], "");
    let long = ",".repeat(MAX_VALUE_LENGTH + 1);
    let expected = format!("The value of {name} is longer than the maximum of 32767 characters");
    check(&[], &[(name, &long)], &expected);
}

#[test]
fn resolving_takes_the_topic_before_the_broker_before_the_default() {
    let resolve = |broker: &[(&str, &str)], topic: &[(&str, &str)]| {
        let broker = BrokerConfig::from_pairs(broker.iter().copied()).expect("the broker");
        TopicConfig::resolve(&broker, &overrides(topic))
    };
    assert_eq!(resolve(&[], &[]).retention_ms, 604_800_000);
    let broker = [("log.retention.hours", "1")];
    assert_eq!(resolve(&broker, &[]).retention_ms, 3_600_000);
    let broker = [("log.retention.hours", "1"), ("log.retention.minutes", "2")];
    assert_eq!(resolve(&broker, &[]).retention_ms, 120_000);
    let broker = [("log.retention.ms", "5"), ("log.retention.minutes", "2")];
    assert_eq!(resolve(&broker, &[]).retention_ms, 5);
    assert_eq!(resolve(&broker, &[("retention.ms", "7")]).retention_ms, 7);
    assert_eq!(
        resolve(&[("log.retention.hours", "-3")], &[]).retention_ms,
        -1
    );
    assert_eq!(
        resolve(&[("log.roll.hours", "2")], &[]).segment_ms,
        7_200_000
    );
    assert_eq!(
        resolve(&[("log.roll.jitter.hours", "1")], &[]).segment_jitter_ms,
        3_600_000
    );
    assert_eq!(
        resolve(&[("log.flush.scheduler.interval.ms", "9")], &[]).flush_ms,
        9
    );
    assert_eq!(
        resolve(&[("message.max.bytes", "99")], &[]).max_message_bytes,
        99
    );
}

/// The broker options behind each topic option are those of Kafka's table, with its units.
#[test]
fn every_synonym_is_a_broker_option_and_reaches_its_topic_option() {
    for spec in OPTIONS {
        for name in spec.synonyms {
            let broker_spec = crate::config::broker::option(name).expect("the synonym is known");
            let is_coarse = name.ends_with(".hours") || name.ends_with(".minutes");
            assert!(is_coarse || broker_spec.kind == spec.kind, "{name}");
            let broker = BrokerConfig::from_pairs([(*name, sample(spec))]).expect(name);
            let config = value(&broker, &Overrides::new(), spec.name).expect("a value");
            let unit = match () {
                () if name.ends_with(".hours") => 3_600_000,
                () if name.ends_with(".minutes") => 60_000,
                () => 1,
            };
            let expected = match spec.parse(sample(spec)).expect("a sample is valid") {
                Value::Number(number) => Value::Number(number * unit),
                other => other,
            };
            assert_eq!(config, expected, "{name} gives {}", spec.name);
        }
    }
}

/// A valid value that is no option's default.
fn sample(spec: &OptionSpec) -> &'static str {
    match (spec.name, spec.kind) {
        ("segment.bytes", _) => "2000000",
        ("compression.type", _) => "lz4",
        ("message.timestamp.type", _) => "LogAppendTime",
        ("cleanup.policy", _) => "compact",
        (_, ConfigType::Boolean) => "true",
        (_, ConfigType::Double) => "0.25",
        _ => "8",
    }
}

#[test]
fn typed_values_mean_what_their_names_say() {
    let resolve =
        |topic: &[(&str, &str)]| TopicConfig::resolve(&BrokerConfig::default(), &overrides(topic));
    let policy = |text: &str| {
        let policy = resolve(&[("cleanup.policy", text)]).cleanup_policy;
        (policy.delete, policy.compact)
    };
    assert_eq!(policy("delete"), (true, false));
    assert_eq!(policy("compact"), (false, true));
    assert_eq!(policy("compact,delete"), (true, true));
    assert_eq!(policy(""), (false, false));
    let codecs = [
        ("producer", CompressionType::Producer),
        ("uncompressed", CompressionType::Uncompressed),
        ("gzip", CompressionType::Gzip),
        ("snappy", CompressionType::Snappy),
        ("lz4", CompressionType::Lz4),
        ("zstd", CompressionType::Zstd),
    ];
    assert_eq!(codecs.len(), COMPRESSION_TYPES.len());
    for (name, codec) in codecs {
        assert_eq!(
            resolve(&[("compression.type", name)]).compression_type,
            codec
        );
    }
    let clock = resolve(&[("message.timestamp.type", "LogAppendTime")]).message_timestamp_type;
    assert_eq!(clock, TimestampType::LogAppendTime);
    assert_eq!(resolve(&[]).segment_size(), 1 << 30);
    assert_eq!(
        resolve(&[("internal.segment.bytes", "100")]).segment_size(),
        100
    );
}

#[test]
fn a_stored_override_that_is_not_valid_has_no_effect() {
    let stored = overrides(&[("retention.ms", "soon"), ("diskless.enable", "true")]);
    let config = TopicConfig::resolve(&BrokerConfig::default(), &stored);
    assert_eq!(
        config,
        TopicConfig::resolve(&BrokerConfig::default(), &Overrides::new())
    );
}

proptest::proptest! {
    /// Whatever validation lets through can be resolved, and nothing panics.
    #[test]
    fn no_override_panics(at in 0..OPTIONS.len(), value in ".{0,40}|-?[0-9]{1,20}") {
        let spec = &OPTIONS[at];
        let stored = overrides(&[(spec.name, &value)]);
        let broker = BrokerConfig::default();
        let valid = validate_overrides(&broker, &stored).is_ok();
        let resolved = TopicConfig::resolve(&broker, &stored);
        if !valid && spec.name != "remote.storage.enable" && !spec.name.contains("compaction") {
            let plain = TopicConfig::resolve(&broker, &Overrides::new());
            proptest::prop_assert_eq!(resolved, plain);
        }
    }
}
