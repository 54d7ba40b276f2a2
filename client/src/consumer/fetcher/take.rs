//! What the application gets, in the order in which it came.

use super::isolation::visible;
use super::{Fetcher, Item, Position};
use crate::consumer::batch::Fetched;
use crate::consumer::error::ConsumerError;

impl Fetcher {
    /// The next thing for the application, with the turn that it belongs to.
    pub(crate) fn take(&mut self) -> Option<Result<(Fetched, u64, Position), ConsumerError>> {
        let chunk = match self.next_item()? {
            Item::Chunk(chunk) => chunk,
            Item::Failure { error, .. } | Item::Trouble(error) => return Some(Err(error)),
        };
        if let Some(p) = self.partitions.get_mut(&chunk.partition)
            && p.position
                .is_none_or(|position| position.offset != chunk.from.offset)
        {
            // After a reset the position jumps with what comes behind it.
            p.position = Some(chunk.from);
        }
        let fetched = Fetched {
            batches: visible(chunk.batches, self.settings.read_committed, chunk.aborted),
            partition: chunk.partition,
            next_offset: chunk.next.offset,
            high_watermark: chunk.high_watermark,
            last_stable_offset: chunk.last_stable_offset,
            log_start_offset: chunk.log_start_offset,
        };
        Some(Ok((fetched, chunk.turn, chunk.next)))
    }

    /// The sessions to close with their brokers.
    pub(crate) fn close(&mut self) -> Vec<(i32, i32, i32)> {
        let nodes = self.nodes.iter_mut();
        nodes
            .filter_map(|(node, state)| {
                let (id, epoch) = state.session.close()?;
                Some((*node, id, epoch))
            })
            .collect()
    }
}
