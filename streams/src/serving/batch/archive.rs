//! The raw events of one partition, in files by day.

use std::collections::BTreeMap;

use parquet::errors::ParquetError;
use tidemark_client::TopicPartition;

use crate::serving::snapshot::{Day, Event, EventsFile, EventsWriter, events_path};

/// A file is ended when it has about so many bytes.
const FILE: usize = 64 << 20;
/// When all open files together have so many bytes the largest one is ended.
const ALL: usize = 128 << 20;
/// Events of so many days at once are in open files: old ones that come late are of any day.
const DAYS: usize = 32;

/// Files of events that are being written. What is ended waits to be taken.
pub(crate) struct Archive {
    partition: TopicPartition,
    run: String,
    open: BTreeMap<Day, Open>,
    /// Ended files with their bytes.
    ended: Vec<(EventsFile, Vec<u8>)>,
}

struct Open {
    writer: EventsWriter,
    from: i64,
    to: i64,
}

impl Archive {
    /// Of a partition, written by that run.
    pub(crate) fn new(partition: TopicPartition, run: &str) -> Self {
        Self {
            partition,
            run: run.to_owned(),
            open: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    /// Adds an event whose time is `time`.
    pub(crate) fn add(&mut self, time: i64, event: Event) -> Result<(), ParquetError> {
        let day = Day::of(time);
        if !self.open.contains_key(&day) && self.open.len() >= DAYS {
            self.end_largest()?;
        }
        let offset = event.offset;
        let open = match self.open.entry(day) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let footer = [
                    ("tidemark.topic", self.partition.topic.to_string()),
                    ("tidemark.partition", self.partition.partition.to_string()),
                    ("tidemark.from", offset.to_string()),
                ];
                free.insert(Open {
                    writer: EventsWriter::new(&footer)?,
                    from: offset,
                    to: offset,
                })
            }
        };
        open.to = offset + 1;
        open.writer.push(event)?;
        if open.writer.size() >= FILE {
            self.end(day)?;
        }
        Ok(())
    }

    /// Ends files until what is open is not too much.
    pub(crate) fn trim(&mut self) -> Result<(), ParquetError> {
        while self.size() >= ALL {
            self.end_largest()?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.open.values().map(|open| open.writer.size()).sum()
    }

    fn end_largest(&mut self) -> Result<(), ParquetError> {
        let sizes = self.open.iter();
        let largest = sizes.max_by_key(|(day, open)| (open.writer.size(), **day));
        match largest.map(|(day, _)| *day) {
            Some(day) => self.end(day),
            None => Ok(()),
        }
    }

    fn end(&mut self, day: Day) -> Result<(), ParquetError> {
        let Some(Open {
            mut writer,
            from,
            to,
        }) = self.open.remove(&day)
        else {
            return Ok(());
        };
        let rows = writer.rows();
        writer.note("tidemark.to", to);
        let bytes = writer.finish()?;
        let partition = self.partition.partition;
        let file = EventsFile {
            path: events_path(&self.partition, day, (from, to), &self.run),
            topic: self.partition.topic.to_string(),
            partition,
            from,
            to,
            bytes: bytes.len() as u64,
            crc32: crc32fast::hash(&bytes),
            rows,
        };
        self.ended.push((file, bytes));
        Ok(())
    }

    /// Ends all files.
    pub(crate) fn end_all(&mut self) -> Result<(), ParquetError> {
        while let Some(day) = self.open.keys().next().copied() {
            self.end(day)?;
        }
        Ok(())
    }

    /// What has been ended since the last call.
    pub(crate) fn take(&mut self) -> Vec<(EventsFile, Vec<u8>)> {
        std::mem::take(&mut self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn event(offset: i64) -> Event {
        Event {
            offset,
            ..Event::default()
        }
    }

    /// The offsets of a file are those of its day, in their order, whatever comes between.
    #[test]
    fn each_day_has_a_file() {
        let mut archive = Archive::new(TopicPartition::new("t", 3), "ab12");
        for (offset, day) in [(5, 1), (6, 2), (9, 1), (12, 2), (13, 1)] {
            archive.add(day * DAY + 7, event(offset)).unwrap();
        }
        assert!(archive.take().is_empty());
        archive.end_all().unwrap();
        let files: Vec<_> = archive.take().into_iter().map(|(file, _)| file).collect();
        let found = files.iter().map(|file| (&*file.path, file.rows));
        let expected = [
            (
                "events/topic=t/year=1970/month=01/day=02/part-3-5-14-ab12.parquet",
                3,
            ),
            (
                "events/topic=t/year=1970/month=01/day=03/part-3-6-13-ab12.parquet",
                2,
            ),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    /// However many days events are of, few files are open.
    #[test]
    fn open_files_are_bounded() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        for offset in 0..200_i64 {
            archive.add(offset * DAY, event(offset)).unwrap();
            assert!(archive.open.len() <= DAYS);
        }
        archive.end_all().unwrap();
        let rows: u64 = archive.take().iter().map(|(file, _)| file.rows).sum();
        assert_eq!(rows, 200);
    }
}
