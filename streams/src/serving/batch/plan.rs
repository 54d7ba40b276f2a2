//! What a batch run is to read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::serving::{Coverage, Manifest, SourcePartition};

/// A source topic as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicBounds {
    pub(crate) topic: String,
    pub(crate) id: String,
    /// In the order of their numbers.
    pub(crate) partitions: Vec<PartitionBounds>,
}

/// A source partition as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionBounds {
    pub(crate) partition: i32,
    /// Where the log begins.
    pub(crate) start: i64,
    /// Its last stable offset: all transactions in front of it have ended.
    pub(crate) end: i64,
}

/// What a run reads, and what it goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The number that the snapshot is to have.
    pub(crate) snapshot: u64,
    /// The snapshot whose states it goes on from.
    pub(crate) parent: Option<u64>,
    pub(crate) topics: Vec<TopicPlan>,
}

/// What is read of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicPlan {
    pub(crate) topic: String,
    pub(crate) id: String,
    pub(crate) ranges: Vec<Range>,
}

/// What is read of a partition: `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) partition: i32,
    /// Where the snapshot's coverage begins.
    pub(crate) begin: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) log_start: i64,
    /// Where the log ends.
    pub(crate) end: i64,
    /// Events in front of this offset are in files of earlier snapshots.
    pub(crate) archived: i64,
}

/// Why a run cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Records behind the last snapshot are not in the log any more.
    #[error(
        "{topic}-{partition}: snapshot {snapshot} ends at offset {covered}, and the log begins at \
         {log_start} only: the records between are lost to this view (retention is shorter than the time \
         between batch runs). Compute it anew from what there is (--from-scratch): answers will then say \
         that they begin at {log_start}"
    )]
    Hole {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The snapshot.
        snapshot: u64,
        /// Where it ends.
        covered: i64,
        /// Where the log begins.
        log_start: i64,
    },
    /// The first snapshot would lack what the speed layer has counted.
    #[error(
        "{topic}-{partition}: the speed layer has counted records from offset {origin} on, and the log begins \
         at {log_start} only: a first snapshot would lose those between. Compute it from what there is \
         (--from-scratch): answers will then say that they begin at {log_start}"
    )]
    Unsaved {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the speed layer began.
        origin: i64,
        /// Where the log begins.
        log_start: i64,
    },
    /// The topic is not the one that the last snapshot was made of.
    #[error(
        "topic {topic} has been made again since snapshot {snapshot}: its offsets mean other records. \
         Compute the view anew (--from-scratch)"
    )]
    OtherTopic {
        /// The topic.
        topic: String,
        /// The snapshot.
        snapshot: u64,
    },
    /// The log is shorter than it was.
    #[error(
        "{topic}-{partition} ends at offset {end}, in front of where snapshot {snapshot} ends, {covered}: \
         the log has lost records that the snapshot has. Compute the view anew (--from-scratch)"
    )]
    Shrunk {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The snapshot.
        snapshot: u64,
        /// Where it ends.
        covered: i64,
        /// Where the log ends.
        end: i64,
    },
}

impl Plan {
    /// Refuses to begin behind where the speed layer began: its state would be dropped for a snapshot that
    /// has less.
    pub(crate) fn check_origins(
        &self,
        origins: &Coverage,
        parent: Option<&Manifest>,
    ) -> Result<(), PlanError> {
        let saved = |topic: &str, range: &Range| {
            parent.is_some_and(|parent| parent.partition(topic, range.partition).is_some())
        };
        for (topic, range) in self.ranges().filter(|(topic, range)| !saved(topic, range)) {
            let partition = range.partition;
            match origins.find(topic, partition) {
                Some(origin) if range.begin > origin => {
                    return Err(PlanError::Unsaved {
                        topic: topic.to_owned(),
                        partition,
                        origin,
                        log_start: range.log_start,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there is nothing to be read that the parent has not. A first snapshot may have nothing in it,
    /// but not no partition.
    pub(crate) fn is_empty(&self) -> bool {
        let first = self.parent.is_none();
        !self
            .ranges()
            .any(|(_, range)| first || range.from < range.to)
    }

    /// Whether the run writes files of raw events of that partition from that offset on.
    pub(crate) fn writes(&self, topic: &str, partition: i32, from: i64) -> bool {
        let mut ranges = self.ranges();
        ranges.any(|(own, range)| {
            own == topic && range.partition == partition && from >= range.archived
        })
    }

    /// All ranges, with their topics' names.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&str, &Range)> {
        let topics = self.topics.iter();
        topics.flat_map(|own| own.ranges.iter().map(|range| (&*own.topic, range)))
    }
}

/// Plans a run: from where `parent` ends up to `cut`, or up to the end of what is not in the cut. `newest` is
/// the newest snapshot there is, of whatever definition: files of raw events go on from there. What has the
/// view's `fingerprint` is not gone back behind.
///
/// A partition that is neither in the cut nor in a snapshot is left out: the speed layer has not announced yet
/// where it began, and may have counted more than the log still has. A snapshot that begins with the log would
/// pass for what the view has of it.
pub(crate) fn plan(
    bounds: &[TopicBounds],
    parent: Option<&Manifest>,
    newest: Option<&Manifest>,
    fingerprint: &str,
    cut: Option<&Coverage>,
) -> Result<Plan, PlanError> {
    let mut topics = Vec::new();
    for own in bounds {
        let topic = &own.topic;
        if let Some(parent) = parent
            && let Some(source) = parent.sources.iter().find(|source| source.topic == *topic)
            && source.id != own.id
        {
            return Err(PlanError::OtherTopic {
                topic: topic.clone(),
                snapshot: parent.snapshot,
            });
        }
        let newest_of = of_topic(own, newest);
        // What is computed anew does not end in front of what is there.
        let same = newest.is_some_and(|newest| newest.fingerprint == fingerprint);
        let mut ranges = Vec::new();
        for now in &own.partitions {
            let PartitionBounds {
                partition,
                start,
                end,
            } = *now;
            let before = parent.and_then(|parent| {
                let before = parent.partition(topic, partition)?;
                Some((parent.snapshot, before))
            });
            let (begin, from) = match before {
                Some((_, before)) => (before.begin, before.to),
                None => (start, start),
            };
            if let Some((snapshot, before)) = before {
                if end < before.to {
                    return Err(PlanError::Shrunk {
                        topic: topic.clone(),
                        partition,
                        snapshot,
                        covered: before.to,
                        end,
                    });
                }
                if start > before.to {
                    return Err(PlanError::Hole {
                        topic: topic.clone(),
                        partition,
                        snapshot,
                        covered: before.to,
                        log_start: start,
                    });
                }
            }
            let newest = newest_of.get(&partition);
            let own = newest.filter(|_| same);
            let wanted = match cut.map(|cut| cut.find(topic, partition)) {
                None => end,
                Some(Some(cut)) => cut.min(end),
                Some(None) if before.is_none() && own.is_none() => continue,
                Some(None) => from,
            };
            let least = own.map_or(from, |own| own.to.min(end));
            ranges.push(Range {
                partition,
                begin,
                from,
                to: wanted.max(from).max(least),
                log_start: start,
                end,
                archived: newest.map_or(start, |newest| newest.archived),
            });
        }
        topics.push(TopicPlan {
            topic: topic.clone(),
            id: own.id.clone(),
            ranges,
        });
    }
    Ok(Plan {
        snapshot: newest.map_or(1, |newest| newest.snapshot + 1),
        parent: parent.map(|parent| parent.snapshot),
        topics,
    })
}

/// What the newest snapshot has of a topic's partitions.
fn of_topic<'a>(
    own: &TopicBounds,
    newest: Option<&'a Manifest>,
) -> BTreeMap<i32, &'a SourcePartition> {
    let sources = newest.into_iter().flat_map(|newest| &newest.sources);
    let same = sources.filter(|source| source.topic == own.topic && source.id == own.id);
    let partitions = same.flat_map(|source| &source.partitions);
    partitions.map(|own| (own.partition, own)).collect()
}

#[cfg(test)]
mod tests;
