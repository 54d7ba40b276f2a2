//! What is kept with a commit: positions, watermarks and how far changelogs belong to it, in the
//! metadata of the group's offsets. All offsets of a commit are written by one request, so they are
//! there together or not at all.

use std::collections::BTreeMap;

use tidemark_client::TopicPartition;
use tidemark_client::consumer::CommittedOffset;

use super::task::Position;
use crate::state::StoreTime;

/// The most bytes that an offset's metadata may have (Kafka: `offset.metadata.max.bytes`).
const MOST_METADATA: usize = 4096;
const VERSION: u8 = 1;

/// A task's last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
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
         to it: reset the application"
    )]
    Foreign(TopicPartition),
}

impl Committed {
    /// The offsets to commit. `hash` names a store in few bytes.
    pub(crate) fn to_offsets(
        &self,
        hash: &dyn Fn(usize) -> u32,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>, PositionError> {
        let mut offsets = Vec::with_capacity(self.position.inputs.len());
        for (at, (partition, offset, watermark)) in self.position.inputs.iter().enumerate() {
            let mut bytes = vec![VERSION];
            bytes.extend(watermark.to_be_bytes());
            // What belongs to the whole task stands with its first partition.
            if at == 0 {
                bytes.extend(self.position.watermark.to_be_bytes());
                for (store, time) in &self.position.stores {
                    bytes.extend(hash(*store).to_be_bytes());
                    bytes.extend(time.stream_time.to_be_bytes());
                    bytes.extend(time.closed.to_be_bytes());
                    let end = self.changelogs.get(store).copied().unwrap_or(-1);
                    bytes.extend(end.to_be_bytes());
                }
            }
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

    /// What a task committed last, from the offsets of its partitions; `None` if it never did.
    /// Partitions without an offset begin at `beginning`.
    pub(crate) fn from_offsets(
        inputs: &[TopicPartition],
        stores: &[usize],
        offsets: &std::collections::HashMap<TopicPartition, CommittedOffset>,
        hash: &dyn Fn(usize) -> u32,
    ) -> Result<Option<Self>, PositionError> {
        let mut committed = Self::default();
        let mut found = false;
        committed.position.watermark = i64::MIN;
        for (at, partition) in inputs.iter().enumerate() {
            let Some(offset) = offsets.get(partition) else {
                continue;
            };
            let foreign = || PositionError::Foreign(partition.clone());
            let bytes = from_text(&offset.metadata).ok_or_else(foreign)?;
            let mut rest = &bytes[..];
            if take::<1>(&mut rest) != Some([VERSION]) {
                return Err(foreign());
            }
            let watermark = number(&mut rest).ok_or_else(foreign)?;
            let position = (partition.clone(), offset.offset, watermark);
            committed.position.inputs.push(position);
            found = true;
            if at > 0 {
                continue;
            }
            committed.position.watermark = number(&mut rest).ok_or_else(foreign)?;
            while !rest.is_empty() {
                let name = take::<4>(&mut rest).ok_or_else(foreign)?;
                let name = u32::from_be_bytes(name);
                let stream_time = number(&mut rest).ok_or_else(foreign)?;
                let closed = number(&mut rest).ok_or_else(foreign)?;
                let end = number(&mut rest).ok_or_else(foreign)?;
                let time = StoreTime {
                    stream_time,
                    closed,
                };
                if let Some(store) = stores.iter().find(|store| hash(**store) == name) {
                    committed.position.stores.push((*store, time));
                    if end >= 0 {
                        committed.changelogs.insert(*store, end);
                    }
                }
            }
        }
        Ok(found.then_some(committed))
    }
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
            let read = Committed::from_offsets(&partitions, &numbers, &offsets, &hash).unwrap();
            prop_assert_eq!(read, Some(committed));
        }

        #[test]
        fn foreign_metadata_is_refused(metadata in ".{0,40}") {
            let partition = TopicPartition::new("t", 0);
            let mut offset = CommittedOffset::new(5);
            offset.metadata = metadata;
            let offsets = HashMap::from([(partition.clone(), offset)]);
            let _ = Committed::from_offsets(&[partition], &[], &offsets, &|_| 0);
        }
    }

    #[test]
    fn an_offset_without_metadata_is_foreign() {
        let partition = TopicPartition::new("t", 0);
        let offsets = HashMap::from([(partition.clone(), CommittedOffset::new(5))]);
        let read = Committed::from_offsets(std::slice::from_ref(&partition), &[], &offsets, &|_| 0);
        assert_eq!(read, Err(PositionError::Foreign(partition)));
    }
}
