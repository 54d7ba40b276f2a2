//! `tidemark verify`: on snapshots and servers that are what the log says, and on those that are not.

use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, for_each_cluster};
use integration_tests::harness::ports::free_port;
use integration_tests::harness::wait::until;
use serde_json::json;
use tidemark_client::admin::RecordsBefore;
use tidemark_client::{Client, TopicPartition};
use tidemark_streams::serving::views::{user_windows, word_count};
use tidemark_streams::serving::{Coverage, Lambda, LambdaConfig, Manifest};
use tidemark_streams::time::TimeWindows;

use super::serving::{Site, files};
use super::{Cli, said};

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
            .wait(Duration::from_secs(2));
        Lambda::start(word_count(&self.input), config)
            .await
            .unwrap()
    }
}

/// The command cannot be meant.
#[track_caller]
fn usage(arguments: &[&str], text: &str) {
    let said = said(super::command().args(arguments));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.errors.contains(text), "{text}: {said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_compared_with_the_log() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let site = Site::new(&cli, "word_count", "2");
        let input = &site.input;
        let check = |more: &[&str], texts: &[&str]| drop(cli.fails(&site.verify(more), texts));
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
        // A file that has changed.
        let states = files(&site.own().join("state"));
        let last = states.last().unwrap();
        let mut bytes = std::fs::read(last).unwrap();
        bytes[10] ^= 1;
        std::fs::write(last, bytes).unwrap();
        check(&[], &["is corrupt", "checksum"]);
        std::fs::remove_file(last).unwrap();
        check(&[], &["is not there"]);
    })
    .await;
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
    let end: Coverage = format!("{input}:0:1,{input}:1:1").parse().unwrap();
    until("it to have everything", || {
        let ready = cli.run(&site.ask(&address, &["--as-of", &end.to_string()]));
        (!ready.output.is_empty()).then_some(())
    });
    let said = cli.fails(
        &site.ask(&address, &[]),
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
    cli.fails(&site.verify(&[]), &["begins at offset 0, and the log at 1"]);
    // The topic is another one.
    cli.ok(&["topic", "delete", input]);
    until("the topic to be made again", || {
        let made = cli.run(&["topic", "create", input, "--partitions", "2"]);
        (made.code == Some(0)).then_some(())
    });
    cli.fails(&site.verify(&[]), &["has been made again since snapshot 1"]);
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
        let end: Coverage = format!("{0}:0:1500,{0}:1:1500", site.input).parse().unwrap();
        let covered = end.to_string();
        until("it to have everything", || {
            let said = cli.run(&site.ask(&address, &["--as-of", &covered]));
            (said.code == Some(0)).then_some(())
        });
        cli.ok(&site.batch(&[]));
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
        let said = until("it to have everything", || {
            let said = cli.run(&site.ask(&address, &["--as-of", &end]));
            (said.code == Some(0)).then_some(said.output)
        });
        let view = "\"word_count\"";
        let expected = format!(
            "3501 keys of 4500 records agree with the log: what {address} answers for {view}, up to {end}\n"
        );
        assert_eq!(said, expected);

        let ask = |more: &[&str], texts: &[&str]| drop(cli.fails(&site.ask(&address, more), texts));
        let beyond = format!("{}:0:9999", site.input);
        ask(&["--as-of", &beyond], &[&address, "9999"]);
        let other = ["verify", "--view", "user_totals", "--served", &address];
        cli.fails(&other, &["there is no view", "word_count"]);
        let nobody = format!("http://127.0.0.1:{}", free_port());
        cli.fails(&site.ask(&nobody, &[]), &[&nobody, "--served names the address"]);
        // That is something else.
        let broker = format!("http://{}", cli.bootstrap);
        cli.fails(&site.ask(&broker, &["--timeout", "5s"]), &[&broker]);
        usage(&site.ask("https://localhost", &[]), "write http://HOST:PORT");
        usage(&["verify", "--view", "word_count", "--input", "x"], "--snapshots <DIR>");
        usage(&["verify", "--view", "words", "--snapshots", "x"], "user_totals, user_windows, word_count");
        lambda.close(Duration::from_secs(60)).await.unwrap();
    })
    .await;
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
    cli.ok(&site.batch(&["--window", "1s"]));
    let end = format!("{}:0:19", site.input);
    until("it to have everything", || {
        let both = ["--window", "1s", "--served", &address, "--as-of", &end];
        let said = cli.run(&site.verify(&both));
        said.output
            .contains("19 keys of 19 records agree with the log: what")
            .then_some(())
    });
    // Windows of another length are another view.
    cli.fails(
        &site.verify(&["--window", "2s"]),
        &["snapshot 1 is of user_windows"],
    );
    lambda.close(Duration::from_secs(60)).await.unwrap();
    cluster.stop().await;
}
