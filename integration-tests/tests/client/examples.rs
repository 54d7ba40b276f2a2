//! The client's examples do what they say: each is run as its users would, one after the other on
//! one broker.

use std::path::PathBuf;
use std::process::Command;

use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use integration_tests::harness::kafka::USER;

/// Runs an example with these arguments; gives what it printed.
fn run(example: &str, arguments: &[&str]) -> String {
    let mut command = command(example);
    command.args(arguments);
    printed(command)
}

fn command(example: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let target: PathBuf = tests
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .into();
    let binary = target.join("examples").join(example);
    assert!(
        binary.exists(),
        "{} is not built: cargo build -p tidemark-client --examples",
        binary.display()
    );
    Command::new(binary)
}

fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_run() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        // The examples are processes of their own; a thread that may block waits for each.
        tokio::task::spawn_blocking(move || all(&bootstrap))
            .await
            .unwrap();
    })
    .await;
}

fn all(bootstrap: &str) {
    let (topic, numbers) = (unique("example"), unique("numbers"));
    let written = run("produce", &[bootstrap, &topic]);
    assert_eq!(written.lines().count(), 3, "{written}");
    assert!(
        written.starts_with(&format!("{topic}-0 offset 0\n")),
        "{written}"
    );

    let read = run("consume", &[bootstrap, &topic, &unique("readers"), "3"]);
    assert_eq!(
        read,
        format!(
            "{topic}-0 offset 0: ada = login\n{topic}-0 offset 1: bob = login\n{topic}-0 offset 2: \
             ada = login\n"
        )
    );

    let readme = run("readme", &[bootstrap]);
    assert_eq!(readme.matches("written at offset").count(), 3, "{readme}");
    assert!(readme.contains("Some(b\"user2\") at offset"), "{readme}");

    let counted = run("produce_counted", &[bootstrap, &numbers, "5000"]);
    assert_eq!(counted, "5000 delivered, 0 failed\n");

    let batches = run("consume_batches", &[bootstrap, &numbers, "0", "5000"]);
    assert!(
        batches.ends_with("5000 records, 40000 bytes of values\n"),
        "{batches}"
    );

    let streamed = run("consume_stream", &[bootstrap, &topic, "1000", "3"]);
    assert!(streamed.starts_with("offset 0 at "), "{streamed}");

    let (orders, billing) = (unique("orders"), unique("billing"));
    let managed = run("admin", &[bootstrap, &orders, &billing]);
    for line in [
        "retention.ms = 3600000".to_owned(),
        format!("Earliest of {orders}-0: 1"),
        format!("Latest of {orders}-0: 3"),
        format!("{billing} is at 2 of {orders}-0"),
        format!("{billing} is Empty with 0 members"),
        format!("deleted {orders}"),
        "missing stays: Some(UnknownTopicOrPartition)".to_owned(),
    ] {
        assert!(
            managed.lines().any(|told| told == line),
            "{line}: {managed}"
        );
    }

    let sought = run("seek", &[bootstrap, &topic, "2"]);
    for line in [
        "offset 2 from there",
        "offset 0 from the beginning",
        "offset 1 after the pause",
        "the next one is Some(2)",
    ] {
        assert!(sought.lines().any(|told| told == line), "{line}: {sought}");
    }

    let chosen = run("partitioner", &[bootstrap, &topic]);
    assert_eq!(
        chosen,
        "urgent-1 is in partition 0\nlater-1 is in partition 0\nlater-2 is put aside\n"
    );

    let stayed = run(
        "static_member",
        &[bootstrap, &topic, &unique("static"), "host-7"],
    );
    assert_eq!(
        stayed,
        "run 1: offset 0\nrun 2: offset 1\nhost-7 has been removed\n"
    );

    let worked = run("rebalance", &[bootstrap, &topic, &unique("workers"), "3"]);
    let lines: Vec<&str> = worked.lines().collect();
    assert_eq!(lines.first(), Some(&"1 partitions came"), "{worked}");
    assert_eq!(lines.last(), Some(&"1 partitions go"), "{worked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_secured_cluster_runs() {
    let kafka = match Cluster::shared_kafka().await {
        Ok(Cluster::SharedKafka(kafka)) => kafka,
        Ok(_) => unreachable!("it was asked for"),
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    std::fs::write(&authority, kafka.authority().pem()).unwrap();
    let topic = unique("secret");
    let mut secure = command("secure");
    secure
        .arg(kafka.listener("SASL_SSL"))
        .arg(&authority)
        .args([USER.0, &topic]);
    let wrong = secure.env("PASSWORD", "wrong").output().unwrap();
    let errors = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        !wrong.status.success() && errors.contains(USER.0),
        "{errors}"
    );
    secure.env("PASSWORD", USER.1);
    let written = tokio::task::spawn_blocking(move || printed(secure));
    assert_eq!(written.await.unwrap(), format!("{topic}-0 offset 0\n"));
}

#[test]
fn the_readme_shows_the_example() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let example = std::fs::read_to_string(format!("{root}/client/examples/readme.rs")).unwrap();
    let code: Vec<&str> = example.lines().map(str::trim).collect();
    let section = readme
        .split("with the project's own client")
        .nth(1)
        .unwrap();
    let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).take(2).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let lines: Vec<&str> = block.lines().skip(1).map(str::trim).collect();
        assert!(lines.len() >= 7, "{block}");
        let shown = code.windows(lines.len()).any(|window| window == lines);
        assert!(shown, "not in client/examples/readme.rs:\n{block}");
    }
}
