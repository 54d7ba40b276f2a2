//! What has to be so of every answer, and in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_client::TopicPartition;

use super::super::log::TOPIC;
use super::tasks::CUT;
use super::{KEYS, World, site};
use crate::serving::batch::{BatchError, PlanError};
use crate::serving::merged::{Ask, Keys, QueryError};
use crate::serving::verify::compare;
use crate::serving::{Coverage, SourcePartition, VerifyError};

impl World {
    /// Every answer has exactly the records of its coverage, each once.
    pub(super) fn look(&mut self) {
        for node in 0..self.nodes.len() {
            for key in 0..KEYS {
                self.look_at(node, key);
            }
            self.look_through(node);
        }
    }

    /// Pages have what the keys have one by one.
    fn look_through(&mut self, node: usize) {
        let limit = 1 + self.chance.below(5) as usize;
        let site = &self.nodes[node];
        let ask = Ask::default();
        let (mut rows, mut last) = (Vec::new(), None);
        loop {
            let keys = Keys::all().after(last.take());
            let Ok(page) = site.range(&keys, limit, &ask) else {
                // So has every key, which is looked at elsewhere.
                assert!(site.get(&[0], &ask).is_err());
                return;
            };
            assert!(page.rows.len() == limit || !page.more, "{self}");
            rows.extend(page.rows.into_iter().map(|(name, merged)| {
                last = Some(name.clone());
                (name, merged.whole(self.view.aggregate()))
            }));
            if !page.more {
                break;
            }
        }
        let keys = (0..KEYS).map(|key| vec![key]);
        let each = keys.map(|key| {
            let state = site
                .get(&key, &ask)
                .ok()
                .and_then(|own| own.whole(self.view.aggregate()));
            (key, state)
        });
        let each: Vec<_> = each.filter(|(_, state)| state.is_some()).collect();
        assert_eq!(rows, each, "{self} node {node}");
        self.seen.pages += 1;
    }

    fn look_at(&mut self, node: usize, key: u8) {
        let site = &self.nodes[node];
        let held = site.held();
        let pinned = self.chance.one_in(4);
        let ask = Ask {
            snapshot: held.first().copied().filter(|_| pinned),
            at_least: None,
        };
        let merged = match site.get(&[key], &ask) {
            Ok(merged) => merged,
            Err(QueryError::Elsewhere(partition)) => {
                let task = &self.tasks[partition.partition as usize];
                assert_ne!(task.node, node, "{partition} is here");
                return;
            }
            Err(QueryError::Gap { .. }) => {
                self.seen.gaps += 1;
                return;
            }
            Err(QueryError::Unread { .. }) => {
                assert_eq!(site.current().map(|own| own.manifest.snapshot), None);
                self.seen.gaps += 1;
                return;
            }
            Err(error) => panic!("{error}"),
        };
        self.seen.answers += 1;
        self.seen.with_both += u64::from(merged.batch.is_some() && merged.speed.is_some());
        let mut expected = BTreeMap::new();
        for partition in 0..self.tasks.len() as i32 {
            let (begin, to) = (
                merged.begin.get(TOPIC, partition),
                merged.coverage.get(TOPIC, partition),
            );
            assert!(begin <= to && to <= self.log.stable(partition));
            assert!(
                self.begins[partition as usize].contains(&begin),
                "{self} {begin}"
            );
            for (offset, own) in self.log.records(partition, begin, to) {
                if own == key {
                    expected.insert((0, partition, offset), 1);
                }
            }
        }
        let found = merged.whole(self.view.aggregate()).unwrap_or_default().0;
        assert_eq!(found, expected, "{self} node {node} key {key} {merged:?}");
    }

    /// When all is quiet and a run has been made at a cut, every node that has all partitions answers with
    /// everything up to the end.
    pub(super) async fn settle(&mut self) {
        let node = site(&self.view, self.tasks.len());
        self.nodes = vec![Arc::clone(&node)];
        {
            let mut log = self.log.0.lock();
            log.iter_mut()
                .for_each(|own| own.stable = own.entries.len() as i64);
        }
        for partition in 0..self.tasks.len() {
            self.tasks[partition] = self.restored(partition, 0);
            while self.tasks[partition].position < self.log.stable(partition as i32) {
                self.read_of(partition);
            }
            self.tasks[partition]
                .live
                .segments
                .write()
                .cut_if_due(&CUT, 0);
            self.commit_of(partition);
        }
        let mut cut = Coverage::new();
        for (partition, durable) in self.durable.iter().enumerate() {
            let last = durable.cuts.last().copied().unwrap_or(0);
            cut.set(TOPIC, partition as i32, last);
        }
        self.store.live(None);
        if let Err(error) = self.batch_of(Some(&cut), false).await {
            assert!(
                matches!(
                    error,
                    BatchError::Plan(PlanError::Hole { .. } | PlanError::Unsaved { .. })
                ),
                "{error}"
            );
            self.batch_of(Some(&cut), true).await.unwrap();
        }
        self.load_on(0, 0).await;
        self.enter_all();
        for key in 0..KEYS {
            let merged = node.get(&[key], &Ask::default());
            let shapes = node.parts().into_iter().map(|(part, live)| {
                let segments = live.segments.read();
                (part, segments.shape(), segments.applied())
            });
            let shapes: Vec<_> = shapes.collect();
            let merged =
                merged.unwrap_or_else(|error| panic!("{self}: {error}; cut {cut}; {shapes:?}"));
            assert_eq!(
                merged.snapshot,
                self.snapshots.numbers().await.unwrap().last().copied()
            );
            for partition in 0..self.tasks.len() as i32 {
                let stable = self.log.stable(partition);
                assert_eq!(merged.coverage.get(TOPIC, partition), stable);
            }
            self.look_at(0, key);
        }
        self.verify().await;
    }

    /// The newest snapshot is what the log says, as long as that has all of it; and a record that goes from
    /// the log is found.
    async fn verify(&mut self) {
        let newest = self.snapshots.numbers().await.unwrap().pop().unwrap();
        let manifest = self.snapshots.manifest(newest).await.unwrap();
        let compared = compare(&self.view, &*self.log, &self.snapshots, &manifest).await;
        let own = &manifest.sources[0].partitions;
        let gone =
            |own: &SourcePartition| self.log.start(own.partition) > own.begin && own.to > own.begin;
        if own.iter().any(gone) {
            assert!(
                matches!(compared, Err(VerifyError::Gone { .. })),
                "{compared:?}"
            );
            return;
        }
        let verdict = compared.unwrap();
        assert!(verdict.is_good(), "{self}: {verdict:?}");
        self.seen.verified += 1;
        let one = &own[self.chance.below(own.len() as u64) as usize];
        let records = self.log.records(one.partition, one.begin, one.to);
        if records.is_empty() {
            return;
        }
        let (offset, key) = records[self.chance.below(records.len() as u64) as usize];
        self.log.0.lock()[one.partition as usize].entries[offset as usize] = None;
        let verdict = compare(&self.view, &*self.log, &self.snapshots, &manifest)
            .await
            .unwrap();
        let [difference] = &verdict.differences[..] else {
            panic!("{self}: {verdict:?}");
        };
        let partition = TopicPartition::new(TOPIC, one.partition);
        assert_eq!(difference.partition, Some(partition));
        let found: Vec<i64> = difference.records.iter().map(|own| own.offset).collect();
        assert!(!found.contains(&offset));
        let others = records
            .iter()
            .filter(|(other, own)| *own == key && *other != offset);
        let others: Vec<i64> = others.map(|(offset, _)| *offset).collect();
        assert_eq!(found, others);
        assert_eq!(verdict.tallies.len(), 1);
    }
}
