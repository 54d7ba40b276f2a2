//! How far apart in time records may be that join.

use std::time::Duration;

use super::EventTime;
use super::windows::millis;
use crate::time::Window;

/// Which records of two streams join (Kafka: `JoinWindows`): a record at t of the left stream meets
/// those of the right one from t - before to t + after, both ends included.
///
/// By the watermark, which is the default, a record joins everything it has to, and only that: it is
/// late when the watermark has reached its time plus the allowed lateness, and goes to the late
/// records then. What has found no partner comes out of a left or outer join when no partner can
/// come any more, once.
///
/// By stream time it is as in Kafka, flaws included: records that are behind stream time still join
/// whatever is there. One whose window has passed comes out without a partner at once, whatever the
/// grace period says, so that a partner that comes after it gives a second result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindows {
    pub(crate) before: i64,
    pub(crate) after: i64,
    pub(crate) grace: i64,
    pub(crate) time: EventTime,
}

impl JoinWindows {
    /// Records that are at most so far apart (Kafka: `ofTimeDifferenceWithNoGrace`).
    #[must_use]
    pub fn within(difference: Duration) -> Self {
        let difference = millis(difference);
        Self {
            before: difference,
            after: difference,
            grace: 0,
            time: EventTime::Watermark,
        }
    }

    /// How much earlier than the left record the right one may be.
    #[must_use]
    pub fn before(self, difference: Duration) -> Self {
        self.before_millis(millis(difference))
    }

    /// How much later than the left record the right one may be.
    #[must_use]
    pub fn after(self, difference: Duration) -> Self {
        self.after_millis(millis(difference))
    }

    /// As [`Self::before`], in milliseconds. A negative one says how much later the right record has
    /// to be at least.
    #[must_use]
    pub fn before_millis(mut self, difference: i64) -> Self {
        self.before = difference;
        self
    }

    /// As [`Self::after`], in milliseconds. A negative one says how much earlier the right record has
    /// to be at least.
    #[must_use]
    pub fn after_millis(mut self, difference: i64) -> Self {
        self.after = difference;
        self
    }

    /// How long records are waited for that come later than the watermark says (Kafka: grace
    /// period). Default: not at all.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.grace = millis(lateness);
        self
    }

    /// By which time partners are waited for. Default: the watermark.
    #[must_use]
    pub fn event_time(mut self, time: EventTime) -> Self {
        self.time = time;
        self
    }

    /// What is wrong with them, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.before.saturating_add(self.after) < 0).then(|| {
            format!(
                "no record can be from {} ms before another one to {} ms after it",
                self.before, self.after
            )
        })
    }

    /// The same seen from a side: 0 is the left one, 1 the right one.
    pub(crate) fn seen_from(&self, side: usize) -> Self {
        if side == 0 {
            *self
        } else {
            Self {
                before: self.after,
                after: self.before,
                ..*self
            }
        }
    }

    /// When the partners of a record can be.
    #[inline]
    pub(crate) fn partners(&self, timestamp: i64) -> Window {
        Window {
            start: timestamp.saturating_sub(self.before),
            end: timestamp.saturating_add(self.after),
        }
    }

    /// By how much what comes out can be behind the watermark, so that the watermark has to be held
    /// back behind the join; `outer` says of which sides records without partners come out.
    pub(crate) fn delay(&self, outer: [bool; 2]) -> i64 {
        if self.time == EventTime::StreamTime {
            return 0;
        }
        let waits = [0, 1].map(|side| {
            if outer[side] {
                self.seen_from(side).after.max(0)
            } else {
                0
            }
        });
        waits[0].max(waits[1]).saturating_add(self.grace)
    }

    /// How long a side's records are kept, on the scale of the buffer's own time: by the watermark
    /// until nothing that is not late can join them, by stream time as Kafka does.
    pub(crate) fn retention(&self, side: usize) -> i64 {
        let size = match self.time {
            EventTime::Watermark => self.seen_from(side).after,
            EventTime::StreamTime => self.before.saturating_add(self.after),
        };
        size.saturating_add(self.grace)
    }
}

impl std::fmt::Display for JoinWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms before to {} ms after", self.before, self.after)?;
        match self.time {
            EventTime::Watermark if self.grace > 0 => {
                write!(f, ", allowed lateness {} ms", self.grace)
            }
            EventTime::Watermark => Ok(()),
            EventTime::StreamTime => write!(f, ", stream time, grace {} ms", self.grace),
        }
    }
}
