//! What an offset fetch asks for, each thing once and in the order in which things first come.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use kafka_protocol::messages::{GroupId, OffsetFetchRequest, TopicName};
use uuid::Uuid;

/// A topic, by name or (from version 10 on) by id.
pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) id: Uuid,
    pub(super) partitions: Vec<i32>,
}

/// A group with its topics; `None` for all it has.
type Group = (GroupId, Option<Vec<Topic>>);

/// The groups of a request in a form that all versions share.
pub(super) fn groups(version: i16, request: OffsetFetchRequest) -> Vec<Group> {
    let all: Vec<Group> = if version < 8 {
        let topics = request.topics.map(|topics| {
            let named = topics.into_iter().map(|topic| Topic {
                name: topic.name,
                id: Uuid::nil(),
                partitions: topic.partition_indexes,
            });
            named.collect()
        });
        vec![(request.group_id, topics)]
    } else {
        let groups = request.groups.into_iter().map(|group| {
            let topics = group.topics.map(|topics| {
                let topics = topics.into_iter().map(|topic| Topic {
                    name: topic.name,
                    id: topic.topic_id,
                    partitions: topic.partition_indexes,
                });
                topics.collect()
            });
            (group.group_id, topics)
        });
        groups.collect()
    };
    merge(all)
}

fn merge(all: Vec<Group>) -> Vec<Group> {
    let mut places: HashMap<GroupId, usize> = HashMap::new();
    let mut merged: Vec<Group> = Vec::new();
    for (group, topics) in all {
        match places.entry(group.clone()) {
            Entry::Vacant(new) => {
                new.insert(merged.len());
                merged.push((group, topics));
            }
            Entry::Occupied(known) => {
                if let Some((_, first)) = merged.get_mut(*known.get()) {
                    match (first.as_mut(), topics) {
                        (Some(first), Some(more)) => first.extend(more),
                        _ => *first = None,
                    }
                }
            }
        }
    }
    for (_, topics) in &mut merged {
        *topics = topics.take().map(merge_topics);
    }
    merged
}

fn merge_topics(all: Vec<Topic>) -> Vec<Topic> {
    let mut places: HashMap<(TopicName, Uuid), usize> = HashMap::new();
    let mut seen: HashSet<(usize, i32)> = HashSet::new();
    let mut merged: Vec<Topic> = Vec::new();
    for mut topic in all {
        let partitions = std::mem::take(&mut topic.partitions);
        let at = match places.entry((topic.name.clone(), topic.id)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                merged.push(topic);
                *new.insert(merged.len() - 1)
            }
        };
        if let Some(topic) = merged.get_mut(at) {
            let new = partitions
                .into_iter()
                .filter(|index| seen.insert((at, *index)));
            topic.partitions.extend(new);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn name(name: &'static str) -> StrBytes {
        StrBytes::from_static_str(name)
    }

    /// One group of a request, and what is made of it.
    type Told<'a> = (&'a str, Option<Vec<(&'a str, u128, &'a [i32])>>);

    #[track_caller]
    fn check(asked: &[Told<'static>], expected: &[Told<'_>]) {
        let groups = asked.iter().map(|(group, topics)| {
            let topics = topics.as_ref().map(|topics| {
                let topics = topics.iter().map(|(topic, id, partitions)| {
                    OffsetFetchRequestTopics::default()
                        .with_name(name(topic).into())
                        .with_topic_id(Uuid::from_u128(*id))
                        .with_partition_indexes(partitions.to_vec())
                });
                topics.collect()
            });
            OffsetFetchRequestGroup::default()
                .with_group_id(name(group).into())
                .with_topics(topics)
        });
        let request = OffsetFetchRequest::default().with_groups(groups.collect());
        let found = super::groups(9, request);
        let told: Vec<Told<'_>> = found
            .iter()
            .map(|(group, topics)| {
                let topics = topics.as_ref().map(|topics| {
                    let told = topics.iter().map(|topic| {
                        (
                            topic.name.as_str(),
                            topic.id.as_u128(),
                            topic.partitions.as_slice(),
                        )
                    });
                    told.collect()
                });
                (group.as_str(), topics)
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_named_again_is_asked_for_once() {
        check(
            &[
                ("g", Some(vec![("t", 0, &[1, 0, 1]), ("u", 0, &[5])])),
                ("h", None),
                ("g", Some(vec![("t", 0, &[2, 0]), ("t", 7, &[0])])),
            ],
            &[
                (
                    "g",
                    Some(vec![("t", 0, &[1, 0, 2]), ("u", 0, &[5]), ("t", 7, &[0])]),
                ),
                ("h", None),
            ],
        );
    }

    #[test]
    fn who_asks_for_everything_once_asks_for_everything() {
        let some = || Some(vec![("t", 0, &[1][..])]);
        check(&[("g", some()), ("g", None)], &[("g", None)]);
        check(&[("g", None), ("g", some())], &[("g", None)]);
        check(&[("g", Some(vec![])), ("g", some())], &[("g", some())]);
    }

    #[test]
    fn a_million_repetitions_are_one() {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(name("t").into())
            .with_partition_indexes(vec![3; 500_000]);
        let request = OffsetFetchRequest::default()
            .with_group_id(name("g").into())
            .with_topics(Some(vec![topic.clone(), topic]));
        let found = groups(7, request);
        let topics = found[0].1.as_deref().expect("topics");
        assert_eq!((found.len(), topics.len()), (1, 1));
        assert_eq!(topics[0].partitions, [3]);
    }
}
