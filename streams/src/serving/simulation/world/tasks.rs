//! The log and the tasks that read it.

use std::sync::Arc;

use super::{KEYS, World, site};
use crate::data::Payload;
use crate::record::Headers;
use crate::serving::aggregate::Aggregate;
use crate::serving::kept::Kept;
use crate::serving::speed::cut_rule::CutRule;
use crate::serving::view::{Raw, Scratch};

/// A cut is made whenever anything is in a segment.
pub(super) const CUT: CutRule = CutRule {
    every: 0,
    records: 0,
};

impl World {
    pub(super) fn append(&mut self) {
        let partition = self.partition();
        for _ in 0..1 + self.chance.below(6) {
            let nothing = self.chance.one_in(6);
            let key = self.chance.below(u64::from(KEYS)) as u8;
            let mut log = self.log.0.lock();
            log[partition].entries.push((!nothing).then_some(key));
        }
        if !self.chance.one_in(4) {
            let mut log = self.log.0.lock();
            log[partition].stable = log[partition].entries.len() as i64;
        }
    }

    pub(super) fn settle_transactions(&mut self) {
        let partition = self.partition();
        let abort = self.chance.one_in(3);
        let mut log = self.log.0.lock();
        let own = &mut log[partition];
        if abort {
            let stable = own.stable as usize;
            own.entries[stable..]
                .iter_mut()
                .for_each(|entry| *entry = None);
        }
        own.stable = own.entries.len() as i64;
    }

    pub(super) fn read(&mut self) {
        let partition = self.partition();
        self.read_of(partition);
    }

    /// A task reads on.
    pub(super) fn read_of(&mut self, partition: usize) {
        let task = &mut self.tasks[partition];
        let stable = self.log.stable(partition as i32);
        let to = stable.min(task.position + 1 + self.chance.below(8) as i64);
        let mut scratch = Scratch::default();
        let free = self.view.aggregate();
        let mut segments = task.live.segments.write();
        for (offset, key) in self.log.records(partition as i32, task.position, to) {
            let key = [key];
            let raw = Raw {
                partition: partition as i32,
                offset,
                timestamp: offset * 1_000,
                key: Payload::new(Some(&key)),
                value: Payload::new(Some(b"v")),
                headers: Headers::default(),
            };
            segments.record(offset, |adding| {
                let read = self.view.read(0, &raw, &mut scratch, |key, place, event| {
                    adding.add(key, place.time, |state| {
                        let state = state.get_or_insert_with(|| Kept(free.empty()));
                        free.add(event, place, &mut state.0);
                    });
                });
                read.unwrap();
            });
        }
        task.position = task.position.max(to);
        segments.pass(task.position);
    }

    pub(super) fn cut(&mut self) {
        let partition = self.partition();
        let mut segments = self.tasks[partition].live.segments.write();
        segments.cut_if_due(&CUT, 0);
    }

    /// What has changed and the position are saved together; then the cuts are announced.
    pub(super) fn commit(&mut self) {
        let partition = self.partition();
        self.commit_of(partition);
    }

    pub(super) fn commit_of(&mut self, partition: usize) {
        let task = &self.tasks[partition];
        let durable = &mut self.durable[partition];
        let mut segments = task.live.segments.write();
        segments
            .take_changes(&mut |entry| {
                let value = entry.value.unwrap().to_vec();
                durable.told.insert(entry.key.to_vec(), value);
                true
            })
            .unwrap();
        durable.position = task.position;
        durable.cuts = segments.cuts();
        durable.origin = Some(segments.origin());
    }

    /// A node is gone with all that it had not saved; another one takes its tasks, or it comes back.
    pub(super) async fn crash(&mut self) {
        self.seen.crashes += 1;
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        if self.chance.one_in(2) {
            // The process itself: it begins with the newest snapshot.
            self.nodes[node] = site(&self.view, self.tasks.len());
            let back = usize::from(self.chance.one_in(4));
            self.load_on(node, back).await;
        }
        for partition in 0..self.tasks.len() {
            if self.tasks[partition].node != node {
                continue;
            }
            let old = Arc::clone(&self.tasks[partition].live);
            self.nodes[node].leave((0, partition as i32), &old);
            let other = self.chance.below(self.nodes.len() as u64) as usize;
            self.tasks[partition] = self.restored(partition, other);
            self.enter(partition);
        }
    }

    /// A task moves, saved.
    pub(super) fn rebalance(&mut self) {
        let partition = self.partition();
        self.commit_of(partition);
        let old = &self.tasks[partition];
        self.nodes[old.node].leave((0, partition as i32), &old.live);
        let other = self.chance.below(self.nodes.len() as u64) as usize;
        self.tasks[partition] = self.restored(partition, other);
        self.enter(partition);
    }
}
