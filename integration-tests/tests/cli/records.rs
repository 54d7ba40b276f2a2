//! `tidemark produce` and `tidemark consume`.

use assert_cmd::Command;
use integration_tests::harness::cluster::{for_each_cluster, unique};
use integration_tests::harness::process::binary;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::util::Timeout;

use super::{Cli, Said, command, said};

impl Cli {
    /// A command with this on its standard input.
    pub(super) fn fed(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = command();
        command
            .args(arguments)
            .args(["--bootstrap", &self.bootstrap])
            .write_stdin(input);
        said(&mut command)
    }

    /// What is written by a command that does all it was told to.
    #[track_caller]
    pub(super) fn writes(&self, arguments: &[&str], input: &str) -> String {
        let said = self.fed(arguments, input);
        assert_eq!((said.code, &*said.errors), (Some(0), ""), "{said:?}");
        said.output
    }
}

pub(super) fn topic(cli: &Cli, partitions: &str) -> String {
    let name = unique("records");
    cli.ok(&["topic", "create", &name, "--partitions", partitions]);
    // Only when its partitions are led by somebody.
    cli.becomes(&["topic", "describe", &name], &["LATEST"]);
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_in_lines_is_read_in_any_form() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let said = cli.writes(
            &["produce", &name, "-K", ":", "-H", "from=test"],
            "a:1\nb:2:3\nc:\n",
        );
        assert_eq!(said, format!("3 records written to \"{name}\"\n"));
        let said = cli.writes(&["produce", &name, "-k", "d", "--empty-is-null"], "\nx");
        assert_eq!(said, format!("2 records written to \"{name}\"\n"));

        assert_eq!(cli.ok(&["consume", &name]), "1\n2:3\n\n\nx\n");
        let layout = r"%t %p %o %k=%v %h%%\n";
        assert_eq!(
            cli.ok(&["consume", &name, "--format", layout, "-n", "2"]),
            format!("{name} 0 0 a=1 from=test%\n{name} 0 1 b=2:3 from=test%\n")
        );
        let lines = cli.ok(&["consume", &name, "--from", "-2", "--output", "json"]);
        let records: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), 2);
        assert_eq!(
            (&records[0]["offset"], &records[0]["value"]),
            (&3.into(), &().into())
        );
        assert_eq!(
            (&records[1]["key"], &records[1]["value"]),
            (&"d".into(), &"x".into())
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_goes_round() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (first, second) = (topic(&cli, "2"), topic(&cli, "2"));
        let lines = [
            r#"{"key":"k","value":"text","headers":[["h","1"],["h",null]],"partition":1,"timestamp":77}"#,
            r#"{"key":null,"value":{"a":[1,2]},"partition":1}"#,
            r#"{"value":{"base64":"/wA="},"partition":1}"#,
            r#"{"headers":[[{"base64":"/w=="},"1"],["/w==",{"base64":"/w=="}]],"partition":1}"#,
        ];
        cli.writes(&["produce", &first, "--format", "json"], &lines.join("\n"));
        let read = cli.ok(&["consume", &first, "--output", "json"]);
        cli.writes(&["produce", &second, "--format", "json", "-z", "zstd:3"], &read);
        let again = cli.ok(&["consume", &second, "--output", "json"]);
        assert_eq!(read.replace(&first, "T"), again.replace(&second, "T"));
        assert!(read.contains(r#""timestamp":77"#) && read.contains(r#""base64":"/wA=""#), "{read}");
        assert!(read.contains(r#""value":"{\"a\":[1,2]}""#), "{read}");
        let headers = r#""headers":[[{"base64":"/w=="},"1"],["/w==",{"base64":"/w=="}]]"#;
        assert!(read.contains(headers), "{read}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let line = |at: i64| format!("{{\"value\":\"{at}\",\"timestamp\":{}}}\n", at * 1000);
        let lines: String = (0..10).map(line).collect();
        cli.writes(&["produce", &name, "--format", "json"], &lines);
        let check = |options: &[&str], expected: &[&str]| {
            let said = cli.ok(&[&["consume", &name][..], options].concat());
            let found: Vec<&str> = said.lines().collect();
            assert_eq!(found, expected, "{options:?}");
        };
        check(&["--from", "7"], &["7", "8", "9"]);
        check(&["--from", "3", "--to", "5"], &["3", "4"]);
        check(&["--from", "-3", "-n", "2"], &["7", "8"]);
        check(&["--from", "latest"], &[]);
        check(&["--from", "1970-01-01T00:00:08Z"], &["8", "9"]);
        check(
            &["--from", "1", "--to", "1970-01-01T00:00:03Z"],
            &["1", "2"],
        );
        // All of it is older than that, and there is nothing else.
        check(&["--from", "1h"], &[]);
        check(&["--from", "500"], &[]);
        check(&["-p", "0", "--from", "9"], &["9"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_reads_on_where_it_stopped() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "3"), unique("group"));
        let lines: String = (0..30).map(|at| format!("{at}:{at}\n")).collect();
        cli.writes(&["produce", &name, "-K", ":"], &lines);
        let mut read: Vec<u32> = cli
            .ok(&["consume", &name, "-g", &group])
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        read.sort_unstable();
        assert_eq!(read, (0..30).collect::<Vec<_>>());
        assert_eq!(cli.ok(&["consume", &name, "-g", &group]), "");
        cli.writes(&["produce", &name], "more\n");
        assert_eq!(cli.ok(&["consume", &name, "-g", &group]), "more\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_one_after_another() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (one, two) = (file("one", "1\n2\n"), file("two", "3\n4"));
        let empty = file("empty", "");
        let name = topic(&cli, "1");
        let produce = ["produce", &name, "--quiet"];
        let said = cli.ok(&[&produce[..], &[&one, &empty, &two]].concat());
        assert_eq!(said, format!("4 records written to \"{name}\"\n"));
        assert_eq!(cli.ok(&["consume", &name]), "1\n2\n3\n4\n");

        let one = file("one.json", "{\"value\":\"5\"}\n\n{\"value\":6}\n");
        let two = file("two.json", "{\"value\":\"7\"}");
        let said = cli.ok(&[&produce[..], &["--format", "json", &one, &two]].concat());
        assert_eq!(said, format!("3 records written to \"{name}\"\n"));
        assert_eq!(cli.ok(&["consume", &name, "--from", "4"]), "5\n6\n7\n");
        // What is wrong is told with its file and line; what stands before it is written.
        let wrong = file("wrong.json", "{\"value\":\"8\"}\n{\"valeu\":\"9\"}\n");
        let said = cli.fails(
            &[&produce[..], &["--format", "json", &two, &wrong]].concat(),
            &["wrong.json:2: \"valeu\" is none of"],
        );
        assert_eq!(said.output, format!("2 records written to \"{name}\"\n"));
        assert_eq!(cli.ok(&["consume", &name, "--from", "7"]), "7\n8\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_shown_how_far_it_is() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let on_a_terminal = |option: &str| {
            let line = format!(
                "{} produce {name} {} --bootstrap {} {option}",
                binary().display(),
                path.display(),
                cli.bootstrap
            );
            let mut script = Command::new("script");
            script.args(["-qec", &line, "/dev/null"]);
            let said = said(script.env("TERM", "xterm"));
            assert_eq!(said.code, Some(0), "{said:?}");
            assert!(said.output.contains("2 records written"), "{said:?}");
            said.output
        };
        let shown = on_a_terminal("");
        assert!(shown.contains("2 records, 6 B, "), "{shown}");
        assert!(shown.contains("/s, 100%"), "{shown}");
        let shown = on_a_terminal("--quiet");
        assert!(!shown.contains("2 records, "), "{shown}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_written_with_less_care_on_demand() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        for (at, acks) in ["0", "1", "all"].into_iter().enumerate() {
            let line = format!("acks {acks}\n");
            let said = cli.writes(&["produce", &name, "--acks", acks], &line);
            assert_eq!(said, format!("1 record written to \"{name}\"\n"));
            // With 0 nobody says when it is there.
            cli.becomes(&["consume", &name, "--from", &at.to_string()], &[&line]);
        }
    })
    .await;
}

/// Tidemark has no transactions; it gives the same with the option as without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_transactions_are_left_out_on_demand() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "1"), unique("group"));
        cli.writes(&["produce", &name], "plain\n");
        let committed = ["consume", &name, "--read-committed"];
        if !cluster.is_kafka() {
            assert_eq!(cli.ok(&committed), "plain\n");
            return;
        }
        let (bootstrap, to) = (cluster.bootstrap(), name.clone());
        let written = tokio::task::spawn_blocking(move || transactions(&bootstrap, &to));
        written.await.unwrap();
        assert_eq!(cli.ok(&["consume", &name]), "plain\naborted\ngood\n");
        assert_eq!(cli.ok(&committed), "plain\ngood\n");
        // A group has read the marks at the end of transactions, too: it has no lag.
        let by_group = [&committed[..], &["-g", &group]].concat();
        assert_eq!(cli.ok(&by_group), "plain\ngood\n");
        let described = cli.json(&["group", "describe", &group]);
        assert_eq!(described["groups"][0]["lag"], 0, "{described}");
    })
    .await;
}

/// One transaction that is aborted and one that is committed, with a record each.
fn transactions(bootstrap: &str, topic: &str) {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", unique("transactional"));
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(Timeout::Never).unwrap();
    for value in ["aborted", "good"] {
        producer.begin_transaction().unwrap();
        let record = BaseRecord::<(), str>::to(topic).payload(value);
        producer.send(record).unwrap();
        producer.flush(Timeout::Never).unwrap();
        match value {
            "good" => producer.commit_transaction(Timeout::Never).unwrap(),
            _ => producer.abort_transaction(Timeout::Never).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_what_does_not_fit() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let directory = tempfile::tempdir().unwrap();
        let path = |file: &str| directory.path().join(file).to_str().unwrap().to_owned();
        std::fs::write(path("small"), "one\ntwo\n").unwrap();
        std::fs::write(path("large"), vec![b'x'; 2_000_000]).unwrap();
        let said = cli.writes(&["produce", &name, "--format", "files", &path("small")], "");
        assert_eq!(said, format!("1 record written to \"{name}\"\n"));
        assert_eq!(cli.ok(&["consume", &name]), "one\ntwo\n\n");

        let fails = |arguments: &[&str], input: &str, code: i32, part: &str| {
            let said = cli.fed(arguments, input);
            assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
            assert!(said.errors.contains(part), "{arguments:?}: {said:?}");
        };
        let large = path("large");
        fails(
            &["produce", &name, "--format", "files", &large],
            "",
            1,
            "larger than --max-request-size 1048576",
        );
        let raised = ["--format", "files", &large, "--max-request-size", "3000000"];
        fails(
            &[&["produce", &name][..], &raised].concat(),
            "",
            1,
            "MESSAGE_TOO_LARGE",
        );
        fails(
            &["produce", &name, "-K", ":"],
            "a:1\nb\n",
            1,
            "standard input:2: there is no \":\"",
        );
        fails(
            &["produce", &name, "-p", "7"],
            "x\n",
            1,
            "has no partition 7: it has 1",
        );
        fails(
            &["produce", &name, "--format", "json"],
            "{",
            1,
            "standard input:1: EOF",
        );
        fails(
            &["produce", &name, "--format", "json"],
            "\n{\"value\":{\"base64\":\"!\"}}",
            1,
            "standard input:2: \"value\" is no base64",
        );
        fails(
            &["produce", &name, "--acks", "2"],
            "",
            2,
            "write all, 1 or 0",
        );
        fails(
            &["produce", &name, "-z", "rar"],
            "",
            2,
            "none, gzip, snappy, lz4 and zstd",
        );
        fails(
            &["produce", &name, "-z", "zstd:99"],
            "",
            2,
            "the levels of zstd are",
        );
        fails(&["produce", &name, &path("missing")], "", 2, "No such file");
        fails(&["consume", &unique("missing")], "", 1, "does not exist");
        fails(
            &["consume", &name, "-p", "1"],
            "",
            2,
            "has partitions 0 to 0",
        );
        fails(
            &["consume", &name, "--from", "soon"],
            "",
            2,
            "write earliest, latest",
        );
        fails(
            &["consume", &name, "--format", "%x"],
            "",
            2,
            "after % comes one of",
        );
        fails(&["consume"], "", 2, "TOPIC");
    })
    .await;
}
