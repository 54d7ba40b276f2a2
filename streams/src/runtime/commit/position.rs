//! What is kept with a commit: positions, watermarks and how far changelogs belong to it, in the
//! metadata of the group's offsets. All offsets of a commit are written by one request, so they are
//! there together or not at all.

use std::collections::BTreeMap;

use tidemark_client::TopicPartition;
use tidemark_client::consumer::CommittedOffset;

use crate::error::StreamsError;
use crate::runtime::shared::store_hashes;
use crate::runtime::task::Position;
use crate::state::StoreTime;
use crate::topology::Topology;

/// The most bytes that an offset's metadata may have (Kafka: `offset.metadata.max.bytes`).
const MOST_METADATA: usize = 4096;
const VERSION: u8 = 1;

/// A task's last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// How many commits there have been.
    pub(crate) number: u64,
    pub(crate) position: Position,
    /// By the topology's number of a store: the offset behind the last record of its changelog that
    /// belongs to the commit.
    pub(crate) changelogs: BTreeMap<usize, i64>,
}

/// Why a commit cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PositionError {
    #[error(
        "a task with {stores} stores has more to keep with a commit than the {MOST_METADATA} bytes \
         that Kafka has for it"
    )]
    TooLong { stores: usize },
    #[error(
        "{0}: the group's offset was not written by this application, so its state does not belong \
         to it"
    )]
    Foreign(TopicPartition),
    #[error(
        "{0}: the group's offset is not of the same commit as those of the task's other partitions, \
         so its state does not belong to it"
    )]
    Mixed(TopicPartition),
    #[error(
        "{0}: the group has no offset, but others of the task have: the topic was made again, or is \
         a new one, and its state does not belong to it"
    )]
    Missing(TopicPartition),
}

impl Committed {
    /// The offsets to commit. `hash` names a store in few bytes.
    pub(crate) fn to_offsets(
        &self,
        hash: &dyn Fn(usize) -> u32,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>, PositionError> {
        // What belongs to the whole task stands with each of its partitions: whichever of them is
        // there tells all, and offsets of different commits show.
        let mut task = self.number.to_be_bytes().to_vec();
        task.extend(self.position.watermark.to_be_bytes());
        for (store, time) in &self.position.stores {
            task.extend(hash(*store).to_be_bytes());
            task.extend(time.stream_time.to_be_bytes());
            task.extend(time.closed.to_be_bytes());
            let end = self.changelogs.get(store).copied().unwrap_or(-1);
            task.extend(end.to_be_bytes());
        }
        let mut offsets = Vec::with_capacity(self.position.inputs.len());
        for (partition, offset, watermark) in &self.position.inputs {
            let mut bytes = vec![VERSION];
            bytes.extend(watermark.to_be_bytes());
            bytes.extend(&task);
            let metadata = to_text(&bytes);
            if metadata.len() > MOST_METADATA {
                return Err(PositionError::TooLong {
                    stores: self.position.stores.len(),
                });
            }
            let mut committed = CommittedOffset::new(*offset);
            committed.metadata = metadata;
            offsets.push((partition.clone(), committed));
        }
        Ok(offsets)
    }

    /// What a task committed last, from the offsets of its partitions; `None` if it never did. If
    /// `lenient`, partitions may be missing, which begin anew, and may have been other tasks' before.
    pub(crate) fn from_offsets(
        inputs: &[TopicPartition],
        stores: &[usize],
        offsets: &std::collections::HashMap<TopicPartition, CommittedOffset>,
        hash: &dyn Fn(usize) -> u32,
        lenient: bool,
    ) -> Result<Option<Self>, PositionError> {
        let mut committed: Option<Self> = None;
        let mut missing = None;
        for partition in inputs {
            let Some(offset) = offsets.get(partition) else {
                missing = Some(partition);
                continue;
            };
            let foreign = || PositionError::Foreign(partition.clone());
            let bytes = from_text(&offset.metadata).ok_or_else(foreign)?;
            let mut rest = &bytes[..];
            if take::<1>(&mut rest) != Some([VERSION]) {
                return Err(foreign());
            }
            let watermark = number(&mut rest).ok_or_else(foreign)?;
            let task = read_task(rest, stores, hash).ok_or_else(foreign)?;
            let known = committed.get_or_insert_with(|| task.clone());
            if known.number != task.number {
                if !lenient {
                    return Err(PositionError::Mixed(partition.clone()));
                }
                known.unite(task);
            }
            let position = (partition.clone(), offset.offset, watermark);
            known.position.inputs.push(position);
        }
        match (missing, &committed) {
            (Some(partition), Some(_)) if !lenient => {
                Err(PositionError::Missing(partition.clone()))
            }
            _ => Ok(committed),
        }
    }

    /// Makes one of the last commits of two tasks that have become one.
    fn unite(&mut self, other: Self) {
        self.number = self.number.max(other.number);
        let watermark = &mut self.position.watermark;
        *watermark = (*watermark).min(other.position.watermark);
        for (store, time) in other.position.stores {
            if self.position.stores.iter().all(|(own, _)| *own != store) {
                self.position.stores.push((store, time));
            }
        }
        for (store, end) in other.changelogs {
            self.changelogs.entry(store).or_insert(end);
        }
    }
}

/// Whether what a task of each subtopology has to keep fits, and its stores can be told apart by
/// their hashes.
pub(crate) fn check_stores(topology: &Topology) -> Result<(), StreamsError> {
    const EACH: usize = 28;
    const ELSE: usize = 25;
    let most = (MOST_METADATA / 4 * 3 - ELSE) / EACH;
    let mut problems = Vec::new();
    let hashes = store_hashes(topology);
    for part in topology.subtopologies.iter() {
        let mut names = BTreeMap::new();
        for store in &part.stores {
            let name = &topology.stores[*store].name;
            if let Some(other) = names.insert(hashes[*store], name) {
                problems.push(format!(
                    "stores {other:?} and {name:?}: their names have one hash: rename one"
                ));
            }
        }
        if part.stores.len() > most {
            problems.push(format!(
                "{} operators keep state without a topic between them, more than the {most} that a \
                 commit has room for: put a topic in between (through, repartition)",
                part.stores.len()
            ));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(StreamsError::Topology(problems))
    }
}

/// What belongs to the whole task.
fn read_task(mut rest: &[u8], stores: &[usize], hash: &dyn Fn(usize) -> u32) -> Option<Committed> {
    let rest = &mut rest;
    let mut committed = Committed {
        number: u64::from_be_bytes(take(rest)?),
        ..Committed::default()
    };
    committed.position.watermark = number(rest)?;
    while !rest.is_empty() {
        let name = u32::from_be_bytes(take(rest)?);
        let time = StoreTime {
            stream_time: number(rest)?,
            closed: number(rest)?,
        };
        let end = number(rest)?;
        if let Some(store) = stores.iter().find(|store| hash(**store) == name) {
            committed.position.stores.push((*store, time));
            if end >= 0 {
                committed.changelogs.insert(*store, end);
            }
        }
    }
    Some(committed)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

fn number(rest: &mut &[u8]) -> Option<i64> {
    take::<8>(rest).map(i64::from_be_bytes)
}

/// Six bits a character, which any tool can show.
fn to_text(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

fn from_text(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_commit_is_read_as_it_was_written(
            inputs in proptest::collection::vec((0_i64..1_000_000, any::<i64>()), 1..5),
            stores in proptest::collection::vec((any::<i64>(), any::<i64>(), 0_i64..99), 0..20),
            watermark: i64,
        ) {
            let inputs: Vec<_> = inputs.into_iter().enumerate()
                .map(|(at, (offset, mark))| (TopicPartition::new(format!("t{at}"), 3), offset, mark))
                .collect();
            let committed = Committed {
                number: 7,
                position: Position {
                    inputs: inputs.clone(),
                    watermark,
                    stores: stores.iter().enumerate().map(|(at, (stream_time, closed, _))| {
                        (at, StoreTime { stream_time: *stream_time, closed: *closed })
                    }).collect(),
                },
                changelogs: stores.iter().enumerate().map(|(at, (_, _, end))| (at, *end)).collect(),
            };
            let hash = |store: usize| store as u32 * 31;
            let offsets: HashMap<_, _> = committed.to_offsets(&hash).unwrap().into_iter().collect();
            let partitions: Vec<_> = inputs.into_iter().map(|(partition, _, _)| partition).collect();
            let numbers: Vec<usize> = (0..stores.len()).collect();
            let read = Committed::from_offsets(&partitions, &numbers, &offsets, &hash, false).unwrap();
            prop_assert_eq!(read, Some(committed));
        }

        #[test]
        fn foreign_metadata_is_refused(metadata in ".{0,40}") {
            let partition = TopicPartition::new("t", 0);
            let mut offset = CommittedOffset::new(5);
            offset.metadata = metadata;
            let offsets = HashMap::from([(partition.clone(), offset)]);
            let _ = Committed::from_offsets(&[partition], &[], &offsets, &|_| 0, false);
        }
    }

    fn commit_of(number: u64) -> HashMap<TopicPartition, CommittedOffset> {
        let inputs = ["a", "b"].map(|topic| (TopicPartition::new(topic, 0), 5, 6));
        let committed = Committed {
            number,
            position: Position {
                inputs: inputs.to_vec(),
                ..Position::default()
            },
            ..Committed::default()
        };
        let offsets = committed.to_offsets(&|_| 0).unwrap();
        offsets.into_iter().collect()
    }

    /// Offsets that are not of one commit do not pass for one, and neither does a part of them.
    #[test]
    fn a_commit_is_whole_or_refused() {
        let [a, b] = ["a", "b"].map(|topic| TopicPartition::new(topic, 0));
        let inputs = [a.clone(), b.clone()];
        let read = |offsets: &HashMap<TopicPartition, CommittedOffset>| {
            Committed::from_offsets(&inputs, &[], offsets, &|_| 0, false)
        };
        let mut offsets = commit_of(3);
        assert!(read(&offsets).unwrap().is_some());
        offsets.insert(b.clone(), commit_of(4)[&b].clone());
        assert_eq!(read(&offsets), Err(PositionError::Mixed(b.clone())));
        for gone in [&a, &b] {
            let mut offsets = commit_of(3);
            offsets.remove(gone);
            assert_eq!(read(&offsets), Err(PositionError::Missing(gone.clone())));
        }
        assert_eq!(read(&HashMap::new()), Ok(None));
    }

    /// Where nothing depends on it, inputs of several tasks make one, and what is missing begins anew.
    #[test]
    fn what_keeps_nothing_may_change_its_inputs() {
        let [a, b, c] = ["a", "b", "c"].map(|topic| TopicPartition::new(topic, 0));
        let inputs = [a, c, b.clone()];
        let mut offsets = commit_of(3);
        offsets.insert(b.clone(), commit_of(4)[&b].clone());
        let read = Committed::from_offsets(&inputs, &[], &offsets, &|_| 0, true);
        let read = read.unwrap().unwrap();
        assert_eq!(read.number, 4);
        let found = read.position.inputs.iter();
        let found: Vec<_> = found
            .map(|(partition, at, _)| (&*partition.topic, *at))
            .collect();
        assert_eq!(found, [("a", 5), ("b", 5)]);
    }

    #[test]
    fn an_offset_without_metadata_is_foreign() {
        let partition = TopicPartition::new("t", 0);
        let offsets = HashMap::from([(partition.clone(), CommittedOffset::new(5))]);
        let read = Committed::from_offsets(
            std::slice::from_ref(&partition),
            &[],
            &offsets,
            &|_| 0,
            false,
        );
        assert_eq!(read, Err(PositionError::Foreign(partition)));
    }
}
