//! Sessions: events of a key that are close to one another.

use serde::Serialize;

use super::codec::{Canonical, read_count, write_size};
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// The sessions of a key, each with an aggregate of its own: events that are at most `gap` apart are of one
/// session (both ends count, as in Kafka's session windows). Sets of sessions are merged by uniting those
/// that are within the gap of one another, so what comes late may make one session of two.
///
/// ```
/// use std::time::Duration;
///
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, Count, Sessions};
///
/// let sessions = Sessions::of(Duration::from_millis(10), Count::<()>::new());
/// let mut state = sessions.empty();
/// for time in [0, 30, 8] {
///     sessions.add(&(), Place { time, ..Place::default() }, &mut state);
/// }
/// let found = sessions.value(&state);
/// assert_eq!((found[0].start, found[0].end, found[0].value), (0, 8, 2));
/// assert_eq!(found.len(), 2);
/// ```
pub struct Sessions<A> {
    gap: i64,
    aggregate: A,
}

impl<A: Aggregate> Sessions<A> {
    /// With that gap, and what is kept of each session.
    pub fn of(gap: std::time::Duration, aggregate: A) -> Self {
        Self {
            gap: i64::try_from(gap.as_millis()).unwrap_or(i64::MAX),
            aggregate,
        }
    }

    fn close(&self, end: i64, start: i64) -> bool {
        start <= end.saturating_add(self.gap)
    }
}

/// Sessions in the order of time, none within the gap of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSet<S>(Vec<(i64, i64, S)>);

/// A session as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Session<V> {
    /// The time of its first event, in milliseconds since 1970.
    pub start: i64,
    /// The time of its last event.
    pub end: i64,
    /// What it is made of.
    pub value: V,
}

/// How many there are, then of each its start, its end and its state.
impl<S: State> State for SessionSet<S> {
    fn encode(&self, into: &mut Vec<u8>) {
        write_size(self.0.len() as u64, into);
        for (start, end, state) in &self.0 {
            start.write(into);
            end.write(into);
            state.encode(into);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        let count = read_count(bytes, 16)?;
        let mut sessions: Vec<(i64, i64, S)> = Vec::new();
        for _ in 0..count {
            let (start, end) = (i64::read(bytes)?, i64::read(bytes)?);
            let behind = sessions.last().is_none_or(|(_, last, _)| *last < start);
            if !behind || end < start {
                return Err(DataError::new("sessions out of order"));
            }
            sessions.push((start, end, S::decode(bytes)?));
        }
        Ok(Self(sessions))
    }
}

impl<A: Aggregate> Aggregate for Sessions<A> {
    type Event = A::Event;
    type State = SessionSet<A::State>;
    type Value = Vec<Session<A::Value>>;

    fn describe(&self) -> String {
        format!(
            "sessions with a gap of {} ms of {}",
            self.gap,
            self.aggregate.describe()
        )
    }

    fn empty(&self) -> Self::State {
        SessionSet(Vec::new())
    }

    fn add(&self, event: &A::Event, at: Place, state: &mut Self::State) {
        // Mostly it goes into the last session.
        if let Some((start, end, last)) = state.0.last_mut()
            && at.time >= *start
            && self.close(*end, at.time)
        {
            *end = at.time.max(*end);
            self.aggregate.add(event, at, last);
            return;
        }
        let mut own = self.aggregate.empty();
        self.aggregate.add(event, at, &mut own);
        // Or it begins one behind all others.
        if state.0.last().is_none_or(|(_, end, _)| *end < at.time) {
            state.0.push((at.time, at.time, own));
            return;
        }
        self.merge(state, SessionSet(vec![(at.time, at.time, own)]));
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        let mut all = std::mem::take(&mut state.0);
        let last = all.last().map(|(_, end, _)| *end);
        let first = other.0.first().map(|(start, _, _)| *start);
        all.extend(other.0);
        if last >= first {
            all.sort_by_key(|(start, end, _)| (*start, *end));
        }
        for (start, end, own) in all {
            match state.0.last_mut() {
                Some((_, before, known)) if self.close(*before, start) => {
                    *before = end.max(*before);
                    self.aggregate.merge(known, own);
                }
                _ => state.0.push((start, end, own)),
            }
        }
    }

    fn value(&self, state: &Self::State) -> Self::Value {
        let sessions = state.0.iter();
        sessions
            .map(|(start, end, own)| Session {
                start: *start,
                end: *end,
                value: self.aggregate.value(own),
            })
            .collect()
    }
}
