//! Nodes that read with snapshots: new ones, late ones, and the same one twice.

use super::World;
use crate::serving::merged::Unfit;
use crate::serving::snapshot::{Loaded, SnapshotError};

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
        let before = self.segments_begin();
        let site = &self.nodes[node].site;
        let what = match site.switch(loaded, floor, 0) {
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
        let before = self.segments_begin();
        self.nodes.iter().for_each(|node| node.site.sweep());
        self.note_dropped(&before);
    }

    fn segments_begin(&self) -> Vec<i64> {
        let tasks = self.tasks.iter();
        tasks
            .map(|task| task.live.segments.read().begin())
            .collect()
    }

    fn note_dropped(&mut self, before: &[i64]) {
        let now = self.segments_begin();
        let dropped = now.iter().zip(before).filter(|(now, before)| now > before);
        self.seen.note("segments dropped", dropped.count() as u64);
        self.tell(format_args!("segments from {now:?}"));
    }
}
