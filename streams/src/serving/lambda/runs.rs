//! Batch runs of this process: one at a time, when they are due or asked for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemark_client::Clock;
use tokio::task::JoinSet;

use super::LambdaError;
use super::control::Control;
use super::refresh::Refresh;
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{Batch, BatchError, BatchOutcome};

/// Makes snapshots, and reads with them.
pub(super) struct Runs<K, A: Aggregate> {
    pub(super) batch: Batch<K, A>,
    pub(super) control: Arc<Control>,
    pub(super) refresh: Arc<Refresh<K, A>>,
    turn: tokio::sync::Mutex<()>,
    from_scratch: bool,
    /// Why the last one has failed, if it has.
    trouble: Mutex<Option<String>>,
}

impl<K: Data, A: Aggregate> Runs<K, A> {
    pub(super) fn new(
        batch: Batch<K, A>,
        control: Arc<Control>,
        refresh: Arc<Refresh<K, A>>,
        from_scratch: bool,
    ) -> Self {
        Self {
            batch,
            control,
            refresh,
            turn: tokio::sync::Mutex::default(),
            from_scratch,
            trouble: Mutex::default(),
        }
    }

    /// Why the last one has failed, if it has.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// What keeps snapshots from being read with, made, or made at newer cuts.
    pub(super) fn anything_wrong(&self) -> Option<String> {
        let read = self.refresh.trouble();
        read.or_else(|| self.trouble())
            .or_else(|| self.control.trouble())
    }

    /// One run at the newest cuts.
    pub(super) async fn once(&self) -> Result<BatchOutcome, LambdaError> {
        self.run(self.from_scratch).await
    }

    /// The same, from the beginning of the log or from the last snapshot.
    pub(super) async fn run(&self, from_scratch: bool) -> Result<BatchOutcome, LambdaError> {
        let _turn = self.turn.lock().await;
        let outcome = self.run_in_turn(from_scratch).await;
        *self.trouble.lock() = match &outcome {
            Ok(BatchOutcome::Published(own)) => own.held_up.as_ref().map(|why| {
                let snapshot = own.manifest.snapshot;
                format!(
                    "the last batch run has published snapshot {snapshot}, and cannot go on: {why}"
                )
            }),
            Ok(BatchOutcome::NothingNew { .. }) => None,
            // Another instance makes it.
            Err(LambdaError::Batch(BatchError::Locked { .. })) => None,
            Err(error) => Some(format!("the last batch run has failed: {error}")),
        };
        if outcome.is_ok() {
            // The snapshot is made, whether or not it can be read with.
            let _ = self.refresh.once().await;
        }
        outcome
    }

    async fn run_in_turn(&self, from_scratch: bool) -> Result<BatchOutcome, LambdaError> {
        let announced = self.control.announced().await?;
        let (cuts, origins) = (announced.newest(), announced.origins);
        // A view that has ended begins behind the snapshot, wherever that is. At the cuts the log may not be there
        // any more when it is started, if that is what has ended it.
        let ended = from_scratch && self.refresh.site.ended().is_some();
        let cut = (!ended).then_some(&cuts);
        let run = self.batch.run_at(cut, Some(origins), from_scratch);
        Ok(run.await?)
    }

    /// Makes one so often, for ever.
    pub(super) async fn every(self: Arc<Self>, interval: Duration, clock: Clock) {
        loop {
            clock.sleep(interval).await;
            let own = Arc::clone(&self);
            // A panic of the view's own code ends one run, not all of them.
            let mut run = JoinSet::new();
            run.spawn(async move { own.once().await });
            match run.join_next().await.transpose() {
                Ok(None | Some(Ok(_))) => {}
                Ok(Some(Err(LambdaError::Batch(BatchError::Locked { folder })))) => {
                    tracing::debug!(folder, "a batch run is at work already");
                }
                Ok(Some(Err(error))) => tracing::warn!(%error, "a batch run has failed"),
                Err(error) => {
                    tracing::error!(%error, "a batch run has panicked");
                    *self.trouble.lock() =
                        Some(format!("the last batch run has panicked: {error}"));
                }
            }
        }
    }
}
