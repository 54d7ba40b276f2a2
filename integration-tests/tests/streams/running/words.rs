//! The document's word count (section 2.2) as a batch view, as a view that is served, and as a topology: they
//! say the same of the same lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use integration_tests::rounds::Rounds;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tidemark_client::admin::OffsetSpec;
use tidemark_client::{Client, Clock};
use tidemark_streams::serving::views::{word_count, words};
use tidemark_streams::serving::{
    Aggregate, Batch, BatchConfig, BatchOutcome, Coverage, Lambda, LambdaConfig,
};
use tidemark_streams::{Consumed, OnBadRecord, StreamsBuilder, Topology};

use crate::support::{catch_up, config_at, latest, make, offsets, partitions, until_found, write};

const DOCUMENT: &str = include_str!("../../../fixtures/big-data-module.md");

/// What the document's own program prints of its own lines.
const OF_THE_DOCUMENT: [(&str, u64); 16] = [
    ("hello", 3),
    ("world", 3),
    ("test", 3),
    ("document", 3),
    ("this", 2),
    ("is", 2),
    ("the", 2),
    ("a", 1),
    ("another", 1),
    ("here", 1),
    ("third", 1),
    ("with", 1),
    ("words", 1),
    ("testing", 1),
    ("mapreduce", 1),
    ("functionality", 1),
];

type Counts = BTreeMap<String, u64>;

/// The lines that the document counts the words of.
fn lines_of_the_document() -> Vec<String> {
    let (_, behind) = DOCUMENT.split_once("\ndocuments = [\n").unwrap();
    let (lines, _) = behind.split_once("\n]\n").unwrap();
    let lines = lines.lines().map(|line| {
        let quoted = line.trim().trim_end_matches(',');
        quoted.trim_matches('"').to_owned()
    });
    lines.collect()
}

/// A line, and the words that are in it: each is written somehow, and other things stand between.
fn line(random: &mut StdRng) -> (String, Vec<String>) {
    const WORDS: [&str; 12] = [
        "be",
        "its",
        "2023",
        "frage",
        "\u{f6}l",
        "\u{4e16}\u{754c}",
        "\u{43c}\u{438}\u{440}",
        "x1",
        "na\u{ef}ve",
        "a",
        "hello",
        "o",
    ];
    const SPACES: [&str; 5] = [" ", "  ", "\t", " -- ", "\u{2003}"];
    const MARKS: [&str; 6] = ["", ",", ".", "!?", "'", "\u{201c}"];
    let (mut text, mut found) = (String::new(), Vec::new());
    for _ in 0..random.random_range(0..9) {
        let word = *WORDS.choose(random).unwrap();
        let mark = *MARKS.choose(random).unwrap();
        let written = match random.random_range(0..3) {
            0 => word.to_uppercase(),
            1 => word.to_owned(),
            // Marks go out of words, too: "it's" is "its".
            _ => word
                .chars()
                .map(|letter| format!("{letter}{mark}"))
                .collect(),
        };
        text += SPACES.choose(random).unwrap();
        text += mark;
        text += &written;
        text += MARKS.choose(random).unwrap();
        found.push(word.to_owned());
    }
    (text, found)
}

fn topology(text: &str, counts: &str) -> Topology {
    let builder = StreamsBuilder::new();
    let counted = builder
        .stream_with(
            [text],
            Consumed::<(), String>::new().on_bad_record(OnBadRecord::Skip),
        )
        .flat_map_values(|line| words(&line).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count();
    counted.to_stream().to(counts);
    builder.build().unwrap()
}

/// What the topology has counted when it has seen everything.
async fn of_topology(client: &Client, bootstrap: &str, text: &str, counts: &str) -> Counts {
    catch_up(&topology(text, counts), config_at(bootstrap, counts)).await;
    let counted = latest::<String, i64>(client, counts).await.into_iter();
    counted
        .map(|(word, count)| (word, count.try_into().unwrap()))
        .collect()
}

/// Where the topic ends.
async fn end(client: &Client, text: &str) -> Coverage {
    let all = partitions(client, &[text]).await;
    let ends = offsets(client, &all, OffsetSpec::Latest).await;
    let mut coverage = Coverage::new();
    for (own, end) in all.iter().zip(ends) {
        coverage.set(&own.topic, own.partition, end);
    }
    coverage
}

/// What is served, once it covers that: all of it, and what of it is in the snapshot.
async fn of_view<A: Aggregate<Value = u64>>(
    lambda: &Lambda<String, A>,
    covered: &Coverage,
) -> (Counts, Counts) {
    lambda.covers(covered).await.unwrap();
    let (mut all, mut batch, mut next) = (Counts::new(), Counts::new(), None);
    loop {
        let page = lambda.reader().range(.., 5, next.as_ref()).unwrap();
        for row in page.rows {
            batch.extend(row.batch.map(|count| (row.key.clone(), count)));
            all.insert(row.key, row.value);
        }
        next = page.next;
        if next.is_none() {
            return (all, batch);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_counted_the_same_in_every_way() {
    let rounds = Rounds::from_environment("streams running::words", 1);
    for_each_cluster(async |cluster| {
        let mut random = rounds.random();
        let bootstrap = cluster.bootstrap();
        let client = Arc::new(Client::connect(&bootstrap).unwrap());
        let id = unique("document");
        let [text, counts] = ["text", "counts"].map(|name| format!("{id}-{name}"));
        make(&client, &[(&text, 3), (&counts, 1)]).await;
        let dir = tempfile::tempdir().unwrap();
        let add = async |lines: Vec<String>| {
            let lines = lines.into_iter().enumerate();
            let records = lines.map(|(at, line)| (format!("line{at}"), line, at as i64));
            write(&client, &text, records).await;
            end(&client, &text).await
        };
        let view = Arc::new(word_count(&text));
        let from_scratch = async || {
            let (view, client) = (Arc::clone(&view), Arc::clone(&client));
            let config = BatchConfig::new().from_scratch(true);
            let batch = Batch::local(view, client, Clock::system(), dir.path(), config);
            match batch.unwrap().run(None).await.unwrap() {
                BatchOutcome::Published(own) => Some(own.manifest.coverage()),
                BatchOutcome::NothingNew { .. } => None,
            }
        };

        // The document's lines, by the batch layer alone: it reads to the end as long as there is no other one.
        let of_document = OF_THE_DOCUMENT.map(|(word, count)| (word.to_owned(), count));
        let mut expected = Counts::from(of_document);
        let covered = add(lines_of_the_document()).await;
        assert_eq!(from_scratch().await.as_ref(), Some(&covered));
        let config = LambdaConfig::new(&bootstrap, dir.path())
            .cut_every(Duration::ZERO)
            .commit_interval(Duration::from_millis(50))
            .wait(Duration::from_secs(60));
        let lambda = Lambda::start(word_count(&text), config).await.unwrap();
        let (all, batch) = of_view(&lambda, &covered).await;
        assert_eq!((&all, &batch), (&expected, &expected));
        let streamed = of_topology(&client, &bootstrap, &text, &counts).await;
        assert_eq!(streamed, expected);

        // What comes then is in the speed layer only, until a run from scratch has read all of it.
        let before = expected.clone();
        let lines: Vec<String> = (0..300)
            .map(|_| {
                let (line, found) = line(&mut random);
                for word in found {
                    *expected.entry(word).or_default() += 1;
                }
                line
            })
            .collect();
        let covered = add(lines).await;
        let (all, batch) = of_view(&lambda, &covered).await;
        assert_eq!((&all, &batch), (&expected, &before));
        let streamed = of_topology(&client, &bootstrap, &text, &counts).await;
        assert_eq!(streamed, expected);
        until_found("a snapshot with all of it", async || {
            let covers = from_scratch().await?;
            covers.includes(&covered).then_some(())
        })
        .await;
        until_found("the view to read with it", async || {
            let (all, batch) = of_view(&lambda, &covered).await;
            assert_eq!(all, expected);
            (batch == expected).then_some(())
        })
        .await;
        lambda.close(Duration::from_secs(60)).await.unwrap();
    })
    .await;
}
