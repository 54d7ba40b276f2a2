//! Which segments may go, and why: a pure function (Kafka's `UnifiedLog.deleteOldSegments`).

use super::config::LogConfig;
use crate::types::{Offset, Timestamp};

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteReason {
    /// All of it lies before the log start.
    LogStart,
    /// The log is larger than `retention.bytes` without it.
    Size,
    /// Its newest record is older than `retention.ms`.
    Time,
}

/// What counts about a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFacts {
    /// The offset after its last record: the next segment's base, or the log end.
    pub(crate) end: Offset,
    pub(crate) size: u64,
    /// Its largest timestamp, or when it was last written if it has none.
    pub(crate) timestamp: Timestamp,
    pub(crate) is_active: bool,
}

/// Says for how many of the oldest segments there is a reason to delete them. Nothing at or above
/// the high watermark goes, and an empty active segment stays; a full active one may be named, and
/// is to be rolled first.
pub(crate) fn deletable(
    segments: &[SegmentFacts],
    config: &LogConfig,
    log_start: Offset,
    high_watermark: Offset,
    now: Timestamp,
) -> Vec<DeleteReason> {
    let mut rest = segments.iter();
    let mut reasons = Vec::new();
    let may_go = |segment: &SegmentFacts| {
        segment.end <= high_watermark && !(segment.is_active && segment.size == 0)
    };
    let mut take = |reason: DeleteReason, wanted: &mut dyn FnMut(&SegmentFacts) -> bool| {
        while rest
            .as_slice()
            .first()
            .is_some_and(|segment| may_go(segment) && wanted(segment))
        {
            rest.next();
            reasons.push(reason);
        }
        rest.as_slice()
            .iter()
            .map(|segment| segment.size)
            .sum::<u64>()
    };
    let size = take(DeleteReason::LogStart, &mut |segment| {
        !segment.is_active && segment.end <= log_start
    });
    if !config.delete {
        return reasons;
    }
    if let Ok(limit) = u64::try_from(config.retention_bytes) {
        let mut excess = size.saturating_sub(limit);
        take(DeleteReason::Size, &mut |segment| {
            let fits = size > limit && excess >= segment.size;
            excess = excess.saturating_sub(segment.size);
            fits
        });
    }
    if config.retention_ms >= 0 {
        take(DeleteReason::Time, &mut |segment| {
            now.0.saturating_sub(segment.timestamp.0) > config.retention_ms
        });
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::DeleteReason::{LogStart, Size, Time};
    use super::*;

    /// Four segments of 10 records and 100 bytes each, the newest records at 10, 20, 30, 40 ms.
    fn segments() -> Vec<SegmentFacts> {
        (1..=4)
            .map(|index| SegmentFacts {
                end: Offset(index * 10),
                size: 100,
                timestamp: Timestamp(index * 10),
                is_active: index == 4,
            })
            .collect()
    }

    struct Case {
        retention_bytes: i64,
        retention_ms: i64,
        delete: bool,
        log_start: i64,
        high_watermark: i64,
        now: i64,
    }

    const KEEP: Case = Case {
        retention_bytes: -1,
        retention_ms: -1,
        delete: true,
        log_start: 0,
        high_watermark: 40,
        now: 1000,
    };

    fn check(case: Case, expected: &[DeleteReason]) {
        let config = LogConfig {
            retention_bytes: case.retention_bytes,
            retention_ms: case.retention_ms,
            delete: case.delete,
            ..LogConfig::default()
        };
        let (start, high) = (Offset(case.log_start), Offset(case.high_watermark));
        let found = deletable(&segments(), &config, start, high, Timestamp(case.now));
        assert_eq!(found, expected);
    }

    #[test]
    fn each_limit_takes_the_oldest_segments() {
        check(KEEP, &[]);
        check(
            Case {
                retention_bytes: 400,
                ..KEEP
            },
            &[],
        );
        check(
            Case {
                retention_bytes: 399,
                ..KEEP
            },
            &[],
        );
        check(
            Case {
                retention_bytes: 300,
                ..KEEP
            },
            &[Size],
        );
        check(
            Case {
                retention_bytes: 299,
                ..KEEP
            },
            &[Size],
        );
        check(
            Case {
                retention_bytes: 0,
                ..KEEP
            },
            &[Size; 4],
        );
        check(
            Case {
                retention_ms: 10,
                now: 30,
                ..KEEP
            },
            &[Time],
        );
        check(
            Case {
                retention_ms: 9,
                now: 30,
                ..KEEP
            },
            &[Time, Time],
        );
        check(
            Case {
                retention_ms: 0,
                ..KEEP
            },
            &[Time; 4],
        );
        check(
            Case {
                retention_ms: i64::MAX,
                ..KEEP
            },
            &[],
        );
        check(
            Case {
                log_start: 9,
                ..KEEP
            },
            &[],
        );
        check(
            Case {
                log_start: 29,
                ..KEEP
            },
            &[LogStart, LogStart],
        );
        check(
            Case {
                log_start: 40,
                ..KEEP
            },
            &[LogStart; 3],
        );
    }

    #[test]
    fn limits_add_up_and_stop_at_the_high_watermark() {
        let both = Case {
            log_start: 10,
            retention_bytes: 200,
            retention_ms: 5,
            now: 36,
            ..KEEP
        };
        check(both, &[LogStart, Size, Time]);
        check(
            Case {
                retention_ms: 0,
                high_watermark: 39,
                ..KEEP
            },
            &[Time; 3],
        );
        check(
            Case {
                retention_bytes: 0,
                high_watermark: 9,
                ..KEEP
            },
            &[],
        );
        check(
            Case {
                delete: false,
                retention_ms: 0,
                retention_bytes: 0,
                ..KEEP
            },
            &[],
        );
        check(
            Case {
                delete: false,
                log_start: 20,
                ..KEEP
            },
            &[LogStart; 2],
        );
    }

    #[test]
    fn an_empty_active_segment_stays() {
        let mut segments = segments();
        segments[3].size = 0;
        let config = LogConfig {
            retention_ms: 0,
            ..LogConfig::default()
        };
        let found = deletable(&segments, &config, Offset(0), Offset(40), Timestamp(1000));
        assert_eq!(found, [Time; 3]);
    }
}
