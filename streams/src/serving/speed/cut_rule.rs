//! When a segment ends.

/// When the speed layer makes cuts. A snapshot ends at one of them, so they should be close to one another;
/// each answer looks at every segment, so there should be few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutRule {
    /// A segment ends after so many milliseconds by the wall clock, ...
    pub(crate) every: i64,
    /// ... or after so many records.
    pub(crate) records: u64,
}

/// As long as no snapshot comes segments grow: with each so many of them the time and the records that the next
/// ones span double. So their number grows with the logarithm of all the time: about 400 for a year at ten
/// seconds, and each is a 12th of what was before it, or less. It goes by how many there are, not by when they
/// began: a topic that was quiet, a view that was stopped, or a clock that was wrong keeps no cut from being
/// made.
const DOUBLE: usize = 24;

/// What there is when it is asked whether a segment is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Milliseconds since the segment began.
    pub(crate) millis: i64,
    /// Records in it.
    pub(crate) records: u64,
    /// Whether the log has gone on since: there may be nothing but aborted transactions, and a snapshot that
    /// could not end behind them would seem to lack what retention takes of them.
    pub(crate) moved: bool,
    /// How many segments have ended since the last snapshot.
    pub(crate) ended: usize,
}

impl CutRule {
    /// Whether a segment is to end. One in which the log has not gone on never is.
    pub(crate) fn is_due(&self, span: &Span) -> bool {
        let grown = 1_u64 << (span.ended / DOUBLE).min(62);
        let millis = self.every.saturating_mul(grown as i64);
        let records = self.records.saturating_mul(grown);
        span.moved && (span.millis >= millis || span.records >= records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: CutRule = CutRule {
        every: 10_000,
        records: 1_000_000,
    };

    #[test]
    fn a_segment_ends_by_time_or_by_records() {
        let span = |millis, records| Span {
            millis,
            records,
            moved: true,
            ended: 0,
        };
        let due = |millis, records| RULE.is_due(&span(millis, records));
        assert!(!due(9_999, 999_999));
        assert!(due(10_000, 1));
        assert!(due(0, 1_000_000));
        assert!(due(10_000, 0), "aborted transactions");
        let still = Span {
            moved: false,
            ..span(1_000_000, 0)
        };
        assert!(!RULE.is_due(&still), "nothing is in it");
    }

    /// However long no snapshot comes, there are few segments, and the last of them are a small part.
    #[test]
    fn there_are_few_segments_for_long() {
        let year = 365 * 24 * 3600 * 1000_i64;
        let (mut now, mut began, mut segments) = (0_i64, 0_i64, 1);
        while now < year {
            now += 1_000;
            let span = Span {
                millis: now - began,
                records: 10,
                moved: true,
                ended: segments - 1,
            };
            if RULE.is_due(&span) {
                assert!(segments <= DOUBLE || (now - began) * 12 <= began);
                (began, segments) = (now, segments + 1);
            }
        }
        assert!((300..500).contains(&segments), "{segments}");
    }

    #[test]
    fn numbers_of_any_size_are_reckoned_with() {
        let most = CutRule {
            every: i64::MAX,
            records: u64::MAX,
        };
        let span = Span {
            millis: i64::MAX - 1,
            records: u64::MAX - 1,
            moved: true,
            ended: usize::MAX,
        };
        assert!(!most.is_due(&span));
    }
}
