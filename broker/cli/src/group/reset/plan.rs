//! The new offset of one partition, out of what is known of it.

/// Where a group is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Earliest,
    Latest,
    Offset(i64),
    /// The first record that is not older than this, in milliseconds since 1970.
    Moment(i64),
    Shift(i64),
}

/// What is known of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) earliest: i64,
    pub(super) latest: i64,
    /// The first record that is not older than the moment, if there is one.
    pub(super) at_moment: Option<i64>,
    pub(super) committed: Option<i64>,
}

impl Target {
    /// The new offset: one that the partition has, or the nearest.
    pub(super) fn offset(self, place: &Place) -> Result<i64, String> {
        let wanted = match self {
            Self::Earliest => place.earliest,
            Self::Latest => place.latest,
            Self::Offset(offset) => offset,
            Self::Moment(_) => place.at_moment.unwrap_or(place.latest),
            Self::Shift(by) => {
                let committed = place.committed.ok_or(
                    "the group has committed no offset that could be shifted: reset it to one",
                )?;
                committed.saturating_add(by)
            }
        };
        Ok(wanted.min(place.latest).max(place.earliest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_within_the_partition() {
        let check = |target: Target, committed, at_moment, expected: Result<i64, &str>| {
            let place = Place {
                earliest: 10,
                latest: 20,
                at_moment,
                committed,
            };
            match (target.offset(&place), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{target:?}"),
                (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
                (found, expected) => panic!("{target:?}: {found:?}, not {expected:?}"),
            }
        };
        check(Target::Earliest, None, None, Ok(10));
        check(Target::Latest, None, None, Ok(20));
        check(Target::Offset(15), None, None, Ok(15));
        check(Target::Offset(5), None, None, Ok(10));
        check(Target::Offset(25), None, None, Ok(20));
        check(Target::Moment(1), None, Some(12), Ok(12));
        check(Target::Moment(1), None, None, Ok(20));
        check(Target::Shift(-3), Some(15), None, Ok(12));
        check(Target::Shift(3), Some(15), None, Ok(18));
        check(Target::Shift(i64::MIN), Some(15), None, Ok(10));
        check(Target::Shift(i64::MAX), Some(15), None, Ok(20));
        check(Target::Shift(1), None, None, Err("committed no offset"));
    }
}
