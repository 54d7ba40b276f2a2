//! What has to be so in the end.

use std::sync::Arc;

use tidemark_client::TopicPartition;

use super::tasks::CUT;
use super::{KEYS, Node, World};
use crate::serving::batch::BatchError;
use crate::serving::merged::Ask;
use crate::serving::verify::compare;
use crate::serving::{Coverage, VerifyError};

impl World {
    /// When all is quiet and a run has been made at a cut, a node that has all partitions answers with
    /// everything up to the end.
    pub(super) async fn settle(&mut self) {
        self.story.push("in the end:".to_owned());
        self.nodes = vec![Node::new(&self.view, &self.parts)];
        self.log
            .0
            .lock()
            .iter_mut()
            .for_each(|own| own.stable = own.entries.len() as i64);
        let mut cut = Coverage::new();
        for at in 0..self.parts.len() {
            self.tasks[at] = self.restored(at, 0);
            while self.tasks[at].position < self.log.stable(at) {
                self.read_of(at);
            }
            self.tasks[at].live.segments.write().cut_if_due(&CUT, 0);
            self.commit_of(at);
            self.announce(at);
            let announced = self.durable[at].announced.as_ref().unwrap();
            let last = announced.cuts[announced.cuts.len() - 1];
            self.set(&mut cut, at, last);
        }
        if let Err(error) = self.batch_of(Some(&cut), false).await {
            let BatchError::Plan(error) = error else {
                panic!("{self} {error}");
            };
            self.check_refused(&error).await;
            self.batch_of(Some(&cut), true).await.unwrap();
        }
        self.load_on(0, 0).await;
        self.enter_all();
        let site = Arc::clone(&self.nodes[0].site);
        for key in 0..KEYS {
            let merged = site.get(&[key], &Ask::default());
            let merged = merged.unwrap_or_else(|error| panic!("{self} {error}; cut {cut}"));
            let numbers = self.snapshots.numbers().await.unwrap();
            assert_eq!(merged.snapshot, numbers.last().copied(), "{self}");
            for at in 0..self.parts.len() {
                let to = self.offset(&merged.coverage, at);
                assert_eq!(to, self.log.stable(at), "{self}");
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
        let own = |at: usize| {
            let own = manifest.partition(self.topic(at), self.parts[at].1);
            own.unwrap().clone()
        };
        let own: Vec<_> = (0..self.parts.len()).map(own).collect();
        let mut gone = own.iter().enumerate();
        if gone.any(|(at, own)| self.log.start(at) > own.begin && own.to > own.begin) {
            assert!(
                matches!(compared, Err(VerifyError::Gone { .. })),
                "{self} {compared:?}"
            );
            self.seen.note("gone from the log", 1);
            return;
        }
        let verdict = compared.unwrap();
        assert!(verdict.is_good(), "{self} {verdict:?}");
        self.seen.note("verified", 1);
        let at = self.partition();
        let records = self.log.records(at, own[at].begin, own[at].to);
        if records.is_empty() {
            return;
        }
        let (offset, key) = records[self.chance.below(records.len() as u64) as usize];
        self.log.0.lock()[at].entries[offset as usize] = None;
        let verdict = compare(&self.view, &*self.log, &self.snapshots, &manifest)
            .await
            .unwrap();
        let [difference] = &verdict.differences[..] else {
            panic!("{self} {verdict:?}");
        };
        let partition = TopicPartition::new(self.topic(at), self.parts[at].1);
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
