//! Reads the log again: as far as is asked for, and on from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Batch, RecordRef};

use super::{MOST_RECORDS, RecordPlace, VerifyError};
use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{BatchError, Log, Reader, TopicBounds, raw, records};
use crate::serving::view::{Scratch, View};

/// A partition that is read bit by bit.
pub(super) struct Reading<R> {
    partition: TopicPartition,
    /// `None` as long as nothing had to be read.
    reader: Option<R>,
    position: i64,
    /// What the reader has brought last, which may go on behind the position: up to `fetched_to`.
    fetched: Vec<Batch>,
    fetched_to: i64,
}

impl<R: Reader> Reading<R> {
    pub(super) fn new(partition: TopicPartition, from: i64) -> Self {
        Self {
            partition,
            reader: None,
            position: from,
            fetched: Vec::new(),
            fetched_to: from,
        }
    }

    pub(super) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Everything below has been told.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Tells the records up to an offset, which the log has to have.
    pub(super) async fn up_to<L: Log<Reader = R>>(
        &mut self,
        log: &L,
        to: i64,
        mut tell: impl FnMut(&TopicPartition, &RecordRef<'_>, &Bytes),
    ) -> Result<(), BatchError> {
        while self.position < to {
            if self.position >= self.fetched_to {
                let reader = match &mut self.reader {
                    Some(reader) => reader,
                    None => {
                        let reader = log.read(self.partition.clone(), self.position)?;
                        self.reader.insert(reader)
                    }
                };
                (self.fetched, self.fetched_to) = reader.next().await?;
            }
            let until = to.min(self.fetched_to);
            let range = (self.position, until);
            records(&self.partition, &self.fetched, range, |record, buffer| {
                tell(&self.partition, record, buffer);
                Ok(())
            })?;
            self.position = until.max(self.position);
        }
        Ok(())
    }
}

/// The partitions of the topics of which something has no word.
pub(super) fn uncovered<'a>(
    bounds: &'a [TopicBounds],
    covers: impl Fn(&str, i32) -> bool + 'a,
) -> impl Iterator<Item = TopicPartition> + 'a {
    let all = bounds.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(move |own| (&*topic.topic, own.partition))
    });
    all.filter(move |(topic, partition)| !covers(topic, *partition))
        .map(|(topic, partition)| TopicPartition::new(topic, partition))
}

/// Makes sure that the log has a range.
pub(super) fn check_range(
    bounds: &[TopicBounds],
    partition: &TopicPartition,
    (begin, to): (i64, i64),
) -> Result<(), VerifyError> {
    let topic = bounds.iter().find(|own| *own.topic == *partition.topic);
    let own = topic.and_then(|topic| {
        let mut partitions = topic.partitions.iter();
        partitions.find(|own| own.partition == partition.partition)
    });
    let Some(own) = own else {
        return Err(VerifyError::Unknown {
            partition: partition.clone(),
            topics: bounds.iter().map(|own| own.topic.clone()).collect(),
        });
    };
    if to > own.end {
        return Err(VerifyError::Future {
            partition: partition.clone(),
            wanted: to,
            end: own.end,
        });
    }
    if own.start > begin && to > begin {
        return Err(VerifyError::Gone {
            partition: partition.clone(),
            begin,
            log_start: own.start,
        });
    }
    Ok(())
}

/// Whose records are looked for: a key with its window, and up to where.
pub(super) struct Wanted {
    pub(super) name: Vec<u8>,
    pub(super) until: Coverage,
}

/// The records of a key: the first ones, and how many there are beside them.
#[derive(Clone, Default)]
pub(super) struct Records {
    pub(super) first: Vec<RecordPlace>,
    pub(super) more: u64,
}

/// Reads ranges once more for the records of some keys: one list each.
pub(super) async fn find_records<K: Data, A: Aggregate, L: Log>(
    view: &Arc<View<K, A>>,
    log: &L,
    ranges: &[(usize, TopicPartition, (i64, i64))],
    wanted: &[Wanted],
) -> Result<Vec<Records>, BatchError> {
    let mut found = vec![Records::default(); wanted.len()];
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut by_name: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (at, own) in wanted.iter().enumerate() {
        by_name.entry(&own.name).or_default().push(at);
    }
    let mut scratch = Scratch::default();
    for (number, partition, (from, to)) in ranges {
        let mut reading = Reading::new(partition.clone(), *from);
        let tell = |partition: &TopicPartition, record: &RecordRef<'_>, buffer: &Bytes| {
            let raw = raw(partition.partition, record, buffer);
            let mut own = Vec::new();
            let read = view.read(*number, &raw, &mut scratch, |name, _, _| {
                own.extend(by_name.get(name).into_iter().flatten().copied());
            });
            // A record may be several events of a key.
            own.sort_unstable();
            own.dedup();
            for at in own.into_iter().filter(|_| read.is_ok()) {
                let until = wanted[at].until.get(&partition.topic, partition.partition);
                let of = &mut found[at];
                if record.offset >= until {
                    continue;
                }
                if of.first.len() >= MOST_RECORDS {
                    of.more += 1;
                    continue;
                }
                of.first.push(RecordPlace {
                    partition: partition.clone(),
                    offset: record.offset,
                });
            }
        };
        reading.up_to(log, *to, tell).await?;
    }
    Ok(found)
}
