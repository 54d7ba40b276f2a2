//! What the application gets, in the order in which it came.

use super::isolation::visible;
use super::{Fetcher, Item, Position};
use crate::consumer::batch::Fetched;
use crate::consumer::error::ConsumerError;

impl Fetcher {
    /// Whether [`Self::take`] has something to give.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.iter().any(|item| self.may_be_taken(item))
    }

    pub(super) fn may_be_taken(&self, item: &Item) -> bool {
        match item {
            Item::Chunk(chunk) => {
                let found = self.partitions.get(&chunk.partition);
                found.is_some_and(|p| !p.paused)
            }
            Item::Failure { .. } | Item::Trouble(_) => true,
        }
    }

    /// The next thing for the application, with the turn that it belongs to.
    pub(crate) fn take(&mut self) -> Option<Result<(Fetched, u64, Position), ConsumerError>> {
        let at = self.ready.iter().position(|item| self.may_be_taken(item))?;
        let chunk = match self.ready.remove(at)? {
            Item::Chunk(chunk) => chunk,
            Item::Failure { error, .. } | Item::Trouble(error) => return Some(Err(error)),
        };
        if let Some(node) = self.nodes.get_mut(&chunk.node) {
            node.buffered = node.buffered.saturating_sub(chunk.bytes);
        }
        if let Some(p) = self.partitions.get_mut(&chunk.partition) {
            p.waiting = p.waiting.saturating_sub(1);
            // After a reset the position jumps with what comes behind it.
            let at_chunk = p
                .position
                .is_some_and(|position| position.offset == chunk.from);
            if !at_chunk {
                let epoch = p.position.map_or(-1, |position| position.epoch);
                p.position = Some(Position {
                    offset: chunk.from,
                    epoch,
                });
            }
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
