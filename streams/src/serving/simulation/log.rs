//! A log in memory, with transactions that are aborted or still open, control records and what compaction
//! has taken.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::Batch;
use tidemark_protocol::records::BatchBuilder;

use crate::serving::batch::{BatchError, Log, PartitionBounds, Reader, TopicBounds};

pub(crate) const TOPICS: [&str; 2] = ["events", "others"];
pub(crate) const TOPIC: &str = TOPICS[0];

/// What is at an offset: a committed record with its key, or nothing that anybody sees.
pub(crate) type Entry = Option<u8>;

/// One partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    pub(crate) start: i64,
    /// From offset 0 on, those in front of `start` among them: they are the truth about what was there.
    pub(crate) entries: Vec<Entry>,
    /// What is behind it is in transactions that have not ended.
    pub(crate) stable: i64,
}

/// Some partitions, and the number of each one's topic. Those of a topic follow one another; where nothing is
/// said they are of the first one.
#[derive(Clone, Default)]
pub(crate) struct MemoryLog(
    pub(crate) Arc<Mutex<Vec<Partition>>>,
    pub(crate) Arc<[usize]>,
);

impl MemoryLog {
    /// The records with offsets in `[from, to)` of the partition at that place, as a reader gets them.
    pub(crate) fn records(&self, at: usize, from: i64, to: i64) -> Vec<(i64, u8)> {
        let partitions = self.0.lock();
        let all = &partitions[at].entries;
        let place = |offset: i64| usize::try_from(offset).unwrap().min(all.len());
        let entries = all[place(from)..place(to.max(from))].iter();
        entries
            .zip(from..)
            .filter_map(|(entry, offset)| Some((offset, (*entry)?)))
            .collect()
    }

    pub(crate) fn stable(&self, at: usize) -> i64 {
        self.0.lock()[at].stable
    }

    pub(crate) fn start(&self, at: usize) -> i64 {
        self.0.lock()[at].start
    }

    fn topic(&self, at: usize) -> &'static str {
        TOPICS[self.1.get(at).copied().unwrap_or(0)]
    }

    /// The place of a partition.
    fn find(&self, of: &TopicPartition) -> usize {
        let all = 0..self.0.lock().len();
        let mut own = all.filter(|at| self.topic(*at) == &*of.topic);
        own.nth(usize::try_from(of.partition).unwrap()).unwrap()
    }
}

impl Log for MemoryLog {
    type Reader = MemoryReader;

    async fn bounds(&self, topics: &[String]) -> Result<Vec<TopicBounds>, BatchError> {
        let partitions = self.0.lock();
        let all = topics.iter().map(|topic| {
            let own = partitions.iter().enumerate();
            let own = own.filter(|(at, _)| self.topic(*at) == topic);
            let own = own.zip(0..).map(|((_, own), partition)| PartitionBounds {
                partition,
                start: own.start,
                end: own.stable,
            });
            TopicBounds {
                topic: topic.clone(),
                id: "1".to_owned(),
                partitions: own.collect(),
            }
        });
        Ok(all.collect())
    }

    fn read(&self, partition: TopicPartition, from: i64) -> Result<MemoryReader, BatchError> {
        Ok(MemoryReader {
            log: self.clone(),
            at: self.find(&partition),
            position: from,
        })
    }
}

pub(crate) struct MemoryReader {
    log: MemoryLog,
    at: usize,
    position: i64,
}

impl Reader for MemoryReader {
    async fn next(&mut self) -> Result<(Vec<Batch>, i64), BatchError> {
        let to = (self.position + 5).min(self.log.stable(self.at));
        assert!(
            to > self.position,
            "nobody reads where there is nothing more"
        );
        assert!(
            self.position >= self.log.start(self.at),
            "what is read was there when it was planned"
        );
        let mut batches = Vec::new();
        for (offset, key) in self.log.records(self.at, self.position, to) {
            let mut builder = BatchBuilder::new().base_offset(offset);
            builder
                .append(1_000 * offset, Some(&[key]), Some(b"v"), &[])
                .unwrap();
            batches.push(Batch::parse(builder.build().unwrap()).unwrap());
        }
        self.position = to;
        Ok((batches, to))
    }
}
