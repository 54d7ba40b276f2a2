use super::*;

#[derive(Default)]
struct Case<'a> {
    file: &'a str,
    environment: &'a [(&'a str, &'a str)],
    set: &'a [(&'a str, &'a str)],
}

impl Case<'_> {
    fn load(&self) -> Result<Loaded, ConfigError> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let set: Vec<_> = self.set.iter().map(pair).collect();
        let file = SourceFile {
            name: "server.properties",
            text: self.file,
        };
        load(Some(file), &set, self.environment.iter().map(pair))
    }

    fn config(&self) -> BrokerConfig {
        self.load().expect("the sources are valid").config
    }

    fn warnings(&self) -> Vec<String> {
        self.load().expect("the sources are valid").warnings
    }

    fn error(&self) -> String {
        self.load()
            .expect_err("the sources are not valid")
            .to_string()
    }
}

#[test]
fn nothing_given_is_the_default() {
    let loaded = load(None, &[], []).expect("defaults");
    assert_eq!(
        loaded,
        Loaded {
            config: BrokerConfig::default(),
            warnings: Vec::new()
        }
    );
}

#[test]
fn later_sources_overrule_earlier_ones() {
    let file = "num.partitions=2\nnode.id=2\nfetch.max.bytes=2000";
    let environment = &[
        ("TIDEMARK_NUM_PARTITIONS", "3"),
        ("TIDEMARK_NODE_ID", "3"),
        ("HOME", "/"),
    ];
    let set = &[("num.partitions", "9"), ("num.partitions", "4")];
    let case = Case {
        file,
        environment,
        set,
    };
    let config = case.config();
    assert_eq!(config.fetch_max_bytes, 2000);
    assert_eq!(config.node_id, 3);
    assert_eq!(config.num_partitions, 4);
    assert_eq!(case.warnings(), Vec::<String>::new());
}

#[test]
fn a_later_source_overrules_other_names_of_the_same_thing() {
    let case = Case {
        file: "log.retention.ms=5\nlog.dirs=/file\nbroker.id=2",
        environment: &[("TIDEMARK_LOG_DIR", "/environment")],
        set: &[("log.retention.hours", "1"), ("node.id", "3")],
    };
    let config = case.config();
    assert_eq!(config.log_retention_ms, None);
    assert_eq!(config.log_retention_hours, 1);
    assert_eq!(config.data_dir, std::path::PathBuf::from("/environment"));
    assert_eq!(config.node_id, 3);
}

#[test]
fn our_own_options_have_short_variables() {
    let environment = &[
        ("TIDEMARK_HTTP_LISTENER", "none"),
        ("TIDEMARK_ACKS_ALL_DURABLE", "false"),
    ];
    let config = Case {
        environment,
        ..Case::default()
    }
    .config();
    assert_eq!(config.http, None);
    assert!(!config.tidemark_acks_all_durable);
}

#[test]
fn every_option_has_a_variable_of_its_own() {
    let mut names: Vec<String> = broker::OPTIONS
        .iter()
        .map(|spec| environment_name(spec.name))
        .collect();
    names.extend(OTHER_VARIABLES.iter().map(|(name, _)| (*name).to_owned()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn unknown_names_warn_with_the_nearest_known_one() {
    let case = Case {
        file: "num.partition=3\n\nmy.plugin.setting=1",
        environment: &[
            ("TIDEMARK_LOG_DIRECTORY_SETTING", "/x"),
            ("TIDEMARK_LOG_DIRZ", "/x"),
            ("TIDEMARK_LOG", "debug"),
        ],
        set: &[("log.retention.mss", "5")],
    };
    assert_eq!(
        case.warnings(),
        [
            "server.properties line 1: unknown option num.partition; did you mean num.partitions?",
            "server.properties line 3: unknown option my.plugin.setting",
            "unknown environment variable TIDEMARK_LOG_DIRECTORY_SETTING",
            "unknown environment variable TIDEMARK_LOG_DIRZ; did you mean TIDEMARK_LOG_DIR?",
            "--set log.retention.mss: unknown option log.retention.mss; did you mean \
             log.retention.ms?",
        ]
    );
    assert_eq!(case.config(), BrokerConfig::default());
}

#[test]
fn known_options_without_effect_say_why() {
    let case = Case {
        file: "process.roles=broker,controller\nssl.keystore.location=/k",
        environment: &[
            ("TIDEMARK_NUM_IO_THREADS", "8"),
            ("TIDEMARK_REPLICA_FETCH_MAX_BYTES", "8"),
        ],
        ..Case::default()
    };
    let why = |name: &str| ignored::find(name).expect("it is known").why;
    assert_eq!(
        case.warnings(),
        [
            format!(
                "server.properties line 1: process.roles has no effect: {}",
                why("process.roles")
            ),
            format!(
                "server.properties line 2: ssl.keystore.location has no effect: {}",
                why("ssl.*")
            ),
            format!(
                "TIDEMARK_NUM_IO_THREADS: num.io.threads has no effect: {}",
                why("num.io.threads")
            ),
            format!(
                "TIDEMARK_REPLICA_FETCH_MAX_BYTES: replica.fetch.max.bytes has no effect: {}",
                why("replica.*")
            ),
        ]
    );
}

/// The settings of a single-node KRaft configuration as Kafka's quick start gives it.
#[test]
fn a_copied_kraft_configuration_works() {
    let file = "process.roles=broker,controller\n\
                node.id=1\n\
                controller.quorum.bootstrap.servers=localhost:9093\n\
                listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
                inter.broker.listener.name=PLAINTEXT\n\
                advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
                controller.listener.names=CONTROLLER\n\
                listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\n\
                num.network.threads=3\n\
                num.io.threads=8\n\
                socket.send.buffer.bytes=102400\n\
                log.dirs=/tmp/kraft-combined-logs\n\
                num.recovery.threads.per.data.dir=2\n\
                offsets.topic.replication.factor=1\n\
                share.coordinator.state.topic.replication.factor=1\n\
                transaction.state.log.min.isr=1\n\
                log.retention.hours=168\n";
    let case = Case {
        file,
        ..Case::default()
    };
    let config = case.config();
    let show = |listeners: &[crate::config::Listener]| {
        listeners
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(show(&config.listeners), ["PLAINTEXT://:9092"]);
    assert_eq!(
        show(&config.advertised_listeners),
        ["PLAINTEXT://localhost:9092"]
    );
    let warnings = case.warnings();
    assert_eq!(warnings.len(), 9, "{warnings:#?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.contains("has no effect")),
        "{warnings:#?}"
    );
}

#[test]
fn what_would_open_a_hole_is_refused() {
    let file = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    assert_eq!(
        Case {
            file,
            ..Case::default()
        }
        .error(),
        "server.properties line 1: Invalid value \
         org.apache.kafka.metadata.authorizer.StandardAuthorizer for configuration \
         authorizer.class.name: must not be set: authorization is not there yet, and without it \
         everyone may do everything"
    );
    let empty = Case {
        file: "authorizer.class.name=",
        ..Case::default()
    };
    assert_eq!(empty.config(), BrokerConfig::default());
}

#[test]
fn all_mistakes_are_shown_with_their_places() {
    let case = Case {
        file: "authorizer.class.name=x\nnum.partitions=0",
        environment: &[("TIDEMARK_FETCH_MAX_BYTES", "1")],
        set: &[("log.retention.ms", "soon"), ("listeners", "SSL://:9093")],
    };
    let error = case.error();
    let lines: Vec<&str> = error.lines().collect();
    let expected = [
        "server.properties line 1: Invalid value x for configuration authorizer.class.name: ",
        "TIDEMARK_FETCH_MAX_BYTES: Invalid value 1 for configuration fetch.max.bytes: Value must \
         be at least 1024",
        "--set log.retention.ms: Invalid value soon for configuration log.retention.ms: Not a \
         number of type LONG",
        "server.properties line 2: Invalid value 0 for configuration num.partitions: Value must \
         be at least 1",
        "--set listeners: Invalid value SSL://:9093 for configuration listeners: ",
    ];
    assert_eq!(lines.len(), expected.len(), "{error}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn a_broken_file_names_its_line() {
    assert_eq!(
        Case {
            file: "a=b\nc=\\u00",
            ..Case::default()
        }
        .error(),
        "server.properties: line 2: malformed escape \\u00: four hexadecimal digits must follow"
    );
}

#[test]
fn distances() {
    let check = |a: &str, b: &str, expected: usize| assert_eq!(distance(a, b), expected, "{a} {b}");
    check("", "", 0);
    check("", "ab", 2);
    check("ab", "", 2);
    check("kitten", "sitting", 3);
    check("log.dir", "log.dirs", 1);
}

#[test]
fn ignored_names_are_sorted_and_not_options() {
    let bare = |ignored: &ignored::Ignored| ignored.name.trim_end_matches('*');
    assert!(ignored::IGNORED.is_sorted_by(|a, b| bare(a) < bare(b)));
    for spec in broker::OPTIONS {
        assert!(
            ignored::find(spec.name).is_none(),
            "{} is an option",
            spec.name
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_source_panics(
        file in "([a-z.#=:\\\\\n]{0,9}){0,9}|(?s:.{0,60})",
        name in "TIDEMARK_[A-Z_]{0,30}",
        value in ".{0,30}",
    ) {
        let set = [(file.clone(), value.clone())];
        let file = SourceFile { name: "f", text: &file };
        let _ = load(Some(file), &set, [(name, value)]);
    }
}
