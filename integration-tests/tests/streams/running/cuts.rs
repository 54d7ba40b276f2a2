//! What nobody reads again is deleted from the application's own topics, and what is left is enough.

use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use tidemark_client::admin::OffsetSpec;
use tidemark_client::{Client, TopicPartition};
use tidemark_streams::time::{JoinWindows, SessionWindows, SlidingWindows, TimeWindows, Windowed};
use tidemark_streams::{Streams, StreamsBuilder, Topology};

use crate::support::{catch_up, config_at, make, offsets, read, until, write};

/// Rounds that are written at least: many more than may be left of a topic.
const ROUNDS: i64 = 40;
/// A cut is good if what it has left has been written in so many rounds at most: the last one's windows are
/// open, and the next one may have begun. One that comes when more has been written says nothing.
const LEFT: i64 = 8;
/// Event time from one round to the next one, in milliseconds: longer than any window is open.
const APART: i64 = 10_000;
/// Records of a round in each topic, with a key each.
const EACH: i64 = 20;

/// An application that is fed round after round.
struct Rounds {
    client: Client,
    streams: Streams,
    written: i64,
}

impl Rounds {
    async fn begin(cluster: &Cluster, id: &str, topics: &[&str], topology: &Topology) -> Self {
        let client = Client::connect(&cluster.bootstrap()).unwrap();
        let topics: Vec<_> = topics.iter().map(|topic| (*topic, 1)).collect();
        make(&client, &topics).await;
        let config = config_at(&cluster.bootstrap(), id);
        let streams = Streams::start(topology, config).await.unwrap();
        Self {
            client,
            streams,
            written: 0,
        }
    }

    /// The topics of the application's own whose names end so.
    async fn own(&self, id: &str, end: &str) -> Vec<TopicPartition> {
        let all = self.client.admin().list_topics().await.unwrap();
        let names = all.iter().map(|topic| &*topic.name);
        let own = names.filter(|name| name.starts_with(id) && name.ends_with(end));
        own.map(|name| TopicPartition::new(name, 0)).collect()
    }

    /// Writes rounds until all these have been cut twice, each time down to the last rounds.
    async fn until_cut(&mut self, logs: &[TopicPartition], more: impl AsyncFn(&Client, i64)) {
        let commits = |streams: &Streams| -> u64 {
            let metrics = streams.metrics();
            let count = "tidemark_streams_commit_latency_seconds_count ";
            let count = metrics.lines().find_map(|line| line.strip_prefix(count));
            count.unwrap().parse().unwrap()
        };
        let mut good = vec![0; logs.len()];
        let mut before = vec![0; logs.len()];
        let mut left = Vec::new();
        while self.written < ROUNDS || good.iter().any(|count| *count < 2) {
            assert!(
                self.written < 500,
                "{logs:?} had {good:?} good cuts, and have {left:?} rounds left"
            );
            let seen = commits(&self.streams);
            more(&self.client, self.written).await;
            self.written += 1;
            until("a commit of what was written", || {
                commits(&self.streams) > seen
            })
            .await;
            let starts = offsets(&self.client, logs, OffsetSpec::Earliest).await;
            let ends = offsets(&self.client, logs, OffsetSpec::Latest).await;
            left.clear();
            for (at, (start, end)) in starts.iter().zip(ends).enumerate() {
                let rounds = (end - start) * self.written / end.max(1);
                left.push(rounds);
                if *start > before[at] && rounds <= LEFT {
                    good[at] += 1;
                }
            }
            before = starts;
        }
    }

    /// What comes after a restart goes on from what is left.
    async fn end(
        mut self,
        config: tidemark_streams::StreamsConfig,
        topology: &Topology,
        more: impl AsyncFn(&Client, i64),
    ) -> (Client, i64) {
        self.streams.close(Duration::from_secs(60)).await.unwrap();
        more(&self.client, self.written).await;
        self.written += 1;
        catch_up(topology, config).await;
        (self.client, self.written)
    }
}

fn records(round: i64, shift: i64) -> impl Iterator<Item = (String, String, i64)> {
    let at = round * APART + shift;
    (0..EACH).map(move |key| (format!("k{key}"), "x".to_owned(), at + key * 10))
}

/// Windows, and the repartition topic in front of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repartition_topics_and_changelogs_of_windows_are_cut() {
    for_each_cluster(async |cluster| {
        let id = unique("spent");
        let [input, out] = ["in", "out"].map(|name| format!("{id}-{name}"));
        let builder = StreamsBuilder::new();
        builder
            .stream::<String, String>(&input)
            .group_by(|_, value| value.clone())
            .windowed_by(TimeWindows::tumbling(Duration::from_millis(APART as u64)))
            .count()
            .values()
            .to(&out);
        let topology = builder.build().unwrap();
        let mut rounds = Rounds::begin(cluster, &id, &[&input, &out], &topology).await;
        let mut logs = rounds.own(&id, "-repartition").await;
        logs.extend(rounds.own(&id, ".count-changelog").await);
        assert_eq!(logs.len(), 2, "{logs:?}");
        let more = async |client: &Client, round: i64| {
            write(client, &input, records(round, 0)).await;
        };
        rounds.until_cut(&logs, more).await;
        let config = config_at(&cluster.bootstrap(), &id);
        let (client, written) = rounds.end(config, &topology, more).await;
        let found = read::<Windowed<String>, i64>(&client, &out).await;
        let found: Vec<_> = found.iter().map(|(k, n)| (k.window.start, *n)).collect();
        let expected = (0..written).map(|round| (round * APART, EACH));
        assert_eq!(found, expected.collect::<Vec<_>>());
    })
    .await;
}

/// Sessions, sliding windows and joins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changelogs_of_sessions_sliding_windows_and_joins_are_cut() {
    for_each_cluster(async |cluster| {
        let id = unique("cut");
        let topics = ["left", "right", "sessions", "sliding", "joined"];
        let topics = topics.map(|name| format!("{id}-{name}"));
        let [left_topic, right_topic, sessions, sliding, joined] = topics.each_ref().map(|t| &**t);
        let ms = Duration::from_millis;
        let builder = StreamsBuilder::new();
        let left = builder.stream::<String, String>(left_topic);
        let right = builder.stream::<String, String>(right_topic);
        let grouped = left.group_by_key();
        let gap = SessionWindows::with_gap(ms(3000));
        grouped
            .windowed_by_session(gap)
            .count()
            .values()
            .to(sessions);
        let near = SlidingWindows::of(ms(1000));
        grouped
            .windowed_by_sliding(near)
            .count()
            .values()
            .to(sliding);
        let show = |left: Option<&String>, right: Option<&String>| {
            format!("{}:{}", left.is_some(), right.is_some())
        };
        left.outer_join(&right, show, JoinWindows::within(ms(1000)))
            .to(joined);
        let topology = builder.build().unwrap();
        let names = topics.each_ref().map(|topic| &**topic);
        let mut rounds = Rounds::begin(cluster, &id, &names, &topology).await;
        let logs = rounds.own(&id, "-changelog").await;
        // Sessions, sliding windows, two buffers and two stores of what has no partner.
        assert_eq!(logs.len(), 6, "{logs:?}");
        let more = async |client: &Client, round: i64| {
            write(client, left_topic, records(round, 0)).await;
            // Every other one is too far away to be joined.
            let shift = if round % 2 == 0 { 1 } else { 5000 };
            write(client, right_topic, records(round, shift)).await;
        };
        rounds.until_cut(&logs, more).await;
        let config = config_at(&cluster.bootstrap(), &id);
        let (client, written) = rounds.end(config, &topology, more).await;
        for topic in [sessions, sliding] {
            let counts = read::<Windowed<String>, i64>(&client, topic).await;
            assert_eq!(counts.len() as i64, written * EACH, "{topic}");
            assert!(counts.iter().all(|(_, count)| *count == 1), "{topic}");
        }
        let pairs = read::<String, String>(&client, joined).await;
        let of = |what: &str| pairs.iter().filter(|(_, value)| value == what).count() as i64;
        let (even, odd) = ((written + 1) / 2 * EACH, written / 2 * EACH);
        let found = (of("true:true"), of("true:false"), of("false:true"));
        assert_eq!(found, (even, odd, odd));
    })
    .await;
}
