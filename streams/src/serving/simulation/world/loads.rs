//! Nodes that read with snapshots: new ones, late ones, and the same one twice.

use std::sync::Arc;

use super::{Task, World};
use crate::serving::merged::Unfit;
use crate::serving::snapshot::{Loaded, SnapshotError};

/// Where a segment begins and ends up to now, and how many records it has.
type Shape = (i64, i64, u64);

impl World {
    /// A node reads with a snapshot, mostly the newest.
    pub(super) async fn load(&mut self) {
        let node = self.node();
        let back = match self.chance.below(12) {
            0 => 2,
            1..4 => 1,
            _ => 0,
        };
        self.load_on(node, back).await;
    }

    pub(super) async fn load_on(&mut self, node: usize, back: usize) {
        let numbers = self.snapshots.numbers().await.unwrap();
        let Some(at) = numbers.len().checked_sub(1 + back) else {
            return;
        };
        let number = numbers[at];
        let manifest = self.snapshots.manifest(number).await.unwrap();
        let floor = match at.checked_sub(1) {
            Some(before) => Some(self.snapshots.manifest(numbers[before]).await.unwrap()),
            None => None,
        };
        let floor = floor.map(|floor| floor.coverage());
        let loaded = match Loaded::read(&self.view, &self.snapshots, manifest).await {
            Ok(loaded) => loaded,
            Err(error @ SnapshotError::Missing { .. }) => {
                // Those of two are kept.
                assert!(back >= 2, "{self} {error}");
                self.seen.note("the states have gone", 1);
                return;
            }
            Err(error) => panic!("{self} {error}"),
        };
        let site = &self.nodes[node].site;
        let here = site.parts();
        let here = here
            .iter()
            .map(|(part, _)| self.parts.iter().position(|own| own == part).unwrap());
        let here: Vec<usize> = here.collect();
        let fits = here.iter().all(|at| self.fits(*at, &loaded));
        let ahead = here.iter().any(|at| {
            let applied = self.tasks[*at].live.segments.read().applied();
            let end = loaded.end(self.parts[*at]);
            end.is_some_and(|end| end > applied)
        });
        let current = site.current().map(|loaded| loaded.manifest.snapshot);
        let before = self.shapes();
        let site = &self.nodes[node].site;
        let loaded = Arc::new(loaded);
        let switched = loop {
            match site.switch(Arc::clone(&loaded), floor.clone(), 0) {
                // A reader that is not being run may have a lock for as long as it likes.
                Err(Unfit::Busy) => std::thread::yield_now(),
                done => break done,
            }
        };
        let what = match switched {
            Ok(_) => {
                assert!(fits && Some(number) > current, "{self}");
                let held = site.held();
                let own = &mut self.nodes[node];
                own.whole.insert(number, here.into_iter().collect());
                own.whole.retain(|number, _| held.contains(number));
                self.seen.note("a snapshot that is ahead", u64::from(ahead));
                "switch"
            }
            Err(Unfit::NotNewer { .. }) => {
                assert!(Some(number) <= current, "{self}");
                match Some(number) == current {
                    true => "the same snapshot again",
                    false => "a late snapshot",
                }
            }
            Err(Unfit::Amid { .. }) if !fits => "a snapshot that ends amid a segment",
            Err(Unfit::Hole { .. }) if !fits => "a snapshot that ends in front of all",
            Err(error) => panic!("{self} {error}"),
        };
        self.seen.note(what, 1);
        self.tell(format_args!("node {node}, snapshot {number}: {what}"));
        self.note_dropped(&before);
    }

    /// Whether a snapshot fits to what the speed layer has of a partition: it ends at a cut, or where no
    /// record has come since the last one, or is ahead.
    pub(super) fn fits(&self, at: usize, loaded: &Loaded) -> bool {
        let Some(end) = loaded.end(self.parts[at]) else {
            return true;
        };
        let segments = self.tasks[at].live.segments.read();
        let (last, applied) = (segments.last_cut(), segments.applied());
        end >= applied
            || segments.cuts().contains(&end)
            || (end > last && self.log.records(at, last, applied).is_empty())
    }

    /// What nobody needs any more goes.
    pub(super) fn sweep(&mut self) {
        let before = self.shapes();
        self.nodes.iter().for_each(|node| node.site.sweep());
        self.note_dropped(&before);
    }

    /// Where the segments of each partition are.
    fn shapes(&self) -> Vec<Vec<Shape>> {
        let shape = |task: &Task| {
            let segments = task.live.segments.read();
            let applied = segments.applied();
            let own = segments.shape().into_iter();
            own.map(|(from, to, records)| (from, to.unwrap_or(applied), records))
                .collect()
        };
        self.tasks.iter().map(shape).collect()
    }

    /// Segments go from the front only, and none of those behind the snapshot in front of the newest: who has
    /// to go back to that one needs them.
    fn note_dropped(&mut self, before: &[Vec<Shape>]) {
        let now = self.shapes();
        for (at, (now, before)) in now.iter().zip(before).enumerate() {
            let begin = now[0].0;
            let gone: Vec<_> = before.iter().filter(|own| own.0 < begin).collect();
            let kept = gone
                .iter()
                .all(|(_, to, records)| *records == 0 || *to <= self.floors[at]);
            assert!(kept, "{self} {at} {gone:?} {:?}", self.floors);
            self.seen.note("segments dropped", gone.len() as u64);
        }
        let begins: Vec<i64> = now.iter().map(|own| own[0].0).collect();
        self.tell(format_args!("segments from {begins:?}"));
    }
}
