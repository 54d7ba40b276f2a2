//! The log and the tasks that read it.

use std::sync::Arc;

use super::{Announced, KEYS, Node, World};
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
        let at = self.partition();
        for _ in 0..1 + self.chance.below(6) {
            let nothing = self.chance.one_in(6);
            let key = self.chance.below(u64::from(KEYS)) as u8;
            self.seen.note("nothing at an offset", u64::from(nothing));
            let mut log = self.log.0.lock();
            log[at].entries.push((!nothing).then_some(key));
        }
        let ended = !self.chance.one_in(4);
        let mut log = self.log.0.lock();
        let end = log[at].entries.len() as i64;
        if ended {
            log[at].stable = end;
        }
        drop(log);
        self.tell(format_args!("{at} ends at {end}, decided: {ended}"));
    }

    pub(super) fn settle_transactions(&mut self) {
        let at = self.partition();
        let abort = self.chance.one_in(3);
        let mut log = self.log.0.lock();
        let own = &mut log[at];
        let (stable, end) = (own.stable, own.entries.len() as i64);
        if abort {
            own.entries[stable as usize..].fill(None);
        }
        own.stable = end;
        drop(log);
        let what = if abort { "aborted" } else { "committed" };
        if stable < end {
            self.seen.note(what, 1);
        }
        self.tell(format_args!("{at} from {stable} to {end}: {what}"));
    }

    pub(super) fn read(&mut self) {
        let at = self.partition();
        self.read_of(at);
    }

    /// A task reads on.
    pub(super) fn read_of(&mut self, at: usize) {
        let (topic, partition) = self.parts[at];
        let task = &mut self.tasks[at];
        let stable = self.log.stable(at);
        let to = stable.min(task.position + 1 + self.chance.below(8) as i64);
        let mut scratch = Scratch::default();
        let free = self.view.aggregate();
        let mut segments = task.live.segments.write();
        for (offset, key) in self.log.records(at, task.position, to) {
            let key = [key];
            let raw = Raw {
                partition,
                offset,
                timestamp: offset * 1_000,
                key: Payload::new(Some(&key)),
                value: Payload::new(Some(b"v")),
                headers: Headers::default(),
            };
            segments.record(offset, |adding| {
                let read = self
                    .view
                    .read(topic, &raw, &mut scratch, |key, place, event| {
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
        drop(segments);
        self.tell(format_args!("{at} read to {to}"));
    }

    pub(super) fn cut(&mut self) {
        let at = self.partition();
        let cut = self.tasks[at].live.segments.write().cut_if_due(&CUT, 0);
        self.seen.note("cut", u64::from(cut));
        self.tell(format_args!("{at} cut: {cut}"));
    }

    pub(super) fn commit(&mut self) {
        let at = self.partition();
        self.commit_of(at);
        if !self.chance.one_in(4) {
            self.announce(at);
        }
    }

    /// What has changed and the position are saved together.
    pub(super) fn commit_of(&mut self, at: usize) {
        let task = &self.tasks[at];
        let durable = &mut self.durable[at];
        let mut segments = task.live.segments.write();
        segments
            .take_changes(&mut |entry| {
                let value = entry.value.unwrap().to_vec();
                durable.told.insert(entry.key.to_vec(), value);
                true
            })
            .unwrap();
        durable.position = task.position;
        let position = task.position;
        drop(segments);
        self.seen.note("commit", 1);
        self.tell(format_args!("{at} saved at {position}"));
    }

    /// What has just been saved is told to those who make snapshots.
    pub(super) fn announce(&mut self, at: usize) {
        let segments = self.tasks[at].live.segments.read();
        let (cuts, origin) = (segments.cuts(), segments.origin());
        drop(segments);
        self.tell(format_args!("{at} announces {cuts:?}"));
        self.durable[at].announced = Some(Announced { cuts, origin });
    }

    /// A node is gone with all that it had not saved; another one takes its tasks, or it comes back.
    pub(super) async fn crash(&mut self) {
        let node = self.node();
        let whole = self.chance.one_in(2);
        self.tell(format_args!("node {node} crashes, the process: {whole}"));
        self.nodes[node].covered = Default::default();
        let mut lost = 0;
        if whole {
            // The process itself: it begins with the newest snapshot.
            self.nodes[node] = Node::new(&self.view, &self.parts);
            let back = usize::from(self.chance.one_in(4));
            self.load_on(node, back).await;
        }
        for at in 0..self.tasks.len() {
            if self.tasks[at].node != node {
                continue;
            }
            lost += u64::from(self.tasks[at].position > self.durable[at].position);
            let other = self.node();
            self.give_to(at, other);
        }
        self.seen.note("crash", 1);
        self.seen.note("crash of a process", u64::from(whole));
        self.seen.note("lost what was not saved", lost);
    }

    /// A task moves, saved.
    pub(super) fn rebalance(&mut self) {
        let (at, other) = (self.partition(), self.node());
        self.commit_of(at);
        let moved = self.tasks[at].node != other;
        self.seen.note("moved to another node", u64::from(moved));
        self.give_to(at, other);
    }

    /// A task is begun on a node with what has been saved.
    fn give_to(&mut self, at: usize, node: usize) {
        let old = &self.tasks[at];
        let own = &mut self.nodes[old.node];
        own.site.leave(self.parts[at], &old.live);
        for parts in own.whole.values_mut() {
            parts.remove(&at);
        }
        self.tell(format_args!("{at} goes to node {node}"));
        self.tasks[at] = self.restored(at, node);
        self.enter(at);
    }

    /// The log loses its beginning, as far as all of it has been saved.
    pub(super) fn truncate(&mut self) {
        let at = self.partition();
        let saved = self.durable[at].position;
        let start = self.log.start(at);
        let to = self.chance.within(start..saved + 1);
        let mut log = self.log.0.lock();
        log[at].start = start.max(to.min(log[at].stable));
        let start_now = log[at].start;
        drop(log);
        self.seen.note("truncation", u64::from(start_now > start));
        self.tell(format_args!("{at} begins at {start_now}"));
    }

    pub(super) fn enter_all(&mut self) {
        for at in 0..self.tasks.len() {
            self.enter(at);
        }
    }

    /// The task can be asked from now on. It fits to the node's snapshot, or it does not.
    fn enter(&mut self, at: usize) {
        let (live, node) = (Arc::clone(&self.tasks[at].live), self.tasks[at].node);
        let current = self.nodes[node].site.current();
        let fits = current.as_ref().is_none_or(|loaded| self.fits(at, loaded));
        let own = &mut self.nodes[node];
        let entered = own.site.enter(self.parts[at], live, 0);
        if entered.is_ok()
            && let Some(loaded) = current
        {
            let snapshot = loaded.manifest.snapshot;
            own.whole.entry(snapshot).or_default().insert(at);
        }
        assert_eq!(entered.is_ok(), fits, "{self} {entered:?}");
        self.seen.note("entered with a gap", u64::from(!fits));
    }
}
