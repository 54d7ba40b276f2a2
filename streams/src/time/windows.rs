//! Windows of fixed size: tumbling and hopping.

use std::time::Duration;

/// A span of event time in milliseconds. Whether its end belongs to it is said by the kind of
/// windows: not to tumbling and hopping ones, but to sliding and session windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first millisecond.
    pub start: i64,
    /// The end.
    pub end: i64,
}

impl Window {
    /// Whether some millisecond is in both, where the end does not belong to a window.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether some millisecond is in both, where the end belongs to a window: for sliding and
    /// session windows.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// A key within a window (Kafka: `Windowed`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
}

/// By which time windows close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventTime {
    /// By the watermark of the task: a window [s, e) closes when the watermark reaches e - 1, and
    /// takes records for the allowed lateness longer (Flink's rules).
    #[default]
    Watermark,
    /// By stream time, the largest timestamp that the operator has seen: a window [s, e) takes
    /// records as long as stream time is below e + grace (Kafka Streams' rules). Nothing is before
    /// 1970: Kafka drops such records, and here windows and joins leave them out and count them
    /// ([`crate::Counts::bad_timestamp`]).
    StreamTime,
}

impl EventTime {
    /// Whether there is such a time: Kafka Streams drops records from before 1970 before any operator
    /// sees them (`RecordQueue`).
    #[inline]
    pub(crate) fn has(self, timestamp: i64) -> bool {
        self == Self::Watermark || timestamp >= 0
    }

    /// How long windows take late records, in words.
    pub(super) fn write_grace(
        self,
        grace: i64,
        f: &mut std::fmt::Formatter<'_>,
    ) -> std::fmt::Result {
        match self {
            Self::Watermark if grace > 0 => write!(f, ", allowed lateness {grace} ms"),
            Self::Watermark => Ok(()),
            Self::StreamTime => write!(f, ", stream time, grace {grace} ms"),
        }
    }
}

/// Windows of one size, one every `advance` (Kafka: `TimeWindows`): tumbling if both are the same,
/// else hopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindows {
    pub(crate) size: i64,
    pub(crate) advance: i64,
    pub(crate) offset: i64,
    pub(crate) grace: i64,
    pub(crate) time: EventTime,
}

impl TimeWindows {
    /// Windows that follow one another without gaps: [n * size, (n + 1) * size).
    #[must_use]
    pub fn tumbling(size: Duration) -> Self {
        let size = millis(size);
        Self {
            size,
            advance: size,
            offset: 0,
            grace: 0,
            time: EventTime::Watermark,
        }
    }

    /// Windows that overlap: one begins every `advance`.
    #[must_use]
    pub fn hopping(size: Duration, advance: Duration) -> Self {
        Self {
            advance: millis(advance),
            ..Self::tumbling(size)
        }
    }

    /// Shifts the windows' starts, by -8 h for days in Beijing, say (Flink: `offset`).
    #[must_use]
    pub fn offset_millis(mut self, offset: i64) -> Self {
        self.offset = offset;
        self
    }

    /// How long after its end a window still takes records (Flink: allowed lateness, Kafka: grace
    /// period). Default: none.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.grace = millis(lateness);
        self
    }

    /// By which time windows close. Default: the watermark. Kafka's stream time also has Kafka's
    /// windows: none starts before 1970, and what is from before 1970 is in none. (Kafka has no
    /// offsets; those with one may start before 1970, or the first records would be in none.)
    #[must_use]
    pub fn event_time(mut self, time: EventTime) -> Self {
        self.time = time;
        self
    }

    /// What is wrong with them, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.size < 1 {
            return Some("the size of windows has to be at least 1 ms".to_owned());
        }
        if self.advance < 1 || self.advance > self.size {
            return Some(format!(
                "windows have to advance by 1 ms to their size, {} ms, not by {} ms",
                self.size, self.advance
            ));
        }
        None
    }

    /// The starts of all windows that a timestamp is in, the earliest first.
    #[must_use]
    #[inline]
    pub fn starts(&self, timestamp: i64) -> Starts {
        let (last, advance) = (floor(timestamp, self.advance, self.offset), self.advance);
        // How far the last window that starts at or before the timestamp reaches beyond it; below 0
        // if it does not, where windows have gaps between them.
        let beyond = last.saturating_sub(timestamp).saturating_add(self.size - 1);
        let back = beyond / advance * advance;
        // In front of the first window of all there is none.
        let room = || (last.saturating_sub(i64::MIN)) / advance * advance;
        let mut start = last.checked_sub(back).unwrap_or_else(|| last - room());
        if self.clips() && start < 0 {
            start = 0;
        }
        Starts {
            next: (beyond >= 0 && start <= timestamp).then_some(start),
            advance,
            timestamp,
        }
    }

    /// Whether none begins before 1970. Kafka's windows have no offset; with one a timestamp would be
    /// left without a window.
    #[inline]
    fn clips(&self) -> bool {
        self.time == EventTime::StreamTime && self.offset.rem_euclid(self.advance) == 0
    }

    /// Whether no two of them overlap.
    #[inline]
    pub(crate) fn is_tumbling(&self) -> bool {
        self.advance == self.size
    }

    /// The window that starts there.
    #[must_use]
    #[inline]
    pub fn window(&self, start: i64) -> Window {
        Window {
            start,
            end: start.saturating_add(self.size),
        }
    }
}

/// Starts of windows, the earliest first. Made by [`TimeWindows::starts`].
#[derive(Clone, Copy, Debug)]
pub struct Starts {
    next: Option<i64>,
    advance: i64,
    timestamp: i64,
}

impl Starts {
    /// The first one.
    #[inline]
    pub(crate) fn first(&self) -> Option<i64> {
        self.next
    }

    /// Only one.
    #[inline]
    pub(crate) fn one(start: i64) -> Self {
        Self {
            next: Some(start),
            advance: 1,
            timestamp: start,
        }
    }
}

impl Iterator for Starts {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        let start = self.next?;
        let next = start.checked_add(self.advance);
        self.next = next.filter(|next| *next <= self.timestamp);
        Some(start)
    }
}

/// The largest multiple of `size`, shifted by `offset`, that is not above `timestamp`.
#[inline]
pub(crate) fn floor(timestamp: i64, size: i64, offset: i64) -> i64 {
    let mut past = timestamp.rem_euclid(size);
    if offset != 0 {
        past -= offset.rem_euclid(size);
        if past < 0 {
            past += size;
        }
    }
    timestamp.saturating_sub(past)
}

/// A duration in milliseconds; longer ones than there are count as the longest.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl std::fmt::Display for TimeWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.advance == self.size {
            write!(f, "tumbling {} ms", self.size)?;
        } else {
            write!(f, "hopping {} ms by {} ms", self.size, self.advance)?;
        }
        if self.offset != 0 {
            write!(f, ", offset {} ms", self.offset)?;
        }
        self.time.write_grace(self.grace, f)
    }
}
