//! Administration: topics, configs, records, groups and their offsets (Kafka: `Admin`, KIP-117).
//!
//! [`crate::Client::admin`] gives an [`Admin`]. Its methods are in one file for each subject:
//!
//! | methods | what for |
//! |---|---|
//! | [`Admin::describe_cluster`], [`Admin::api_versions`] | the brokers, and what they speak |
//! | [`Admin::create_topics`], [`Admin::list_topics`], [`Admin::describe_topics`], [`Admin::delete_topics`], [`Admin::create_partitions`] | topics |
//! | [`Admin::describe_topics_by_id`], [`Admin::delete_topics_by_id`] | topics by their ids (KIP-516) |
//! | [`Admin::describe_configs`], [`Admin::incremental_alter_configs`], [`Admin::alter_configs`], [`Admin::list_config_resources`] | configs of topics and brokers |
//! | [`Admin::list_offsets`], [`Admin::offsets_for_leader_epochs`], [`Admin::delete_records`], [`Admin::describe_log_dirs`] | what partitions hold, and where |
//! | [`Admin::list_groups`], [`Admin::describe_groups`], [`Admin::delete_groups`], [`Admin::remove_members`], [`Admin::find_coordinators`] | groups |
//! | [`Admin::group_offsets`], [`Admin::stable_group_offsets`], [`Admin::alter_group_offsets`], [`Admin::delete_group_offsets`] | where groups are |
//!
//! Calls that name many things answer for [`Each`] of them; the call itself fails if for none of
//! them there is a broker's answer. No call makes a topic that does not exist, whatever
//! [`crate::ClientConfig::auto_create_topics`] says.
//!
//! Operations that the user may do are not asked for (KIP-430). ACLs, quotas, SCRAM users,
//! delegation tokens, reassignments, elections of leaders, features, producers and transactions are
//! not there.
//!
//! # Errors
//!
//! What every call may fail with:
//!
//! - [`ClientError::Config`]: a thing is named twice, or a value cannot be meant. Nothing was
//!   asked.
//! - [`ClientError::Timeout`]: no broker answered for good within [`Admin::timeout`]; `last` is why
//!   the last try failed. Changes may have been made.
//! - [`ClientError::Connect`]: the cluster does not let the client in: TLS, authentication, or it
//!   is not Kafka.
//! - [`ClientError::Call`]: the brokers do not speak a version of the API that can say what is
//!   asked ([`CallError::Unsupported`](crate::CallError::Unsupported)).
//! - [`ClientError::Closed`]: the client has been closed.
//!
//! What a broker says of a thing is in its place in [`Each`], or the error of a call that is about
//! one: [`ClientError::Broker`] with the code, or, where leaders of partitions are asked,
//! [`ClientError::UnknownTopic`] and [`ClientError::UnknownPartition`].

mod ask;
mod cluster;
mod configs;
mod each;
mod groups;
mod log_dirs;
mod metadata;
mod offsets;
mod partitions;
mod records;
mod together;
mod topics;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::cluster::Cluster;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

pub use cluster::{ApiRange, ClusterDescription};
pub use configs::{
    ConfigChange, ConfigEntry, ConfigQuery, ConfigResource, ConfigSource, ConfigSynonym,
    ConfigType, ResourceKind,
};
pub use each::Each;
pub use groups::{
    GroupDescription, GroupFilter, GroupListing, GroupState, GroupType, MemberDescription,
    MemberToRemove, OffsetsOf,
};
pub use log_dirs::{LogDir, LogDirReplica};
pub use offsets::{EpochEnd, EpochQuery, ListedOffset, OffsetSpec};
pub use partitions::NewPartitions;
pub use records::RecordsBefore;
pub use topics::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing};

/// Administers one cluster (Kafka: `Admin`, `KafkaAdminClient`, KIP-117). Clones share the client's
/// connections.
///
/// A request that got no answer is sent again, as in Kafka: a topic that was made by the first of
/// two tries is reported as existing by the second.
#[derive(Clone)]
pub struct Admin {
    cluster: Cluster,
    timeout: Duration,
}

/// Whether a change is made or only checked (Kafka: `validateOnly`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The change is made.
    Apply,
    /// The brokers say whether they would make it.
    Validate,
}

impl Mode {
    const fn validate_only(self) -> bool {
        matches!(self, Self::Validate)
    }
}

impl Admin {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let timeout = cluster.config().api_timeout;
        Self { cluster, timeout }
    }

    /// Allows each call this much time, all its tries included (Kafka: `timeoutMs` of the options).
    /// Default: [`crate::ClientConfig::api_timeout`].
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The things that a call names, by key. A thing that is named twice is a mistake that brokers
/// answer in as many ways as there are calls.
fn named_once<K: Ord + fmt::Display, V>(
    option: &'static str,
    things: impl IntoIterator<Item = (K, V)>,
) -> Result<BTreeMap<K, V>, ClientError> {
    let mut found = BTreeMap::new();
    for (key, value) in things {
        if found.contains_key(&key) {
            let reason = "it is named twice: name each once";
            return Err(ClientError::config(option, key, reason));
        }
        found.insert(key, value);
    }
    Ok(found)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn group_id(id: &str) -> GroupId {
    GroupId(text(id))
}

/// Partitions by their topic: requests have them so.
fn by_topic(keys: &[TopicPartition]) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for key in keys {
        topics.entry(&key.topic).or_default().push(key.partition);
    }
    topics
}

/// A number that is -1 on the wire if there is none.
fn known<N: PartialOrd + Default>(number: N) -> Option<N> {
    (number >= N::default()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls can be made from any task.
    #[test]
    fn calls_are_send() {
        fn check<T: Send>(_: impl FnOnce(Admin) -> T) {}
        check(|admin| async move { admin.describe_cluster().await });
        check(|admin| async move { admin.api_versions(1).await });
        check(|admin| async move { admin.create_topics([], Mode::Apply).await });
        check(|admin| async move { admin.describe_topics(["a"]).await });
        check(|admin| async move { admin.describe_topics_by_id([]).await });
        check(|admin| async move { admin.describe_configs([], ConfigQuery::new()).await });
        check(|admin| async move { admin.describe_log_dirs(None).await });
        check(|admin| async move { admin.delete_records([]).await });
        check(|admin| async move { admin.find_coordinators(["a"]).await });
        check(|admin| async move { admin.remove_all_members("a", "b").await });
        check(|admin| async move { admin.group_offsets([("a", OffsetsOf::All)]).await });
    }

    #[test]
    fn what_is_named_twice_is_told() {
        let found = named_once("topics", [("a", 1), ("b", 2)]).unwrap();
        assert_eq!(found.len(), 2);
        let error = named_once("topics", [("a", 1), ("a", 2)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "topics = \"a\": it is named twice: name each once"
        );
    }
}
