//! DescribeLogDirs (key 35, versions 1 to 4, KIP-113, KIP-827): how much room logs take and have.
//!
//! There is one log directory. No topics asked means all partitions; an empty list means none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::view::View;

/// Total and usable bytes of the volume.
type Room = (u64, u64);

/// Bytes by topic and partition.
type Sizes = BTreeMap<(Arc<str>, i32), u64>;

pub(super) fn handle(view: &View, context: &Context, request: DescribeLogDirsRequest) -> Step {
    let asked = request.topics.map(asked_partitions);
    let mut sizes = Sizes::new();
    for partition in view.partitions.all() {
        let name = partition.name();
        let index = name.partition.0;
        let wanted = asked.as_ref().is_none_or(|asked| {
            let partitions = asked.get(name.topic.as_bytes());
            partitions.is_some_and(|partitions| partitions.contains(&index))
        });
        // A partition that is being deleted right now takes no more room worth telling.
        if wanted && let Ok(bytes) = partition.size_bytes() {
            sizes.insert((Arc::clone(&name.topic), index), bytes);
        }
    }
    let log_dir = &view.node.log_dir;
    let room = view
        .environment
        .disk
        .space(Path::new(log_dir))
        .map_err(|error| {
            tracing::warn!(%error, %log_dir, "cannot ask how much room is left");
            ErrorCode::KafkaStorageError
        });
    let room = room.map(|space| (space.total, space.usable));
    context.reply(&respond(log_dir, sizes, room))
}

/// By topic first: a name may be long, and a request can have a million partitions of it.
fn asked_partitions(topics: Vec<DescribableLogDirTopic>) -> HashMap<StrBytes, HashSet<i32>> {
    let mut asked: HashMap<_, HashSet<i32>> = HashMap::new();
    for topic in topics {
        asked
            .entry(topic.topic.0)
            .or_default()
            .extend(topic.partitions);
    }
    asked
}

fn respond(log_dir: &str, sizes: Sizes, room: Result<Room, ErrorCode>) -> DescribeLogDirsResponse {
    let result =
        DescribeLogDirsResult::default().with_log_dir(StrBytes::from_string(log_dir.to_owned()));
    let result = match room {
        Ok((total, usable)) => result
            .with_topics(topics(sizes))
            .with_total_bytes(saturated(total))
            .with_usable_bytes(saturated(usable)),
        Err(error) => result.with_error_code(code(error)),
    };
    DescribeLogDirsResponse::default().with_results(vec![result])
}

fn topics(sizes: Sizes) -> Vec<DescribeLogDirsTopic> {
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for ((name, index), bytes) in sizes {
        // Without followers and without logs that move to another directory nothing lags.
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(saturated(bytes))
            .with_offset_lag(0)
            .with_is_future_key(false);
        match topics.last_mut().filter(|topic| *topic.name.0 == *name) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let name = TopicName(StrBytes::from_string(name.to_string()));
                let topic = DescribeLogDirsTopic::default().with_name(name);
                topics.push(topic.with_partitions(vec![partition]));
            }
        }
    }
    topics
}

/// Sizes that do not fit are the largest that does, as in Kafka.
fn saturated(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl ErrorCodes for DescribeLogDirsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
        self.results
            .iter()
            .for_each(|directory| visit(directory.error_code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::each_version;

    fn sizes() -> Sizes {
        let key = |topic: &str, index| (Arc::from(topic), index);
        [
            (key("a", 0), 10),
            (key("a", 11), 30),
            (key("b", 2), u64::MAX),
            (key("a", 2), 20),
        ]
        .into()
    }

    #[test]
    fn every_version_carries_sizes_in_order() {
        let room = (u64::MAX, 5);
        for (version, read) in each_version(35, |_| respond("/data", sizes(), Ok(room))) {
            assert_eq!(read.error_code, 0);
            let [dir] = read.results.as_slice() else {
                panic!("one directory in {version}")
            };
            assert_eq!((dir.error_code, &*dir.log_dir), (0, "/data"));
            let told: Vec<_> = dir
                .topics
                .iter()
                .flat_map(|topic| {
                    topic
                        .partitions
                        .iter()
                        .map(move |one| (&*topic.name.0, one))
                })
                .map(|(name, one)| {
                    assert!(one.offset_lag == 0 && !one.is_future_key);
                    (name, one.partition_index, one.partition_size)
                })
                .collect();
            assert_eq!(
                told,
                [
                    ("a", 0, 10),
                    ("a", 2, 20),
                    ("a", 11, 30),
                    ("b", 2, i64::MAX)
                ]
            );
            assert_eq!(dir.topics.len(), 2);
            let volume = (dir.total_bytes, dir.usable_bytes);
            assert_eq!(
                volume,
                if version >= 4 {
                    (i64::MAX, 5)
                } else {
                    (-1, -1)
                },
                "{version}"
            );
        }
    }

    #[test]
    fn a_directory_that_cannot_be_asked_has_an_error_and_no_topics() {
        let failed = Err(ErrorCode::KafkaStorageError);
        for (version, read) in each_version(35, |_| respond("/data", sizes(), failed)) {
            let [dir] = read.results.as_slice() else {
                panic!("one directory in {version}")
            };
            assert_eq!((dir.error_code, dir.topics.len()), (56, 0));
            assert_eq!((dir.total_bytes, dir.usable_bytes), (-1, -1));
        }
    }

    #[test]
    fn partitions_are_asked_by_topic_and_number() {
        let topic = |name, partitions| {
            let name = TopicName(StrBytes::from_static_str(name));
            DescribableLogDirTopic::default()
                .with_topic(name)
                .with_partitions(partitions)
        };
        let asked = asked_partitions(vec![
            topic("a", vec![0, 2]),
            topic("b", vec![]),
            topic("a", vec![2]),
        ]);
        assert_eq!(
            asked,
            HashMap::from([("a".into(), [0, 2].into()), ("b".into(), [].into())])
        );
    }
}
