//! Batch runs and served views that are killed by SIGKILL between every two steps of publishing a snapshot
//! and of switching to one, each a process of its own.
//!
//! What must hold: the next run, and the next process that serves, have every record that was written, once.
//! That is seen with the free monoid, which tells each key's records.
//!
//! `TIDEMARK_CRASH_STEP` tries one step only.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
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
use tidemark_streams::serving::{
    Coverage, Lambda, LambdaConfig, Snapshots, announced_cuts, verify,
};

const TOPIC: &str = "events";
const PARTITIONS: i32 = 2;
const KEYS: usize = 5;
/// So many records come between two steps.
const RECORDS: usize = 12;
/// More steps than any run has: something goes round in circles.
const MOST_STEPS: u64 = 400;

/// Where each key's records are, in order.
type Written = BTreeMap<String, Vec<(i32, i64)>>;

struct Site {
    broker: Embedded,
    client: Client,
    dir: TempDir,
    written: Written,
    count: usize,
    end: Coverage,
}

impl Site {
    async fn start() -> Self {
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

    fn folder(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    /// Some more records.
    async fn write(&mut self) {
        let producer = self
            .client
            .producer(ProducerConfig::new())
            .expect("a producer");
        for _ in 0..RECORDS {
            let (key, partition) = (
                format!("key{}", self.count % KEYS),
                self.count as i32 % PARTITIONS,
            );
            let record = ProducerRecord::to(TOPIC)
                .key(Bytes::from(key.clone()))
                .value(Bytes::from_static(b"-"))
                .partition(partition);
            let sent = producer.send(&record).await.expect("it is taken");
            let offset = sent.await.expect("it is written").offset;
            self.written
                .entry(key)
                .or_default()
                .push((partition, offset));
            self.end.set(TOPIC, partition, offset + 1);
            self.count += 1;
        }
        for places in self.written.values_mut() {
            places.sort_unstable();
        }
    }

    /// Waits until a snapshot can have everything.
    async fn cut(&self) {
        let clock = Clock::system();
        for _ in 0..3_000 {
            let cuts = announced_cuts(&self.client, &clock, &places(TOPIC)).await;
            if cuts
                .expect("an answer")
                .is_some_and(|cuts| cuts.includes(&self.end))
            {
                return;
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        panic!("no cut at {}", self.end);
    }

    fn launch(&self, what: &str, step: u64) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mortal_view"))
            .args([what, &self.broker.bootstrap(), TOPIC])
            .arg(self.folder())
            .arg(self.dir.path().join("state"))
            .arg(step.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Process { child, output }
    }

    /// A batch run; whether it was killed at the step.
    fn batch(&self, step: u64) -> bool {
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
    async fn check_snapshot(&self) -> u64 {
        let view = Arc::new(places(TOPIC));
        let snapshots = Snapshots::local(&self.folder(), NAME).expect("a folder");
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

    /// An answer has all of a key's records, once.
    fn check_answer(&self, key: &str, answer: &Value) {
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
struct Process {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Process {
    /// How it ends, and what it says of it.
    fn end(&mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let status = until("the process to end", || {
            self.child.try_wait().expect("a child")
        });
        (status, self.errors())
    }

    fn errors(&mut self) -> String {
        let mut said = String::new();
        let errors = self.child.stderr.as_mut().expect("a pipe");
        errors.read_to_string(&mut said).expect("text");
        said
    }

    /// Where it serves; `None` if it was killed before.
    fn address(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        let address = line.strip_prefix("http ")?;
        Some(address.trim_end().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The steps that are tried, until one is not reached.
struct Steps {
    next: u64,
    only: bool,
    test: &'static str,
}

impl Steps {
    fn of(test: &'static str) -> Self {
        let only = std::env::var("TIDEMARK_CRASH_STEP").ok();
        let only: Option<u64> = only.map(|step| step.parse().expect("a number"));
        Self {
            next: only.unwrap_or(1),
            only: only.is_some(),
            test,
        }
    }

    /// Goes on behind a step; whether there may be more.
    fn go_on(&mut self, killed: bool) -> bool {
        self.next += 1;
        assert!(self.next < MOST_STEPS, "there is no end of steps");
        killed && !self.only
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { next, test, .. } = self;
            eprintln!(
                "to repeat: TIDEMARK_CRASH_STEP={next} cargo test -p integration-tests --test crash {test}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_run_that_is_killed_at_any_step_loses_nothing() {
    let mut site = Site::start().await;
    let mut steps = Steps::of("views::a_batch_run");
    // This one serves all the time.
    let config = LambdaConfig::new(&site.broker.bootstrap(), site.folder())
        .cut_every(Duration::ZERO)
        .commit_interval(Duration::from_millis(20))
        .poll(Duration::from_millis(20))
        .wait(Duration::from_secs(60));
    let lambda = Lambda::start(places(TOPIC), config).await.expect("a view");
    // So that what is killed goes on from a snapshot, and has one to clear away.
    for _ in 0..3 {
        site.write().await;
        site.cut().await;
        assert!(!site.batch(0));
    }
    loop {
        site.write().await;
        site.cut().await;
        let killed = site.batch(steps.next);
        if killed {
            site.batch(0);
        }
        let snapshot = site.check_snapshot().await;
        until("the snapshot to be read with", || {
            (lambda.snapshot() == Some(snapshot)).then_some(())
        });
        for key in site.written.keys() {
            let answer = lambda
                .get_at_least(key, &site.end)
                .await
                .expect("an answer");
            let value = serde_json::to_value(answer.value).expect("JSON");
            site.check_answer(key, &value);
        }
        if !steps.go_on(killed) {
            break;
        }
    }
    // The last one was not reached.
    let killed = steps.next - 2;
    assert!(steps.only || killed > 20, "killed at {killed} steps only");
    lambda
        .close(Duration::from_secs(60))
        .await
        .expect("it ends");
    site.broker.shutdown().await.expect("it ends");
}

/// What an instance answers, when it has everything.
fn check_served(site: &Site, address: &str) {
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
fn used(address: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!("Host: {address}\r\nConnection: close");
    write!(stream, "GET /views/{NAME} HTTP/1.1\r\n{head}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: Value = serde_json::from_str(body).ok()?;
    body["snapshot"]["id"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_killed_while_it_loads_or_switches_answers_exactly_afterwards() {
    let mut site = Site::start().await;
    let mut steps = Steps::of("views::a_view");
    site.write().await;
    let mut first = site.launch("serve", 0);
    let address = first.address().expect("it serves");
    check_served(&site, &address);
    for _ in 0..2 {
        site.write().await;
        site.cut().await;
        assert!(!site.batch(0));
    }
    let (status, said) = first.end();
    assert!(status.success(), "{said}");
    loop {
        site.write().await;
        let mut mortal = site.launch("serve", steps.next);
        let mut killed = true;
        if let Some(address) = mortal.address() {
            // It has loaded a snapshot; now it is given another one.
            site.cut().await;
            site.batch(0);
            let snapshot = site.check_snapshot().await;
            killed = until("it to switch, or to be killed", || {
                let ended = mortal.child.try_wait().expect("a child").is_some();
                (ended || used(&address) == Some(snapshot)).then_some(ended)
            });
        }
        if killed {
            let (status, said) = mortal.end();
            assert_eq!(status.signal(), Some(9), "{said}");
            eprint!("{said}");
        }
        drop(mortal);
        // Another one takes over, and goes on.
        let mut next = site.launch("serve", 0);
        let address = next.address().expect("it serves");
        check_served(&site, &address);
        site.write().await;
        site.cut().await;
        site.batch(0);
        let snapshot = site.check_snapshot().await;
        until("the snapshot to be read with", || {
            (used(&address) == Some(snapshot)).then_some(())
        });
        check_served(&site, &address);
        let (status, said) = next.end();
        assert!(status.success(), "{said}");
        if !steps.go_on(killed) {
            break;
        }
    }
    let killed = steps.next - 2;
    assert!(steps.only || killed > 4, "killed at {killed} reads only");
    site.broker.shutdown().await.expect("it ends");
}
