//! `tidemark verify`: on snapshots and servers that are what the log says, and on those that are not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, for_each_cluster};
use integration_tests::harness::ports::free_port;
use integration_tests::harness::wait::until;
use serde_json::json;
use tidemark_client::admin::RecordsBefore;
use tidemark_client::{Client, TopicPartition};
use tidemark_streams::serving::views::{user_windows, word_count};
use tidemark_streams::serving::{Lambda, LambdaConfig, Manifest};
use tidemark_streams::time::TimeWindows;

use super::serving::{Site, files};
use super::{Cli, said, usage};

impl Site<'_> {
    fn verify<'b>(&'b self, more: &[&'b str]) -> Vec<&'b str> {
        let verify = ["verify", "--view", self.view, "--input", &self.input];
        [&verify[..], &["--snapshots", self.folder()], more].concat()
    }

    fn ask<'b>(&'b self, address: &'b str, more: &[&'b str]) -> Vec<&'b str> {
        let verify = ["verify", "--view", self.view, "--input", &self.input];
        [&verify[..], &["--served", address], more].concat()
    }

    fn manifest(&self, number: u64) -> Manifest {
        let path = self
            .own()
            .join("manifests")
            .join(Manifest::file_name(number));
        Manifest::from_json(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Has the states of another site's snapshot in place of its own, with sizes and checksums that are
    /// right.
    fn forge(&self, other: &Site<'_>, number: u64) {
        let (mut own, forged) = (self.manifest(number), other.manifest(number));
        for file in &mut own.states {
            let same = |other: &&_| {
                let other: &tidemark_streams::serving::StateFile = other;
                (&other.topic, other.partition) == (&file.topic, file.partition)
            };
            let forged = forged.states.iter().find(same).unwrap();
            let bytes = std::fs::read(other.own().join(&forged.path)).unwrap();
            std::fs::write(self.own().join(&file.path), bytes).unwrap();
            (file.bytes, file.crc32, file.rows) = (forged.bytes, forged.crc32, forged.rows);
        }
        let path = self
            .own()
            .join("manifests")
            .join(Manifest::file_name(number));
        std::fs::write(path, own.to_json()).unwrap();
    }

    /// Keeps the view in this process, with what is in the folder.
    async fn lambda(&self) -> Lambda<String, impl tidemark_streams::serving::Aggregate> {
        let config = LambdaConfig::new(&self.cli.bootstrap, self.folder.path())
            .cut_every(Duration::ZERO)
            .commit_interval(Duration::from_millis(20))
            .poll(Duration::from_millis(20))
            .wait(Duration::from_millis(200));
        Lambda::start(word_count(&self.input), config)
            .await
            .unwrap()
    }
}

/// A server that answers a request as it is told to, one for each connection.
struct Puppet(TcpListener);

impl Puppet {
    fn address(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// What the next one asks for.
    fn answers(&self, status: &str, body: &serde_json::Value) -> String {
        let (mut stream, _) = self.0.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let body = body.to_string();
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        String::from_utf8(request).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_compared_with_the_log() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let site = Site::new(&cli, "word_count", "2");
        let input = &site.input;
        let check = |more: &[&str], texts: &[&str]| cli.cannot(&site.verify(more), texts);
        check(&[], &["no snapshots of word_count", "batch run"]);
        std::fs::create_dir(site.own()).unwrap();
        check(&[], &["has no snapshot yet", "tidemark batch run"]);
        site.write("0", "one two\n");
        site.write("1", "two three\n");
        cli.ok(&site.batch(&[]));
        let first = format!("{input}:0:1,{input}:1:1");
        let agrees = format!(
            "3 keys of 2 records agree with the log: snapshot 1 of \"word_count\", up to {first}\n"
        );
        assert_eq!(cli.ok(&site.verify(&[])), agrees);
        site.write("0", "four\n");
        assert_eq!(cli.ok(&site.verify(&[])), agrees);
        cli.ok(&site.batch(&["--keep", "1"]));
        let said = cli.json(&site.verify(&[]));
        let short = json!([said["checks"][0]["snapshot"], said["checks"][0]["agrees"]]);
        assert_eq!(short, json!([2, true]));
        check(&["--as-of", &first], &["snapshot 1 has no states any more"]);
        cli.ok(&site.batch(&["--from-scratch"]));
        let second = format!("{input}:0:2");
        let said = cli.ok(&site.verify(&["--as-of", &second]));
        assert!(said.contains("snapshot 3 of"), "{said}");
        check(
            &["--as-of", &format!("{input}:0:0")],
            &["the oldest one, 1, covers"],
        );
        check(
            &["--as-of", &format!("{input}:0:99")],
            &["ends at offset 2, and 99"],
        );
        check(
            &["--as-of", "x:0:1"],
            &["x-0 is none of the view's partitions"],
        );
        usage(&site.verify(&["--as-of", "x"]), "topic:partition:offset");
    })
    .await;
}

/// A byte of a file becomes another one.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_files_are_found() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "word_count", "1");
    let input = &site.input;
    for line in ["one\n", "two\n"] {
        site.write("0", line);
        cli.ok(&site.batch(&[]));
    }
    let of = |folder: &str| files(&site.own().join(folder)).pop().unwrap();
    // What is meant may be the one that cannot be read, and may not.
    damage(&of("manifests"));
    cli.cannot(&site.verify(&[]), &["2.json is no manifest"]);
    let first = format!("{input}:0:1");
    let said = cli.ok(&site.verify(&["--as-of", &first]));
    let (left_out, agrees) = said.split_once('\n').unwrap();
    assert!(left_out.starts_with("left out, "), "{said}");
    assert!(left_out.contains("2.json is no manifest"), "{said}");
    assert!(agrees.contains("snapshot 1 of"), "{said}");
    let second = format!("{input}:0:0");
    cli.cannot(
        &site.verify(&["--as-of", &second]),
        &["2.json is no manifest"],
    );
    damage(&of("manifests"));
    cli.ok(&site.verify(&[]));
    // Raw events are not what the states are made of.
    damage(&of("events"));
    let said = cli.fails(&site.verify(&[]), &["/events/", "is corrupt", "checksum"]);
    let agrees =
        "2 keys of 2 records agree with the log, as far as its files can be read: snapshot 2 of";
    assert!(said.output.starts_with(agrees), "{said:?}");
    std::fs::remove_file(of("events")).unwrap();
    cli.ok(&site.verify(&["--as-of", &first]));
    damage(&of("state"));
    cli.fails(
        &site.verify(&[]),
        &["/events/", "/state/", "is corrupt", "is not there"],
    );
    std::fs::remove_file(of("state")).unwrap();
    let said = cli.fails_json(&site.verify(&[]));
    let own = &said["checks"][0];
    assert_eq!((&own["agrees"], &own["keys"]), (&json!(false), &json!(0)));
    assert_eq!(own["damaged"].as_array().unwrap().len(), 2);
    cluster.stop().await;
}

/// What a snapshot does not have, and where it begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_covered_is_told() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "word_count", "1");
    let input = &site.input;
    site.write("0", "one\ntwo\n");
    let client = Client::connect(&cluster.bootstrap()).unwrap();
    let gone = [(TopicPartition::new(&**input, 0), RecordsBefore::Offset(1))];
    let deleted = client.admin().delete_records(gone).await.unwrap();
    deleted.all().unwrap();
    let folder = site.folder.path();
    // Where they are if nobody says where.
    let here = |words: &[&str]| {
        let mut command = super::command();
        let view = ["--view", "word_count", "--input", input];
        let command = command.current_dir(folder).args(words).args(view);
        said(command.args(["--bootstrap", &cli.bootstrap]))
    };
    assert_eq!(here(&["batch", "run"]).code, Some(0));
    assert!(
        folder
            .join("tidemark-snapshots/word_count/manifests")
            .is_dir()
    );
    let agrees = format!(
        "1 key of 1 record agree with the log: snapshot 1 of \"word_count\", from {input}:0:1 up to {input}:0:2\n"
    );
    assert_eq!(here(&["verify"]).output, agrees);
    cli.ok(&["topic", "alter", input, "--partitions", "2"]);
    let line = format!(
        "partition {input}-1 is not in it: the topic has been given it since, or its first cut had not been announced yet\n"
    );
    let said = until("the partition to be there", || {
        let said = here(&["verify"]);
        (said.output != agrees).then_some(said)
    });
    assert_eq!((said.code, said.output), (Some(0), agrees + &line));
    client.close();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_the_log_says_is_found_with_its_records() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "word_count", "2");
    let input = &site.input;
    site.write("0", "one two\n");
    site.write("1", "two three\n");
    cli.ok(&site.batch(&[]));
    // A topic of the same name with a word more.
    let elsewhere = Cluster::tidemark(&[]).await;
    let other_cli = Cli::of(&elsewhere);
    let mut other = Site::new(&other_cli, "word_count", "2");
    other.input = input.clone();
    other_cli.ok(&["topic", "create", input, "--partitions", "2"]);
    other.write("0", "one two two\n");
    other.write("1", "two three\n");
    other_cli.ok(&other.batch(&[]));
    site.forge(&other, 1);
    let said = cli.fails(
        &site.verify(&[]),
        &["snapshot 1 of \"word_count\" is not what the log says"],
    );
    let expected = format!(
        "1 of 3 keys of 2 records do not agree with the log: snapshot 1 of \"word_count\", up to \
         {input}:0:1,{input}:1:1\n\
         key \"two\", of {input}-0\n  snapshot  2\n  log       1\n  records   {input}-0@0\n"
    );
    assert_eq!(said.output, expected);
    let said = cli.fails_json(&site.verify(&[]));
    let own = &said["checks"][0];
    assert_eq!(
        (&own["agrees"], &own["different"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(
        own["differences"][0]["records"],
        json!([format!("{input}-0@0")])
    );
    assert_eq!(own["differences"][0]["found"], "2");

    // Who serves it answers wrongly.
    let lambda = site.lambda().await;
    let server = lambda.serve("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", server.address());
    let end = format!("{input}:0:1,{input}:1:1");
    let said = cli.fails(
        &site.ask(&address, &["--as-of", &end]),
        &[&address, "is not what the log says"],
    );
    let key =
        format!("key \"two\"\n  served    3\n  log       2\n  records   {input}-0@0 {input}-1@0\n");
    assert!(
        said.output
            .starts_with("1 of 3 keys of 2 records do not agree"),
        "{said:?}"
    );
    assert!(said.output.ends_with(&key), "{said:?}");
    lambda.close(Duration::from_secs(60)).await.unwrap();

    // The log loses what they were made of.
    let client = Client::connect(&cluster.bootstrap()).unwrap();
    let gone = [(TopicPartition::new(&**input, 0), RecordsBefore::Offset(1))];
    client
        .admin()
        .delete_records(gone)
        .await
        .unwrap()
        .all()
        .unwrap();
    cli.cannot(&site.verify(&[]), &["begins at offset 0, and the log at 1"]);
    // The topic is another one.
    cli.ok(&["topic", "delete", input]);
    until("the topic to be made again", || {
        let made = cli.run(&["topic", "create", input, "--partitions", "2"]);
        (made.code == Some(0)).then_some(())
    });
    cli.cannot(&site.verify(&[]), &["has been made again since snapshot 1"]);
    elsewhere.stop().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_answers_is_compared_page_by_page() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let site = Site::new(&cli, "word_count", "2");
        let lambda = site.lambda().await;
        let server = lambda.serve("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", server.address());
        // More keys than a page has.
        let lines = |from: usize| -> String {
            (from..from + 1_500).map(|at| format!("word{at} same\n")).collect()
        };
        site.write("0", &lines(0));
        site.write("1", &lines(700));
        let covered = format!("{0}:0:1500,{0}:1:1500", site.input);
        until("the server to have it", || {
            let asked = cli.run(&site.ask(&address, &["--as-of", &covered]));
            (asked.code == Some(0)).then_some(())
        });
        // The first cuts may not have been announced yet.
        until("a snapshot of something", || {
            let told = cli.json(&site.batch(&[]));
            told["snapshot"].as_u64()
        });
        // While more comes.
        let writer = std::thread::scope(|scope| {
            let writer = scope.spawn(|| site.write("1", &lines(2_000)));
            for _ in 0..3 {
                let said = cli.ok(&site.ask(&address, &["--as-of", &covered]));
                assert!(said.contains(" agree with the log: what http://"), "{said}");
            }
            writer.join()
        });
        writer.unwrap();
        let end = format!("{0}:0:1500,{0}:1:3000", site.input);
        let both = site.verify(&["--served", &address]);
        let told = cli.json(&both);
        assert_eq!(told["checks"][0]["of"], "snapshot");
        assert_eq!(told["checks"][1]["agrees"], true);
        let said = cli.ok(&site.ask(&address, &["--as-of", &end]));
        let view = "\"word_count\"";
        let expected = format!(
            "3501 keys of 4500 records agree with the log: what {address} answers for {view}, up to {end}\n"
        );
        assert_eq!(said, expected);

        let ask = |address: &str, more: &[&str], texts: &[&str]| {
            let more = [more, &["--timeout", "10s"]].concat();
            cli.cannot(&site.ask(address, &more), texts);
        };
        let beyond = format!("{}:0:9999", site.input);
        ask(&address, &["--as-of", &beyond], &[&address, "9999", "(--timeout)"]);
        let other = ["verify", "--view", "user_totals", "--served", &address];
        cli.cannot(&other, &["there is no view", "word_count"]);
        let nobody = format!("http://127.0.0.1:{}", free_port());
        ask(&nobody, &[], &[&nobody, "--served names the address", "(--timeout)"]);
        // That is something else.
        ask(&format!("http://{}", cli.bootstrap), &[], &[&cli.bootstrap]);
        usage(&site.ask("https://localhost", &[]), "write http://HOST:PORT");
        usage(&["verify", "--view", "words", "--snapshots", "x"], "user_totals, user_windows, word_count");
        lambda.close(Duration::from_secs(60)).await.unwrap();
    })
    .await;
}

/// A server that has not got its partitions yet, and one that is started again between two pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_starting_is_waited_for() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "word_count", "1");
    let input = &site.input;
    site.write("0", "one two\ntwo three\n");
    // Nobody is given its port while nobody listens on it.
    let puppet = Puppet(TcpListener::bind(("127.0.0.1", free_port())).unwrap());
    let address = puppet.address();
    let asking = cli.start(&site.ask(&address, &[]));
    for code in ["elsewhere", "gap", "behind", "busy"] {
        let refusal = json!({ "error": { "code": code, "message": "not yet" } });
        let asked = puppet.answers("503 Service Unavailable", &refusal);
        let path = "GET /views/word_count/keys?limit=1000 HTTP/1.1\r\n";
        assert!(asked.starts_with(path), "{asked}");
    }
    let page = json!({
        "rows": [{ "key": "one", "value": 1 }],
        "next": "b25l",
        "begin": { input: { "0": 0 } },
        "coverage": { input: { "0": 2 } },
        "snapshot": null,
    });
    puppet.answers("200 OK", &page);
    let refusal = json!({ "error": { "code": "elsewhere", "message": "not yet" } });
    let asked = puppet.answers("503 Service Unavailable", &refusal);
    let path = format!("GET /views/word_count/keys?limit=1000&next=b25l&at_least={input}:0:2 ");
    assert!(asked.starts_with(&path), "{asked}");
    // Nobody listens for a while.
    let at = puppet.0.local_addr().unwrap().to_string();
    drop(puppet);
    let lambda = site.lambda().await;
    let _server = lambda.serve(&at).await.unwrap();
    let (status, output, errors) = asking.ends();
    assert_eq!((status.code(), &*errors), (Some(0), ""), "{output}");
    let agrees = format!(
        "3 keys of 2 records agree with the log: what {address} answers for \"word_count\", up to {input}:0:2\n"
    );
    assert_eq!(output, agrees);
    lambda.close(Duration::from_secs(60)).await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_compared_one_by_one() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "user_windows", "1");
    let event = |at: i64| {
        let user = at % 3;
        format!(
            "{{\"user_id\":\"u{user}\",\"value\":0.{at},\"timestamp\":{}}}\n",
            at * 700
        )
    };
    let events: String = (1..20).map(event).collect();
    site.write("0", &events);
    let windows = TimeWindows::tumbling(Duration::from_secs(1));
    let config = LambdaConfig::new(&cli.bootstrap, site.folder.path()).cut_every(Duration::ZERO);
    let lambda = Lambda::start(user_windows(&site.input, windows), config)
        .await
        .unwrap();
    let server = lambda.serve("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", server.address());
    usage(&site.batch(&[]), "user_windows needs it");
    // At a cut with everything, when there is one.
    until("a snapshot of everything", || {
        let told = cli.json(&site.batch(&["--window", "1s"]));
        (told["records"] == 19).then_some(())
    });
    let end = format!("{}:0:19", site.input);
    let both = ["--window", "1s", "--served", &address, "--as-of", &end];
    let said = cli.ok(&site.verify(&both));
    let lines: Vec<_> = said.lines().collect();
    let [snapshot, served] = &lines[..] else {
        panic!("{said}");
    };
    let agree = "19 keys of 19 records agree with the log: ";
    assert!(snapshot.starts_with(&format!("{agree}snapshot ")), "{said}");
    assert!(served.starts_with(&format!("{agree}what http")), "{said}");
    // Windows of another length are another view.
    cli.cannot(
        &site.verify(&["--window", "2s"]),
        &[" is of user_windows", "tumbling 2000 ms"],
    );
    lambda.close(Duration::from_secs(60)).await.unwrap();
    cluster.stop().await;
}
