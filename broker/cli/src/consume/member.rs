//! Reading as a member of a group: what to commit when.

use std::sync::Arc;
use std::time::Duration;

use tidemark_client::consumer::{Consumer, RebalanceListener, Told};
use tidemark_client::{Clock, TopicPartition};

use super::progress::Progress;
use crate::failure::Failure;

/// How long a partition that goes to another member waits for what was read of it to be written:
/// who reads the output may take any time, and the group waits.
const DRAIN: Duration = Duration::from_secs(1);

/// Commits what has been written and not yet committed, of these partitions or of all.
pub(super) async fn commit(
    consumer: &mut Consumer,
    progress: &Progress,
    partitions: Option<&[TopicPartition]>,
) -> Result<(), Failure> {
    let offsets = progress.to_commit(partitions);
    if offsets.is_empty() {
        return Ok(());
    }
    consumer.commit_offsets(offsets.clone()).await?;
    progress.committed(&offsets);
    Ok(())
}

/// Is told what the group gives and takes.
pub(super) struct Listener {
    pub(super) progress: Arc<Progress>,
    pub(super) clock: Clock,
}

impl RebalanceListener for Listener {
    fn assigned<'a>(
        &'a mut self,
        _consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        for partition in partitions {
            self.progress.add(partition.clone(), 0);
        }
        self.progress.set_settled(Some(self.clock.now().millis));
        Box::pin(async {})
    }

    fn revoked<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            self.progress.set_busy(true);
            self.progress.set_settled(None);
            self.clock.timeout(DRAIN, self.progress.drained()).await;
            // Best effort: what is not committed is read again by whoever comes next.
            if let Err(failure) = commit(consumer, &self.progress, Some(partitions)).await {
                tracing::warn!(error = failure.message, "not committed");
            }
            self.forget(partitions);
            self.progress.set_busy(false);
        })
    }

    fn lost<'a>(
        &'a mut self,
        _consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        self.progress.set_settled(None);
        self.forget(partitions);
        Box::pin(async {})
    }
}

impl Listener {
    fn forget(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.progress.remove(partition);
        }
    }
}
