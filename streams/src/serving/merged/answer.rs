//! Answers: the state of a key, put together of its parts.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tidemark_client::TopicPartition;

use super::{Live, Loaded, Part, Site};
use crate::data::{Data, DataError};
use crate::serving::aggregate::Aggregate;
use crate::serving::kept::Kept;
use crate::serving::speed::segments::{Run, Segments};
use crate::serving::{Coverage, Missing};

/// What a caller asks for beside a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// The snapshot to read with, instead of the newest.
    pub(crate) snapshot: Option<u64>,
    /// What has to be covered at least.
    pub(crate) at_least: Option<Coverage>,
}

impl Ask {
    /// Whether an answer covers what it has to.
    pub(super) fn check<S>(&self, merged: &Merged<S>) -> Result<(), QueryError> {
        let Some(at_least) = &self.at_least else {
            return Ok(());
        };
        let missing: Vec<Missing> = merged.coverage.missing(at_least).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(QueryError::behind(missing, Duration::ZERO)),
        }
    }
}

/// A state, and what it is made of.
#[derive(Clone, Debug)]
pub(crate) struct Merged<S> {
    /// The state, half by half. What belongs to many keys at once has none.
    pub(crate) halves: Halves<S>,
    /// Where the answer's coverage begins.
    pub(crate) begin: Coverage,
    /// The first offsets that are not in it.
    pub(crate) coverage: Coverage,
    /// The snapshot; `None` if there is none yet.
    pub(crate) snapshot: Option<u64>,
    /// The largest event time of the partition in which it is smallest; partitions without an event do not
    /// count.
    pub(crate) time: Option<i64>,
    /// When the oldest of its parts was known to be up to date, in milliseconds since 1970; `None` as long as
    /// that is not known of all of them.
    pub(crate) fresh: Option<i64>,
}

impl<S> Merged<S> {
    /// Without anything.
    pub(crate) fn empty(snapshot: Option<u64>) -> Self {
        Self {
            halves: Halves {
                batch: None,
                speed: None,
            },
            begin: Coverage::new(),
            coverage: Coverage::new(),
            snapshot,
            time: None,
            fresh: None,
        }
    }

    /// Notes what is known of a partition.
    pub(super) fn note<T>(
        &mut self,
        topic: &str,
        partition: i32,
        seen: &Seen<'_, T>,
        fresh: Option<i64>,
    ) {
        self.fresh = match self.coverage.is_empty() {
            true => fresh,
            false => self.fresh.min(fresh),
        };
        self.begin.set(topic, partition, seen.begin);
        self.coverage.set(topic, partition, seen.run.to);
        if let Some(time) = seen.time {
            self.time = Some(self.time.map_or(time, |least| least.min(time)));
        }
    }
}

/// What an answer has of a partition beside its states.
pub(super) struct Seen<'a, S> {
    /// Where the coverage begins.
    pub(super) begin: i64,
    /// The segments behind the snapshot.
    pub(super) run: Run<'a, S>,
    /// The largest event time.
    time: Option<i64>,
}

/// What there is of a key.
#[derive(Clone, Debug)]
pub(crate) struct Halves<S> {
    /// What the snapshot has.
    pub(crate) batch: Option<S>,
    /// What is newer.
    pub(crate) speed: Option<S>,
}

impl<S: Clone> Halves<S> {
    /// The whole state.
    pub(crate) fn whole<A: Aggregate<State = S>>(&self, aggregate: &A) -> Option<S> {
        let mut whole = self.batch.clone();
        add(aggregate, &mut whole, self.speed.clone());
        whole
    }
}

impl<S: Clone> Merged<S> {
    /// The whole state.
    #[cfg(test)]
    pub(crate) fn whole<A: Aggregate<State = S>>(&self, aggregate: &A) -> Option<S> {
        self.halves.whole(aggregate)
    }
}

/// An answer, exact for its coverage: it has every committed record from where it begins up to its coverage
/// once, and no other.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Answer<V> {
    /// The value; `None` if there is no event of the key.
    pub value: Option<V>,
    /// What the snapshot has of it.
    pub batch: Option<V>,
    /// What is newer.
    pub speed: Option<V>,
    /// Where its coverage begins: where the log began when it was first read.
    pub begin: Coverage,
    /// The first offsets that are not in it.
    pub coverage: Coverage,
    /// The snapshot; `None` if there is none yet.
    pub snapshot: Option<u64>,
    /// Whether its window has passed, by the watermark of what is covered: no more is expected, though what
    /// comes late still counts. Of what has no window: never.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// When the least fresh of its parts was known to have everything in the log, in milliseconds since
    /// 1970; where it lags behind, the timestamp of the last record that is in it. `None` as long as neither
    /// is known, just after a start.
    pub fresh_at: Option<i64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A partition's task is on another instance, or nowhere yet.
    #[error(
        "{0} is not read by this instance (or not yet): an answer without it would have a gap. Ask again in a \
         moment; while another instance of the view reads it there are no answers here: an instance has to \
         have all partitions"
    )]
    Elsewhere(TopicPartition),
    /// What the speed layer has does not begin where the snapshot ends.
    #[error(
        "{partition}: snapshot {snapshot} ends at offset {end}, and the speed layer has no segment that \
         begins there: an answer would have a gap. It is there again with the next snapshot; if batch runs say \
         that records are lost, with the next one that is computed from scratch"
    )]
    Gap {
        /// The partition.
        partition: TopicPartition,
        /// The snapshot.
        snapshot: u64,
        /// Where it ends.
        end: i64,
    },
    /// Records are in snapshots and not, or not any more, in the speed layer, and there is none to read with.
    #[error(
        "{partition}: the records from offset {origin} to {begin} are in snapshots only, and none of them can \
         be read with: an answer would have a gap. GET /views says what is wrong with them"
    )]
    Unread {
        /// The partition.
        partition: TopicPartition,
        /// Where the speed layer began once, or a snapshot begins that cannot be read.
        origin: i64,
        /// Where it begins now.
        begin: i64,
    },
    /// The snapshot cannot be asked for.
    #[error("snapshot {asked} cannot be read with: {held:?} can")]
    NoSnapshot {
        /// The one that was asked for.
        asked: u64,
        /// Those that can be.
        held: Vec<u64>,
    },
    /// The coverage that was asked for is not there in time.
    #[error("the answer is not as far as it should be after {} ms: {}", waited.as_millis(), shown(missing))]
    Behind {
        /// The partitions that lack something.
        missing: Vec<Missing>,
        /// For how long it has been waited.
        waited: Duration,
    },
    /// The key has no bytes, or the view has windows and none is named, or the other way round.
    #[error("the key: {0}")]
    Key(DataError),
    /// Nothing is kept any more.
    #[error("the view has ended: {0}")]
    Ended(String),
    /// No window starts where one is asked for.
    #[error("{0}")]
    NoWindow(String),
    /// A state cannot be read.
    #[error("a state of the snapshot cannot be read: {0}")]
    State(DataError),
}

impl QueryError {
    pub(crate) fn behind(missing: Vec<Missing>, waited: Duration) -> Self {
        Self::Behind { missing, waited }
    }

    /// The same, after it has been waited for so long.
    pub(crate) fn after(self, waited: Duration) -> Self {
        match self {
            Self::Behind { missing, .. } => Self::Behind { missing, waited },
            other => other,
        }
    }

    /// Whether it may be otherwise in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Behind { .. } | Self::Elsewhere(_) | Self::Gap { .. } | Self::Unread { .. }
        )
    }
}

fn shown(missing: &[Missing]) -> String {
    let each = missing.iter().map(|one| {
        let Missing {
            partition,
            covered,
            wanted,
        } = one;
        format!(
            "{partition} is at offset {covered}, {} short of {wanted}",
            wanted - covered
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

impl<K: Data, A: Aggregate> Site<K, A> {
    /// A key's bytes, with the window's start behind them in views by window.
    pub(crate) fn name(
        &self,
        key: &K,
        window: Option<i64>,
        scratch: &mut Vec<u8>,
    ) -> Result<Vec<u8>, QueryError> {
        let bytes = key.encode(scratch).map_err(QueryError::Key)?;
        let bytes = bytes.ok_or_else(|| QueryError::Key(DataError::new("it is null")))?;
        let mut name = bytes.to_vec();
        match (self.view.windows(), window) {
            (Some(_), Some(start)) => name.extend(start.to_be_bytes()),
            (None, None) => {}
            (Some(windows), None) => {
                let what = format!(
                    "the view has windows ({windows}): say which one by its start, or ask for all of the key"
                );
                return Err(QueryError::Key(DataError::new(what)));
            }
            (None, Some(_)) => {
                return Err(QueryError::Key(DataError::new("the view has no windows")));
            }
        }
        Ok(name)
    }

    /// Whether a window starts there.
    pub(crate) fn check_start(&self, start: i64) -> Result<(), QueryError> {
        let Some(windows) = self.view.windows() else {
            return Ok(());
        };
        if windows.starts(start).any(|own| own == start) {
            return Ok(());
        }
        let nearest = windows.starts(start).last().unwrap_or(start);
        Err(QueryError::NoWindow(format!(
            "no window starts at {start} ({windows}): one starts at {nearest}"
        )))
    }

    /// The answer for a key, from its bytes.
    pub(crate) fn answer(&self, key: &[u8], ask: &Ask) -> Result<Answer<A::Value>, QueryError> {
        let merged = self.get(key, ask)?;
        let aggregate = self.view.aggregate();
        let value = |state: &Option<A::State>| state.as_ref().map(|state| aggregate.value(state));
        Ok(Answer {
            value: value(&merged.halves.whole(aggregate)),
            batch: value(&merged.halves.batch),
            speed: value(&merged.halves.speed),
            begin: merged.begin,
            coverage: merged.coverage,
            snapshot: merged.snapshot,
            is_final: self.view.is_final(key, merged.time),
            fresh_at: merged.fresh,
        })
    }

    /// The snapshot that is to be read with.
    pub(crate) fn pinned(&self, ask: &Ask) -> Result<Option<Arc<Loaded>>, QueryError> {
        if let Some(why) = self.ended() {
            return Err(QueryError::Ended(why.to_owned()));
        }
        let Some(asked) = ask.snapshot else {
            return Ok(self.current());
        };
        let held = self.held.lock();
        let found = held.iter().find(|loaded| loaded.manifest.snapshot == asked);
        match found {
            Some(found) => Ok(Some(Arc::clone(found))),
            None => Err(QueryError::NoSnapshot {
                asked,
                held: held.iter().map(|loaded| loaded.manifest.snapshot).collect(),
            }),
        }
    }

    /// Reads with the snapshot that is to be read with. Who has begun without one begins again if the first one
    /// has come meanwhile, since what that has goes from the segments; with one this cannot be.
    pub(super) fn reading<T>(
        &self,
        ask: &Ask,
        read: impl Fn(Option<Arc<Loaded>>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let loaded = self.pinned(ask)?;
        let without = loaded.is_none();
        match read(loaded) {
            Err(error @ QueryError::Unread { .. }) if without => match self.pinned(ask)? {
                Some(first) => read(Some(first)),
                None => Err(error),
            },
            done => done,
        }
    }

    /// The state of a key, from its bytes.
    pub(crate) fn get(&self, key: &[u8], ask: &Ask) -> Result<Merged<A::State>, QueryError> {
        self.reading(ask, |loaded| self.get_with(loaded, key, ask))
    }

    pub(super) fn get_with(
        &self,
        loaded: Option<Arc<Loaded>>,
        key: &[u8],
        ask: &Ask,
    ) -> Result<Merged<A::State>, QueryError> {
        let aggregate = self.view.aggregate();
        let snapshot = loaded.as_ref().map(|loaded| loaded.manifest.snapshot);
        let mut merged = Merged::empty(snapshot);
        for (number, topic, partition) in self.wanted() {
            let part = (number, partition);
            if let Some(loaded) = &loaded {
                let state = loaded.get(&self.view, part, key);
                let state = state.map_err(QueryError::State)?;
                add(aggregate, &mut merged.halves.batch, state);
            }
            self.add_speed(topic, part, loaded.as_deref(), key, &mut merged)?;
        }
        ask.check(&merged)?;
        Ok(merged)
    }

    /// The partitions that an answer is made of: the topic's number and name, and the partition's number.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (usize, &str, i32)> {
        let sources = self.sources.read();
        let counts: SmallVec<[i32; 4]> = sources.iter().map(|source| source.partitions).collect();
        drop(sources);
        let topics = self.view.topics().enumerate();
        topics.flat_map(move |(number, topic)| {
            let count = counts.get(number).copied().unwrap_or(0);
            (0..count).map(move |partition| (number, topic, partition))
        })
    }

    /// What the speed layer has of a partition.
    pub(super) fn live(&self, topic: &str, part: Part) -> Result<Arc<Live<A::State>>, QueryError> {
        let live = self.parts.read().get(&part).cloned();
        live.ok_or_else(|| QueryError::Elsewhere(TopicPartition::new(topic, part.1)))
    }

    /// The segments of a partition behind the snapshot, and what else is known of it.
    pub(super) fn seen<'a>(
        &self,
        topic: &str,
        part: Part,
        loaded: Option<&Loaded>,
        segments: &'a Segments<Kept<A::State>>,
    ) -> Result<Seen<'a, Kept<A::State>>, QueryError> {
        let own = loaded.and_then(|loaded| loaded.source(part));
        if own.is_none() {
            let (origin, begin) = (segments.origin(), segments.begin());
            let unread = self.unread.lock().get(&part).copied();
            let origin = unread.map_or(origin, |(_, unread)| unread.min(origin));
            if begin > origin {
                return Err(QueryError::Unread {
                    partition: TopicPartition::new(topic, part.1),
                    origin,
                    begin,
                });
            }
        }
        let (begin, end) = own.map_or((segments.begin(), segments.begin()), |own| {
            (own.begin, own.to)
        });
        match segments.behind(end) {
            Some(run) => {
                let times = run.iter().map(|segment| segment.tally().max_time);
                let time = times.chain([own.and_then(|own| own.tally.max_time)]).max();
                Ok(Seen {
                    begin,
                    run,
                    time: time.flatten(),
                })
            }
            None => Err(QueryError::Gap {
                partition: TopicPartition::new(topic, part.1),
                snapshot: loaded.map_or(0, |loaded| loaded.manifest.snapshot),
                end,
            }),
        }
    }

    /// Adds what is newer than the snapshot.
    fn add_speed(
        &self,
        topic: &str,
        part: Part,
        loaded: Option<&Loaded>,
        key: &[u8],
        merged: &mut Merged<A::State>,
    ) -> Result<(), QueryError> {
        let live = self.live(topic, part)?;
        let segments = live.segments.read();
        let seen = self.seen(topic, part, loaded, &segments)?;
        let hash = segments.hash(key);
        for segment in seen.run.iter() {
            let state = segment.get(hash, key).map(|state| state.0.clone());
            add(self.view.aggregate(), &mut merged.halves.speed, state);
        }
        merged.note(topic, part.1, &seen, live.fresh());
        Ok(())
    }
}

pub(super) fn add<A: Aggregate>(
    aggregate: &A,
    sum: &mut Option<A::State>,
    state: Option<A::State>,
) {
    match (sum.as_mut(), state) {
        (Some(sum), Some(state)) => aggregate.merge(sum, state),
        (None, state) => *sum = state,
        (Some(_), None) => {}
    }
}
