//! Topics in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_client::consumer::Batch;
use tidemark_client::producer::{DefaultPartitioner, Partitioner};
use tidemark_protocol::records::{BatchBuilder, BuildError};

use crate::record::Headers;

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp: i64,
    pub(super) headers: Headers,
}

/// Partitions of topics.
#[derive(Debug, Default)]
pub(super) struct Logs {
    partitions: BTreeMap<Arc<str>, Vec<Vec<Stored>>>,
    counts: BTreeMap<Arc<str>, u32>,
    /// Below which offset partitions have been cut: what is there does not count for tasks.
    cuts: BTreeMap<(Arc<str>, u32), usize>,
    /// Where records without a key go next.
    turn: usize,
}

impl Logs {
    pub(super) fn set_partitions(&mut self, topic: &str, count: u32) {
        self.counts.insert(topic.into(), count);
    }

    pub(super) fn count(&self, topic: &str) -> u32 {
        self.counts.get(topic).copied().unwrap_or(1)
    }

    /// Appends a record, to the partition of its key unless another one is named.
    pub(super) fn append(&mut self, topic: &Arc<str>, partition: Option<u32>, record: Stored) {
        let count = self.count(topic);
        let by_key = DefaultPartitioner.partition(topic, record.key.as_deref(), None, count);
        let at = partition.or(by_key).unwrap_or_else(|| {
            self.turn += 1;
            self.turn as u32 % count
        });
        let logs = self.partitions.entry(Arc::clone(topic)).or_default();
        let wanted = (count as usize).max(at as usize + 1);
        if logs.len() < wanted {
            logs.resize(wanted, Vec::new());
        }
        logs[at as usize].push(record);
    }

    pub(super) fn partition(&self, topic: &str, partition: u32) -> &[Stored] {
        let logs = self.partitions.get(topic);
        let log = logs.and_then(|logs| logs.get(partition as usize));
        log.map(Vec::as_slice).unwrap_or_default()
    }

    /// Deletes the records of a partition below an offset.
    pub(super) fn cut(&mut self, topic: &Arc<str>, partition: u32, upto: usize) {
        let cut = self.cuts.entry((Arc::clone(topic), partition)).or_default();
        *cut = upto.max(*cut);
    }

    /// The first and the last offset of a partition.
    pub(super) fn range(&self, topic: &Arc<str>, partition: u32) -> (usize, usize) {
        let cut = self.cuts.get(&(Arc::clone(topic), partition));
        let end = self.partition(topic, partition).len();
        (cut.copied().unwrap_or_default(), end)
    }

    /// Records of a partition from an offset on, as one batch; the offset behind it.
    pub(super) fn batch(
        &self,
        topic: &str,
        partition: u32,
        from: usize,
    ) -> Result<(Vec<Batch>, i64), BuildError> {
        let log = self.partition(topic, partition);
        let records = log.get(from..).unwrap_or_default();
        if records.is_empty() {
            return Ok((Vec::new(), log.len() as i64));
        }
        let mut builder = BatchBuilder::new().base_offset(from as i64);
        for record in records {
            let headers: Vec<_> = record.headers.iter().collect();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder.append(record.timestamp, key, value, &headers)?;
        }
        let batch = Batch::parse(builder.build()?).expect("a built batch is one");
        Ok((vec![batch], log.len() as i64))
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &Vec<Vec<Stored>>)> {
        self.partitions.iter()
    }
}
