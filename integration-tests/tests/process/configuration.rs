//! The sources of the configuration, and what is said about mistakes in them.

use integration_tests::harness::process::Launch;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use super::{check_failed, temp_dir};

/// What DescribeConfigs says of the broker's option.
async fn described(bootstrap: &str, options: &[&str]) -> Vec<String> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("an admin client");
    let broker = ResourceSpecifier::Broker(1);
    let described = admin.describe_configs([&broker], &AdminOptions::new());
    let mut described = described.await.expect("DescribeConfigs is answered");
    let broker = described.remove(0).expect("the broker has a configuration");
    let value = |name: &&str| {
        let entry = broker.get(name).expect("the option is there");
        entry.value.clone().unwrap_or_default()
    };
    options.iter().map(value).collect()
}

/// Each source overrules the ones before it: file, environment, command line.
#[tokio::test]
async fn later_sources_overrule_earlier_ones() {
    let dir = temp_dir();
    let file = dir.path().join("server.properties");
    let text = "# Kafka's own format\n\
                num.partitions = 2\n\
                fetch.max.bytes : 2000\n\
                log.index.interval.bytes=2048\n\
                listeners=PLAINTEXT://127.0.0.1:1\n\
                log.dirs=kept\\\n  -here\n";
    std::fs::write(&file, text).expect("the file can be written");
    let broker = Launch::new(dir.path())
        .env("TIDEMARK_NUM_PARTITIONS", "3")
        .env("TIDEMARK_FETCH_MAX_BYTES", "3000")
        .arg("--config")
        .arg(&file)
        .set("num.partitions", "4")
        .set("num.partitions", "5")
        .start();
    let options = [
        "num.partitions",
        "fetch.max.bytes",
        "log.index.interval.bytes",
        "message.max.bytes",
    ];
    let values = described(broker.bootstrap(), &options).await;
    assert_eq!(values, ["5", "3000", "2048", "1048588"]);
    assert_eq!(broker.data_dir(), dir.path().join("kept-here"));
    assert!(broker.data_dir().join("meta.properties").exists());
    broker.stop();
}

#[test]
fn unknown_and_useless_options_are_named_and_do_no_harm() {
    let dir = temp_dir();
    let file = dir.path().join("server.properties");
    let text = "num.partitons=2\nzookeeper.connect=localhost:2181\n";
    std::fs::write(&file, text).expect("the file can be written");
    let broker = Launch::new(dir.path())
        .env("TIDEMARK_NUM_PARTITIOMS", "2")
        .arg("--config")
        .arg(&file)
        .set("no.such.option", "2")
        .start();
    let errors = broker.errors();
    for text in [
        "server.properties line 1: unknown option num.partitons; did you mean num.partitions?",
        "server.properties line 2: zookeeper.connect has no effect",
        "unknown environment variable TIDEMARK_NUM_PARTITIOMS; did you mean",
        "--set no.such.option: unknown option no.such.option",
    ] {
        assert!(errors.contains(text), "{text:?}: {errors}");
    }
    broker.stop();
}

#[test]
fn a_bad_value_ends_with_2_and_names_key_value_and_range() {
    let dir = temp_dir();
    let check = |key: &str, value: &str, allowed: &str| {
        let ended = Launch::new(dir.path()).set(key, value).run_to_end();
        check_failed(&ended, 2, &[key, value, allowed]);
    };
    check("num.partitions", "0", "at least 1");
    check("num.partitions", "many", "number");
    check("offsets.topic.segment.bytes", "16384", "at least 1048576");
    check("node.id", "-7", "at least 0");
    let unknown = "no-such-host.invalid:1";
    check(
        "max.connections.per.ip.overrides",
        unknown,
        "has no address",
    );
    check("log.cleaner.min.cleanable.ratio", "1.5", "no more than 1");
    check(
        "log.message.timestamp.type",
        "Never",
        "CreateTime, LogAppendTime",
    );
    check("tidemark.acks.all.durable", "maybe", "true");
    check("tidemark.http.listener", "nowhere", "host:port");
    check("listeners", "PLAINTEXT//127.0.0.1", "NAME://host:port");
    check("listeners", "SSL://127.0.0.1:0", "PLAINTEXT");
    assert!(
        !dir.path().join("tidemark-data").exists(),
        "nothing was made"
    );
}

#[test]
fn all_bad_values_are_named_at_once() {
    let dir = temp_dir();
    let file = dir.path().join("bad.properties");
    std::fs::write(&file, "\nnum.partitions=none\n").expect("the file can be written");
    let ended = Launch::new(dir.path())
        .env("TIDEMARK_LOG_SEGMENT_BYTES", "12")
        .arg("--config")
        .arg(&file)
        .set("max.connections", "-3")
        .run_to_end();
    let texts = [
        "bad.properties line 2: Invalid value none for configuration num.partitions",
        "TIDEMARK_LOG_SEGMENT_BYTES: Invalid value 12 for configuration log.segment.bytes",
        "--set max.connections: Invalid value -3 for configuration max.connections",
    ];
    check_failed(&ended, 2, &texts);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = temp_dir();
    let ended = Launch::new(dir.path())
        .arg("--config")
        .arg("missing.properties");
    check_failed(&ended.run_to_end(), 2, &["cannot read missing.properties"]);
}
