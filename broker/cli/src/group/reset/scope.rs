//! Which partitions of a group are reset.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_client::{Admin, TopicPartition};

use super::Arguments;
use crate::failure::Failure;

/// A topic as the command line names it: all of it, or some partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    topic: String,
    partitions: Option<BTreeSet<i32>>,
}

/// Reads `TOPIC` or `TOPIC:0,1`; no name of a topic has a colon.
pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    let (topic, numbers) = match text.split_once(':') {
        None => (text, None),
        Some((topic, numbers)) => (topic, Some(numbers)),
    };
    if topic.is_empty() {
        return Err("the topic is missing: write TOPIC or TOPIC:0,1".to_owned());
    }
    let number = |text: &str| {
        let number = text
            .trim()
            .parse::<i32>()
            .ok()
            .filter(|number| *number >= 0);
        number.ok_or_else(|| format!("{text:?} is no partition: write TOPIC or TOPIC:0,1"))
    };
    let partitions = numbers.map(|numbers| numbers.split(',').map(number).collect());
    Ok(Wanted {
        topic: topic.to_owned(),
        partitions: partitions.transpose()?,
    })
}

/// The partitions, each once, in order.
pub(super) async fn partitions(
    admin: &Admin,
    arguments: &Arguments,
    committed: &BTreeMap<TopicPartition, i64>,
) -> Result<Vec<TopicPartition>, Failure> {
    if arguments.all_topics {
        if committed.is_empty() {
            let group = &arguments.group;
            return Err(Failure::new(format!(
                "group {group:?} has committed no offsets: name topics with --topic"
            )));
        }
        return Ok(committed.keys().cloned().collect());
    }
    let names: BTreeSet<&String> = arguments
        .topics
        .iter()
        .map(|wanted| &wanted.topic)
        .collect();
    let described = admin.describe_topics(names).await?.all()?;
    let mut found = BTreeSet::new();
    for wanted in &arguments.topics {
        let there = described.get(&wanted.topic).into_iter();
        let there: BTreeSet<i32> = there
            .flat_map(|topic| topic.partitions.iter().map(|partition| partition.index))
            .collect();
        let numbers = wanted.partitions.as_ref().unwrap_or(&there);
        if let Some(missing) = numbers.difference(&there).next() {
            return Err(Failure::new(format!(
                "--topic {}:{missing}: the topic has no such partition, it has {}",
                wanted.topic,
                there.len()
            )));
        }
        let topic: std::sync::Arc<str> = wanted.topic.as_str().into();
        found.extend(
            numbers
                .iter()
                .map(|number| TopicPartition::new(topic.clone(), *number)),
        );
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_partitions() {
        let check = |text, expected: Option<(&str, Option<&[i32]>)>| {
            let expected = expected.map(|(topic, partitions)| Wanted {
                topic: topic.to_owned(),
                partitions: partitions.map(|numbers| numbers.iter().copied().collect()),
            });
            assert_eq!(wanted(text).ok(), expected, "{text}");
        };
        check("orders", Some(("orders", None)));
        check("orders:0", Some(("orders", Some(&[0]))));
        check("orders:2, 0,2", Some(("orders", Some(&[0, 2]))));
        for wrong in [
            "",
            ":0",
            "orders:",
            "orders:a",
            "orders:-1",
            "orders:0,",
            "orders:0:1",
        ] {
            check(wrong, None);
        }
    }
}
