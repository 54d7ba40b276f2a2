//! `word_count`.

use std::collections::BTreeMap;

use integration_tests::harness::cluster::{for_each_cluster, unique};

use super::{client, run, write_values};
use crate::support::{make, read};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted_on_any_cluster() {
    for_each_cluster(async |cluster| {
        let client = client(cluster);
        let (input, output, application) = (unique("text"), unique("counts"), unique("words"));
        make(&client, &[(&input, 3)]).await;
        let bootstrap = cluster.bootstrap();
        let arguments = [
            "--bootstrap",
            &bootstrap,
            "--input",
            &input,
            "--output",
            &output,
            "--application",
            &application,
            "--until-caught-up",
        ];
        let first: [(i32, Option<&[u8]>); 5] = [
            (0, Some(b"To be, or not to BE:")),
            (
                1,
                Some("that is the Frage\u{2014}\u{d6}L und \u{f6}l".as_bytes()),
            ),
            (2, Some(b"\xff\xfe no text")),
            (2, Some(b"...!?  ")),
            (1, None),
        ];
        write_values(&client, &input, &first).await;
        assert_eq!(run("word_count", &arguments).await, "");
        write_values(&client, &input, &[(2, Some(b"not to be"))]).await;
        assert_eq!(run("word_count", &arguments).await, "");
        let counts = read::<String, String>(&client, &output).await;
        let expected = [
            ("be", 3),
            ("frage\u{f6}l", 1),
            ("is", 1),
            ("not", 2),
            ("or", 1),
            ("that", 1),
            ("the", 1),
            ("to", 3),
            ("und", 1),
            ("\u{f6}l", 1),
        ];
        // One record for each time that a word comes, with its count by then.
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (word, count) in &counts {
            all.entry(word).or_default().push(count);
        }
        assert_eq!(all.len(), expected.len(), "{all:?}");
        for (word, count) in expected {
            let numbers: Vec<String> = (1..=count).map(|n: i32| n.to_string()).collect();
            assert_eq!(all[word], numbers, "{word}");
        }
        let dead = read::<Vec<u8>, Vec<u8>>(&client, "dead_text").await;
        assert_eq!(dead, [(vec![0xff, 0xfe], b"\xff\xfe no text".to_vec())]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted_without_a_cluster() {
    let printed = run("word_count", &["--until-caught-up"]).await;
    let mut lines = printed.lines();
    assert!(lines.next().unwrap().starts_with("bootstrap server: "));
    let lines: Vec<Vec<&str>> = lines
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 10);
    assert!(lines.contains(&vec!["word_counts", "be", "2"]), "{printed}");
}
