//! `tidemark produce`.

mod input;
mod progress;
mod reader;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tidemark_client::Client;
use tidemark_client::producer::{
    Acks, Advice, Compression, ProduceError, Producer, ProducerConfig, RecordParts,
};

use crate::failure::{Failure, explain};
use crate::output::{Report, count};
use crate::process::signals::Signals;
use crate::remote::{self, Remote};
use input::{Input, Record};
use progress::Progress;

/// Bytes that may wait to be written.
const BUFFER: usize = 32 << 20;
/// How long a record waits for others.
const LINGER: Duration = Duration::from_millis(5);

/// Options of `tidemark produce`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    /// The topic; made if it is missing and the cluster makes topics on demand.
    topic: String,
    /// Files to read; without one, standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the input holds.
    #[arg(long, value_enum, default_value = "lines")]
    format: Format,
    /// Splits each line into key and value at the first of these; \t, \0, \\.
    #[arg(long, short = 'K', value_name = "TEXT", value_parser = input::separator)]
    key_separator: Option<String>,
    /// The key of every record that has none of its own.
    #[arg(long, short = 'k', conflicts_with = "key_separator")]
    key: Option<String>,
    /// The partition of records that name none; else keys decide, as in all Kafka clients.
    #[arg(long, short = 'p', value_name = "NUMBER")]
    partition: Option<i32>,
    /// A header of every record. May be repeated.
    #[arg(long, short = 'H', value_name = "KEY=VALUE", value_parser = input::header)]
    header: Vec<(String, String)>,
    /// Writes null for an empty value: a tombstone on compacted topics.
    #[arg(long)]
    empty_is_null: bool,
    /// Compresses batches: none, gzip, snappy, lz4, zstd, with a level as in zstd:3.
    #[arg(long, short = 'z', value_name = "CODEC[:LEVEL]", default_value = "none", value_parser = codec)]
    compression: (Compression, Option<i32>),
    /// When a record counts as written: all, 1 (the leader has it), 0 (it has been sent).
    #[arg(long, default_value = "all", value_parser = acks)]
    acks: Acks,
    /// The most bytes of one record; the topic's max.message.bytes has to allow it too.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_request_size: usize,
    /// Shows no progress. It is shown only on a terminal anyway.
    #[arg(long, short = 'q')]
    quiet: bool,
}

/// What the input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A record per line.
    Lines,
    /// A JSON object per line: key, value, headers, partition, timestamp; all may be left out.
    Json,
    /// A record per file, as it is.
    Files,
}

fn codec(text: &str) -> Result<(Compression, Option<i32>), String> {
    let (name, level) = match text.split_once(':') {
        Some((name, level)) => (name, Some(level)),
        None => (text, None),
    };
    let codec: Compression = name
        .parse()
        .map_err(|_| "the codecs are none, gzip, snappy, lz4 and zstd".to_owned())?;
    let level = level.map(str::parse::<i32>).transpose();
    let level = level.map_err(|_| "a level is a number".to_owned())?;
    if level.is_some_and(|level| !codec.accepts_level(level)) {
        return Err(codec.levels().map_or_else(
            || format!("{codec} has no levels"),
            |levels| {
                let (least, most) = (levels.start(), levels.end());
                format!("the levels of {codec} are {least} to {most}")
            },
        ));
    }
    Ok((codec, level))
}

fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err("write all, 1 or 0".to_owned()),
    }
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let remote = arguments.remote.clone();
    remote::run_client(&remote, true, |client| async move {
        arguments.run(&client).await
    })
}

impl Arguments {
    async fn run(self, client: &Client) -> Result<Report, Failure> {
        let config = ProducerConfig::new()
            .acks(self.acks)
            .max_request_size(self.max_request_size)
            .buffer_memory(self.max_request_size.max(BUFFER))
            .compression(self.compression.0, self.compression.1)
            // A timeout may be shorter than a batch waits for others.
            .linger(LINGER.min(self.remote.timeout()))
            .max_block(self.remote.timeout())
            .delivery_timeout(self.remote.timeout());
        let producer = client.producer(config)?;
        let separator = self.key_separator.as_deref();
        let input = Input::open(self.files.clone(), self.format, separator)?;
        let mut signals = Signals::listen()
            .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
        let mut progress = Progress::start(self.quiet, input::total(&self.files));
        let sent = tokio::select! {
            biased;
            code = signals.next() => Ok(Some(code)),
            sent = self.send_all(&producer, input, &mut progress) => sent.map(|()| None),
        };
        signals.end_at_next();
        producer.flush().await;
        progress.end();
        let last_error = producer.last_error();
        let counts = producer.close(Duration::from_secs(1)).await;
        let mut report = Report::default();
        if let Some(error) = last_error {
            report.problems.push(advised(&error));
        }
        match sent {
            Ok(stopped) => report.stopped = stopped,
            Err(failure) if counts.delivered == 0 && report.problems.is_empty() => {
                return Err(failure);
            }
            Err(failure) => report.problems.push(failure.message),
        }
        if counts.delivered == 0 && report.stopped.is_none() && !report.problems.is_empty() {
            // It has failed as a whole: there is no result to show.
            report.silent = true;
            return Ok(report);
        }
        let failed = match counts.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let written = count(counts.delivered, "record");
        report.say(format!("{written} written to {:?}{failed}", self.topic));
        report.json = json!({
            "topic": self.topic,
            "written": counts.delivered,
            "failed": counts.failed,
            "bytes": progress.bytes(),
        });
        Ok(report)
    }

    async fn send_all(
        &self,
        producer: &Producer,
        input: Input,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let topic: Arc<str> = self.topic.as_str().into();
        let mut batches = reader::start(input)?;
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            for record in &batch.records {
                let sent = self.send(producer, &topic, record).await;
                let size = sent.map_err(|error| {
                    Failure::new(format!("{}: {}", record.place, advised(&error)))
                })?;
                progress.add(size as u64);
            }
            progress.show(batch.read);
            // The producer's turn comes when this waits, which it does not while batches are there.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn send(
        &self,
        producer: &Producer,
        topic: &Arc<str>,
        record: &Record,
    ) -> Result<usize, ProduceError> {
        let value = record.value.as_deref();
        let value = value.filter(|value| !(self.empty_is_null && value.is_empty()));
        let key = record
            .key
            .as_deref()
            .or(self.key.as_deref().map(str::as_bytes));
        let fixed = self
            .header
            .iter()
            .map(|(key, value)| (key.as_bytes(), Some(value.as_bytes())));
        let own = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()));
        let headers: Vec<(&[u8], Option<&[u8]>)> = fixed.chain(own).collect();
        let parts = RecordParts {
            partition: record.partition.or(self.partition),
            key,
            value,
            headers: &headers,
            timestamp: record.timestamp,
        };
        producer.send_counted(topic, &parts).await?;
        Ok(key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len))
    }
}

/// The error with what to do about it.
fn advised(error: &ProduceError) -> String {
    let text = match error {
        ProduceError::Client(error) => return explain(error),
        ProduceError::TooLarge { topic, size, max } => format!(
            "a record of {size} bytes for {topic:?} is larger than --max-request-size {max}: raise \
             it, and max.message.bytes of the topic"
        ),
        error => error.to_string(),
    };
    match error.advice() {
        Advice::SendAgain => format!(
            "{text}
  it may work later; --timeout gives it longer"
        ),
        _ => text,
    }
}
