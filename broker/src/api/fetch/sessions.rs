//! Incremental fetch sessions (KIP-227, Kafka's `FetchSession`): the broker remembers which
//! partitions a consumer fetches, so that request and answer carry only what has changed.
//!
//! A pure table: requests and answers go in, what to fetch and what to leave out comes out.
//! Bounded by `max.incremental.fetch.session.cache.slots` and [`MAX_CACHED_PARTITIONS`]; a fetch
//! that gets no slot is served in full, which is always correct.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use crate::types::Monotonic;

/// Partitions remembered over all sessions; about 200 bytes each.
const MAX_CACHED_PARTITIONS: usize = 1_000_000;
/// A session unused for so long gives its slot to a new one (Kafka's
/// `min.incremental.fetch.session.eviction.ms`).
const STALE_AFTER_MS: i64 = 120_000;

/// No session.
pub(crate) const NO_SESSION: i32 = 0;
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

/// How a request names a topic: by id from version 13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Name(StrBytes),
    Id(Uuid),
}

/// A partition as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
}

/// What a consumer wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) offset: i64,
    pub(crate) max_bytes: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

/// What a fetch request says about sessions.
pub(crate) struct Request {
    pub(crate) session_id: i32,
    pub(crate) epoch: i32,
    pub(crate) by_topic_id: bool,
    pub(crate) wanted: Vec<(Key, Wanted)>,
    pub(crate) forgotten: Vec<Key>,
}

/// What to fetch, and on whose behalf.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) partitions: Vec<(Key, Wanted)>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Outside of any session.
    Sessionless,
    /// A session is to be made of this if there is room.
    Full { by_topic_id: bool },
    /// Goes on with a session; `epoch` is the one the session has moved on to.
    Incremental { id: i32, epoch: i32 },
}

/// What was found in a partition, as far as sessions care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) has_records: bool,
    pub(crate) failed: bool,
    pub(crate) diverging: bool,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
}

/// The session part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) session_id: i32,
    pub(crate) error: ErrorCode,
    /// For each partition of the plan whether it goes into the answer.
    pub(crate) include: Vec<bool>,
}

/// All sessions of a broker.
pub struct FetchSessions {
    slots: usize,
    sessions: HashMap<i32, Session>,
    partitions: usize,
}

struct Session {
    by_topic_id: bool,
    epoch: i32,
    created: Monotonic,
    used: Monotonic,
    next_place: u64,
    cached: HashMap<Key, Cached>,
    /// The order in which partitions are read: those that had data go to the end.
    order: BTreeMap<u64, Key>,
}

struct Cached {
    wanted: Wanted,
    place: u64,
    high_watermark: i64,
    log_start: i64,
}

impl FetchSessions {
    /// Room for `slots` sessions; 0 turns sessions off.
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            sessions: HashMap::new(),
            partitions: 0,
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Takes a request in; an error is answered as such, without partitions.
    pub(crate) fn begin(&mut self, request: Request, now: Monotonic) -> Result<Plan, ErrorCode> {
        let Request {
            session_id,
            epoch,
            by_topic_id,
            wanted,
            forgotten,
        } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            self.remove(session_id);
            let kind = match epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full { by_topic_id },
            };
            return Ok(Plan {
                partitions: wanted,
                kind,
            });
        }
        let session = self
            .sessions
            .get_mut(&session_id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_topic_id != by_topic_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.cached.len();
        for (key, wanted) in wanted.iter().cloned() {
            session.want(key, wanted);
        }
        for key in &forgotten {
            session.forget(key);
        }
        let after = session.cached.len();
        self.partitions = self.partitions + after - before;
        if after == 0 {
            self.remove(session_id);
            return Ok(Plan {
                partitions: wanted,
                kind: Kind::Sessionless,
            });
        }
        session.used = now;
        session.epoch = next_epoch(epoch);
        let kind = Kind::Incremental {
            id: session_id,
            epoch: session.epoch,
        };
        let partitions = session.in_order();
        if self.partitions > MAX_CACHED_PARTITIONS {
            self.remove(session_id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        Ok(Plan { partitions, kind })
    }

    /// Decides what goes into the answer and remembers it. `found` is in the plan's order; `new_id`
    /// draws ids for new sessions.
    pub(crate) fn finish(
        &mut self,
        plan: &Plan,
        found: &[Found],
        now: Monotonic,
        new_id: impl FnMut() -> i32,
    ) -> Verdict {
        let everything = vec![true; found.len()];
        match plan.kind {
            Kind::Sessionless => Verdict {
                session_id: NO_SESSION,
                error: ErrorCode::None,
                include: everything,
            },
            Kind::Full { by_topic_id } => {
                let session_id = self.create(plan, found, by_topic_id, now, new_id);
                Verdict {
                    session_id,
                    error: ErrorCode::None,
                    include: everything,
                }
            }
            Kind::Incremental { id, epoch } => self.go_on(id, epoch, plan, found),
        }
    }

    fn go_on(&mut self, id: i32, epoch: i32, plan: &Plan, found: &[Found]) -> Verdict {
        let session = self
            .sessions
            .get_mut(&id)
            .filter(|session| session.epoch == epoch);
        let Some(session) = session else {
            // The session was closed, or another request has moved it on in the meantime.
            let include = vec![false; found.len()];
            return Verdict {
                session_id: id,
                error: ErrorCode::InvalidFetchSessionEpoch,
                include,
            };
        };
        let pairs = plan.partitions.iter().zip(found);
        let include = pairs
            .map(|((key, _), found)| session.note(key, found))
            .collect();
        Verdict {
            session_id: id,
            error: ErrorCode::None,
            include,
        }
    }

    fn create(
        &mut self,
        plan: &Plan,
        found: &[Found],
        by_topic_id: bool,
        now: Monotonic,
        mut new_id: impl FnMut() -> i32,
    ) -> i32 {
        let size = plan.partitions.len();
        let fits = size > 0 && self.partitions + size <= MAX_CACHED_PARTITIONS;
        if !fits || !self.make_room(size, now) {
            return NO_SESSION;
        }
        let id = loop {
            let id = new_id() & i32::MAX;
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            by_topic_id,
            epoch: next_epoch(INITIAL_EPOCH),
            created: now,
            used: now,
            next_place: 0,
            cached: HashMap::with_capacity(size),
            order: BTreeMap::new(),
        };
        for ((key, wanted), found) in plan.partitions.iter().zip(found) {
            session.want(key.clone(), *wanted);
            session.note(key, found);
        }
        self.partitions += session.cached.len();
        self.sessions.insert(id, session);
        id
    }

    /// Frees a slot if none is free: a stale session's, or that of a smaller session that has been
    /// there for a while.
    fn make_room(&mut self, size: usize, now: Monotonic) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let stale = |since: Monotonic| since.plus_ms(STALE_AFTER_MS) < now;
        let least_recent = self
            .sessions
            .iter()
            .min_by_key(|(id, session)| (session.used, **id));
        let victim = match least_recent {
            Some((id, session)) if stale(session.used) => Some(*id),
            _ => self
                .sessions
                .iter()
                .filter(|(_, session)| stale(session.created))
                .min_by_key(|(id, session)| (session.cached.len(), **id))
                .filter(|(_, session)| session.cached.len() <= size)
                .map(|(id, _)| *id),
        };
        victim.inspect(|id| self.remove(*id)).is_some()
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.cached.len();
        }
    }
}

impl Session {
    fn want(&mut self, key: Key, wanted: Wanted) {
        if let Some(cached) = self.cached.get_mut(&key) {
            cached.wanted = wanted;
            return;
        }
        let place = self.take_place();
        self.order.insert(place, key.clone());
        // -1: unknown to the client, so that the first answer tells it.
        self.cached.insert(
            key,
            Cached {
                wanted,
                place,
                high_watermark: -1,
                log_start: -1,
            },
        );
    }

    fn forget(&mut self, key: &Key) {
        if let Some(cached) = self.cached.remove(key) {
            self.order.remove(&cached.place);
        }
    }

    fn take_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }

    fn in_order(&self) -> Vec<(Key, Wanted)> {
        let wanted = |key: &Key| {
            self.cached
                .get(key)
                .map(|cached| (key.clone(), cached.wanted))
        };
        self.order.values().filter_map(wanted).collect()
    }

    /// Whether the answer must name the partition: it has records, an error, or news (rule 23).
    fn note(&mut self, key: &Key, found: &Found) -> bool {
        let place = self.take_place();
        let Some(cached) = self.cached.get_mut(key) else {
            return true;
        };
        let news = found.has_records
            || found.failed
            || found.diverging
            || cached.high_watermark != found.high_watermark
            || cached.log_start != found.log_start;
        // After an error the next success is news, even if nothing has moved.
        cached.high_watermark = if found.failed {
            -1
        } else {
            found.high_watermark
        };
        cached.log_start = found.log_start;
        if found.has_records {
            self.order.remove(&cached.place);
            cached.place = place;
            self.order.insert(place, key.clone());
        }
        news
    }
}

/// Epochs count up from 1 and wrap to 1.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).filter(|next| *next > 0).unwrap_or(1)
}

#[cfg(test)]
mod tests;
