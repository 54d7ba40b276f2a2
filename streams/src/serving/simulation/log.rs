//! A log in memory, with transactions that are aborted or still open, control records and what compaction
//! has taken.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::Batch;
use tidemark_protocol::records::BatchBuilder;

use crate::serving::batch::{BatchError, Log, PartitionBounds, Reader, TopicBounds};

pub(crate) const TOPIC: &str = "events";

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

/// Some partitions.
#[derive(Clone, Default)]
pub(crate) struct MemoryLog(pub(crate) Arc<Mutex<Vec<Partition>>>);

impl MemoryLog {
    /// The records with offsets in `[from, to)`, as a reader gets them.
    pub(crate) fn records(&self, partition: i32, from: i64, to: i64) -> Vec<(i64, u8)> {
        let partitions = self.0.lock();
        let own = &partitions[partition as usize];
        let entries = own.entries.iter().zip(0_i64..);
        let entries = entries.filter(|(_, offset)| (from..to).contains(offset));
        entries
            .filter_map(|(entry, offset)| Some((offset, (*entry)?)))
            .collect()
    }

    pub(crate) fn stable(&self, partition: i32) -> i64 {
        self.0.lock()[partition as usize].stable
    }

    pub(crate) fn start(&self, partition: i32) -> i64 {
        self.0.lock()[partition as usize].start
    }
}

impl Log for MemoryLog {
    type Reader = MemoryReader;

    async fn bounds(&self, _topics: &[String]) -> Result<Vec<TopicBounds>, BatchError> {
        let partitions = self.0.lock();
        let partitions = partitions.iter().zip(0..);
        let partitions = partitions.map(|(own, partition)| PartitionBounds {
            partition,
            start: own.start,
            end: own.stable,
        });
        Ok(vec![TopicBounds {
            topic: TOPIC.to_owned(),
            id: "1".to_owned(),
            partitions: partitions.collect(),
        }])
    }

    fn read(&self, partition: TopicPartition, from: i64) -> Result<MemoryReader, BatchError> {
        Ok(MemoryReader {
            log: self.clone(),
            partition: partition.partition,
            position: from,
        })
    }
}

pub(crate) struct MemoryReader {
    log: MemoryLog,
    partition: i32,
    position: i64,
}

impl Reader for MemoryReader {
    async fn next(&mut self) -> Result<(Vec<Batch>, i64), BatchError> {
        let to = (self.position + 5).min(self.log.stable(self.partition));
        assert!(
            to > self.position,
            "nobody reads where there is nothing more"
        );
        assert!(
            self.position >= self.log.start(self.partition),
            "what is read was there when it was planned"
        );
        let mut batches = Vec::new();
        for (offset, key) in self.log.records(self.partition, self.position, to) {
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
