//! What comes of the same input is the same, whatever the number of workers and instances, the size of
//! chunks, and restarts: which of it byte for byte, and which in what sense, see
//! docs/decisions/0005-the-streams-librarys-own-rules.md ("The same input gives the same bytes").

use std::collections::BTreeMap;
use std::time::Duration;

use integration_tests::applications::{
    Application, COUNTS, DIFFERENCE, DISORDER, GAP, HOPPING, Input, LATE, MERGED_COUNTS,
    PARTITIONS, SESSION_UPDATES, SESSIONS, SIZE, SLIDING, STREAM_JOIN, SUPPRESSED, TABLE_JOIN,
    WITHIN, records_in,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemark_client::Client;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::producer::ProducerConfig;
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Consumed, Repartitioned, Streams, StreamsBuilder, StreamsConfig, Topology};

use crate::support::{
    Raw, catch_up, committed, config_at, make, offsets, partitions, read_raw, started, until,
    until_found, write,
};

const RECORDS: usize = 800;
/// The input comes in so many parts, with stops, starts and other instances between them.
const PARTS: usize = 4;

/// How an application is run.
#[derive(Clone, Copy, Debug)]
struct Way {
    instances: usize,
    workers: usize,
    chunk: usize,
    /// How often it is stopped in order and started again amid the input.
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
    /// What is wanted of changelogs when all of the input has been processed and nothing has been closed for
    /// want of more: the last values.
    open: BTreeMap<String, BTreeMap<Place, Vec<u8>>>,
}

/// Partition and key of a changelog.
type Place = (i32, Vec<u8>);

/// The time of what a changelog has under such a key.
fn time(key: &[u8]) -> i64 {
    // It is behind the key of the record, which is a letter and a digit, or in front of it.
    let time = match key.first() {
        Some(b'k') => &key[2..10],
        _ => &key[..8],
    };
    i64::from_be_bytes(time.try_into().unwrap())
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
    /// What changelogs have of an earlier time is not wanted when all of the input has been processed. When
    /// it goes is a matter of the clock.
    wanted_from: Option<i64>,
}

impl Site<'_> {
    fn config(&self, way: Way) -> StreamsConfig {
        config_at(self.bootstrap, &self.id)
            .workers(way.workers)
            .chunk(way.chunk)
            .commit_interval(Duration::from_millis(20))
    }

    /// An instance that is there while the input comes. In what order that is in several topics is only
    /// known to who waits for it.
    async fn begin(&self, way: Way) -> Streams {
        let patient = self.config(way).task_idle(Duration::from_secs(3600));
        Streams::start(&self.topology, patient).await.unwrap()
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

    /// How many records have been written to these topics.
    async fn written(&self, topics: &[String]) -> i64 {
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        let partitions = partitions(self.client, &names).await;
        let ends = offsets(self.client, &partitions, OffsetSpec::Latest).await;
        ends.iter().sum()
    }

    /// Waits until all of them but so many are committed.
    async fn until_committed(&self, topics: &[String], but: i64) {
        until_found("its input to be committed", async || {
            let committed = committed(self.client, &self.id, topics).await;
            (self.written(topics).await - committed <= but).then_some(())
        })
        .await;
    }

    /// Runs it while its input comes, part after part, and over what is left in the end.
    async fn run(&self, way: Way, feed: impl AsyncFn(usize)) -> Found {
        let mut running = vec![self.begin(way).await];
        feed(0).await;
        for part in 1..PARTS {
            let half = self.written(&self.inputs).await / part as i64 / 2;
            self.until_committed(&self.inputs, half).await;
            // The next part comes meanwhile: there is something to be read before and after it.
            tokio::join!(feed(part), self.change(way, part, &mut running));
        }
        for streams in running {
            let read = records_in(&streams.metrics());
            assert!(way.instances == 1 || read > 0, "{way:?}");
            streams.close(Duration::from_secs(60)).await.unwrap();
        }
        let between = self.own("-repartition").await.into_iter();
        let between: Vec<String> = between.map(|(name, _)| name).collect();
        let all = [&self.inputs[..], &between].concat();
        let start = async || {
            Streams::start(&self.topology, self.config(way))
                .await
                .unwrap()
        };
        let streams = start().await;
        self.until_committed(&all, 0).await;
        streams.close(Duration::from_secs(60)).await.unwrap();
        let open = self.changelogs().await;
        catch_up(&self.topology, self.config(way)).await;
        let mut outputs = BTreeMap::new();
        for topic in &self.outputs {
            let name = topic[self.id.len() + 1..].to_owned();
            outputs.insert(name, read_raw(self.client, topic).await);
        }
        Found { outputs, open }
    }

    /// Stops it and starts it again, or adds instances, as often as the way has it.
    async fn change(&self, way: Way, part: usize, running: &mut Vec<Streams>) {
        if part <= way.restarts {
            for streams in running.drain(..) {
                streams.close(Duration::from_secs(60)).await.unwrap();
            }
        }
        while running.len() < way.instances {
            running.push(self.begin(way).await);
        }
        until("all instances to have tasks", || {
            running.iter().all(|streams| !streams.tasks().is_empty())
        })
        .await;
    }

    async fn changelogs(&self) -> BTreeMap<String, BTreeMap<Place, Vec<u8>>> {
        let mut changelogs = BTreeMap::new();
        for (topic, name) in self.own("-changelog").await {
            let mut last = BTreeMap::new();
            for record in read_raw(self.client, &topic).await {
                let place = (record.partition, record.key.unwrap());
                match record.value {
                    Some(value) => last.insert(place, value),
                    None => last.remove(&place),
                };
            }
            if let Some(from) = self.wanted_from {
                last.retain(|(_, key), _| time(key) >= from);
            }
            changelogs.insert(name, last);
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
        let record = application.written(&site.id, input);
        drop(producer.send(&record).await.unwrap());
    }
    assert_eq!(producer.close(Duration::from_secs(30)).await.failed, 0);
}

/// Runs an application in each way over the same input, and has `same` compare what comes out. `open` is how
/// long after its time what is in its stores is wanted, in milliseconds, if it goes with time.
async fn compare(
    application: &'static Application,
    open: Option<i64>,
    same: impl Fn(&Found, &Found, Way),
) {
    let (_dir, broker, client) = started(&[]).await;
    let bootstrap = broker.bootstrap();
    let mut all = Vec::new();
    application.more(&mut StdRng::seed_from_u64(11), &mut all, RECORDS);
    let parts: Vec<&[Input]> = all.chunks(RECORDS / PARTS).collect();
    let last = all.iter().map(|input| input.timestamp).max().unwrap();
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
            wanted_from: open.map(|open| last - DISORDER - open),
        };
        let inputs = site.inputs.iter().map(|topic| (&**topic, PARTITIONS));
        let outputs = site.outputs.iter().map(|topic| (&**topic, 1));
        make(&client, &inputs.chain(outputs).collect::<Vec<_>>()).await;
        let feed = async |part: usize| feed(&site, application, parts[part]).await;
        let found = site.run(way, feed).await;
        match &first {
            None => {
                assert!(found.outputs.values().any(|records| records.len() > 20));
                assert!(found.open.values().any(|log| !log.is_empty()));
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
    assert_eq!(first.open, found.open, "{way:?}");
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
    ($($name:ident: $application:ident, $open:expr, $same:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            compare(&$application, $open, $same).await;
        })*
    };
}

compared! {
    late_records: LATE, Some(SIZE), tasks_write_the_same;
    sliding_windows: SLIDING, Some(DIFFERENCE), tasks_write_the_same;
    sessions: SESSIONS, Some(GAP), tasks_write_the_same;
    updates_of_sessions: SESSION_UPDATES, Some(GAP), tasks_write_the_same;
    what_is_held_back: SUPPRESSED, Some(SIZE), tasks_write_the_same;
    joined_streams: STREAM_JOIN, Some(WITHIN), tasks_write_the_same;
    hopping_windows_behind_several_tasks: HOPPING, None, the_same_results;
    counts_behind_several_tasks: COUNTS, None, the_same_values;
    counts_of_counts: MERGED_COUNTS, None, the_same_values;
    joined_tables: TABLE_JOIN, None, tables_end_the_same;
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
    let (_dir, broker, client) = started(&[]).await;
    let bootstrap = broker.bootstrap();
    let mut all = Vec::new();
    HOPPING.more(&mut StdRng::seed_from_u64(12), &mut all, RECORDS);
    let rows: Vec<_> = all
        .iter()
        .map(|input| (input.text(), input.number.to_string(), input.timestamp))
        .collect();
    let parts: Vec<_> = rows.chunks(RECORDS / PARTS).collect();
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
        let names = ["events", "more", "counts", "windows"];
        let [events, more, counts, windows] = names.map(|name| format!("{id}-{name}"));
        let topics = [(&*events, 1), (&more, 1), (&counts, 3), (&windows, 3)];
        make(&client, &topics).await;
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
        grouped(&events).count().values().to(&counts);
        let seconds = TimeWindows::tumbling(Duration::from_secs(1));
        let sums = grouped(&more).windowed_by(seconds).count().values();
        sums.map(|key, count| (key.key, format!("{}: {count}", key.window.start)))
            .to(&windows);
        let site = Site {
            client: &client,
            bootstrap: &bootstrap,
            topology: builder.build().unwrap(),
            inputs: vec![events, more],
            outputs: vec![counts, windows],
            id,
            wanted_from: None,
        };
        let feed = async |part: usize| {
            for topic in &site.inputs {
                write(&client, topic, parts[part].to_vec()).await;
            }
        };
        let found = partitions_of(site.run(way, feed).await);
        assert_eq!(found.len(), 6);
        assert_eq!(
            first.get_or_insert_with(|| found.clone()),
            &found,
            "{way:?}"
        );
    }
    broker.shutdown().await.unwrap();
}
