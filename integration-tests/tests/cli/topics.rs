//! `tidemark topic`.

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{for_each_cluster, unique};
use serde_json::json;

use super::{Cli, cells};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_created_shown_altered_and_deleted() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = unique("topic");
        let create = [
            "topic",
            "create",
            &name,
            "--partitions",
            "2",
            "--set",
            "retention.ms=-1",
        ];
        let said = cli.ok(&[&create[..], &["--validate-only"]].concat());
        assert_eq!(
            said,
            format!("could create {name}: 2 partitions, replication factor 1\n")
        );
        assert!(!cli.ok(&["topic", "list"]).contains(&name));
        let said = cli.ok(&create);
        assert_eq!(
            said,
            format!("created {name}: 2 partitions, replication factor 1\n")
        );
        let listed = cli.becomes(&["topic", "list", "--exclude-internal"], &[&name]);
        let listed = cells(&listed);
        assert_eq!(
            listed[0],
            ["TOPIC", "PARTITIONS", "REPLICATION", "INTERNAL"]
        );
        assert!(listed.contains(&vec![&*name, "2", "1", "no"]), "{listed:?}");

        // With offsets: only then it is led by somebody.
        cli.becomes(&["topic", "describe", &name], &["LATEST"]);
        let mut connection = calls::connect(&cluster.bootstrap()).await;
        calls::produce(&mut connection, &name, calls::batch("value", None), -1).await;
        let described = cli.ok(&["topic", "describe", &name]);
        let described = cells(&described);
        assert_eq!(
            described[0][..3],
            [&*format!("{name}:"), "2", "partitions,"]
        );
        assert_eq!(
            described[1],
            [
                "PARTITION",
                "LEADER",
                "REPLICAS",
                "ISR",
                "EARLIEST",
                "LATEST"
            ]
        );
        assert_eq!(described[2], ["0", "1", "1", "1", "0", "1"]);
        assert_eq!(described[3], ["1", "1", "1", "1", "0", "0"]);
        assert!(described.contains(&vec!["retention.ms", "-1", "DYNAMIC_TOPIC_CONFIG"]));

        let alter = [
            "topic",
            "alter",
            &name,
            "--partitions",
            "3",
            "--set",
            "segment.ms=77",
        ];
        let alter = [&alter[..], &["--unset", "retention.ms"]].concat();
        let said = cli.ok(&[&alter[..], &["--validate-only"]].concat());
        assert!(said.contains("could set segment.ms=77"), "{said}");
        let said = cli.ok(&alter);
        let expected = [
            "set segment.ms=77",
            "set retention.ms to the default",
            "set the number of partitions to 3",
        ];
        let expected: String = expected.map(|line| format!("{name}: {line}\n")).concat();
        assert_eq!(said, expected);
        let described = cli.becomes(
            &["topic", "describe", &name],
            &["3 partitions", "segment.ms"],
        );
        assert!(!set_by_hand(&described, "retention.ms"), "{described}");

        assert_eq!(
            cli.ok(&["topic", "delete", &name]),
            format!("deleted {name}\n")
        );
        let said = cli.fails(
            &["topic", "describe", &name],
            &[&name, "does not exist", "topic list"],
        );
        assert_eq!(said.output, "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_has_the_documented_form() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = unique("topic");
        let create = [
            "topic",
            "create",
            &name,
            "--partitions",
            "1",
            "--set",
            "retention.ms=-1",
        ];
        let created = cli.json(&create);
        let created = &created["topics"][0];
        assert_eq!(created["id"].as_str().unwrap().len(), 22);
        let expected = json!({
            "topic": name,
            "created": true,
            "id": created["id"],
            "partitions": 1,
            "replication_factor": 1,
            "error": null,
        });
        assert_eq!(*created, expected);
        cli.becomes(&["topic", "describe", &name], &[&name]);
        let listed = cli.json(&["topic", "list"]);
        let expected = json!({
            "topic": name,
            "id": created["id"],
            "partitions": 1,
            "replication_factor": 1,
            "internal": false,
        });
        assert!(
            listed["topics"].as_array().unwrap().contains(&expected),
            "{listed}"
        );
        let mut described = cli.json(&["topic", "describe", &name]);
        let described = &mut described["topics"][0];
        // What the broker's own configuration sets is shown, too.
        let configs = described["configs"].as_array_mut().unwrap();
        configs.retain(|config| config["source"] == "DYNAMIC_TOPIC_CONFIG");
        let partition = json!({
            "partition": 0,
            "leader": 1,
            "leader_epoch": 0,
            "replicas": [1],
            "isr": [1],
            "offline": [],
            "earliest": 0,
            "latest": 0,
        });
        let config = json!({
            "name": "retention.ms",
            "value": "-1",
            "source": "DYNAMIC_TOPIC_CONFIG",
        });
        let expected = json!({
            "topic": name,
            "id": created["id"],
            "internal": false,
            "partitions": [partition],
            "configs": [config],
            "error": null,
        });
        assert_eq!(*described, expected);
        let altered = cli.json(&["topic", "alter", &name, "--unset", "retention.ms"]);
        let expected = json!({
            "topic": name,
            "altered": true,
            "set": {},
            "unset": ["retention.ms"],
            "partitions": null,
        });
        assert_eq!(altered, expected);
        let deleted = cli.json(&["topic", "delete", &name]);
        assert_eq!(
            deleted,
            json!({ "topics": [{ "topic": name, "deleted": true, "error": null }] })
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_works_is_done_and_what_does_not_is_told() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let [there, new, missing] = ["there", "new", "missing"].map(unique);
        cli.ok(&["topic", "create", &there]);
        let create = ["topic", "create", &there, &new];
        let said = cli.fails(
            &create,
            &[&there, "TOPIC_ALREADY_EXISTS", "--if-not-exists"],
        );
        assert!(
            said.output.starts_with(&format!("created {new}: ")),
            "{said:?}"
        );
        let said = cli.ok(&["topic", "create", &there, "--if-not-exists"]);
        assert_eq!(said, format!("{there} exists already\n"));
        let odd = ["topic", "create", "odd", "--set", "retention.ms=soon"];
        cli.fails(&odd, &["odd", "retention.ms", "soon"]);
        // Nothing of it is done.
        let alter = [
            "topic",
            "alter",
            &there,
            "--set",
            "retention.ms=9",
            "--partitions",
            "1",
        ];
        cli.fails(&alter, &[&there, "INVALID_PARTITIONS"]);
        let described = cli.becomes(&["topic", "describe", &there], &[&there]);
        assert!(!set_by_hand(&described, "retention.ms"), "{described}");
        cli.fails(
            &["topic", "alter", &missing, "--partitions", "3"],
            &[&missing],
        );
        let said = cli.fails_json(&["topic", "delete", &there, &missing]);
        let topics = said["topics"].as_array().unwrap();
        let of = |name: &str| topics.iter().find(|topic| topic["topic"] == name).unwrap();
        assert_eq!(
            *of(&there),
            json!({ "topic": there, "deleted": true, "error": null })
        );
        let refused = of(&missing);
        assert_eq!(refused["deleted"], false);
        assert_eq!(refused["error"]["code"], "UNKNOWN_TOPIC_OR_PARTITION");
        assert!(
            refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains(&missing)
        );
        let said = cli.ok(&["topic", "delete", &missing, "--if-exists"]);
        assert_eq!(said, format!("{missing} does not exist\n"));
    })
    .await;
}

/// Whether the topic has a value of its own for `key`. The clusters of the
/// tests set some for every topic, and those are shown as the broker's.
fn set_by_hand(described: &str, key: &str) -> bool {
    cells(described)
        .iter()
        .any(|row| row.first() == Some(&key) && row.last() == Some(&"DYNAMIC_TOPIC_CONFIG"))
}
