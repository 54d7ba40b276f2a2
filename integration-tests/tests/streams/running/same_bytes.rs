//! What comes of the same input is the same, whatever the number of workers and instances, the size of
//! chunks, and restarts: which of it byte for byte, and which in what sense, see
//! docs/decisions/0005-the-streams-librarys-own-rules.md ("The same input gives the same bytes").

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use integration_tests::applications::{
    Application, COUNTS, HOPPING, Input, LATE, MERGED_COUNTS, PARTITIONS, SESSION_UPDATES,
    SESSIONS, SLIDING, STREAM_JOIN, SUPPRESSED, TABLE_JOIN,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemark_client::Client;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Consumed, Repartitioned, Streams, StreamsBuilder, StreamsConfig, Topology};

use crate::support::{
    Raw, broker, committed, config_at, make, offsets, partitions, read_raw, until_found, write,
};

const RECORDS: usize = 800;

/// How an application is run.
#[derive(Clone, Copy, Debug)]
struct Way {
    instances: usize,
    workers: usize,
    chunk: usize,
    /// How often it is stopped in order and started again on the way.
    restarts: usize,
}

const WAYS: [Way; 4] = [
    Way {
        instances: 1,
        workers: 1,
        chunk: 1024,
        restarts: 0,
    },
    Way {
        instances: 1,
        workers: 3,
        chunk: 7,
        restarts: 0,
    },
    Way {
        instances: 2,
        workers: 1,
        chunk: 1,
        restarts: 0,
    },
    Way {
        instances: 1,
        workers: 2,
        chunk: 1024,
        restarts: 3,
    },
];

/// A record without its place.
type Row = (
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(String, Option<Vec<u8>>)>,
    i64,
);

/// What is in topics, by their names without the application's id.
#[derive(Debug, Default)]
struct Found {
    /// All records.
    outputs: BTreeMap<String, Vec<Raw>>,
    /// The changelogs while all that is open is still open.
    open: BTreeMap<String, Log>,
    /// And when it has been closed.
    closed: BTreeMap<String, Log>,
}

/// A changelog.
#[derive(Debug, Default)]
struct Log {
    /// By partition and key: the last value.
    last: BTreeMap<Place, Vec<u8>>,
    /// The partitions of which something has been deleted, as nobody wants it any more: when is a matter
    /// of the clock.
    cut: BTreeSet<i32>,
}

type Place = (i32, Option<Vec<u8>>);

impl Log {
    /// What this one has and the other one has not, unless it has been deleted there, or has otherwise.
    fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a Place, &'a Vec<u8>)> {
        let differs = |(place, value): &(&Place, &Vec<u8>)| match other.last.get(*place) {
            Some(found) => found != *value,
            None => !other.cut.contains(&place.0),
        };
        self.last.iter().filter(differs).collect()
    }
}

fn same_logs(first: &BTreeMap<String, Log>, found: &BTreeMap<String, Log>, way: Way) {
    assert!(first.keys().eq(found.keys()), "{way:?}");
    for (topic, log) in first {
        let other = &found[topic];
        let differ = [log.differences(other), other.differences(log)];
        assert!(
            differ.iter().all(Vec::is_empty),
            "{topic}, {way:?}: {differ:?}"
        );
    }
}

/// An application with its topics.
struct Site<'a> {
    client: &'a Client,
    bootstrap: &'a str,
    id: String,
    topology: Topology,
    /// With the id.
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Site<'_> {
    fn config(&self, way: Way) -> StreamsConfig {
        config_at(self.bootstrap, &self.id)
            .workers(way.workers)
            .chunk(way.chunk)
            .commit_interval(Duration::from_millis(20))
    }

    async fn start(&self, way: Way) -> Streams {
        Streams::start(&self.topology, self.config(way))
            .await
            .unwrap()
    }

    /// The topics of its own whose names end so, with the id and without.
    async fn own(&self, end: &str) -> Vec<(String, String)> {
        let all = self.client.admin().list_topics().await.unwrap();
        let own = all.into_iter().filter_map(|topic| {
            let name = topic.name.strip_prefix(&format!("{}-", self.id))?;
            // Names of operators are made of those of topics, and have the id, too.
            let bare = name.replace(&format!("{}-", self.id), "");
            name.ends_with(end).then(|| (topic.name.clone(), bare))
        });
        own.collect()
    }

    /// How many records of these topics are not committed.
    async fn behind(&self, topics: &[String]) -> i64 {
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        let partitions = partitions(self.client, &names).await;
        let ends = offsets(self.client, &partitions, OffsetSpec::Latest).await;
        ends.iter().sum::<i64>() - committed(self.client, &self.id, topics).await
    }

    /// Runs it over all that there is.
    async fn run(&self, way: Way) -> Found {
        for stop in 1..=way.restarts {
            let streams = self.start(way).await;
            let left = (RECORDS - RECORDS * stop / (way.restarts + 1)) as i64;
            until_found("some of it to be committed", async || {
                (self.behind(&self.inputs).await <= left).then_some(())
            })
            .await;
            streams.close(Duration::from_secs(60)).await.unwrap();
        }
        let mut running = Vec::new();
        for _ in 0..way.instances {
            running.push(self.start(way).await);
        }
        if way.instances > 1 {
            until_found("the tasks to be shared", async || {
                running
                    .iter()
                    .all(|streams| !streams.tasks().is_empty())
                    .then_some(())
            })
            .await;
        }
        let between: Vec<String> = self
            .own("-repartition")
            .await
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let all = [&self.inputs[..], &between].concat();
        until_found("all to be committed", async || {
            (self.behind(&all).await == 0).then_some(())
        })
        .await;
        for streams in running {
            streams.close(Duration::from_secs(60)).await.unwrap();
        }
        let open = self.changelogs().await;
        let streams = self.start(way).await;
        streams.run_until_caught_up().await.unwrap();
        let mut outputs = BTreeMap::new();
        for topic in &self.outputs {
            let name = topic[self.id.len() + 1..].to_owned();
            outputs.insert(name, read_raw(self.client, topic).await);
        }
        let closed = self.changelogs().await;
        Found {
            outputs,
            open,
            closed,
        }
    }

    async fn changelogs(&self) -> BTreeMap<String, Log> {
        let mut changelogs = BTreeMap::new();
        for (topic, name) in self.own("-changelog").await {
            let mut log = Log::default();
            let partitions = partitions(self.client, &[&topic]).await;
            let starts = offsets(self.client, &partitions, OffsetSpec::Earliest).await;
            let cut = partitions
                .iter()
                .zip(starts)
                .filter(|(_, start)| *start > 0);
            log.cut
                .extend(cut.map(|(partition, _)| partition.partition));
            for record in read_raw(self.client, &topic).await {
                let place = (record.partition, record.key);
                match record.value {
                    Some(value) => log.last.insert(place, value),
                    None => log.last.remove(&place),
                };
            }
            changelogs.insert(name, log);
        }
        changelogs
    }
}

fn row(record: Raw) -> Row {
    (record.key, record.value, record.headers, record.timestamp)
}

/// What each task has written to a topic, in this order. The keys of what comes of a key begin with it,
/// and its number says its task.
fn by_task(records: &[Raw]) -> BTreeMap<i32, Vec<Row>> {
    let mut tasks: BTreeMap<i32, Vec<Row>> = BTreeMap::new();
    for record in records {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let number = key.trim_start_matches('k').split('@').next().unwrap();
        let task = number.parse::<i32>().unwrap() % PARTITIONS;
        tasks.entry(task).or_default().push(row(record.clone()));
    }
    tasks
}

/// Writes the input, one record after the other in each partition.
async fn feed(site: &Site<'_>, application: &Application, all: &[Input]) {
    let producer = site.client.producer(ProducerConfig::new()).unwrap();
    for input in all {
        let mut record = ProducerRecord::to(application.topic(&site.id, input.topic))
            .partition(input.partition())
            .key(input.text())
            .timestamp(input.timestamp);
        if let Some(value) = &input.value {
            record = record.value(value.clone());
        }
        drop(producer.send(&record).await.unwrap());
    }
    assert_eq!(producer.close(Duration::from_secs(30)).await.failed, 0);
}

/// Runs an application in each way over the same input, and has `same` compare what comes out.
async fn compare(application: &'static Application, same: impl Fn(&Found, &Found, Way)) {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    let (client, bootstrap) = (
        Client::connect(&broker.bootstrap()).unwrap(),
        broker.bootstrap(),
    );
    let mut all = Vec::new();
    application.more(&mut StdRng::seed_from_u64(11), &mut all, RECORDS);
    let mut first: Option<Found> = None;
    for (number, way) in WAYS.into_iter().enumerate() {
        let id = format!("{}-{number}", application.name);
        let topics = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .map(|name| application.topic(&id, name))
                .collect()
        };
        let site = Site {
            client: &client,
            bootstrap: &bootstrap,
            topology: application.topology(&id),
            inputs: topics(application.inputs),
            outputs: topics(application.outputs),
            id,
        };
        let inputs = site.inputs.iter().map(|topic| (&**topic, PARTITIONS));
        let outputs = site.outputs.iter().map(|topic| (&**topic, 1));
        make(&client, &inputs.chain(outputs).collect::<Vec<_>>()).await;
        feed(&site, application, &all).await;
        let found = site.run(way).await;
        match &first {
            None => {
                assert!(found.outputs.values().any(|records| records.len() > 20));
                assert!(found.open.values().any(|log| !log.last.is_empty()));
                first = Some(found);
            }
            Some(first) => same(first, &found, way),
        }
    }
    broker.shutdown().await.unwrap();
}

/// Each task's records are the same bytes in the same order, and so is the state that is left.
fn tasks_write_the_same(first: &Found, found: &Found, way: Way) {
    for (topic, records) in &first.outputs {
        assert_eq!(
            by_task(records),
            by_task(&found.outputs[topic]),
            "{topic}, {way:?}"
        );
    }
    same_logs(&first.open, &found.open, way);
    same_logs(&first.closed, &found.closed, way);
}

/// Behind a topic that several tasks write, these take turns as it comes: the results are the same, in
/// whatever order.
fn the_same_results(first: &Found, found: &Found, way: Way) {
    for (topic, records) in &first.outputs {
        let sorted = |records: &[Raw]| {
            let mut rows: Vec<Row> = records.iter().cloned().map(row).collect();
            rows.sort();
            rows
        };
        assert_eq!(
            sorted(records),
            sorted(&found.outputs[topic]),
            "{topic}, {way:?}"
        );
    }
}

/// As [`the_same_results`], where these come with each record: the time of each is that of the records
/// before it.
fn the_same_values(first: &Found, found: &Found, way: Way) {
    for (topic, records) in &first.outputs {
        let sorted = |records: &[Raw]| {
            let mut rows: Vec<_> = records
                .iter()
                .map(|r| (r.key.clone(), r.value.clone()))
                .collect();
            rows.sort();
            rows
        };
        assert_eq!(
            sorted(records),
            sorted(&found.outputs[topic]),
            "{topic}, {way:?}"
        );
    }
}

macro_rules! compared {
    ($($name:ident: $application:ident, $same:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            compare(&$application, $same).await;
        })*
    };
}

compared! {
    late_records: LATE, tasks_write_the_same;
    sliding_windows: SLIDING, tasks_write_the_same;
    sessions: SESSIONS, tasks_write_the_same;
    updates_of_sessions: SESSION_UPDATES, tasks_write_the_same;
    what_is_held_back: SUPPRESSED, tasks_write_the_same;
    joined_streams: STREAM_JOIN, tasks_write_the_same;
    hopping_windows_behind_several_tasks: HOPPING, the_same_results;
    counts_behind_several_tasks: COUNTS, the_same_values;
    counts_of_counts: MERGED_COUNTS, the_same_values;
    joined_tables: TABLE_JOIN, tables_end_the_same;
}

/// Each task's records are the same bytes in the same order; what several tasks count together comes to
/// the same.
fn tables_end_the_same(first: &Found, found: &Found, way: Way) {
    let joined = |found: &Found| by_task(&found.outputs["joined"]);
    assert_eq!(joined(first), joined(found), "{way:?}");
    let groups = |found: &Found| {
        let groups = found.outputs["groups"].iter();
        let last: BTreeMap<_, _> = groups.map(|r| (r.key.clone(), r.value.clone())).collect();
        last.into_iter()
            .filter(|(_, count)| count.is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(groups(first), groups(found), "{way:?}");
}

/// Where one task writes to a partition, that is the same byte for byte, also behind a repartition topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_one_task_writes() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path()).await;
    let (client, bootstrap) = (
        Client::connect(&broker.bootstrap()).unwrap(),
        broker.bootstrap(),
    );
    make(&client, &[("events", 1), ("more", 1)]).await;
    let mut all = Vec::new();
    HOPPING.more(&mut StdRng::seed_from_u64(12), &mut all, RECORDS);
    let rows: Vec<_> = all
        .iter()
        .map(|input| (input.text(), input.number.to_string(), input.timestamp))
        .collect();
    for topic in ["events", "more"] {
        write(&client, topic, rows.clone()).await;
    }
    let partitions_of = |found: Found| {
        let mut partitions: BTreeMap<(String, i32), Vec<Row>> = BTreeMap::new();
        for (topic, records) in found.outputs {
            for record in records {
                let partition = (topic.clone(), record.partition);
                partitions.entry(partition).or_default().push(row(record));
            }
        }
        partitions
    };
    let mut first = None;
    for (number, way) in WAYS.into_iter().enumerate() {
        let id = format!("alone-{number}");
        let outputs = ["counts", "windows"].map(|name| format!("{id}-{name}"));
        make(&client, &[(&outputs[0], 3), (&outputs[1], 3)]).await;
        let builder = StreamsBuilder::new();
        // Keys are text, so that they go to the same partitions of all topics.
        let grouped = |topic: &str| {
            let delay = Duration::from_millis(200);
            let consumed = Consumed::<String, String>::new().watermark_delay(delay);
            let events = builder.stream_with([topic], consumed);
            let by_digit = events.select_key(|_, value| value[value.len() - 1..].to_owned());
            by_digit
                .repartition_with(Repartitioned::new().partitions(3))
                .group_by_key()
        };
        grouped("events").count().values().to(&outputs[0]);
        let windows = TimeWindows::tumbling(Duration::from_secs(1));
        let windows = grouped("more").windowed_by(windows).count().values();
        let rows = windows.map(|key, count| (key.key, format!("{}: {count}", key.window.start)));
        rows.to(&outputs[1]);
        let site = Site {
            client: &client,
            bootstrap: &bootstrap,
            topology: builder.build().unwrap(),
            inputs: vec!["events".to_owned(), "more".to_owned()],
            outputs: outputs.to_vec(),
            id,
        };
        let found = partitions_of(site.run(way).await);
        assert_eq!(found.len(), 6);
        assert_eq!(
            first.get_or_insert_with(|| found.clone()),
            &found,
            "{way:?}"
        );
    }
    broker.shutdown().await.unwrap();
}
