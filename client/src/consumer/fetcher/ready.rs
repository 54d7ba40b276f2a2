//! What waits to be read, in the order in which it came. What belongs to paused partitions lies
//! aside, so that it neither stands in the way nor takes the room of what can be read.

use std::collections::HashSet;

use super::{Chunk, Fetcher, Item, NodeState, Partition, Position, State};
use crate::consumer::batch::Fetched;
use crate::topic_partition::TopicPartition;

/// In place of a broker: what the application had already, and has given back.
const NOBODY: i32 = -1;

impl Fetcher {
    /// Whether [`Self::take`] has something to give.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether enough has been taken since the last call for a broker to be asked again.
    pub(crate) fn made_room(&mut self) -> bool {
        std::mem::take(&mut self.room)
    }

    /// Keeps what was fetched until it is read. `false` if there is no room for it, which is so only
    /// for paused partitions: it is fetched again when they are resumed.
    pub(super) fn keep(&mut self, chunk: Chunk) -> bool {
        let Some(p) = self.partitions.get_mut(&chunk.partition) else {
            return false;
        };
        if !p.paused {
            p.waiting += 1;
            count(self.nodes.get_mut(&chunk.node), chunk.bytes);
            self.ready.push_back(Item::Chunk(chunk));
            return true;
        }
        if self.aside + chunk.bytes > self.settings.prefetch_bytes {
            return false;
        }
        p.waiting += 1;
        self.aside += chunk.bytes;
        p.aside.push_back(chunk);
        true
    }

    /// Tells the application of a failure, unless it has yet to hear of one of the same kind: one
    /// that is told again and again must not pile up where nobody reads.
    pub(super) fn tell(&mut self, failure: Item) {
        let told = match &failure {
            Item::Trouble(_) => &mut self.trouble_told,
            Item::Failure { partition, .. } => match self.partitions.get_mut(partition) {
                Some(p) => &mut p.told,
                None => return,
            },
            Item::Chunk(_) => return,
        };
        if !std::mem::replace(told, true) {
            self.ready.push_back(failure);
        }
    }

    /// The next in line.
    pub(super) fn next_item(&mut self) -> Option<Item> {
        let item = self.ready.pop_front()?;
        match &item {
            Item::Trouble(_) => self.trouble_told = false,
            Item::Failure { partition, .. } => {
                if let Some(p) = self.partitions.get_mut(partition) {
                    p.told = false;
                }
            }
            Item::Chunk(chunk) => {
                if let Some(p) = self.partitions.get_mut(&chunk.partition) {
                    p.waiting = p.waiting.saturating_sub(1);
                    p.handed = chunk.next.offset;
                }
                if let Some(node) = self.nodes.get_mut(&chunk.node) {
                    let full = node.is_full();
                    node.buffered = node.buffered.saturating_sub(chunk.bytes);
                    self.room |= full && !node.is_full();
                }
            }
        }
        Some(item)
    }

    /// Takes back what the application has not read of what it was given, for it to be the next
    /// thing of its partition.
    pub(crate) fn put_back(&mut self, rest: Fetched, turn: u64, end: Position) {
        let Some(p) = self.partitions.get_mut(&rest.partition) else {
            return;
        };
        let Some(from) = p.position.filter(|_| p.turn == turn) else {
            return;
        };
        p.waiting += 1;
        let chunk = Chunk {
            partition: rest.partition,
            turn,
            node: NOBODY,
            from,
            bytes: 0,
            batches: rest.batches,
            next: end,
            // They have been left out already.
            aborted: Vec::new(),
            high_watermark: rest.high_watermark,
            last_stable_offset: rest.last_stable_offset,
            log_start_offset: rest.log_start_offset,
        };
        if p.paused {
            p.aside.push_front(chunk);
        } else {
            self.ready.push_front(Item::Chunk(chunk));
        }
    }

    /// Stops giving records of these partitions, or begins again. What waits of them is kept as far
    /// as there is room for it. Changes nothing, and names it, if one of them is not assigned.
    pub(crate) fn pause<'a>(
        &mut self,
        partitions: &'a [TopicPartition],
        paused: bool,
    ) -> Result<(), &'a TopicPartition> {
        let missing = |name: &&TopicPartition| !self.partitions.contains_key(name);
        if let Some(missing) = partitions.iter().find(missing) {
            return Err(missing);
        }
        let mut changed = HashSet::new();
        for name in partitions {
            if let Some(p) = self.partitions.get_mut(name)
                && p.paused != paused
            {
                p.paused = paused;
                changed.insert(name);
            }
        }
        if paused {
            self.set_aside(&changed);
        } else {
            // In the order of the call: that of a set is not the same twice.
            for name in partitions.iter().filter(|name| changed.contains(name)) {
                self.bring_back(name);
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, names: &HashSet<&TopicPartition>) {
        let mut crowded = Vec::new();
        for item in std::mem::take(&mut self.ready) {
            match item {
                Item::Chunk(chunk) if names.contains(&chunk.partition) => {
                    uncount(self.nodes.get_mut(&chunk.node), chunk.bytes);
                    let Some(p) = self.partitions.get_mut(&chunk.partition) else {
                        continue;
                    };
                    self.aside += chunk.bytes;
                    if self.aside > self.settings.prefetch_bytes && p.can_rewind() {
                        crowded.push(chunk.partition.clone());
                    }
                    p.aside.push_back(chunk);
                }
                item => self.ready.push_back(item),
            }
        }
        for name in crowded {
            self.rewind(&name);
        }
    }

    fn bring_back(&mut self, name: &TopicPartition) {
        let Some(p) = self.partitions.get_mut(name) else {
            return;
        };
        for chunk in std::mem::take(&mut p.aside) {
            self.aside = self.aside.saturating_sub(chunk.bytes);
            count(self.nodes.get_mut(&chunk.node), chunk.bytes);
            self.ready.push_back(Item::Chunk(chunk));
        }
    }

    /// Drops what waits of a partition.
    pub(super) fn drop_waiting(&mut self, name: &TopicPartition) {
        let Some(p) = self.partitions.get_mut(name) else {
            return;
        };
        self.aside = self.aside.saturating_sub(p.aside_bytes());
        p.aside.clear();
        let waiting = std::mem::take(&mut p.waiting) > 0;
        if std::mem::take(&mut p.told) || waiting {
            self.drop_items(|partition| partition == name);
        }
    }

    /// Drops what was to be told of a partition: something else is now.
    pub(super) fn drop_failures(&mut self, name: &TopicPartition) {
        let told = self
            .partitions
            .get_mut(name)
            .is_some_and(|p| std::mem::take(&mut p.told));
        if told {
            self.ready.retain(
                |item| !matches!(item, Item::Failure { partition, .. } if partition == name),
            );
        }
    }

    /// Drops what waits of partitions that are not assigned any more.
    pub(super) fn drop_gone(&mut self) {
        let partitions = std::mem::take(&mut self.partitions);
        self.drop_items(|partition| !partitions.contains_key(partition));
        self.partitions = partitions;
    }

    fn drop_items(&mut self, gone: impl Fn(&TopicPartition) -> bool) {
        let (nodes, room) = (&mut self.nodes, &mut self.room);
        self.ready.retain(|item| match item {
            Item::Chunk(chunk) if gone(&chunk.partition) => {
                uncount(nodes.get_mut(&chunk.node), chunk.bytes);
                *room = true;
                false
            }
            Item::Failure { partition, .. } => !gone(partition),
            Item::Chunk(_) | Item::Trouble(_) => true,
        });
    }
}

fn count(node: Option<&mut NodeState>, bytes: usize) {
    if let Some(node) = node {
        node.buffered += bytes;
    }
}

fn uncount(node: Option<&mut NodeState>, bytes: usize) {
    if let Some(node) = node {
        node.buffered = node.buffered.saturating_sub(bytes);
    }
}

impl NodeState {
    /// Whether it is not worth while to ask for more.
    pub(super) fn is_full(&self) -> bool {
        // Not for a trickle: half of the share has to be free.
        self.buffered > self.share / 2
    }
}

impl Partition {
    pub(super) fn aside_bytes(&self) -> usize {
        self.aside.iter().map(|chunk| chunk.bytes).sum()
    }

    /// Whether what waits can be fetched again from the position on.
    fn can_rewind(&self) -> bool {
        self.position.is_some() && matches!(self.state, State::Fetching | State::Validate)
    }

    /// The application has read all that was fetched: its position follows where fetching has gone
    /// meanwhile without a record, as a reset does.
    pub(super) fn catch_up(&mut self) {
        let read = self.position.is_none_or(|at| at.offset >= self.handed);
        if self.state == State::Fetching && self.waiting == 0 && read {
            match &mut self.position {
                Some(position) if position.offset == self.next.offset => {}
                position => *position = Some(self.next),
            }
        }
    }
}
