//! The partitions of a produce request, each once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_request::TopicProduceData;
use uuid::Uuid;

use crate::catalog::machine::MAX_PARTITIONS;

/// The most partitions of one request: there are no more to write to. An entry takes six bytes of
/// a request that may have a hundred million, and a hundred times that in the answer.
const MAX_ENTRIES: usize = MAX_PARTITIONS;

/// Topics in the order in which they first come, and so are the partitions in each; what counts is
/// what comes last. An error is the number of entries, where there are too many of them.
pub(super) fn partitions(topics: Vec<TopicProduceData>) -> Result<Vec<TopicProduceData>, usize> {
    let entries = |topic: &TopicProduceData| topic.partition_data.len().max(1);
    let count = topics.iter().map(entries).sum();
    if count > MAX_ENTRIES {
        return Err(count);
    }
    if count <= 1 {
        return Ok(topics);
    }
    let mut merged: Vec<TopicProduceData> = Vec::with_capacity(topics.len());
    let mut topic_places: HashMap<(TopicName, Uuid), usize> = HashMap::new();
    let mut places: HashMap<(usize, i32), usize> = HashMap::with_capacity(count);
    for mut topic in topics {
        let partitions = std::mem::take(&mut topic.partition_data);
        let at = match topic_places.entry((topic.name.clone(), topic.topic_id)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                merged.push(topic);
                *new.insert(merged.len() - 1)
            }
        };
        let Some(topic) = merged.get_mut(at) else {
            continue;
        };
        for data in partitions {
            match places.entry((at, data.index)) {
                Entry::Occupied(known) => {
                    if let Some(earlier) = topic.partition_data.get_mut(*known.get()) {
                        *earlier = data;
                    }
                }
                Entry::Vacant(new) => {
                    new.insert(topic.partition_data.len());
                    topic.partition_data.push(data);
                }
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::produce_request::PartitionProduceData;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn topic(name: &'static str, id: u128, data: &[(i32, &'static [u8])]) -> TopicProduceData {
        let partitions = data.iter().map(|(index, records)| {
            PartitionProduceData::default()
                .with_index(*index)
                .with_records(Some(Bytes::from_static(records)))
        });
        TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_static_str(name)))
            .with_topic_id(Uuid::from_u128(id))
            .with_partition_data(partitions.collect())
    }

    #[test]
    fn a_partition_that_is_named_again_counts_once_and_with_its_last_batch() {
        let asked = vec![
            topic("a", 0, &[(0, b"1"), (1, b"2"), (0, b"3")]),
            topic("b", 0, &[(0, b"4")]),
            topic("a", 0, &[(2, b"5"), (1, b"6")]),
        ];
        let expected = vec![
            topic("a", 0, &[(0, b"3"), (1, b"6"), (2, b"5")]),
            topic("b", 0, &[(0, b"4")]),
        ];
        assert_eq!(partitions(asked), Ok(expected));
    }

    #[test]
    fn topics_are_told_apart_by_their_ids_too() {
        let asked = vec![topic("", 1, &[(0, b"1")]), topic("", 2, &[(0, b"2")])];
        assert_eq!(partitions(asked.clone()), Ok(asked));
    }

    #[test]
    fn more_partitions_than_a_broker_keeps_are_too_many() {
        let entries = |count: usize| {
            let data = (0..count).map(|_| PartitionProduceData::default());
            vec![TopicProduceData::default().with_partition_data(data.collect())]
        };
        assert_eq!(
            partitions(entries(MAX_ENTRIES)).map(|topics| topics.len()),
            Ok(1)
        );
        assert_eq!(partitions(entries(MAX_ENTRIES + 1)), Err(MAX_ENTRIES + 1));
        let without_partitions = vec![TopicProduceData::default(); MAX_ENTRIES + 1];
        assert_eq!(partitions(without_partitions), Err(MAX_ENTRIES + 1));
    }
}
