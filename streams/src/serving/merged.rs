//! The merge of a snapshot with what is newer, partition by partition.

mod answer;
#[cfg(test)]
pub(crate) mod fixture;
mod looked;
mod range;
mod reader;
#[cfg(test)]
mod switching;
mod top;
#[cfg(test)]
pub(crate) mod truth_table;
mod unfit;
mod walk;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use tokio::sync::Notify;

use super::Coverage;
use super::aggregate::Aggregate;
use super::kept::Kept;
use super::lambda::{ChangedSource, SourceTopic};
use super::snapshot::{Loaded, Manifest, Part};
use super::speed::segments::{Fit, Misfit, Segments};
use super::view::View;
use crate::data::Data;

pub use answer::{Answer, QueryError};
pub(crate) use answer::{Ask, Halves, Merged};
pub(crate) use range::Keys;
pub use reader::{Answered, Next, Reader, Row, Rows};
pub use unfit::Unfit;
use unfit::unfit;

/// So long a switch waits for segments, and whoever asks waits behind it.
const MOMENT: Duration = Duration::from_millis(1);
/// So often it tries to have all that it needs; then it is given up.
const ROUNDS: usize = 50;

/// Segments that a snapshot is ahead of, and where it ends.
type Locked<'a, S> = (RwLockWriteGuard<'a, Segments<Kept<S>>>, i64);

/// What the speed layer has of a partition. It is written by the partition's task, and read by whoever asks.
pub(crate) struct Live<S> {
    pub(crate) segments: RwLock<Segments<Kept<S>>>,
    /// When the broker last had no more in the log, by the wall clock; or the time of the last record that
    /// has been read, as long as there is. `i64::MIN` as long as neither is known.
    pub(crate) fresh: AtomicI64,
    /// Told when something has been read.
    pub(crate) changed: Arc<Notify>,
}

impl<S> Live<S> {
    pub(crate) fn new(segments: Segments<Kept<S>>, changed: Arc<Notify>) -> Self {
        Self {
            segments: RwLock::new(segments),
            fresh: AtomicI64::new(i64::MIN),
            changed,
        }
    }

    /// See [`Answer::fresh_at`].
    pub(crate) fn fresh(&self) -> Option<i64> {
        Some(self.fresh.load(Ordering::Relaxed)).filter(|fresh| *fresh > i64::MIN)
    }
}

/// What has been saved of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Where snapshots may end, in order.
    pub(crate) cuts: Vec<i64>,
    /// Where the first segment of all began.
    pub(crate) origin: i64,
}

/// What an instance answers with: snapshots, and the segments of those partitions whose tasks it has.
pub(crate) struct Site<K, A: Aggregate> {
    pub(crate) view: Arc<View<K, A>>,
    current: ArcSwapOption<Loaded>,
    /// The last ones, which callers may still ask for; the current one is the last of them.
    held: Mutex<Vec<Arc<Loaded>>>,
    /// All that somebody may still read with.
    known: Mutex<Vec<Weak<Loaded>>>,
    hold: usize,
    /// Segments behind it stay.
    floor: Mutex<Option<Coverage>>,
    parts: RwLock<BTreeMap<Part, Arc<Live<A::State>>>>,
    /// The newest snapshot of this view that is damaged, and where it begins.
    unread: Mutex<BTreeMap<Part, (u64, i64)>>,
    /// What each topic is: an answer has all its partitions, of no other one of its name.
    sources: RwLock<Vec<SourceTopic>>,
    /// Told when something has been read, or a snapshot is there.
    pub(crate) changed: Arc<Notify>,
    announced: Mutex<BTreeMap<Part, Announced>>,
    /// Told when there are other cuts.
    pub(crate) other_cuts: Notify,
    /// One switch at a time.
    switch: Mutex<()>,
    /// Why nothing is kept any more, once that is so: there are no answers then.
    ended: OnceLock<String>,
    /// Told when that is so.
    is_ended: Notify,
}

impl<K: Data, A: Aggregate> Site<K, A> {
    /// Without a snapshot and without partitions. Callers may ask for the last `hold` snapshots.
    pub(crate) fn new(view: Arc<View<K, A>>, hold: usize) -> Self {
        Self {
            view,
            current: ArcSwapOption::empty(),
            held: Mutex::default(),
            known: Mutex::default(),
            hold: hold.max(1),
            floor: Mutex::default(),
            parts: RwLock::default(),
            unread: Mutex::default(),
            sources: RwLock::default(),
            changed: Arc::default(),
            announced: Mutex::default(),
            other_cuts: Notify::new(),
            switch: Mutex::default(),
            ended: OnceLock::new(),
            is_ended: Notify::new(),
        }
    }

    /// There are no answers from now on.
    pub(crate) fn end(&self, why: String) {
        // What came first has ended it.
        let _ = self.ended.set(why);
        self.changed.notify_waiters();
        self.is_ended.notify_waiters();
    }

    /// Waits until there are no answers any more, and says why.
    pub(crate) async fn until_ended(&self) -> &str {
        loop {
            // Heard from now on: it may end before it is waited for.
            let is_ended = self.is_ended.notified();
            tokio::pin!(is_ended);
            is_ended.as_mut().enable();
            match self.ended() {
                Some(why) => return why,
                None => is_ended.await,
            }
        }
    }

    /// Why there are no answers any more.
    pub(crate) fn ended(&self) -> Option<&str> {
        self.ended.get().map(|why| &**why)
    }

    /// Tells what each topic is: an answer has all its partitions, or is none.
    pub(crate) fn set_sources(&self, sources: Vec<SourceTopic>) {
        *self.sources.write() = sources;
    }

    /// What has become of a topic since the start, if one is not what it was.
    pub(crate) fn changed_source(&self, now: &[SourceTopic]) -> Option<ChangedSource> {
        ChangedSource::find(self.view.topics(), &self.sources.read(), now)
    }

    /// Whether a snapshot is of this view and these topics.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), Unfit> {
        if manifest.fingerprint != self.view.fingerprint() {
            return Err(Unfit::OtherView {
                found: manifest.definition.clone(),
                wanted: self.view.definition(),
            });
        }
        let own = self.sources.read();
        for (topic, source) in self.view.topics().zip(own.iter()) {
            let mut of = manifest.sources.iter();
            if of.any(|other| other.topic == topic && other.id != source.id) {
                let topic = topic.to_owned();
                return Err(Unfit::OtherTopic { topic });
            }
        }
        Ok(())
    }

    /// Where a snapshot of this view begins.
    pub(crate) fn begins(&self, manifest: &Manifest) -> Vec<(Part, i64)> {
        let topics = self.view.topics().enumerate();
        let own = topics.flat_map(|(number, topic)| {
            let sources = manifest.sources.iter();
            let sources = sources.filter(move |source| source.topic == topic);
            let partitions = sources.flat_map(|source| &source.partitions);
            partitions.map(move |own| ((number, own.partition), own.begin))
        });
        own.collect()
    }

    /// That snapshot is damaged: what it has is missed by whoever answers without one, if the speed layer has
    /// begun behind it. Older ones may have begun in front of it, and have been done with.
    pub(crate) fn cannot_read(&self, snapshot: u64, begins: Vec<(Part, i64)>) {
        let mut unread = self.unread.lock();
        for (part, begin) in begins {
            let known = unread.entry(part).or_insert((snapshot, begin));
            *known = (snapshot, begin).max(*known);
        }
    }

    /// A partition's task is here from now on.
    pub(crate) fn enter(
        &self,
        part: Part,
        live: Arc<Live<A::State>>,
        wall: i64,
    ) -> Result<(), Unfit> {
        let _one = self.switch.lock();
        let fits = match self.current.load_full() {
            Some(loaded) => self.reach(part, &live, &loaded, wall),
            None => Ok(()),
        };
        self.parts.write().insert(part, live);
        self.changed.notify_waiters();
        // Its cuts may have been announced before it was here: then nobody has seen them.
        self.other_cuts.notify_one();
        fits
    }

    /// Cuts of a partition that have been saved.
    pub(crate) fn announce(&self, part: Part, saved: Announced) {
        let mut announced = self.announced.lock();
        let known = announced.entry(part).or_default();
        let changed = known.cuts != saved.cuts;
        *known = saved;
        drop(announced);
        if changed {
            self.other_cuts.notify_one();
        }
    }

    /// The cuts that have been saved, of the partitions that are here.
    pub(crate) fn announced(&self) -> BTreeMap<Part, Announced> {
        let parts = self.parts.read();
        let announced = self.announced.lock();
        let here = announced
            .iter()
            .filter(|(part, _)| parts.contains_key(part));
        here.map(|(part, own)| (*part, own.clone())).collect()
    }

    /// A partition's task has gone.
    pub(crate) fn leave(&self, part: Part, live: &Arc<Live<A::State>>) {
        let mut parts = self.parts.write();
        // Another one may have come in the meantime.
        if parts
            .get(&part)
            .is_some_and(|known| Arc::ptr_eq(known, live))
        {
            parts.remove(&part);
        }
    }

    /// The topics of the view, and how many partitions each has.
    pub(crate) fn topics(&self) -> Vec<(&str, i32)> {
        let sources = self.sources.read();
        let counts = sources.iter().map(|source| source.partitions);
        self.view.topics().zip(counts).collect()
    }

    fn topic(&self, number: usize) -> &str {
        self.view.topics().nth(number).unwrap_or_default()
    }

    fn reach(
        &self,
        part: Part,
        live: &Live<A::State>,
        loaded: &Loaded,
        wall: i64,
    ) -> Result<(), Unfit> {
        let (topic, partition) = (self.topic(part.0), part.1);
        let Some(end) = loaded.end(part) else {
            return Ok(());
        };
        let mut segments = live.segments.write();
        let reached = segments.reach(end, wall);
        reached.map_err(|misfit| unfit(topic, partition, end, misfit, segments.begin()))?;
        segments.read_with(end);
        Ok(())
    }

    /// Reads with that snapshot from now on. Nobody is kept waiting for that for long.
    ///
    /// Segments behind `floor` stay, too: where the snapshot in front of this one ends, so that a restart can
    /// go back to that one if this one's files should be damaged. Without one all of them stay.
    ///
    /// # Errors
    ///
    /// If it does not fit to what the speed layer has, or it cannot be found out at the moment; then answers stay
    /// as they are.
    pub(crate) fn switch(
        &self,
        loaded: impl Into<Arc<Loaded>>,
        floor: Option<Coverage>,
        wall: i64,
    ) -> Result<Arc<Loaded>, Unfit> {
        let _one = self.switch.lock();
        let loaded = loaded.into();
        self.check(&loaded.manifest)?;
        if let Some(current) = self.current.load_full() {
            let (snapshot, current) = (loaded.manifest.snapshot, current.manifest.snapshot);
            if snapshot <= current {
                return Err(Unfit::NotNewer { snapshot, current });
            }
        }
        let parts = self.parts();
        let mut rounds = 0..ROUNDS;
        let mut ahead = loop {
            rounds.next().ok_or(Unfit::Busy)?;
            if let Some(ahead) = self.make_ready(&parts, &loaded, wall)? {
                break ahead;
            }
        };
        for (segments, end) in &mut ahead {
            let reached = segments.reach(*end, wall);
            debug_assert_eq!(reached, Ok(()), "it was ahead under the same lock");
        }
        self.current.store(Some(Arc::clone(&loaded)));
        let snapshot = loaded.manifest.snapshot;
        tracing::debug!(snapshot, "a snapshot is read with");
        drop(ahead);
        for (part, live) in &parts {
            if let Some(end) = loaded.end(*part) {
                live.segments.read().read_with(end);
            }
        }
        self.known.lock().push(Arc::downgrade(&loaded));
        *self.floor.lock() = floor;
        {
            let mut held = self.held.lock();
            held.push(Arc::clone(&loaded));
            let old = held.len().saturating_sub(self.hold);
            held.drain(..old);
        }
        self.drop_unused(&parts);
        self.changed.notify_waiters();
        Ok(loaded)
    }

    /// Makes sure that the snapshot fits everywhere, whatever comes: that a segment begins where it ends. Such a
    /// cut stays until a switch takes it away, and switches take turns; one more of them changes no answer. Only
    /// where the snapshot is ahead the speed layer is to leave records out, which has to be everywhere or nowhere:
    /// these segments are given back, locked, so that none comes as far in the meantime. `None` if somebody
    /// holds one for longer than a moment; whoever asks comes through then.
    fn make_ready<'a>(
        &self,
        parts: &'a [(Part, Arc<Live<A::State>>)],
        loaded: &Loaded,
        wall: i64,
    ) -> Result<Option<Vec<Locked<'a, A::State>>>, Unfit> {
        let mut ahead = Vec::new();
        for (part, live) in parts {
            let (topic, partition) = (self.topic(part.0), part.1);
            let Some(end) = loaded.end(*part) else {
                continue;
            };
            if live.segments.read().has_cut(end) {
                continue;
            }
            let Some(mut segments) = live.segments.try_write_for(MOMENT) else {
                return Ok(None);
            };
            match segments.fit(end) {
                Fit::Ahead => ahead.push((segments, end)),
                _ => segments
                    .reach(end, wall)
                    .map_err(|misfit| unfit(topic, partition, end, misfit, segments.begin()))?,
            }
        }
        Ok(Some(ahead))
    }

    /// Drops segments that no snapshot needs which anybody can still read with.
    pub(crate) fn sweep(&self) {
        let _one = self.switch.lock();
        self.drop_unused(&self.parts());
    }

    fn drop_unused(&self, parts: &[(Part, Arc<Live<A::State>>)]) {
        let used: Vec<Arc<Loaded>> = {
            let mut known = self.known.lock();
            known.retain(|loaded| loaded.strong_count() > 0);
            known.iter().filter_map(Weak::upgrade).collect()
        };
        let Some(floor) = self.floor.lock().clone() else {
            // There is no snapshot to go back to: without them there is nothing.
            return;
        };
        for (part, live) in parts {
            let (topic, partition) = (self.topic(part.0), part.1);
            let ends = used.iter().map(|loaded| loaded.end(*part));
            let floor = [floor.find(topic, partition)];
            // A snapshot without the partition needs everything.
            let Some(Some(lowest)) = ends.chain(floor).min() else {
                continue;
            };
            if !live.segments.read().has_below(lowest) {
                continue;
            }
            // They may go the next time as well.
            let segments = live.segments.try_write_for(MOMENT);
            let gone = segments.map_or_else(Vec::new, |mut own| own.drop_below(lowest));
            if !gone.is_empty() {
                let segments = gone.len();
                tracing::debug!(topic, partition, segments, "segments are dropped");
            }
        }
    }

    /// The snapshot that is read with.
    pub(crate) fn current(&self) -> Option<Arc<Loaded>> {
        self.current.load_full()
    }

    /// The snapshots that can be asked for, the oldest first.
    pub(crate) fn held(&self) -> Vec<u64> {
        let held = self.held.lock();
        held.iter().map(|loaded| loaded.manifest.snapshot).collect()
    }

    /// The partitions that are here.
    pub(crate) fn parts(&self) -> Vec<(Part, Arc<Live<A::State>>)> {
        let parts = self.parts.read();
        parts
            .iter()
            .map(|(part, live)| (*part, Arc::clone(live)))
            .collect()
    }
}
