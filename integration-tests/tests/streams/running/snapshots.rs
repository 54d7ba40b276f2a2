//! State on disk.

use std::path::Path;
use std::time::SystemTime;

use crate::support::{catch_up, config, latest, lines, started, word_count, write};

/// When each snapshot was written.
fn written(dir: &Path) -> Vec<(String, SystemTime)> {
    let files = std::fs::read_dir(dir.join("words")).unwrap();
    let files = files.map(|file| file.unwrap());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file));
    let snapshots = named.filter(|(name, _)| name.ends_with(".snapshot"));
    let mut all: Vec<_> = snapshots
        .map(|(name, file)| (name, file.metadata().unwrap().modified().unwrap()))
        .collect();
    all.sort();
    all
}

/// What had to be read from changelogs is on disk after that, and what is on disk already is not written
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_on_disk_gets_there_and_what_is_stays() {
    let (dir, broker, client) = started(&[("text", 1), ("word_counts", 1)]).await;
    let config = config(&broker, "words");
    let on_disk = config.clone().state_dir(dir.path());
    let (records, expected) = lines(11, 200);
    let run = async |config: &tidemark_streams::StreamsConfig| {
        catch_up(&word_count(), config.clone()).await;
    };
    write(&client, "text", records[..100].to_vec()).await;
    run(&config).await;
    // Nothing comes in, and the state is kept all the same: the next start reads no changelog.
    run(&on_disk).await;
    let first = written(dir.path());
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["0_0.snapshot", "1_0.snapshot"]);
    run(&on_disk).await;
    assert_eq!(written(dir.path()), first);
    // Without the directory it goes on, and what is on disk is behind, but not lost.
    write(&client, "text", records[100..].to_vec()).await;
    run(&config).await;
    run(&on_disk).await;
    let last = written(dir.path());
    assert_eq!(last.len(), first.len(), "{last:?}");
    for (old, new) in first.iter().zip(&last) {
        assert!(old.0 == new.0 && old.1 < new.1, "{first:?}, {last:?}");
    }
    let counts = latest::<String, i64>(&client, "word_counts").await;
    assert_eq!(counts, expected);
    broker.shutdown().await.unwrap();
}
