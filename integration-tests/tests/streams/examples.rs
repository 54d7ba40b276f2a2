//! The examples do what they say: each is run as its users would, on brokers that run elsewhere and
//! with one of its own.

mod analytics;
mod auctions;
mod totals;
mod windows;
mod words;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use integration_tests::harness::cluster::Cluster;
use integration_tests::harness::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidemark_client::Client;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};

use crate::support::read;

/// How long an example may take for one line. Not a demand on speed.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(example: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let target: PathBuf = tests.ancestors().nth(2).unwrap().into();
    let binary = target.join("examples").join(example);
    assert!(
        binary.exists(),
        "{} is not built: cargo build -p tidemark-streams --examples",
        binary.display()
    );
    let mut command = Command::new(binary);
    command.stdin(Stdio::null());
    command
}

/// Runs an example to its end; gives what it printed.
async fn run(example: &str, arguments: &[&str]) -> String {
    let (status, printed, errors) = end(example, arguments).await;
    assert!(status.success(), "{example}: {errors}");
    printed
}

/// Runs an example to its end, however it ends.
async fn end(example: &str, arguments: &[&str]) -> (ExitStatus, String, String) {
    let mut command = command(example);
    command.args(arguments);
    // An example is a process of its own: a thread that may block waits for it.
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

/// An example that runs until it is told to end.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(example: &str, arguments: &[&str]) -> Self {
        let mut command = command(example);
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = sync_channel(1000);
        std::thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for a line that begins so; gives what follows.
    fn line(&self, beginning: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("still waiting for {beginning:?}"));
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// Ctrl-C. It has to close in order.
    fn interrupt(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        self.line("closed");
        let status = wait::until("the example to end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(cluster: &Cluster) -> Client {
    Client::connect(&cluster.bootstrap()).unwrap()
}

/// Writes keys and values as they are, in this order within a partition.
async fn write_values(client: &Client, topic: &str, values: &[(i32, Option<&[u8]>)]) {
    let config = ProducerConfig::new();
    let producer = client.producer(config).unwrap();
    for (partition, value) in values {
        let mut record = ProducerRecord::to(topic)
            .partition(*partition)
            .key(&[0xff_u8, 0xfe][..]);
        if let Some(value) = value {
            record = record.value(value.to_vec());
        }
        drop(producer.send(&record).await.unwrap());
    }
    assert_eq!(producer.close(PATIENCE).await.failed, 0);
}

/// Keys and JSON of a topic.
async fn read_json(client: &Client, topic: &str) -> Vec<(String, Value)> {
    let records = read::<String, String>(client, topic).await.into_iter();
    let parsed = records.map(|(key, value)| (key, serde_json::from_str(&value).unwrap()));
    parsed.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_told() {
    let (status, _, errors) = end("event_windows", &["--gap", "5 parsecs"]).await;
    assert_eq!(status.code(), Some(2));
    assert!(errors.contains("90s, 10m, 1h30m, 500ms"), "{errors}");
    let arguments = ["--until-caught-up", "--application", "a/b"];
    let (status, _, errors) = end("word_count", &arguments).await;
    assert_eq!(status.code(), Some(1));
    assert!(errors.starts_with("error: application: "), "{errors}");
    let arguments = ["--until-caught-up", "--window", "0s"];
    let (status, _, errors) = end("event_windows", &arguments).await;
    assert_eq!(status.code(), Some(1));
    assert!(
        errors.starts_with("error: the topology cannot run: "),
        "{errors}"
    );
}

#[test]
fn the_readme_tells_of_each_example() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let examples = std::fs::read_dir(format!("{root}/streams/examples")).unwrap();
    for entry in examples {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".rs");
        let command = format!("cargo run --release -p tidemark-streams --example {name}");
        assert!(name == "common" || readme.contains(&command), "{name}");
    }
}

/// What the README shows is the documentation's first program, which is built.
#[test]
fn the_readme_shows_the_first_program() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let library = std::fs::read_to_string(format!("{root}/streams/src/lib.rs")).unwrap();
    let section = readme.split("## Streams").nth(1).unwrap();
    let shown = section.split("```rust\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap().lines();
    let shown: Vec<String> = shown
        .map(|line| format!("//! {line}").trim_end().to_owned())
        .collect();
    let built: Vec<&str> = library.lines().collect();
    assert!(shown.len() > 10);
    assert!(built.windows(shown.len()).any(|window| window == shown));
}
