//! What has to be so of every answer.

use std::collections::BTreeMap;
use std::hash::Hash;

use tidemark_client::TopicPartition;

use super::super::log::{MemoryLog, TOPICS};
use super::{Instance, KEYS, World};
use crate::serving::Coverage;
use crate::serving::aggregate::PlaceCounts;
use crate::serving::merged::{Ask, Keys, Merged, QueryError};
use crate::serving::snapshot::Part;

/// Records by topic, partition and offset, each with how often it is there.
type Counts = BTreeMap<(u32, i32, i64), u64>;

/// The records of a key that an answer has to have: those from where it begins up to its coverage.
pub(crate) fn expected(
    log: &MemoryLog,
    parts: &[Part],
    key: u8,
    begin: &Coverage,
    coverage: &Coverage,
) -> Counts {
    let mut expected = Counts::new();
    for (at, (topic, partition)) in parts.iter().enumerate() {
        let from = begin.get(TOPICS[*topic], *partition);
        let to = coverage.get(TOPICS[*topic], *partition);
        let records = log.records(at, from, to).into_iter();
        let own = records.filter(|(_, own)| *own == key);
        expected.extend(own.map(|(offset, _)| ((*topic as u32, *partition, offset), 1)));
    }
    expected
}

/// Whether an answer has each record of its coverage once, and no other.
pub(crate) fn exact(
    site: &Instance,
    log: &MemoryLog,
    parts: &[Part],
    key: u8,
    merged: &Merged<PlaceCounts>,
) -> bool {
    let found = merged.whole(site.view.aggregate()).unwrap_or_default().0;
    found == expected(log, parts, key, &merged.begin, &merged.coverage)
}

impl World {
    /// Every answer has exactly the records of its coverage, each once.
    pub(super) fn look(&mut self) {
        for node in 0..self.nodes.len() {
            let mut covered = None;
            for key in 0..KEYS {
                covered = self.look_at(node, key).or(covered);
            }
            self.look_through(node);
            if let Some(covered) = covered {
                covered.to_string().hash(&mut self.digest);
                self.nodes[node].covered = covered;
            }
        }
    }

    /// Pages have what the keys have one by one.
    fn look_through(&mut self, node: usize) {
        let limit = 1 + self.chance.below(5) as usize;
        let site = &self.nodes[node].site;
        let free = site.view.aggregate();
        let ask = Ask::default();
        let (mut rows, mut last) = (Vec::new(), None);
        let about = loop {
            let keys = Keys::all().after(last.take());
            let Ok(page) = site.range(&keys, limit, &ask) else {
                // So has every key, which is looked at elsewhere.
                assert!(site.get(&[0], &ask).is_err());
                return;
            };
            assert!(page.rows.len() == limit || !page.more, "{self}");
            rows.extend(page.rows.into_iter().map(|(name, merged)| {
                last = Some(name.clone());
                (name, merged.whole(free))
            }));
            if !page.more {
                let about = page.about;
                break (about.begin, about.coverage, about.snapshot);
            }
        };
        let keys = (0..KEYS).map(|key| vec![key]);
        let each = keys.map(|key| {
            let merged = site.get(&key, &ask).unwrap();
            let state = merged.whole(free);
            let own = (merged.begin, merged.coverage, merged.snapshot);
            assert_eq!(about, own, "{self} node {node}");
            (key, state)
        });
        let each: Vec<_> = each.filter(|(_, state)| state.is_some()).collect();
        assert_eq!(rows, each, "{self} node {node}");
        self.seen.note("pages", 1);
    }

    /// Asks for a key; what the answer covers, if it is of the newest snapshot.
    pub(super) fn look_at(&mut self, node: usize, key: u8) -> Option<Coverage> {
        let site = &self.nodes[node].site;
        let held = site.held();
        let current = held.last().copied();
        let pinned = held.first().copied().filter(|_| self.chance.one_in(4));
        let mut ask = Ask {
            snapshot: pinned,
            at_least: None,
        };
        let asked = site.get(&[key], &ask);
        let merged = match asked {
            Ok(merged) => merged,
            Err(error) => {
                self.check_error(node, pinned.or(current), error);
                return None;
            }
        };
        let both = merged.halves.batch.is_some() && merged.halves.speed.is_some();
        for (at, begins) in self.begins.iter().enumerate() {
            let begin = self.offset(&merged.begin, at);
            let to = self.offset(&merged.coverage, at);
            assert!(begin <= to && to <= self.log.stable(at), "{self}");
            assert!(begins.contains(&begin), "{self} {at} begins at {begin}");
            // Nothing that has been read here is left out, even where that would be exact. (Whoever goes back to
            // an older snapshot than segments have been cut for has answers up to the gap.)
            let task = &self.tasks[at];
            let shape = task.live.segments.read().shape();
            let whole = shape.windows(2).all(|two| two[0].1 == Some(two[1].0));
            if task.node == node && pinned.is_none() && whole {
                let position = task.position;
                assert!(
                    to >= position,
                    "{self} node {node} {at}: {to} of {position}"
                );
            }
        }
        let is_exact = exact(site, &self.log, &self.parts, key, &merged);
        assert!(is_exact, "{self} node {node} key {key} {merged:?}");
        self.seen.note("answers", 1);
        self.seen.note("of both layers", u64::from(both));
        if pinned != current {
            self.seen.note("of an older snapshot", 1);
        }
        // Some ask for more than there is.
        let mut least = Coverage::new();
        for at in 0..self.parts.len() {
            let to = self.offset(&merged.coverage, at);
            let more = i64::from(self.chance.one_in(8));
            self.set(&mut least, at, to + more);
        }
        ask.at_least = Some(least.clone());
        match self.nodes[node].site.get(&[key], &ask) {
            Ok(again) => assert!(again.coverage == least, "{self}"),
            Err(QueryError::Behind { missing, .. }) => {
                let expected: Vec<_> = merged.coverage.missing(&least).collect();
                assert!(missing == expected && !missing.is_empty(), "{self}");
                self.seen.note("less than was asked for", 1);
            }
            Err(error) => panic!("{self} {error}"),
        }
        if pinned.is_some() && pinned != current {
            return None;
        }
        let before = &self.nodes[node].covered;
        assert!(
            merged.coverage.includes(before),
            "{self} node {node}: {before}, then {}",
            merged.coverage
        );
        Some(merged.coverage)
    }

    /// There is no answer only where there cannot be one.
    fn check_error(&mut self, node: usize, snapshot: Option<u64>, error: QueryError) {
        let own = &self.nodes[node];
        let place = |partition: &TopicPartition| {
            let part =
                |part: &Part| TOPICS[part.0] == &*partition.topic && part.1 == partition.partition;
            self.parts.iter().position(part).unwrap()
        };
        let what = match &error {
            QueryError::Elsewhere(partition) => {
                let at = place(partition);
                assert_ne!(self.tasks[at].node, node, "{self} {error}");
                "elsewhere"
            }
            QueryError::Gap { partition, .. } => {
                let at = place(partition);
                let whole = snapshot.and_then(|snapshot| own.whole.get(&snapshot));
                assert!(
                    whole.is_none_or(|parts| !parts.contains(&at)),
                    "{self} {error}"
                );
                "a gap"
            }
            QueryError::Unread { partition, .. } => {
                let part = self.parts[place(partition)];
                let used = own.site.current();
                let used = used.filter(|own| Some(own.manifest.snapshot) == snapshot);
                assert!(
                    used.is_none_or(|own| own.end(part).is_none()),
                    "{self} {error}"
                );
                "no snapshot where one is needed"
            }
            _ => panic!("{self} {error}"),
        };
        self.seen.note(what, 1);
    }
}
