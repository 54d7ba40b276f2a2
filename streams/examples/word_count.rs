//! Counts the words of lines of text: topic `text` in, topic `word_counts` out.
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example word_count -- --until-caught-up
//! ```
//!
//! runs on a few sample lines and a broker of its own, and prints the counts. With a cluster:
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example word_count -- --bootstrap 127.0.0.1:9092
//! echo 'to be or not to be' | kcat -b 127.0.0.1:9092 -P -t text
//! kcat -b 127.0.0.1:9092 -C -t word_counts -f '%k %s\n'
//! ```
//!
//! Words are what lies between spaces, in lower case and without what is neither letter nor number, as
//! the view `word_count` has them. Each word that comes makes a record: the word as its key, how often
//! it has come so far as its value. The value is decimal text, where Kafka's own WordCount writes eight
//! bytes, so that tools like kcat show it. Lines that are not UTF-8 go to `dead_text` with the reason in
//! their headers.

mod common;

use std::process::ExitCode;

use clap::Parser;
use tidemark_streams::serving::views::words;
use tidemark_streams::{Consumed, OnBadRecord, StreamsBuilder, StreamsError, Topology};

use crate::common::{Cluster, Common, Failure};

const DEAD: &str = "dead_text";

/// Counts the words of lines of text.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// The topic with the lines.
    #[arg(long, default_value = "text")]
    input: String,
    /// The topic for the counts.
    #[arg(long, default_value = "word_counts")]
    output: String,
}

fn topology(input: &str, output: &str) -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let lines =
        Consumed::<(), Option<String>>::new().on_bad_record(OnBadRecord::DeadLetter(DEAD.into()));
    let counts = builder
        .stream_with([input], lines)
        .flat_map_values(words_of)
        .group_by(|_, word| word.clone())
        .count()
        .materialized("counts");
    counts
        .values()
        .map_values(|count| count.to_string())
        .to(output);
    builder.build()
}

/// The words of a line; a record without a value has none.
fn words_of(line: Option<String>) -> Vec<String> {
    words(&line.unwrap_or_default()).collect()
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let Options {
        common,
        input,
        output,
    } = options;
    let cluster = Cluster::of(&common).await?;
    cluster.make_topics(&[&input, &output, DEAD]).await?;
    let lines = ["To be, or not to be:", "that is the question."];
    cluster
        .write_samples(&input, lines.map(|line| ("", line)))
        .await?;
    let topology = topology(&input, &output)?;
    let config = cluster.config(&common, "word-count");
    cluster
        .run(&common, &topology, config, &[&output], |_| Ok(()))
        .await
}
