//! As even as possible, and as much as possible stays where it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use super::{Assignment, Assignor, Member, empty};
use crate::consumer::protocol::Bounded;
use crate::topic_partition::TopicPartition;

/// Kafka's `StickyAssignor` (KIP-54), which gives everything back before it is shared out anew, but
/// mostly gets the same again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sticky;

impl Assignor for Sticky {
    fn name(&self) -> &'static str {
        "sticky"
    }

    /// Version 1 of `StickyAssignor`'s user data: topics with partitions, then the generation.
    fn user_data(&self, last: &[TopicPartition], generation: i32) -> Option<Bytes> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for partition in last {
            topics
                .entry(&partition.topic)
                .or_default()
                .push(partition.partition);
        }
        let mut out = Vec::new();
        out.put_i32(i32::try_from(topics.len()).ok()?);
        for (topic, partitions) in topics {
            out.put_i16(i16::try_from(topic.len()).ok()?);
            out.put_slice(topic.as_bytes());
            out.put_i32(i32::try_from(partitions.len()).ok()?);
            partitions
                .iter()
                .for_each(|partition| out.put_i32(*partition));
        }
        out.put_i32(generation);
        Some(Bytes::from(out))
    }

    fn assign(
        &self,
        partitions: &BTreeMap<Arc<str>, i32>,
        members: &BTreeMap<String, Member>,
    ) -> Assignment {
        let before = |member: &Member| {
            let told = member.user_data.as_ref().and_then(parse_user_data);
            told.unwrap_or_else(|| (member.owned.clone(), member.generation))
        };
        share_out(partitions, members, before)
    }
}

/// Version 1 or 0, which has no generation.
fn parse_user_data(data: &Bytes) -> Option<(Vec<TopicPartition>, i32)> {
    let mut reader = Bounded::new(data);
    let owned = reader.topic_partitions()?;
    let generation = if reader.is_empty() { -1 } else { reader.i32()? };
    Some((owned, generation))
}

/// Leaves everything with whoever had it last, gives what is free to whoever has least, and then
/// moves single partitions from those with more to those with less, as long as that makes the
/// difference smaller. `before` tells what a member had, and of which generation.
pub(super) fn share_out(
    partitions: &BTreeMap<Arc<str>, i32>,
    members: &BTreeMap<String, Member>,
    before: impl Fn(&Member) -> (Vec<TopicPartition>, i32),
) -> Assignment {
    let wants: HashMap<&str, BTreeSet<&Arc<str>>> = members
        .iter()
        .map(|(id, member)| (id.as_str(), member.topics.iter().collect()))
        .collect();
    let may_have = |id: &str, topic: &Arc<str>| wants.get(id).is_some_and(|w| w.contains(topic));
    let mut owner = claims(members, before);
    owner.retain(|partition, (id, _)| {
        let there = partitions.get(&partition.topic);
        there.is_some_and(|count| (0..*count).contains(&partition.partition))
            && may_have(id, &partition.topic)
    });
    let mut load: BTreeMap<&str, usize> = members.keys().map(|id| (id.as_str(), 0)).collect();
    for (id, _) in owner.values() {
        *load.entry(id).or_default() += 1;
    }
    let readers: BTreeMap<&Arc<str>, Vec<&str>> = partitions
        .keys()
        .map(|topic| {
            let readers = members.keys().map(String::as_str);
            (topic, readers.filter(|id| may_have(id, topic)).collect())
        })
        .collect();
    let least = |load: &BTreeMap<&str, usize>, topic: &Arc<str>| {
        let readers = readers.get(topic)?;
        let id = readers
            .iter()
            .min_by_key(|id| load.get(**id).copied().unwrap_or(0))?;
        Some((*id, load.get(id).copied().unwrap_or(0)))
    };
    let all = || {
        partitions.iter().flat_map(|(topic, count)| {
            (0..*count).map(|index| TopicPartition::new(Arc::clone(topic), index))
        })
    };
    // Topics that few read come first: their partitions have the least choice.
    let mut free: Vec<TopicPartition> = all()
        .filter(|partition| !owner.contains_key(partition))
        .collect();
    free.sort_by_key(|partition| readers.get(&partition.topic).map_or(0, Vec::len));
    for partition in free {
        if let Some((id, _)) = least(&load, &partition.topic) {
            *load.entry(id).or_default() += 1;
            owner.insert(partition, (id, -1));
        }
    }
    // Every move makes the sum of squares smaller, so this comes to an end.
    loop {
        let mut moved = false;
        for partition in all() {
            let Some((id, _)) = owner.get(&partition).copied() else {
                continue;
            };
            let mine = load.get(id).copied().unwrap_or(0);
            let Some((other, theirs)) = least(&load, &partition.topic) else {
                continue;
            };
            if mine > theirs + 1 {
                *load.entry(id).or_default() -= 1;
                *load.entry(other).or_default() += 1;
                owner.insert(partition, (other, -1));
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let mut assignment = empty(members);
    for partition in all() {
        if let Some((id, _)) = owner.get(&partition)
            && let Some(mine) = assignment.get_mut(*id)
        {
            mine.push(partition);
        }
    }
    assignment
}

/// Who had what. Of two who claim the same, the later generation is right; of two of the same
/// generation neither is (Kafka does the same, KAFKA-12984).
fn claims(
    members: &BTreeMap<String, Member>,
    before: impl Fn(&Member) -> (Vec<TopicPartition>, i32),
) -> HashMap<TopicPartition, (&str, i32)> {
    let mut owner: HashMap<TopicPartition, (&str, i32)> = HashMap::new();
    let mut disputed: HashMap<TopicPartition, i32> = HashMap::new();
    for (id, member) in members {
        let (owned, generation) = before(member);
        let owned: BTreeSet<TopicPartition> = owned.into_iter().collect();
        for partition in owned {
            match owner.get(&partition) {
                Some((_, other)) if *other > generation => {}
                Some((_, other)) if *other == generation => {
                    disputed.insert(partition, generation);
                }
                _ => {
                    owner.insert(partition, (id, generation));
                }
            }
        }
    }
    for (partition, generation) in disputed {
        if owner
            .get(&partition)
            .is_some_and(|(_, of)| *of == generation)
        {
            owner.remove(&partition);
        }
    }
    owner
}
