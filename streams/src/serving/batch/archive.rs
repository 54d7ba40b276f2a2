//! The raw events of one partition, in files by day.

use std::collections::BTreeMap;

use parquet::errors::ParquetError;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::RecordRef;

use crate::serving::snapshot::{Day, EventRows, EventsFile, EventsWriter, Spare, Waiting, paths};

/// A file has events of about so many bytes before they are packed.
const FILE: usize = 64 << 20;
/// When all that is open takes so many bytes the file of the day that takes the most is ended.
const ALL: usize = 128 << 20;

/// When files of more days are open all are ended: what a day takes is not nothing, and which days there
/// are is what strangers say.
const MOST_DAYS: usize = 4_096;

/// Files of events that are being written. What is ended waits to be taken.
pub(super) struct Archive {
    partition: TopicPartition,
    run: String,
    /// There are as many days as events say, and a file is made of many events.
    open: BTreeMap<Day, Open>,
    /// How many bytes what is open takes.
    bytes: usize,
    rows: EventRows,
    spare: Spare,
    /// Ended files with their bytes.
    ended: Vec<(EventsFile, Vec<u8>)>,
}

/// The file of a day.
#[derive(Default)]
struct Open {
    /// Events that are not in it yet.
    waiting: Waiting,
    writer: EventsWriter,
}

impl Open {
    fn bytes(&self) -> usize {
        self.waiting.bytes() + self.writer.bytes()
    }
}

impl Archive {
    /// Of a partition, written by that run.
    pub(super) fn new(partition: TopicPartition, run: &str) -> Self {
        Self {
            partition,
            run: run.to_owned(),
            open: BTreeMap::new(),
            bytes: 0,
            rows: EventRows::default(),
            spare: Spare::default(),
            ended: Vec::new(),
        }
    }

    /// Adds an event whose time is `time`.
    pub(super) fn add(&mut self, time: i64, event: &RecordRef<'_>) -> Result<(), ParquetError> {
        let day = Day::of(time);
        let open = self.open.entry(day).or_default();
        self.bytes -= open.bytes();
        open.waiting.push(event, &mut self.spare);
        if open.waiting.is_group() {
            let (partition, rows) = (self.partition.partition, &mut self.rows);
            let Open { waiting, writer } = open;
            waiting.write(partition, writer, rows, &mut self.spare)?;
        }
        self.bytes += open.bytes();
        if open.waiting.all() >= FILE {
            self.end(day)?;
        }
        if self.open.len() > MOST_DAYS {
            return self.end_all();
        }
        self.trim()
    }

    /// Ends files until what is open is not too much.
    fn trim(&mut self) -> Result<(), ParquetError> {
        while self.bytes + self.spare.bytes() >= ALL {
            if self.spare.shrink() {
                continue;
            }
            let sizes = self.open.iter();
            let largest = sizes.max_by_key(|(day, open)| (open.bytes(), **day));
            let Some((day, _)) = largest else {
                break;
            };
            self.end(*day)?;
        }
        Ok(())
    }

    fn end(&mut self, day: Day) -> Result<(), ParquetError> {
        let Some(open) = self.open.remove(&day) else {
            return Ok(());
        };
        self.bytes -= open.bytes();
        let Open {
            mut waiting,
            mut writer,
        } = open;
        let Some((from, to)) = waiting.range() else {
            return Ok(());
        };
        let partition = self.partition.partition;
        waiting.write(partition, &mut writer, &mut self.rows, &mut self.spare)?;
        let footer = [
            ("tidemark.topic", self.partition.topic.to_string()),
            ("tidemark.partition", partition.to_string()),
            ("tidemark.from", from.to_string()),
            ("tidemark.to", to.to_string()),
        ];
        let rows = writer.rows();
        let bytes = writer.finish(&footer)?;
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

    /// Ends the file of the first day; whether there was one.
    pub(super) fn end_one(&mut self) -> Result<bool, ParquetError> {
        match self.open.keys().next().copied() {
            Some(day) => self.end(day).map(|()| true),
            None => Ok(false),
        }
    }

    /// Ends all files.
    fn end_all(&mut self) -> Result<(), ParquetError> {
        while self.end_one()? {}
        Ok(())
    }

    /// What has been ended since the last call.
    pub(super) fn take(&mut self) -> Vec<(EventsFile, Vec<u8>)> {
        std::mem::take(&mut self.ended)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    use tidemark_client::consumer::Batch;
    use tidemark_protocol::records::BatchBuilder;

    use super::super::delta::records;
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    /// Adds a record at this offset.
    fn add(archive: &mut Archive, time: i64, offset: i64, value: &[u8]) {
        let mut builder = BatchBuilder::new().base_offset(offset);
        builder.append(0, None, Some(value), &[]).unwrap();
        let batch = Batch::parse(builder.build().unwrap()).unwrap();
        let partition = archive.partition.clone();
        records(&partition, &[batch], (0, i64::MAX), |record, _| {
            archive.add(time, record).unwrap();
            Ok(())
        })
        .unwrap();
    }

    /// How many events have been ended since the last call.
    fn rows(archive: &mut Archive) -> u64 {
        archive.take().iter().map(|(file, _)| file.rows).sum()
    }

    /// The offsets of a file are those of its day, in their order, whatever comes between.
    #[test]
    fn each_day_has_a_file() {
        let mut archive = Archive::new(TopicPartition::new("t", 3), "ab12");
        for (offset, day) in [(5, 1), (6, 2), (9, 1), (12, 2), (13, 1)] {
            add(&mut archive, day * DAY + 7, offset, b"v");
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
            add(&mut archive, offset * 37 % 365 * DAY, offset, b"v");
        }
        archive.end_all().unwrap();
        assert_eq!(archive.ended.len(), 365);
        assert_eq!(rows(&mut archive), 3_000);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        // What cannot be packed.
        let numbers = (0..1_u64 << 17).map(|n| (n + 1).wrapping_mul(n ^ 0x9e37_79b9_7f4a_7c15));
        let mut random = 1_u64;
        let value = numbers.flat_map(|n| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(n);
            (random ^ (random >> 29)).to_le_bytes()
        });
        let value: Vec<u8> = value.collect();
        for offset in 0..300_i64 {
            add(&mut archive, offset % 7 * DAY, offset, &value);
            assert!(archive.bytes + archive.spare.bytes() < ALL);
        }
        // No day has enough for a file of its own accord.
        assert!(!archive.ended.is_empty());
    }

    /// Memory of a file that has been written is there for the next one.
    #[test]
    fn what_has_been_written_gives_its_memory_back() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        let value = vec![b'x'; 1 << 16];
        for offset in 0..200_i64 {
            add(&mut archive, 0, offset, &value);
        }
        assert_eq!(archive.spare.bytes(), 0);
        archive.end_all().unwrap();
        let spare = archive.spare.bytes();
        assert!(spare >= 8 << 20, "{spare}");
        for offset in 200..300_i64 {
            add(&mut archive, 0, offset, &value);
        }
        let left = archive.spare.bytes();
        assert!(left <= spare - (4 << 20), "{left} of {spare}");
        archive.end_all().unwrap();
        assert_eq!((rows(&mut archive), archive.bytes), (300, 0));
    }

    /// What is enough for a group is packed: a file takes less than its events do.
    #[test]
    fn the_events_of_a_file_are_packed_as_they_come() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        let value = vec![b'x'; 1 << 16];
        for offset in 0..900_i64 {
            add(&mut archive, 0, offset, &value);
            let taken = archive.bytes + archive.spare.bytes();
            assert!(taken < 34 << 20, "{taken} at {offset}");
        }
        assert!(archive.ended.is_empty());
        archive.end_all().unwrap();
        let [(file, bytes)] = &archive.take()[..] else {
            panic!("one file");
        };
        assert_eq!((file.from, file.to, file.rows), (0, 900, 900));
        let reader = SerializedFileReader::new(Bytes::from(bytes.clone())).unwrap();
        assert!(reader.num_row_groups() > 3);
        let offsets = reader.get_row_iter(None).unwrap();
        let offsets = offsets.map(|row| row.unwrap().get_long(5).unwrap());
        assert!(offsets.eq(0..900));
    }

    /// Headers that are next to nothing in a record are something in a column.
    #[test]
    fn events_of_many_headers_are_packed_in_time() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        let headers: Vec<(&[u8], Option<&[u8]>)> = vec![(b"", None); 1 << 16];
        for offset in 0..9_i64 {
            let mut builder = BatchBuilder::new().base_offset(offset);
            builder.append(0, None, None, &headers).unwrap();
            let batch = Batch::parse(builder.build().unwrap()).unwrap();
            let partition = archive.partition.clone();
            records(&partition, &[batch], (0, i64::MAX), |record, _| {
                archive.add(0, record).unwrap();
                Ok(())
            })
            .unwrap();
        }
        let mut open = archive.open.values();
        assert_eq!(open.next().unwrap().writer.rows(), 8);
        archive.end_all().unwrap();
        assert_eq!(rows(&mut archive), 9);
    }

    /// However far apart the days are that events say.
    #[test]
    fn days_that_wait_are_bounded() {
        let mut archive = Archive::new(TopicPartition::new("t", 0), "ab12");
        let mut ended = 0;
        for offset in 0..10_000_i64 {
            add(&mut archive, offset * 100 * DAY, offset, b"v");
            assert!(archive.open.len() <= MOST_DAYS);
            ended += rows(&mut archive);
        }
        assert_eq!(ended, 2 * (MOST_DAYS as u64 + 1));
    }
}
