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

/// As long as no snapshot takes segments away they grow: each spans at least one of so many parts of the
/// time and of the records since the last snapshot. So their number grows with the logarithm of that: about
/// 400 for a year at ten seconds.
const PARTS: u64 = 32;

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
    /// Milliseconds since the oldest segment began.
    pub(crate) all_millis: i64,
    /// Records in all segments.
    pub(crate) all_records: u64,
}

impl CutRule {
    /// Whether a segment is to end. One in which the log has not gone on never is.
    pub(crate) fn is_due(&self, span: &Span) -> bool {
        let millis = self.every.max(span.all_millis / PARTS as i64);
        let records = self.records.max(span.all_records / PARTS);
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
            all_millis: millis,
            all_records: records,
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
        let (mut now, mut began, mut segments) = (0_i64, 0_i64, 1_u64);
        while now < year {
            now += 1_000;
            let span = Span {
                millis: now - began,
                records: 10,
                moved: true,
                all_millis: now,
                all_records: now as u64,
            };
            if RULE.is_due(&span) {
                (began, segments) = (now, segments + 1);
            }
        }
        assert!((300..500).contains(&segments), "{segments}");
    }
}
