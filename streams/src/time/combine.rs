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

/// Finds out whether a partition is idle: whether it has had nothing for long enough, though it could
/// have had.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdleTimer {
    since: Option<i64>,
    idle: bool,
    /// Whether a record has come since the last look at the clock.
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

    /// The clock says `wall`, in milliseconds. `quiet` says that no record waits, and that this is not
    /// because none could come. Time counts from the first such call without a record
    /// before it; more than `limit` milliseconds of it make a partition idle.
    pub fn check(&mut self, quiet: bool, wall: i64, limit: i64) {
        if !quiet || std::mem::take(&mut self.fresh) {
            // It stays what it is: idle until a record is processed.
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(wall);
        self.idle |= wall.saturating_sub(since) > limit;
    }

    /// Whether it is.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.idle
    }
}
