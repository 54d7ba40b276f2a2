//! `tidemark batch` and `tidemark verify`: views of the streams library.

pub(crate) mod batch;
mod progress;

use clap::ValueEnum;
use tidemark_streams::StreamsError;
use tidemark_streams::serving::{BatchError, Coverage, SnapshotError};

use crate::failure::Failure;

/// The views that are known here. Those of an application are known to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Known {
    /// What each user has done: a topic of JSON events.
    UserTotals,
    /// How often each word is in lines of text.
    WordCount,
}

/// Which view of which topic.
#[derive(clap::Args)]
struct Chosen {
    /// The view.
    #[arg(long, value_enum)]
    view: Known,
    /// The topic that it reads; for user_totals `user_events` if none is named.
    #[arg(long, value_name = "TOPIC")]
    input: Option<String>,
}

impl Chosen {
    /// The topic that the view reads.
    fn topic(&self) -> Result<&str, Failure> {
        match (&self.input, self.view) {
            (Some(topic), _) => Ok(topic),
            (None, Known::UserTotals) => Ok("user_events"),
            (None, Known::WordCount) => Err(Failure::usage(
                "--input",
                "",
                "word_count has no topic of its own: name the one with the lines",
            )),
        }
    }
}

fn coverage(text: &str) -> Result<Coverage, String> {
    let coverage: Coverage = text.parse().map_err(|error| format!("{error}"))?;
    match coverage.is_empty() {
        true => Err("it names no partition: write topic:partition:offset".to_owned()),
        false => Ok(coverage),
    }
}

impl From<StreamsError> for Failure {
    fn from(error: StreamsError) -> Self {
        match error {
            StreamsError::Client(error) => error.into(),
            StreamsError::Consume(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Client(error) => error.into(),
            BatchError::Consume(error) => error.into(),
            BatchError::Cuts(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}
