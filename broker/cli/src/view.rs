//! `tidemark batch` and `tidemark verify`: views of the streams library.

pub(crate) mod batch;
mod http;
mod progress;
mod verdict;
pub(crate) mod verify;

use std::time::Duration;

use clap::ValueEnum;
use tidemark_client::Client;
use tidemark_streams::serving::views::{user_totals, user_windows, word_count};
use tidemark_streams::serving::{Aggregate, BatchError, Coverage, SnapshotError, View};
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Data, StreamsError};

use crate::failure::Failure;
use crate::output::Report;
use crate::time;

/// The views that are known here. Those of an application are known to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Known {
    /// What each user has done: a topic of JSON events.
    UserTotals,
    /// The same by window; it needs --window.
    UserWindows,
    /// How often each word is in lines of text.
    WordCount,
}

/// The folder with snapshots if none is named: the broker's data are in such a one, too.
const SNAPSHOTS: &str = "tidemark-snapshots";

/// Which view of which topic.
#[derive(clap::Args)]
struct Chosen {
    /// The view.
    #[arg(long, value_enum)]
    view: Known,
    /// The topic that it reads; for views of users `user_events` if none is named.
    #[arg(long, value_name = "TOPIC")]
    input: Option<String>,
    /// How long the windows of user_windows are: 10s, 1m, 1h.
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    window: Option<Duration>,
}

impl Chosen {
    /// The topic that the view reads.
    fn topic(&self) -> Result<&str, Failure> {
        match (&self.input, self.view) {
            (Some(topic), _) => Ok(topic),
            (None, Known::UserTotals | Known::UserWindows) => Ok("user_events"),
            (None, Known::WordCount) => Err(Failure::usage(
                "--input",
                "",
                "word_count has no topic of its own: name the one with the lines",
            )),
        }
    }

    /// How long windows are, for the view that has some.
    fn windows(&self) -> Result<TimeWindows, Failure> {
        let missing = || Failure::usage("--window", "", "user_windows needs it: 10s, 1m, 1h");
        self.window.map(TimeWindows::tumbling).ok_or_else(missing)
    }

    /// Does something with the view.
    async fn with(&self, work: &impl Work, client: Client) -> Result<Report, Failure> {
        let topic = self.topic()?;
        if self.window.is_some() && self.view != Known::UserWindows {
            let fix = "only user_windows has windows: leave it out";
            return Err(Failure::usage("--window", "", fix));
        }
        match self.view {
            Known::UserTotals => work.on(user_totals(topic), client).await,
            Known::UserWindows => work.on(user_windows(topic, self.windows()?), client).await,
            Known::WordCount => work.on(word_count(topic), client).await,
        }
    }
}

/// What is done with a view, whatever it computes.
trait Work {
    async fn on<K: Data, A: Aggregate>(
        &self,
        view: View<K, A>,
        client: Client,
    ) -> Result<Report, Failure>;
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
