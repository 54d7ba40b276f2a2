//! Sliding windows: records that are close to one another.

use std::time::Duration;

use super::EventTime;
use super::windows::millis;

/// Windows that hold the records of a key that are at most so far from one another (Kafka:
/// `SlidingWindows`, KIP-450). Both ends belong to a window. There is one that ends at each record,
/// [t - difference, t], and one that begins right behind each, [t + 1, t + 1 + difference], if there
/// is a record in it: so every set of records that are close enough has its window, once.
///
/// By stream time windows are Kafka's to the letter: none begins before 1970, what is earlier than
/// the difference goes to [0, difference], and what is from before 1970 is left out. So are records
/// whose value is null.
///
/// A record is late for all windows if the last one that it could be in, [t, t + difference], has
/// closed; then it is told with that one. If some of its windows have closed it is told with the
/// first of these and how many they are, and is in the others; by the watermark also in those that
/// later records make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    pub(crate) difference: i64,
    pub(crate) grace: i64,
    pub(crate) time: EventTime,
}

impl SlidingWindows {
    /// Windows of records that are at most so far from one another.
    #[must_use]
    pub fn of(difference: Duration) -> Self {
        Self {
            difference: millis(difference),
            grace: 0,
            time: EventTime::Watermark,
        }
    }

    /// How long after its end a window still takes records (Flink: allowed lateness, Kafka: grace
    /// period). Default: none.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.grace = millis(lateness);
        self
    }

    /// By which time windows close. Default: the watermark.
    #[must_use]
    pub fn event_time(mut self, time: EventTime) -> Self {
        self.time = time;
        self
    }

    /// What is wrong with them, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        // Ends of windows have to be numbers.
        if self.difference > i64::MAX / 8 || self.grace > i64::MAX / 4 {
            return Some("the difference of sliding windows is too long".to_owned());
        }
        None
    }
}

impl std::fmt::Display for SlidingWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sliding {} ms", self.difference)?;
        self.time.write_grace(self.grace, f)
    }
}
