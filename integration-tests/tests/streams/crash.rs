//! Instances that are stopped dead: state stays exact.

use std::time::Duration;

use tidemark_client::Client;
use tidemark_streams::Streams;

use crate::support::{broker, config, latest, lines, make, word_count, write};

/// An instance is dropped again and again while it works, without a last commit, some of its
/// changelog written and some not. What is counted twice or not at all would show in the last counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_however_often_it_dies() {
    for (seed, on_disk) in [(5, false), (6, true)] {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(&dir.path().join("broker")).await;
        let client = Client::connect(&broker.bootstrap()).unwrap();
        make(&client, &[("text", 2), ("word_counts", 1)]).await;
        let (records, expected) = lines(seed, 2000);
        let mut parts = records.chunks(100);
        let clock = tidemark_client::Clock::system();
        for (round, part) in parts.by_ref().enumerate() {
            write(&client, "text", part.to_vec()).await;
            let mut config = config(&broker, "words")
                .commit_interval(Duration::from_millis(1 + (round as u64 * 7) % 30))
                .session_timeout(Duration::from_secs(6));
            if on_disk {
                config = config.state_dir(dir.path().join("state"));
            }
            let streams = Streams::start(&word_count(), config).await.unwrap();
            clock
                .sleep(Duration::from_millis(20 + (round as u64 * 13) % 60))
                .await;
            drop(streams);
            // The member is gone without a word: another one must not wait for its session to end.
            let _ = client.admin().remove_all_members("words", "it died").await;
        }
        let mut last = config(&broker, "words");
        if on_disk {
            last = last.state_dir(dir.path().join("state"));
        }
        let streams = Streams::start(&word_count(), last).await.unwrap();
        streams.run_until_caught_up().await.unwrap();
        assert_eq!(
            latest::<String, i64>(&client, "word_counts").await,
            expected
        );
        broker.shutdown().await.unwrap();
    }
}
