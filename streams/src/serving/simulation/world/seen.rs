//! How often what has happened: a schedule in which nothing happens proves nothing.

use std::collections::BTreeMap;

/// How often each of it has to have happened in a thousand schedules: about a third of what is expected.
const LEAST: [(&str, u64); 0] = [];

/// How often what has happened, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn note(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.note(what, *count);
        }
    }

    /// Each of it has happened often enough, and nothing else has.
    pub(crate) fn check(&self, schedules: u64) {
        let least = BTreeMap::from(LEAST);
        for (what, count) in &self.0 {
            let least = least.get(what).unwrap_or_else(|| panic!("{what}?"));
            assert!(
                count * 1_000 >= least * schedules,
                "{what}: {count} of {least} in {self:#?}"
            );
        }
        for (what, _) in LEAST {
            assert!(
                self.0.contains_key(what),
                "{what} has not happened: {self:#?}"
            );
        }
    }
}
