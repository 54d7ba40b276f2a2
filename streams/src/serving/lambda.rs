//! A running view: speed layer, batch runs, and answers.

mod config;
mod control;
mod layers;
mod refresh;
mod runs;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tidemark_client::{Client, Clock};
use tokio::task::JoinHandle;

use super::aggregate::Aggregate;
use super::batch::BatchError;
use super::http::{self, Desk, ServedView, Server};
use super::merged::{Ask, QueryError, Reader, Site};
use super::snapshot::SnapshotError;
use super::view::{BadView, View};
use super::{Answer, Coverage};
use crate::data::Data;
use crate::error::StreamsError;
use crate::runtime::{Streams, StreamsConfig};

pub use config::LambdaConfig;
pub use control::announced_cuts;
pub(crate) use control::{AllCuts, announcements};
use runs::Runs;
pub(crate) use sources::{ChangedSource, SourceTopic};

/// A view that is being kept and can be asked (Marz: batch, speed and serving layer in one).
///
/// An answer has all partitions of the view's topics. Several instances share them, and then none of them
/// answers: each says which one it lacks. A second one is of use where it takes over when the first has ended.
/// Each has all of a snapshot in memory, whichever partitions it reads.
pub struct Lambda<K: Data, A: Aggregate> {
    site: Arc<Site<K, A>>,
    streams: Option<Streams>,
    runs: Arc<Runs<K, A>>,
    clock: Clock,
    wait: Duration,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a view cannot be kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LambdaError {
    /// It makes no sense.
    #[error(transparent)]
    View(#[from] BadView),
    /// Its speed layer has ended, which says why.
    #[error("{0}")]
    Ended(String),
    /// Its speed layer does not run.
    #[error(transparent)]
    Streams(#[from] StreamsError),
    /// Snapshots cannot be made.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The store does not tell which snapshots there are.
    #[error(
        "the snapshots cannot be looked for: {0}. Without what they have there may be less in the answers than \
         there was: start the view when the store can be read"
    )]
    Snapshot(#[from] SnapshotError),
}

impl<K: Data, A: Aggregate> Lambda<K, A> {
    /// Reads the newest snapshot and starts the speed layer, and batch runs if they are to be made here.
    ///
    /// # Errors
    ///
    /// [`LambdaError`].
    pub async fn start(view: View<K, A>, config: LambdaConfig) -> Result<Self, LambdaError> {
        layers::start(Arc::new(view), config).await
    }

    /// The view.
    #[must_use]
    pub fn view(&self) -> &View<K, A> {
        &self.site.view
    }

    /// Asks the view: keys, windows, ranges, the largest ones; with a snapshot that is named, or not before
    /// something is covered.
    #[must_use]
    pub fn reader(&self) -> Reader<K, A> {
        Reader::new(Arc::clone(&self.site))
    }

    /// The answer for a key; `None` as its value if there is nothing of it.
    ///
    /// # Errors
    ///
    /// [`QueryError`]; there is no answer with a gap.
    pub fn get(&self, key: &K) -> Result<Answer<A::Value>, QueryError> {
        self.reader().get(key)
    }

    /// As [`Self::get`], but not before everything below `at_least` is in it: what the caller has written
    /// itself, say. Waits for that, but not for ever ([`LambdaConfig::wait`]). (Kafka Streams: `PositionBound`,
    /// KIP-796.)
    ///
    /// # Errors
    ///
    /// [`QueryError::Behind`] if it is not there in time.
    pub async fn get_at_least(
        &self,
        key: &K,
        at_least: &Coverage,
    ) -> Result<Answer<A::Value>, QueryError> {
        let reader = self.reader().at_least(at_least.clone());
        self.until(|| reader.get(key)).await
    }

    /// Waits until answers cover that much, but not for ever ([`LambdaConfig::wait`]).
    ///
    /// # Errors
    ///
    /// [`QueryError::Behind`] if they do not in time.
    pub async fn covers(&self, coverage: &Coverage) -> Result<(), QueryError> {
        let ask = Ask {
            at_least: Some(coverage.clone()),
            ..Ask::default()
        };
        self.until(|| self.site.about(&ask)).await?;
        Ok(())
    }

    /// Asks again until there is an answer: what is elsewhere may be on its way here.
    async fn until<T>(&self, ask: impl Fn() -> Result<T, QueryError>) -> Result<T, QueryError> {
        let deadline = self.clock.deadline(self.wait);
        loop {
            let changed = self.site.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let error = match ask() {
                Err(error) if error.may_pass() => error.after(self.wait),
                done => return done,
            };
            // Something may change all the time: it is not waited for ever for all that.
            let is_late = self.clock.now().millis >= deadline;
            if is_late || self.clock.until(deadline, changed).await.is_none() {
                return Err(error);
            }
        }
    }

    /// Makes a snapshot at the newest cut, and reads with it.
    ///
    /// # Errors
    ///
    /// [`LambdaError::Batch`]; with [`BatchError::Locked`] if another run is at work in the folder.
    pub async fn run_batch(&self) -> Result<super::BatchOutcome, LambdaError> {
        self.runs.once().await
    }

    /// As [`Self::run_batch`], but from the beginning of the log, whatever snapshots there are: when that has
    /// to be asked for, since the log has lost what they have. Of a view that has ended it goes to the end of the
    /// log, and not to the newest cut: started again the view goes on from there.
    ///
    /// # Errors
    ///
    /// As [`Self::run_batch`].
    pub async fn run_batch_from_scratch(&self) -> Result<super::BatchOutcome, LambdaError> {
        self.runs.run(true).await
    }

    /// The snapshot that is read with.
    #[must_use]
    pub fn snapshot(&self) -> Option<u64> {
        Some(self.site.current()?.manifest.snapshot)
    }

    /// Serves the view over HTTP until what is returned is dropped: at `127.0.0.1:9780`, say, with port 0 at
    /// a free one.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Http`] if the address cannot be listened at.
    pub async fn serve(&self, address: &str) -> Result<Server, StreamsError> {
        self.serve_with(address, []).await
    }

    /// As [`Self::serve`], with other views beside it: [`Self::served`] of them.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Http`] if the address cannot be listened at.
    pub async fn serve_with(
        &self,
        address: &str,
        others: impl IntoIterator<Item = ServedView>,
    ) -> Result<Server, StreamsError> {
        let views = std::iter::once(self.served()).chain(others);
        let desks: Vec<_> = views.map(|ServedView(desk)| desk).collect();
        let mut names = desks.iter().map(|desk| desk.name()).enumerate();
        let twice = names.find(|(at, name)| desks[..*at].iter().any(|own| own.name() == *name));
        if let Some((_, name)) = twice {
            return Err(StreamsError::Http {
                address: address.to_owned(),
                reason: format!(
                    "two views are named {name:?}: serve them at addresses of their own"
                ),
            });
        }
        http::serve(address, desks, self.clock.clone()).await
    }

    /// The view as it is served beside others.
    #[must_use]
    pub fn served(&self) -> ServedView {
        let runs = Arc::clone(&self.runs);
        let site = Arc::clone(&self.site);
        ServedView(Arc::new(Desk {
            site: Arc::clone(&self.site),
            patience: self.wait,
            trouble: Box::new(move || runs.anything_wrong()),
            failed: Box::new(move || site.ended().map(str::to_owned)),
        }))
    }

    /// Waits until something ends the view: its speed layer fails, or a topic is not what it was. No batch runs
    /// are made any more then but those that are asked for; [`Self::close`] it.
    ///
    /// # Errors
    ///
    /// What ended it. It does not return otherwise.
    pub async fn failed(&self) -> LambdaError {
        LambdaError::Ended(self.site.until_ended().await.to_owned())
    }

    /// Saves what has been read, and stops.
    ///
    /// # Errors
    ///
    /// What had ended the speed layer before, or keeps it from saving.
    pub async fn close(mut self, limit: Duration) -> Result<(), StreamsError> {
        self.site.end("it has been closed".to_owned());
        self.tasks.iter().for_each(JoinHandle::abort);
        match self.streams.take() {
            Some(streams) => streams.close(limit).await,
            None => Ok(()),
        }
    }
}

impl<K: Data, A: Aggregate> Drop for Lambda<K, A> {
    fn drop(&mut self) {
        self.site.end("it has been closed".to_owned());
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What all of it shares.
struct Ground {
    client: Arc<Client>,
    clock: Clock,
    streams: StreamsConfig,
}
