//! Session windows: spans of activity.

use std::time::Duration;

use super::EventTime;
use super::windows::millis;

/// Sessions: records of a key belong together as long as none is more than the gap later than the
/// one before it (Kafka: `SessionWindows`, Flink: `EventTimeSessionWindows`). A record that comes out
/// of order may make one session of two.
///
/// A session's window is [first record, last record]: both ends belong to it. A record at exactly the
/// gap's distance still belongs to the session.
///
/// By the watermark a session is over when the watermark reaches the last millisecond at which a
/// record could have gone on with it, last + gap - 1; that is the timestamp of its result, so that
/// what follows does not take the result for a late one. By stream time its results carry the time of
/// its last record, as in Kafka, and it takes records until stream time is above last + gap + grace.
/// A record is late if there is no session that takes it and its own would be over already: an old
/// record may still go on with a session that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWindows {
    pub(crate) gap: i64,
    pub(crate) grace: i64,
    pub(crate) max_length: i64,
    pub(crate) time: EventTime,
}

impl SessionWindows {
    /// Sessions that end after a gap without records. A gap of nothing puts together only what has
    /// the same timestamp.
    #[must_use]
    pub fn with_gap(gap: Duration) -> Self {
        Self {
            gap: millis(gap),
            grace: 0,
            max_length: i64::MAX,
            time: EventTime::Watermark,
        }
    }

    /// How long after its end a session still takes records (Flink: allowed lateness, Kafka: grace
    /// period). Default: none.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.grace = millis(lateness);
        self
    }

    /// The most time from the first to the last record of a session, so that a key that never pauses
    /// does not have one for ever. Default: any.
    ///
    /// A record that would make a session longer does not go on with it: it goes on with the session
    /// behind it if that takes it, and else begins one. Two sessions that would be too long as one
    /// stay two; a record between them goes to the earlier one if it can.
    #[must_use]
    pub fn max_length(mut self, length: Duration) -> Self {
        self.max_length = millis(length);
        self
    }

    /// By which time sessions end. Default: the watermark.
    #[must_use]
    pub fn event_time(mut self, time: EventTime) -> Self {
        self.time = time;
        self
    }

    /// What is wrong with them, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        // Ends of sessions have to be numbers.
        if self.gap > i64::MAX / 4 || self.grace > i64::MAX / 4 {
            return Some("the gap of sessions is too long".to_owned());
        }
        None
    }
}

impl std::fmt::Display for SessionWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sessions with a gap of {} ms", self.gap)?;
        if self.max_length < i64::MAX {
            write!(f, ", at most {} ms", self.max_length)?;
        }
        self.time.write_grace(self.grace, f)
    }
}
