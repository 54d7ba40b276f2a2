//! What lies between two pictures of the catalog.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::image::{CatalogImage, Topic};
use crate::types::PartitionIndex;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

/// Something that those who hold partitions and configs must act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The topic is gone, as it last was: its partitions' directories go too.
    TopicDeleted(Arc<Topic>),
    /// The topic is new: its partitions need directories.
    TopicCreated(Arc<Topic>),
    /// The topic has more partitions.
    PartitionsAdded {
        /// The topic as it is now.
        topic: Arc<Topic>,
        /// The new partitions, ascending.
        added: Vec<PartitionIndex>,
    },
    /// The topic has other config overrides.
    TopicConfigChanged(Arc<Topic>),
    /// The broker's dynamic configs have changed.
    BrokerConfigChanged {
        /// Whose: a broker's id, or empty for the defaults of all brokers.
        name: String,
    },
}

/// The changes that lead from `before` to `after`. Deletions come first, since a topic that was
/// deleted and created again (another id) uses the same directory names; then topics by name.
pub fn changes(before: &CatalogImage, after: &CatalogImage) -> Vec<Change> {
    let mut changes: Vec<Change> = before
        .topics()
        .filter(|topic| {
            after
                .topic(&topic.name)
                .is_none_or(|now| now.id != topic.id)
        })
        .map(|topic| Change::TopicDeleted(Arc::clone(topic)))
        .collect();
    for topic in after.topics() {
        match before.topic(&topic.name) {
            Some(old) if Arc::ptr_eq(old, topic) => {}
            Some(old) if old.id == topic.id => topic_changes(old, topic, &mut changes),
            _ => changes.push(Change::TopicCreated(Arc::clone(topic))),
        }
    }
    changes.extend(broker_changes(before, after));
    changes
}

fn topic_changes(before: &Topic, after: &Arc<Topic>, changes: &mut Vec<Change>) {
    let is_new = |index: &&PartitionIndex| !before.partitions.contains_key(index);
    let added: Vec<_> = after.partitions.keys().filter(is_new).copied().collect();
    if !added.is_empty() {
        changes.push(Change::PartitionsAdded {
            topic: Arc::clone(after),
            added,
        });
    }
    if before.configs != after.configs {
        changes.push(Change::TopicConfigChanged(Arc::clone(after)));
    }
}

fn broker_changes(before: &CatalogImage, after: &CatalogImage) -> Vec<Change> {
    let images = [before, after];
    let names: BTreeSet<&str> = images
        .iter()
        .flat_map(|image| image.broker_configs())
        .map(|(name, _)| name)
        .collect();
    names
        .into_iter()
        .filter(|name| before.broker_config(name) != after.broker_config(name))
        .map(|name| Change::BrokerConfigChanged {
            name: name.to_owned(),
        })
        .collect()
}
