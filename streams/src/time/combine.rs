//! The watermark of several source partitions.

/// The watermark of partitions that each have one: the smallest, of those that are not idle. If all
/// are, the largest there is: what holds one back would be idle, too. `None` if there are none. The
/// watermark of a task never goes back, so a partition that is no longer idle counts from where the
/// task has come.
pub fn combine(partitions: impl Iterator<Item = (i64, bool)>) -> Option<i64> {
    let (mut busy, mut idle) = (None, None);
    for (watermark, is_idle) in partitions {
        if is_idle {
            idle = idle.max(Some(watermark));
        } else {
            busy = Some(busy.map_or(watermark, |least: i64| least.min(watermark)));
        }
    }
    busy.or(idle)
}

/// What is seen of a partition when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Records wait to be processed.
    Records,
    /// No record waits, and it is not known whether there are some: they could not come.
    Blocked,
    /// There were none at that time, in milliseconds: the same as at the last look if nobody has said
    /// anything since.
    Nothing(i64),
}

/// When a partition is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idleness {
    /// After more than so many milliseconds with nothing.
    pub after: i64,
    /// From one word that there is nothing to the next one at most so many milliseconds count: in a
    /// longer time whoever says so was not there, and nothing could come.
    pub step: i64,
}

/// Finds out whether a partition is idle: whether it has had nothing for long enough, though it could
/// have had.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdleTimer {
    /// For how many milliseconds there has been nothing.
    spent: i64,
    /// When that was last so, if it was not otherwise since.
    seen_at: Option<i64>,
    idle: bool,
    /// Whether a record has come since the last look.
    fresh: bool,
}

impl IdleTimer {
    /// A record has come.
    pub fn record(&mut self) {
        *self = Self {
            fresh: true,
            ..Self::default()
        };
    }

    /// Looks at the partition. Time counts from the first look at which there is nothing, without a record
    /// before it; more than `idleness.after` of it makes a partition idle. Time in which nothing could come
    /// does not count, and takes nothing from what has been counted (FLIP-471).
    pub fn check(&mut self, seen: Seen, idleness: Idleness) {
        let fresh = std::mem::take(&mut self.fresh);
        match seen {
            // It stays what it is: idle until a record is processed.
            Seen::Records => (self.spent, self.seen_at) = (0, None),
            Seen::Nothing(now) if !fresh => {
                let passed = self.seen_at.map_or(0, |at| now.saturating_sub(at));
                self.spent = self.spent.saturating_add(passed.min(idleness.step).max(0));
                self.seen_at = Some(now);
                self.idle |= self.spent > idleness.after;
            }
            Seen::Nothing(_) | Seen::Blocked => self.seen_at = None,
        }
    }

    /// Whether it is.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: i64 = 100;

    fn checked(timer: &mut IdleTimer, looks: impl IntoIterator<Item = Seen>) -> bool {
        let idleness = Idleness {
            after: LIMIT,
            step: 90,
        };
        for seen in looks {
            timer.check(seen, idleness);
        }
        timer.is_idle()
    }

    #[test]
    fn what_was_blocked_does_not_count_and_takes_nothing_away() {
        use Seen::{Blocked, Nothing};
        let mut timer = IdleTimer::default();
        // 60 ms with nothing, an hour of which nothing is known, 40 more.
        let long = 3_600_000;
        assert!(!checked(&mut timer, [Nothing(0), Nothing(60)]));
        assert!(!checked(&mut timer, [Blocked, Blocked]));
        assert!(!checked(
            &mut timer,
            [Nothing(80 + long), Nothing(120 + long)]
        ));
        assert!(checked(&mut timer, [Nothing(121 + long)]));
        // However short its rests are.
        let mut timer = IdleTimer::default();
        let looks = (0..60).map(|at| {
            if at % 3 == 2 {
                Blocked
            } else {
                Nothing(at * 10)
            }
        });
        assert!(checked(&mut timer, looks));
    }

    #[test]
    fn time_in_which_nobody_says_anything_does_not_count() {
        use Seen::Nothing;
        let mut timer = IdleTimer::default();
        // However often it is looked at what was said long ago, and when it was in vain for an hour.
        assert!(!checked(&mut timer, [Nothing(0); 1000]));
        assert!(!checked(
            &mut timer,
            [Nothing(3_600_000), Nothing(3_600_010)]
        ));
        // Clocks are set back.
        assert!(!checked(&mut timer, [Nothing(0)]));
        assert!(checked(&mut timer, [Nothing(1)]));
    }

    #[test]
    fn a_record_begins_anew() {
        use Seen::{Nothing, Records};
        let mut timer = IdleTimer::default();
        assert!(checked(&mut timer, [Nothing(0), Nothing(50), Nothing(101)]));
        // One that waits ends nothing, one that has been processed does.
        assert!(checked(&mut timer, [Records]));
        timer.record();
        assert!(!checked(&mut timer, [Nothing(120), Nothing(130)]));
        assert!(!checked(&mut timer, [Nothing(200), Nothing(230)]));
        assert!(checked(&mut timer, [Nothing(231)]));
    }
}
