//! What the storage's tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::records::{BatchBuilder, BatchHeader, BatchView, Compression, Records};

use super::*;
use crate::environment::{Disk, MemoryDisk};
use crate::types::{LeaderEpoch, Monotonic, Now, Offset, Timestamp};

/// A batch to be made.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) value_bytes: usize,
    pub(crate) producer: Option<(i64, i16, i32)>,
    pub(crate) compression: Compression,
    pub(crate) transactional: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            timestamps: vec![1_000],
            value_bytes: 10,
            producer: None,
            compression: Compression::None,
            transactional: false,
        }
    }
}

impl Shape {
    /// `count` records, all with the same timestamp.
    pub(crate) fn of(count: usize, timestamp: i64) -> Self {
        Self {
            timestamps: vec![timestamp; count],
            ..Self::default()
        }
    }

    /// A batch of `count` records of an idempotent producer.
    pub(crate) fn from_producer(id: i64, epoch: i16, sequence: i32, count: usize) -> Self {
        Self {
            producer: Some((id, epoch, sequence)),
            ..Self::of(count, 1_000)
        }
    }

    pub(crate) fn build(&self) -> (BatchHeader, Bytes) {
        let mut builder = BatchBuilder::new()
            .compression(self.compression, None)
            .transactional(self.transactional);
        if let Some((id, epoch, sequence)) = self.producer {
            builder = builder.producer(id, epoch, sequence);
        }
        for (index, timestamp) in self.timestamps.iter().enumerate() {
            let value = vec![index as u8; self.value_bytes];
            builder
                .append(*timestamp, Some(b"k"), Some(&value), &[])
                .unwrap();
        }
        header_of(builder.build().unwrap())
    }
}

pub(crate) fn header_of(bytes: Bytes) -> (BatchHeader, Bytes) {
    (BatchView::parse(&bytes).unwrap().header(), bytes)
}

pub(crate) fn now(ms: i64) -> Now {
    Now {
        wall: Timestamp(ms),
        monotonic: Monotonic(ms as u64),
    }
}

pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

/// Small enough that a few batches fill an index interval and a few more a segment.
pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 2_000,
        index_interval_bytes: 150,
        segment_index_bytes: 240,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// A log on a disk in memory, with what its data directory would remember of it.
pub(crate) struct Bench {
    pub(crate) disk: MemoryDisk,
    pub(crate) config: LogConfig,
    pub(crate) start: LogStart,
    pub(crate) log: Option<Log>,
}

impl Bench {
    pub(crate) fn new(config: LogConfig) -> Self {
        let disk = MemoryDisk::new();
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let mut bench = Self {
            disk,
            config,
            start: LogStart::default(),
            log: None,
        };
        bench.reopen().unwrap();
        bench
    }

    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    pub(crate) fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("the log is open")
    }

    pub(crate) fn reopen(&mut self) -> Result<RecoveryReport, StorageError> {
        let (log, report) = Log::open(
            self.shared(),
            &dir(),
            None,
            self.config.clone(),
            self.start,
            now(5_000),
        )?;
        self.log = Some(log);
        Ok(report)
    }

    pub(crate) fn append(&mut self, shape: &Shape) -> Result<Appended, StorageError> {
        let (header, bytes) = shape.build();
        self.log()
            .append(&header, &bytes, LeaderEpoch(0), now(5_000))
    }

    /// Syncs, as the flusher does, and remembers the recovery point.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        let disk = self.disk.clone();
        if let Some(plan) = self.log().flush_plan() {
            match plan.run(&disk) {
                Ok(()) => self.log().flushed(plan.up_to()),
                Err(error) => {
                    self.log().fail("a sync failed");
                    return Err(error);
                }
            }
        }
        self.start.recovery_point = self.log().last_flushed();
        Ok(())
    }

    /// Closes in order and opens again.
    pub(crate) fn restart(&mut self) -> RecoveryReport {
        let log = self.log.take().expect("the log is open");
        self.start.log_start = log.start_offset();
        self.start.recovery_point = log.close().unwrap();
        self.start.clean = true;
        let report = self.reopen().unwrap();
        self.start.clean = false;
        report
    }

    /// The power goes; then the log is opened again.
    pub(crate) fn crash(&mut self, seed: u64) -> Result<RecoveryReport, StorageError> {
        self.log = None;
        self.disk.crash(seed);
        self.start.clean = false;
        self.reopen()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.disk
            .list(&dir())
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect()
    }
}

/// Offset, timestamp and value of every record between two offsets, each batch's CRC checked.
pub(crate) fn records(log: &Log, from: Offset, upper: Offset) -> Vec<(i64, i64, Vec<u8>)> {
    let mut found = Vec::new();
    for batch in log.scan(from, upper) {
        let batch = batch.unwrap();
        let view = BatchView::parse(&batch).unwrap();
        view.validate_crc().unwrap();
        let section = view.uncompressed_records(1 << 24).unwrap();
        for record in Records::new(&section, view.header().records_count) {
            let record = record.unwrap();
            let offset = view.header().base_offset + i64::from(record.offset_delta);
            let timestamp = view.record_timestamp(record.timestamp_delta);
            found.push((offset, timestamp, record.value.unwrap().to_vec()));
        }
    }
    found
}
