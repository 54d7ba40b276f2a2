//! `tidemark group`.

use std::time::Duration;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{
    Cluster, for_each_cluster, for_each_cluster_behind_a_proxy, unique,
};
use integration_tests::harness::proxy::{Intercepted, Verdict};
use integration_tests::harness::wait::until;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::json;
use tidemark_client::Client;
use tidemark_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, MetadataRequest};

use super::member::join;
use super::{Cli, cells};

/// A moment of 2033, in milliseconds and as text: retention leaves it alone.
const THEN: i64 = 2_000_000_000_000;
const THEN_TEXT: &str = "2033-05-18T05:33:20+02:00";

/// A topic of two partitions, the first of them with five records, a second apart from [`THEN`] on.
async fn filled(cluster: &Cluster, cli: &Cli) -> String {
    let name = unique("orders");
    let create = ["topic", "create", &name, "--partitions", "2"];
    cli.ok(&[
        &create[..],
        &["--set", "message.timestamp.after.max.ms=9000000000000"],
    ]
    .concat());
    cli.becomes(&["topic", "describe", &name], &["EARLIEST"]);
    let mut connection = calls::connect(&cluster.bootstrap()).await;
    for record in 0..5 {
        let batch = calls::batch_at(THEN + 1000 * record, "value", None);
        calls::produce(&mut connection, &name, batch, -1).await;
    }
    name
}

/// The rows of a reset of partition 0.
fn moved(cli: &Cli, group: &str, topic: &str, target: &[&str]) -> (String, String) {
    let one = format!("{topic}:0");
    let reset = ["group", "reset-offsets", group, "--topic", &one];
    let shown = cli.ok(&[&reset[..], target].concat());
    let rows = cells(&shown);
    assert_eq!(rows[0], ["TOPIC", "PARTITION", "BEFORE", "AFTER"]);
    assert_eq!(rows[1][..2], [topic, "0"]);
    (rows[1][2].to_owned(), rows[1][3].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_reset_to_any_place() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let topic = filled(cluster, &cli).await;
        let group = unique("billing");
        let check = |target: &[&str], before: &str, after: &str| {
            let (told_before, told_after) = moved(&cli, &group, &topic, target);
            assert_eq!((&*told_before, &*told_after), (before, after), "{target:?}");
        };
        // Shown only, whether one says so or not; the group does not even come into being.
        check(&["--to-latest"], "-", "5");
        check(&["--to-latest", "--dry-run"], "-", "5");
        cli.fails(
            &["group", "describe", &group],
            &[&group, "GROUP_ID_NOT_FOUND", "group list"],
        );
        check(&["--to-latest", "--execute"], "-", "5");
        check(&["--to-earliest", "--execute"], "5", "0");
        check(&["--shift-by", "3", "--execute"], "0", "3");
        check(&["--shift-by", "-1"], "3", "2");
        check(&["--shift-by", "-10"], "3", "0");
        check(&["--shift-by=10"], "3", "5");
        check(&["--to-offset", "4"], "3", "4");
        check(&["--to-offset", "99"], "3", "5");
        check(&["--to-datetime", THEN_TEXT], "3", "0");
        check(&["--to-datetime", "2033-05-18T03:33:20.001Z"], "3", "1");
        check(&["--to-datetime", "2133-05-18T03:33:20Z"], "3", "5");
        check(&["--by-duration", "1h"], "3", "0");
        check(&["--by-duration", "PT1H"], "3", "0");
        // Nothing was ever committed for the other partition.
        let reset = [
            "group",
            "reset-offsets",
            &group,
            "--topic",
            &topic,
            "--shift-by",
            "1",
        ];
        let said = cli.fails(
            &[&reset[..], &["--execute"]].concat(),
            &[&format!("{topic}-1: ")],
        );
        assert!(
            said.output.ends_with("nothing has been changed\n"),
            "{said:?}"
        );
        let all = cli.json(&[
            "group",
            "reset-offsets",
            &group,
            "--all-topics",
            "--to-earliest",
        ]);
        let one = json!({
            "topic": topic,
            "partition": 0,
            "before": 3,
            "after": 0,
            "error": null,
        });
        assert_eq!(
            all,
            json!({ "group": group, "executed": false, "offsets": [one] })
        );
        let missing = unique("missing");
        let reset = |wanted| {
            [
                "group",
                "reset-offsets",
                &group,
                "--topic",
                wanted,
                "--to-latest",
            ]
        };
        cli.fails(&reset(&missing), &[&missing, "does not exist"]);
        let beyond = format!("{topic}:1,2");
        cli.fails(
            &reset(&beyond),
            &[&format!("{topic}:2"), "no such partition", "has 2"],
        );
        let new = [
            "group",
            "reset-offsets",
            &missing,
            "--all-topics",
            "--to-latest",
        ];
        cli.fails(&new, &[&missing, "committed no offsets", "--topic"]);
    })
    .await;
}

/// Groups of the new protocol of consumers (KIP-848): Apache Kafka alone has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_the_new_protocol_are_described_and_not_moved_under_their_members() {
    let cluster = match Cluster::shared_kafka().await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let cli = Cli::of(&cluster);
    let topic = filled(&cluster, &cli).await;
    let group = unique("billing");
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", &group)
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest");
    let member: BaseConsumer = config.create().unwrap();
    member.subscribe(&[&topic]).unwrap();
    // It has joined once it has something to read.
    let read = until("a record", || member.poll(Duration::from_secs(1)));
    drop(read.unwrap());
    let described = cli.json(&["group", "describe", &group]);
    let told = &described["groups"][0];
    assert_eq!(told["type"], "consumer", "{told}");
    assert_eq!(told["members"].as_array().unwrap().len(), 1, "{told}");
    let reset = ["group", "reset-offsets", &group, "--topic", &topic];
    let in_use = [&reset[..], &["--to-earliest", "--execute"]].concat();
    cli.fails(&in_use, &[&group, "1 member", "stop them first"]);
    tokio::task::spawn_blocking(move || drop(member))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_described_and_deleted() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let topic = filled(cluster, &cli).await;
        let group = unique("billing");
        let reset = ["group", "reset-offsets", &group, "--topic", &topic];
        cli.ok(&[&reset[..], &["--to-offset", "2", "--execute"]].concat());
        let member = join(cluster, &group, None, &topic, &[0, 1]).await;
        let listed = cli.ok(&["group", "list", "--state", "stable", "--type", "classic"]);
        assert_eq!(
            cells(&listed)[0],
            ["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"]
        );
        assert!(cells(&listed).contains(&vec![&*group, "Stable", "classic", "consumer", "1"]));
        let listed = cli.ok(&["group", "list", "--state", "Empty"]);
        assert!(!listed.contains(&group), "{listed}");

        let described = cli.ok(&["group", "describe", &group]);
        let first = format!(
            "{group}: Stable, classic protocol, 1 member, assigned by range, lag 3, coordinated by \
             broker 1\n"
        );
        assert!(described.starts_with(&first), "{described}");
        let described = cells(&described);
        assert_eq!(
            described[1],
            ["TOPIC", "PARTITION", "COMMITTED", "LATEST", "LAG", "MEMBER"]
        );
        assert_eq!(described[2], [&*topic, "0", "2", "5", "3", &member.id]);
        assert_eq!(described[3], [&*topic, "1", "0", "0", "0", &member.id]);
        assert_eq!(
            described[4],
            ["MEMBER", "CLIENT", "HOST", "INSTANCE", "PARTITIONS"]
        );
        let host = described[5][2];
        let partitions = format!("{topic}:0,1");
        assert_eq!(
            described[5],
            [&*member.id, "member", host, "-", &partitions]
        );

        let told = cli.json(&["group", "describe", "--all"]);
        let groups = told["groups"].as_array().unwrap();
        let told = groups.iter().find(|told| told["group"] == *group).unwrap();
        let offset = |partition, committed, latest| {
            json!({
                "topic": topic,
                "partition": partition,
                "committed": committed,
                "metadata": "",
                "latest": latest,
                "lag": latest - committed,
                "member": member.id,
            })
        };
        let expected = json!({
            "group": group,
            "state": "Stable",
            "type": "classic",
            "coordinator": 1,
            "protocol_type": "consumer",
            "assignor": "range",
            "lag": 3,
            "offsets": [offset(0, 2, 5), offset(1, 0, 0)],
            "members": [{
                "member": member.id,
                "instance": null,
                "client": "member",
                "host": host,
                "topics": [topic],
                "partitions": [
                    { "topic": topic, "partition": 0 },
                    { "topic": topic, "partition": 1 },
                ],
            }],
            "error": null,
        });
        assert_eq!(*told, expected);

        let in_use = [&reset[..], &["--to-earliest", "--execute"]].concat();
        cli.fails(&in_use, &[&group, "Stable", "1 member", "stop them first"]);
        let said = cli.fails(
            &["group", "delete", &group],
            &["NON_EMPTY_GROUP", "stop them first"],
        );
        assert_eq!(said.output, "");
        let admin = Client::connect(&cluster.bootstrap()).unwrap().admin();
        admin
            .remove_all_members(&group, "test")
            .await
            .unwrap()
            .all()
            .unwrap();
        let missing = unique("missing");
        let said = cli.fails_json(&["group", "delete", &group, &missing]);
        assert_eq!(
            said["groups"][0],
            json!({ "group": group, "deleted": true, "error": null })
        );
        assert_eq!(said["groups"][1]["error"]["code"], "GROUP_ID_NOT_FOUND");
        assert!(!cli.ok(&["group", "list"]).contains(&group));
    })
    .await;
}

/// Takes the leader of partition 1 of all topics away, as far as a client can see.
fn without_a_leader(request: &Intercepted) -> Verdict {
    if request.is::<MetadataRequest>() {
        return request.rewrite::<MetadataRequest>(|answer| {
            let partitions = answer.topics.iter_mut().flat_map(|t| &mut t.partitions);
            for partition in partitions.filter(|partition| partition.partition_index == 1) {
                partition.leader_id = BrokerId(-1);
            }
        });
    }
    if request.is::<DescribeTopicPartitionsRequest>() {
        return request.rewrite::<DescribeTopicPartitionsRequest>(|answer| {
            let partitions = answer.topics.iter_mut().flat_map(|t| &mut t.partitions);
            for partition in partitions.filter(|partition| partition.partition_index == 1) {
                partition.leader_id = BrokerId(-1);
            }
        });
    }
    Verdict::Pass
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_a_leader_is_not_waited_for() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let cli = Cli::of(cluster);
        let topic = filled(cluster, &cli).await;
        let group = unique("billing");
        let reset = ["group", "reset-offsets", &group, "--topic", &topic];
        cli.ok(&[&reset[..], &["--to-earliest", "--execute"]].concat());
        proxy.set_script(without_a_leader);
        let through = Cli {
            bootstrap: proxy.address(),
        };
        // It would be waited for up to the timeout, and be a failure then.
        let described = through.ok(&["group", "describe", &group]);
        let rows = cells(&described);
        assert_eq!(rows[2], [&*topic, "0", "0", "5", "5", "-"]);
        assert_eq!(rows[3], [&*topic, "1", "0", "-", "-", "-"]);
    })
    .await;
}
