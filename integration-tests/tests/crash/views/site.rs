//! A broker in this process, snapshots on disk, and processes that make them and serve them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use bytes::Bytes;
use integration_tests::harness::embedded::{self, Embedded};
use integration_tests::harness::http::get;
use integration_tests::harness::wait::until;
use integration_tests::places::{NAME, places};
use serde_json::Value;
use tempfile::TempDir;
use tidemark_broker::environment::Environment;
use tidemark_client::admin::{Mode, NewTopic};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, Clock};
use tidemark_streams::serving::{Coverage, Snapshots, announced_cuts, verify};

pub(super) const TOPIC: &str = "events";
const PARTITIONS: i32 = 2;
const KEYS: usize = 5;
/// So many records come between two steps.
const RECORDS: usize = 12;
/// How often a view saves what it has, if nothing else is said, ...
const COMMIT: Duration = Duration::from_millis(20);
/// ... and how long it is taken for alive: those that come after it have to wait so long.
const SESSION: Duration = Duration::from_millis(500);

/// Where each key's records are, in order.
pub(super) type Written = BTreeMap<String, Vec<(i32, i64)>>;

pub(super) struct Site {
    pub(super) broker: Embedded,
    pub(super) client: Client,
    pub(super) dir: TempDir,
    pub(super) written: Written,
    pub(super) count: usize,
    pub(super) end: Coverage,
}

impl Site {
    pub(super) async fn start() -> Self {
        let options = [("group.min.session.timeout.ms", "100")];
        let broker = embedded::start(Path::new("/data"), Environment::in_memory(), &options).await;
        let client = Client::connect(&broker.bootstrap()).expect("a client");
        let new = NewTopic::new(TOPIC).partitions(PARTITIONS);
        let made = client.admin().create_topics([new], Mode::Apply).await;
        made.expect("an answer").all().expect("the topic is made");
        Self {
            broker,
            client,
            dir: tempfile::tempdir().expect("a temporary directory"),
            written: Written::new(),
            count: 0,
            end: Coverage::new(),
        }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    pub(super) fn snapshots(&self) -> Snapshots {
        Snapshots::local(&self.folder(), NAME).expect("a folder")
    }

    /// Some more records.
    pub(super) async fn write(&mut self) {
        let written = write_from(&self.client, self.count, RECORDS).await;
        self.note(written);
    }

    /// Takes note of what has been written.
    pub(super) fn note(&mut self, written: Vec<(String, i32, i64)>) {
        self.count += written.len();
        for (key, partition, offset) in written {
            self.written
                .entry(key)
                .or_default()
                .push((partition, offset));
            self.end.set(TOPIC, partition, offset + 1);
        }
        for places in self.written.values_mut() {
            places.sort_unstable();
        }
    }

    /// Waits until a snapshot can have everything.
    pub(super) async fn cut(&self) {
        self.cuts(|cuts| cuts.includes(&self.end)).await;
    }

    /// Waits until a snapshot can have more than the newest one has.
    pub(super) async fn cut_for_another(&self) {
        let snapshots = self.snapshots();
        let covered = match snapshots.numbers().await.expect("numbers").last() {
            Some(newest) => snapshots
                .manifest(*newest)
                .await
                .expect("a manifest")
                .coverage(),
            None => Coverage::new(),
        };
        self.cuts(|cuts| !covered.includes(cuts)).await;
    }

    async fn cuts(&self, enough: impl Fn(&Coverage) -> bool) {
        let clock = Clock::system();
        for _ in 0..3_000 {
            let cuts = announced_cuts(&self.client, &clock, &places(TOPIC)).await;
            if cuts.expect("an answer").is_some_and(|cuts| enough(&cuts)) {
                return;
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        panic!("no such cut: {} is written", self.end);
    }

    /// See `src/bin/mortal_view`.
    pub(super) fn launch(&self, what: &str, step: impl Display) -> Process {
        let state = self.dir.path().join("state");
        self.launch_with(what, step, &state, [COMMIT, SESSION])
    }

    /// With state in that folder, how often it is saved, and how long the process is taken for alive.
    pub(super) fn launch_with(
        &self,
        what: &str,
        step: impl Display,
        state: &Path,
        times: [Duration; 2],
    ) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mortal_view"))
            .args([what, &self.broker.bootstrap(), TOPIC])
            .arg(self.folder())
            .arg(state)
            .arg(step.to_string())
            .args(times.map(|time| time.as_millis().to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (tell, said) = mpsc::sync_channel(64);
        std::thread::spawn(move || {
            // Nobody may be listening any more.
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| tell.send(line))
        });
        Process { child, said }
    }

    /// A batch run; whether it was killed at the step.
    pub(super) fn batch(&self, step: u64) -> bool {
        let mut run = self.launch("batch", step);
        let (status, said) = run.end();
        let killed = status.signal() == Some(9);
        assert!(status.success() || (killed && step > 0), "{status}: {said}");
        if killed {
            eprint!("{said}");
        }
        killed
    }

    /// The newest snapshot has all that was written, once, in its states and in the files of events.
    pub(super) async fn check_snapshot(&self) -> u64 {
        let view = Arc::new(places(TOPIC));
        let snapshots = self.snapshots();
        let client = Arc::new(self.client.clone());
        let verdict = verify(&view, client, Clock::system(), &snapshots, None).await;
        let verdict = verdict.expect("it can be compared");
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!(verdict.coverage, self.end);
        assert_eq!(verdict.records, self.count as u64);
        assert_eq!(verdict.keys, self.written.len() as u64);
        let (mut named, mut states, mut rows) = (BTreeSet::new(), BTreeSet::new(), 0);
        let folder = self.folder().join(NAME);
        for number in snapshots.numbers().await.expect("numbers") {
            let manifest = snapshots.manifest(number).await.expect("a manifest");
            rows += manifest.events.iter().map(|file| file.rows).sum::<u64>();
            let paths = manifest.events.into_iter().map(|file| file.path);
            named.extend(paths.map(|path| folder.join(path)));
            let paths = manifest.states.into_iter().map(|file| file.path);
            states.extend(paths.map(|path| folder.join(path)));
        }
        assert_eq!(rows, self.count as u64, "events");
        // Those of old snapshots may be there until the next one is published.
        let there = files(&folder.join("state"));
        let stray: Vec<_> = there.difference(&states).collect();
        assert!(stray.is_empty(), "{stray:?}");
        assert_eq!(files(&self.folder().join(NAME).join("events")), named);
        assert_eq!(
            files(&self.folder().join(NAME).join("unfinished")),
            BTreeSet::new()
        );
        verdict.snapshot.expect("a snapshot")
    }

    /// With snapshots in front of the newest one, which nobody needs.
    pub(super) async fn with_snapshots() -> Self {
        let mut site = Self::start().await;
        site.write().await;
        for _ in 0..2 {
            site.check_successor().await;
        }
        site
    }

    pub(super) async fn end(self) {
        self.broker.shutdown().await.expect("it ends");
    }

    /// Another process takes over: it answers with everything, goes on, and switches to another snapshot.
    pub(super) async fn check_successor(&mut self) {
        let mut next = self.launch("serve", 0);
        let address = next.address().expect("it serves");
        check_served(self, &address);
        self.write().await;
        self.cut().await;
        assert!(!self.batch(0));
        let snapshot = self.check_snapshot().await;
        until("the snapshot to be read with", || {
            (used(&address) == Some(snapshot)).then_some(())
        });
        check_served(self, &address);
        let (status, said) = next.end();
        assert!(status.success(), "{said}");
    }

    /// An answer has all of a key's records, once.
    pub(super) fn check_answer(&self, key: &str, answer: &Value) {
        let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        let found: Vec<(i32, i64)> = rows
            .iter()
            .map(|row| {
                assert_eq!(row["count"], 1, "{key}: {answer}");
                let number = |name: &str| row[name].as_i64().expect("a number");
                (number("partition") as i32, number("offset"))
            })
            .collect();
        assert_eq!(found, self.written[key], "{key}");
    }
}

/// Writes records, each to the next key and partition, from that one on; gives where each is.
pub(super) async fn write_from(
    client: &Client,
    from: usize,
    count: usize,
) -> Vec<(String, i32, i64)> {
    let producer = client.producer(ProducerConfig::new()).expect("a producer");
    let mut written = Vec::new();
    for number in from..from + count {
        let (key, partition) = (format!("key{}", number % KEYS), number as i32 % PARTITIONS);
        let record = ProducerRecord::to(TOPIC)
            .key(Bytes::from(key.clone()))
            .value(Bytes::from_static(b"-"))
            .partition(partition);
        let sent = producer.send(&record).await.expect("it is taken");
        let offset = sent.await.expect("it is written").offset;
        written.push((key, partition, offset));
    }
    written
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut open) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => open.push(path),
                path => drop(found.insert(path)),
            }
        }
    }
    found
}

/// See `src/bin/mortal_view`. Dropping it kills it.
pub(super) struct Process {
    pub(super) child: Child,
    /// What it says, line by line, until it ends.
    said: mpsc::Receiver<String>,
}

impl Process {
    /// Ends it: how it ends, and what it says of it.
    pub(super) fn end(&mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        self.ended()
    }

    /// How it ends by itself, and what it says of it.
    pub(super) fn ended(&mut self) -> (ExitStatus, String) {
        let status = until("the process to end", || {
            self.child.try_wait().expect("a child")
        });
        (status, self.errors())
    }

    /// It has ended by SIGKILL: where.
    pub(super) fn killed(&mut self) -> String {
        let (status, said) = self.ended();
        assert_eq!(status.signal(), Some(9), "{said}");
        eprint!("{said}");
        said
    }

    fn errors(&mut self) -> String {
        let mut said = String::new();
        let errors = self.child.stderr.as_mut().expect("a pipe");
        errors.read_to_string(&mut said).expect("text");
        said
    }

    /// Where it serves; `None` if it was killed before.
    pub(super) fn address(&mut self) -> Option<String> {
        let line = until("the process to serve, or to end", || {
            match self.said.try_recv() {
                Ok(line) => Some(Some(line)),
                Err(TryRecvError::Disconnected) => Some(None),
                Err(TryRecvError::Empty) => None,
            }
        })?;
        Some(line.strip_prefix("http ")?.to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an instance answers, when it has everything.
pub(super) fn check_served(site: &Site, address: &str) {
    for key in site.written.keys() {
        let path = format!("/views/{NAME}/keys/{key}?at_least={}", site.end);
        // It may not have all partitions yet.
        let answer = until("an answer", || {
            let answer = get(address, &path);
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            (answer.status == 200).then_some(answer)
        });
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        site.check_answer(key, &body["value"]);
    }
}

/// The snapshot that an instance reads with; `None` if it has gone, too.
pub(super) fn used(address: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!("Host: {address}\r\nConnection: close");
    write!(stream, "GET /views/{NAME} HTTP/1.1\r\n{head}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: Value = serde_json::from_str(body).ok()?;
    body["snapshot"]["id"].as_u64()
}
