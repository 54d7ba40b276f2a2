//! The raw events of one partition, in files by day.

use std::collections::BTreeMap;

use parquet::errors::ParquetError;
use tidemark_client::TopicPartition;

use crate::serving::snapshot::{Day, Event, EventsFile, EventsWriter, paths};

/// A file is written of events that have about so many bytes.
const FILE: usize = 64 << 20;
/// When all events that wait have so many bytes a file is written of the day that has the most.
const ALL: usize = 128 << 20;

/// Files of events that are being written. What is ended waits to be taken.
pub(super) struct Archive {
    partition: TopicPartition,
    run: String,
    open: BTreeMap<Day, Open>,
    /// How many bytes wait.
    bytes: usize,
    /// Ended files with their bytes.
    ended: Vec<(EventsFile, Vec<u8>)>,
}

/// Events of a day that wait: there are as many days as events say, and a file is made of many events.
#[derive(Default)]
struct Open {
    events: Vec<Event>,
    bytes: usize,
}

impl Archive {
    /// Of a partition, written by that run.
    pub(super) fn new(partition: TopicPartition, run: &str) -> Self {
        Self {
            partition,
            run: run.to_owned(),
            open: BTreeMap::new(),
            bytes: 0,
            ended: Vec::new(),
        }
    }

    /// Adds an event whose time is `time`.
    pub(super) fn add(&mut self, time: i64, event: Event) -> Result<(), ParquetError> {
        let day = Day::of(time);
        let open = self.open.entry(day).or_default();
        let bytes = event.bytes();
        open.bytes += bytes;
        self.bytes += bytes;
        open.events.push(event);
        if open.bytes >= FILE {
            self.end(day)?;
        }
        Ok(())
    }

    /// Ends files until what is open is not too much.
    pub(super) fn trim(&mut self) -> Result<(), ParquetError> {
        while self.bytes >= ALL {
            let sizes = self.open.iter();
            let largest = sizes.max_by_key(|(day, open)| (open.bytes, **day));
            let Some((day, _)) = largest else {
                break;
            };
            self.end(*day)?;
        }
        Ok(())
    }

    fn end(&mut self, day: Day) -> Result<(), ParquetError> {
        let Some(Open { events, bytes }) = self.open.remove(&day) else {
            return Ok(());
        };
        self.bytes -= bytes;
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Ok(());
        };
        let (from, to) = (first.offset, last.offset + 1);
        let partition = self.partition.partition;
        let footer = [
            ("tidemark.topic", self.partition.topic.to_string()),
            ("tidemark.partition", partition.to_string()),
            ("tidemark.from", from.to_string()),
            ("tidemark.to", to.to_string()),
        ];
        let mut writer = EventsWriter::new(&footer)?;
        for event in events {
            writer.push(event)?;
        }
        let rows = writer.rows();
        let bytes = writer.finish()?;
        let file = EventsFile {
            path: paths::events(&self.partition, day, (from, to), &self.run),
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
    pub(super) fn end_all(&mut self) -> Result<(), ParquetError> {
        while let Some(day) = self.open.keys().next().copied() {
            self.end(day)?;
        }
        Ok(())
    }

    /// What has been ended since the last call.
    pub(super) fn take(&mut self) -> Vec<(EventsFile, Vec<u8>)> {
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

    /// However many days events are of, and in whatever order, each day has one file as long as they all have
    /// room.
    #[test]
    fn events_of_many_days_are_in_few_files() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        for offset in 0..3_000_i64 {
            archive.add(offset * 37 % 365 * DAY, event(offset)).unwrap();
            archive.trim().unwrap();
        }
        archive.end_all().unwrap();
        let files = archive.take();
        let rows: u64 = files.iter().map(|(file, _)| file.rows).sum();
        assert_eq!((files.len(), rows), (365, 3_000));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        for offset in 0..300_i64 {
            let value = vec![b'x'; 1 << 20].into();
            let event = Event {
                value: Some(value),
                ..event(offset)
            };
            archive.add(offset % 7 * DAY, event).unwrap();
            archive.trim().unwrap();
            assert!(archive.bytes < ALL);
        }
    }
}
