//! How often what has happened: a schedule in which nothing happens proves nothing.

use std::collections::BTreeMap;

/// How often each of it has to have happened in a thousand schedules: less than a third of what is expected,
/// and nothing where a better product has less of it.
const LEAST: [(&str, u64); 40] = [
    ("answers", 100_000),
    ("of both layers", 10_000),
    ("of an older snapshot", 3_000),
    ("less than was asked for", 10_000),
    ("pages", 20_000),
    ("elsewhere", 10_000),
    ("a gap", 0),
    ("no snapshot where one is needed", 0),
    ("nothing at an offset", 4_000),
    ("committed", 300),
    ("aborted", 150),
    ("cut", 1_000),
    ("commit", 4_000),
    ("crash", 1_800),
    ("crash of a process", 800),
    ("lost what was not saved", 500),
    ("moved to another node", 250),
    ("entered with a gap", 0),
    ("truncation", 100),
    ("segments dropped", 200),
    ("switch", 500),
    ("the same snapshot again", 300),
    ("a late snapshot", 200),
    ("the states have gone", 20),
    ("a snapshot that ends amid a segment", 10),
    ("a snapshot that ends in front of all", 0),
    ("a snapshot that is ahead", 100),
    ("a run amid transactions", 400),
    ("a run with little memory", 700),
    ("a run dies in front of publication", 100),
    ("a run dies behind publication", 20),
    ("a run is taken up again", 20),
    ("published", 600),
    ("nothing new", 150),
    ("refused: a hole", 20),
    ("refused: what the speed layer has", 0),
    ("a lost race", 100),
    ("all files are known", 300),
    ("verified", 150),
    ("gone from the log", 20),
];

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

    fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Each of it has happened often enough, and nothing else has.
    pub(crate) fn check(&self, schedules: u64) {
        for (what, least) in LEAST {
            let count = self.count(what);
            assert!(
                count * 1_000 >= least * schedules,
                "{what}: {count} times, where {least} are the least in 1,000: {self:#?}"
            );
        }
        let known = LEAST.map(|(what, _)| what);
        let mut all = self.0.keys();
        assert!(all.all(|what| known.contains(what)), "{self:#?}");
        let none = self.count("a gap") + self.count("no snapshot where one is needed");
        assert!(self.count("answers") > 10 * none, "{self:#?}");
    }
}
