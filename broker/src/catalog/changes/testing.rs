//! A broker's view of the catalog, kept by following changes alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Change, changes};
use crate::catalog::image::CatalogImage;
use crate::config::Overrides;
use crate::types::PartitionIndex;

/// Holds what a broker holds: a directory for each partition, and configs.
#[derive(Debug, Default, PartialEq)]
pub(in crate::catalog) struct Follower {
    directories: BTreeMap<(String, PartitionIndex), Uuid>,
    topic_configs: BTreeMap<String, Overrides>,
    broker_configs: BTreeMap<String, Overrides>,
    seen: Seen,
}

/// The picture up to which changes were followed; it is no part of what is compared.
#[derive(Debug, Default)]
struct Seen(Arc<CatalogImage>);

impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Follower {
    /// Follows the changes up to this picture, and checks that they lead to it.
    pub(in crate::catalog) fn follow(&mut self, image: &Arc<CatalogImage>) {
        for change in changes(&self.seen.0, image) {
            self.act(change, image);
        }
        self.seen = Seen(Arc::clone(image));
        self.check(image);
    }

    fn act(&mut self, change: Change, image: &CatalogImage) {
        match change {
            Change::TopicDeleted(topic) => {
                for index in topic.partitions.keys() {
                    let gone = self.directories.remove(&(topic.name.to_string(), *index));
                    assert_eq!(gone, Some(topic.id));
                }
                self.topic_configs.remove(&*topic.name);
            }
            Change::TopicCreated(topic) => {
                for index in topic.partitions.keys() {
                    self.create(&topic.name, *index, topic.id);
                }
                self.topic_configs
                    .insert(topic.name.to_string(), Overrides::clone(&topic.configs));
            }
            Change::PartitionsAdded { topic, added } => {
                for index in added {
                    self.create(&topic.name, index, topic.id);
                }
            }
            Change::TopicConfigChanged(topic) => {
                let configs = Overrides::clone(&topic.configs);
                let before = self.topic_configs.insert(topic.name.to_string(), configs);
                assert_ne!(before.as_ref(), Some(&*topic.configs));
            }
            Change::BrokerConfigChanged { name } => {
                match image.broker_config(&name) {
                    Some(configs) => self.broker_configs.insert(name, Overrides::clone(configs)),
                    None => self.broker_configs.remove(&name),
                };
            }
        }
    }

    fn create(&mut self, topic: &str, index: PartitionIndex, id: Uuid) {
        let before = self.directories.insert((topic.to_owned(), index), id);
        assert_eq!(before, None, "the directory is there already");
    }

    fn check(&self, image: &CatalogImage) {
        let mut expected = Self::default();
        for topic in image.topics() {
            let name = topic.name.to_string();
            for index in topic.partitions.keys() {
                expected
                    .directories
                    .insert((name.clone(), *index), topic.id);
            }
            expected
                .topic_configs
                .insert(name, Overrides::clone(&topic.configs));
        }
        for (name, configs) in image.broker_configs() {
            expected
                .broker_configs
                .insert(name.to_owned(), Overrides::clone(configs));
        }
        assert_eq!(*self, expected);
    }
}
