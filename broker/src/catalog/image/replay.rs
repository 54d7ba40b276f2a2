//! How each record changes the picture.
//!
//! A record that makes no sense (a partition of a topic that is not there) is passed over: the log
//! is what happened, and a reader that stopped at it would make every other topic unreachable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CatalogImage, Partition, Topic};
use crate::catalog::command::ResourceKind;
use crate::catalog::records::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, PartitionChangeRecord,
    PartitionRecord, Record, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
};
use crate::catalog::topic_name;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, ProducerId};

impl CatalogImage {
    /// Changes the picture by one record. Records of transactions change nothing here; the machine
    /// keeps the picture from before their beginning.
    pub(in crate::catalog) fn apply(&mut self, offset: Offset, record: Record) {
        self.offset = offset;
        match record {
            Record::Topic(record) => self.add_topic(record),
            Record::Partition(record) => self.add_partition(record),
            Record::PartitionChange(record) => self.change_partition(record),
            Record::Config(record) => self.set_config(record),
            Record::RemoveTopic(record) => self.remove_topic(&record),
            Record::ProducerIds(record) => {
                // Never back, so that no id is ever given out twice.
                let next = ProducerId(record.next_producer_id);
                self.next_producer_id = self.next_producer_id.max(next);
            }
            Record::FeatureLevel(record) => self.set_feature(record),
            Record::RegisterBroker(record) => self.register_broker(record),
            Record::BrokerRegistrationChange(record) => self.change_broker(record),
            Record::NoOp(_)
            | Record::BeginTransaction(_)
            | Record::EndTransaction(_)
            | Record::AbortTransaction(_) => {}
        }
    }

    fn add_topic(&mut self, record: TopicRecord) {
        let taken = self.names.contains_key(&record.topic_id);
        if taken || self.topics.contains_key(record.name.as_str()) {
            return;
        }
        let name: Arc<str> = record.name.into();
        let topic = Topic {
            name: Arc::clone(&name),
            id: record.topic_id,
            partitions: BTreeMap::new(),
            configs: Arc::default(),
            internal: topic_name::is_internal(&name),
        };
        self.names.insert(record.topic_id, Arc::clone(&name));
        self.topics.insert(name, Arc::new(topic));
    }

    fn add_partition(&mut self, record: PartitionRecord) {
        let Some(name) = self.names.get(&record.topic_id) else {
            return;
        };
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        let partition = Partition {
            leader: record.leader,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            replicas: record.replicas.into(),
            isr: record.isr.into(),
            directories: record.directories.into(),
        };
        let index = PartitionIndex(record.partition_id);
        if Arc::make_mut(topic)
            .partitions
            .insert(index, partition)
            .is_none()
        {
            self.partition_count += 1;
        }
    }

    fn change_partition(&mut self, record: PartitionChangeRecord) {
        let Some(name) = self.names.get(&record.topic_id) else {
            return;
        };
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        let index = PartitionIndex(record.partition_id);
        let Some(partition) = Arc::make_mut(topic).partitions.get_mut(&index) else {
            return;
        };
        partition.partition_epoch = partition.partition_epoch.wrapping_add(1);
        if record.leader != PartitionChangeRecord::NO_LEADER_CHANGE {
            partition.leader = record.leader;
            partition.leader_epoch.0 = partition.leader_epoch.0.wrapping_add(1);
        }
        if let Some(isr) = record.isr {
            partition.isr = isr.into();
        }
        if let Some(replicas) = record.replicas {
            partition.replicas = replicas.into();
        }
        if let Some(directories) = record.directories {
            partition.directories = directories.into();
        }
    }

    fn set_config(&mut self, record: ConfigRecord) {
        match ResourceKind::from_wire(record.resource_type) {
            ResourceKind::Topic => {
                let topic = self.topics.get_mut(record.resource_name.as_str());
                if let Some(topic) = topic {
                    let configs = &mut Arc::make_mut(topic).configs;
                    set_or_remove(Arc::make_mut(configs), record.name, record.value);
                }
            }
            ResourceKind::Broker => {
                let name = record.resource_name;
                let configs = self.broker_configs.entry(name.clone()).or_default();
                set_or_remove(Arc::make_mut(configs), record.name, record.value);
                if configs.is_empty() {
                    self.broker_configs.remove(&name);
                }
            }
            ResourceKind::Other(_) => {}
        }
    }

    fn remove_topic(&mut self, record: &RemoveTopicRecord) {
        let Some(name) = self.names.remove(&record.topic_id) else {
            return;
        };
        if let Some(topic) = self.topics.remove(&name) {
            self.partition_count -= topic.partitions.len();
        }
    }

    fn set_feature(&mut self, record: FeatureLevelRecord) {
        let features = Arc::make_mut(&mut self.features);
        if record.feature_level == 0 {
            features.remove(&record.name);
        } else {
            features.insert(record.name, record.feature_level);
        }
    }

    fn register_broker(&mut self, record: RegisterBrokerRecord) {
        self.brokers.insert(record.broker_id, Arc::new(record));
    }

    fn change_broker(&mut self, record: BrokerRegistrationChangeRecord) {
        let Some(broker) = self.brokers.get_mut(&record.broker_id) else {
            return;
        };
        if broker.broker_epoch != record.broker_epoch {
            return;
        }
        let broker = Arc::make_mut(broker);
        match record.fenced {
            -1 => broker.fenced = false,
            1 => broker.fenced = true,
            _ => {}
        }
        if record.in_controlled_shutdown == 1 {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs = record.log_dirs;
        }
    }
}

fn set_or_remove(configs: &mut BTreeMap<String, String>, name: String, value: Option<String>) {
    match value {
        Some(value) => configs.insert(name, value),
        None => configs.remove(&name),
    };
}
