//! What has to be so on any cluster: each test runs on Tidemark and on Apache Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::Client;
use tidemark_client::admin::{ConfigQuery, ConfigResource, ConfigSource};
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{Consumed, Late, Streams, StreamsBuilder};

use crate::support::{
    catch_up, config_at, lines, make, read, until, until_found, word_count_of, write,
};

/// Windows close as event time goes on, and at the end of what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_close() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = Client::connect(&bootstrap).unwrap();
        let id = unique("windows");
        let [input, out, late] = ["in", "out", "late"].map(|name| format!("{id}-{name}"));
        make(&client, &[(&input, 1), (&out, 1), (&late, 1)]).await;
        let builder = StreamsBuilder::new();
        let counts = builder
            .stream_with([&*input], Consumed::<String, String>::new())
            .group_by_key()
            .windowed_by(TimeWindows::tumbling(Duration::from_secs(10)))
            .count();
        counts.values().to(&out);
        counts.late().to(&late);
        let topology = builder.build().unwrap();
        let record = |key: &str, at: i64| (key.to_owned(), "x".to_owned(), at);
        let first = [
            record("a", 1000),
            record("b", 2000),
            record("a", 12_000),
            record("a", 3000),
        ];
        for records in [&first[..], &[record("a", 15_000), record("a", 25_000)]] {
            write(&client, &input, records.to_vec()).await;
            let streams = Streams::start(&topology, config_at(&bootstrap, &id)).await;
            streams.unwrap().run_until_caught_up().await.unwrap();
        }
        let out = read::<Windowed<String>, i64>(&client, &out).await;
        let out: Vec<_> = out
            .iter()
            .map(|(k, v)| (k.key.as_str(), k.window.start, *v))
            .collect();
        assert_eq!(
            out,
            [("a", 0, 1), ("b", 0, 1), ("a", 10_000, 1), ("a", 20_000, 1)]
        );
        let late = read::<String, Late<String>>(&client, &late).await;
        let late: Vec<_> = late.iter().map(|(_, late)| late.window.start).collect();
        assert_eq!(late, [0, 10_000]);
    })
    .await;
}

/// Instances that come and go share the tasks, and nothing is lost or counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_the_work() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = Client::connect(&bootstrap).unwrap();
        let id = unique("words");
        let [text, counts] = ["text", "counts"].map(|name| format!("{id}-{name}"));
        make(&client, &[(&text, 4), (&counts, 1)]).await;
        let (records, expected) = lines(3, 900);
        let mut parts = records.chunks(300);
        let topology = word_count_of(&text, &counts);
        let start = async || {
            Streams::start(&topology, config_at(&bootstrap, &id))
                .await
                .unwrap()
        };
        write(&client, &text, parts.next().unwrap().to_vec()).await;
        let one = start().await;
        until("all tasks to run", || one.tasks().len() == 8).await;
        let two = start().await;
        write(&client, &text, parts.next().unwrap().to_vec()).await;
        until("the tasks to be shared", || {
            one.tasks().len() == 4 && two.tasks().len() == 4
        })
        .await;
        one.close(Duration::from_secs(60)).await.unwrap();
        write(&client, &text, parts.next().unwrap().to_vec()).await;
        until("one to have them all", || two.tasks().len() == 8).await;
        // Each count of each word, at least once.
        let all = expected
            .into_iter()
            .flat_map(|(word, total)| (1..=total).map(move |count| (word.clone(), count)));
        let all: BTreeSet<_> = all.collect();
        let out = until_found("all counts", async || {
            let out = read::<String, i64>(&client, &counts).await;
            let out: BTreeSet<_> = out.into_iter().collect();
            (out.len() >= all.len()).then_some(out)
        });
        assert_eq!(out.await, all);
        two.close(Duration::from_secs(60)).await.unwrap();
    })
    .await;
}

/// The application's own topics keep what they have to: nothing goes by time or size, and what goes by
/// compaction stays for days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_topics_keep_what_they_have_to() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = Client::connect(&bootstrap).unwrap();
        let id = unique("own");
        let [input, out] = ["in", "out"].map(|name| format!("{id}-{name}"));
        make(&client, &[(&input, 3), (&out, 1)]).await;
        let builder = StreamsBuilder::new();
        let grouped = builder
            .stream::<String, String>(&input)
            .group_by(|_, value| value.clone());
        let _ = grouped.count().materialized("all");
        let windows = TimeWindows::tumbling(Duration::from_secs(10));
        let counts = grouped.windowed_by(windows).count();
        counts.values().to(&out);
        let topology = builder.build().unwrap();
        catch_up(&topology, config_at(&bootstrap, &id)).await;
        let topics = client.admin().list_topics().await.unwrap();
        let own = topics
            .iter()
            .map(|topic| &*topic.name)
            .filter(|name| name.starts_with(&id) && **name != *input && **name != *out);
        let own: Vec<&str> = own.collect();
        let names = [
            "cleanup.policy",
            "retention.ms",
            "retention.bytes",
            "min.compaction.lag.ms",
            "delete.retention.ms",
        ];
        let query = ConfigQuery::new().names(names);
        let resources = own.iter().map(|topic| ConfigResource::topic(*topic));
        let configs = client.admin().describe_configs(resources, query).await;
        let configs = configs.unwrap().all().unwrap();
        let days = "259200000";
        let mut kinds = BTreeMap::new();
        for topic in &own {
            let entries = &configs[&ConfigResource::topic(*topic)];
            // Said for this topic, whatever the cluster has for all.
            let config = |name: &str| {
                let entry = entries.iter().find(|entry| entry.name == name).unwrap();
                assert_eq!(entry.source, ConfigSource::DynamicTopic, "{topic}, {name}");
                entry.value.clone().unwrap()
            };
            let policy = config("cleanup.policy");
            if policy.contains("delete") {
                assert_eq!(config("retention.ms"), "-1", "{topic}");
                assert_eq!(config("retention.bytes"), "-1", "{topic}");
            }
            if policy.contains("compact") && !topic.ends_with("-topology") {
                assert_eq!(config("min.compaction.lag.ms"), days, "{topic}");
                assert_eq!(config("delete.retention.ms"), days, "{topic}");
            }
            *kinds.entry(policy.replace(' ', "")).or_insert(0) += 1;
        }
        // The repartition topic; the changelogs of counts and numbers, and the topology; that of windows.
        let some = |policy: &str| kinds.get(policy).copied().unwrap_or(0);
        assert_eq!(some("delete"), 1, "{kinds:?}");
        assert!(some("compact") >= 3, "{kinds:?}");
        assert_eq!(
            some("compact,delete") + some("delete,compact"),
            1,
            "{kinds:?}"
        );
    })
    .await;
}
