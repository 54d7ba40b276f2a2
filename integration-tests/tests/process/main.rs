//! The binary from outside: configuration, banner, exit codes, signals, HTTP, files.

mod configuration;
mod files;
mod http;
mod leftovers;
mod listeners;
mod offline;
mod signals;
mod starting;
mod stopping_early;

use std::path::Path;

use integration_tests::harness::calls::Connection;
use integration_tests::harness::calls::{batch, connect, create_topic, produce};
use integration_tests::harness::process::{Ended, Launch, Running};
use tempfile::TempDir;

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Checks that a start has failed with this exit code and that standard error says all of `texts`.
#[track_caller]
fn check_failed(ended: &Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    for text in texts {
        assert!(ended.errors.contains(text), "{text:?}: {ended:?}");
    }
    assert_eq!(ended.output, "", "there is no banner");
}

/// Starts a broker and connects to it.
#[track_caller]
fn start(dir: &Path) -> impl Future<Output = (Running, Connection)> {
    let broker = Launch::new(dir).start();
    async {
        let connection = connect(broker.bootstrap()).await;
        (broker, connection)
    }
}

/// Makes a topic with one partition and these records.
async fn fill(connection: &mut Connection, topic: &str, records: &[&str]) {
    create_topic(connection, topic, 1, &[]).await;
    for (offset, record) in (0..).zip(records) {
        assert_eq!(
            produce(connection, topic, batch(record, None), -1).await,
            offset
        );
    }
}

/// Records as [`read_all`](integration_tests::harness::calls::read_all) gives them.
fn numbered(records: &[&str]) -> Vec<(i64, String)> {
    let numbers = 0..;
    numbers.zip(records.iter().map(|&r| r.to_owned())).collect()
}
