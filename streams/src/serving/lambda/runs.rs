//! Batch runs of this process: one at a time, when they are due or asked for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemark_client::Clock;

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
    /// Why the last one has failed, if it has.
    trouble: Mutex<Option<String>>,
}

impl<K: Data, A: Aggregate> Runs<K, A> {
    pub(super) fn new(
        batch: Batch<K, A>,
        control: Arc<Control>,
        refresh: Arc<Refresh<K, A>>,
    ) -> Self {
        Self {
            batch,
            control,
            refresh,
            turn: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// Why the last one has failed, if it has.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// One run at the newest cuts.
    pub(super) async fn once(&self) -> Result<BatchOutcome, LambdaError> {
        let _turn = self.turn.lock().await;
        let outcome = self.run().await;
        *self.trouble.lock() = match &outcome {
            Ok(_) => None,
            // Another instance makes it.
            Err(LambdaError::Batch(BatchError::Locked { .. })) => None,
            Err(error) => Some(format!("the last batch run has failed: {error}")),
        };
        if outcome.is_ok() {
            self.refresh.once().await;
        }
        outcome
    }

    async fn run(&self) -> Result<BatchOutcome, LambdaError> {
        let cut = self.control.cuts().await?;
        Ok(self.batch.run(Some(&cut)).await?)
    }

    /// Makes one so often, for ever.
    pub(super) async fn every(self: Arc<Self>, interval: Duration, clock: Clock) {
        loop {
            clock.sleep(interval).await;
            let own = Arc::clone(&self);
            // A panic of the view's own code ends one run, not all of them.
            let run = tokio::spawn(async move { own.once().await }).await;
            match run {
                Ok(Ok(_)) => {}
                Ok(Err(LambdaError::Batch(BatchError::Locked { folder }))) => {
                    tracing::debug!(folder, "a batch run is at work already");
                }
                Ok(Err(error)) => tracing::warn!(%error, "a batch run has failed"),
                Err(error) => {
                    tracing::error!(%error, "a batch run has panicked");
                    *self.trouble.lock() =
                        Some(format!("the last batch run has panicked: {error}"));
                }
            }
        }
    }
}
