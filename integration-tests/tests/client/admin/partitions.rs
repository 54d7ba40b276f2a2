//! What partitions hold: offsets, epochs, records to be deleted, directories.

use std::collections::BTreeMap;

use integration_tests::harness::calls;
use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use tidemark_client::admin::{EpochQuery, ListedOffset, OffsetSpec, RecordsBefore};
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Admin, ClientError, TopicPartition};
use tidemark_protocol::ErrorCode;

use super::{admin, code, make, refusal, says};

/// A topic of two partitions with records at these times, in milliseconds, in the first.
pub(super) async fn filled(cluster: &Cluster, admin: &Admin, times: &[i64]) -> TopicPartition {
    let name = unique("filled");
    make(admin, &name, 2).await;
    let mut connection = calls::connect(&cluster.bootstrap()).await;
    for (offset, time) in (0..).zip(times) {
        let batch = calls::batch_at(*time, "value", None);
        assert_eq!(
            calls::produce(&mut connection, &name, batch, -1).await,
            offset
        );
    }
    TopicPartition::new(name, 0)
}

/// A time that retention leaves alone.
pub(super) const TIME: i64 = 4_000_000_000_000;

pub(super) async fn offset(admin: &Admin, key: &TopicPartition, spec: OffsetSpec) -> ListedOffset {
    let wanted = [(key.clone(), spec)];
    let listed = admin
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await;
    listed.unwrap().all().unwrap().remove(key).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_found_by_place_and_time() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let now = [3, 9, 5].map(|offset| now_or(TIME) + offset);
        let key = filled(cluster, &admin, &now).await;
        let check = async |spec, expected: (Option<i64>, Option<i64>)| {
            let found = offset(&admin, &key, spec).await;
            assert_eq!((found.offset, found.timestamp), expected, "{spec:?}");
        };
        check(OffsetSpec::Earliest, (Some(0), None)).await;
        check(OffsetSpec::EarliestLocal, (Some(0), None)).await;
        check(OffsetSpec::Latest, (Some(3), None)).await;
        check(OffsetSpec::LatestTiered, (None, None)).await;
        check(OffsetSpec::MaxTimestamp, (Some(1), Some(now[1]))).await;
        check(OffsetSpec::Timestamp(0), (Some(0), Some(now[0]))).await;
        check(OffsetSpec::Timestamp(now[0] + 1), (Some(1), Some(now[1]))).await;
        check(OffsetSpec::Timestamp(now[1] + 1), (None, None)).await;
        let latest = offset(&admin, &key, OffsetSpec::Latest).await;
        assert_eq!(latest.leader_epoch, Some(0));
        // Several kinds at once, and a reader of what is committed.
        let empty = TopicPartition::new(&*key.topic, 1);
        let wanted = [
            (key.clone(), OffsetSpec::MaxTimestamp),
            (empty.clone(), OffsetSpec::Latest),
        ];
        let listed = admin
            .list_offsets(wanted, IsolationLevel::ReadCommitted)
            .await
            .unwrap();
        let listed = listed.all().unwrap();
        assert_eq!(
            (listed[&key].offset, listed[&empty].offset),
            (Some(1), Some(0))
        );
    })
    .await;
}

fn now_or(time: i64) -> i64 {
    use tidemark_broker::environment::{Clock, SystemClock};
    SystemClock::start().now().wall.0.min(time)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_not_there_are_told_apart() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let key = filled(cluster, &admin, &[]).await;
        let beyond = TopicPartition::new(&*key.topic, 2);
        let missing = TopicPartition::new(unique("missing"), 0);
        let wanted = [&key, &beyond, &missing].map(|key| (key.clone(), OffsetSpec::Latest));
        let mut listed = admin
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await
            .unwrap();
        assert_eq!(listed.remove(&key).unwrap().unwrap().offset, Some(0));
        let error = listed.remove(&beyond).unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                ClientError::UnknownPartition {
                    partition: 2,
                    count: 2,
                    ..
                }
            ),
            "{error}"
        );
        let error = listed.remove(&missing).unwrap().unwrap_err();
        assert!(
            matches!(&error, ClientError::UnknownTopic { topic } if **topic == *missing.topic),
            "{error}"
        );
        let topics = admin.list_topics().await.unwrap();
        assert!(
            topics.iter().all(|topic| topic.name != *missing.topic),
            "it has been made"
        );
    })
    .await;
    let cluster = Cluster::tidemark(&[]).await;
    let admin = admin(&cluster);
    let key = TopicPartition::new("t", 0);
    let negative = [(key.clone(), OffsetSpec::Timestamp(-1))];
    let error = admin
        .list_offsets(negative, IsolationLevel::ReadUncommitted)
        .await
        .unwrap_err();
    says(&error, &["timestamp", "t-0", "negative"]);
    let negative = [(key, RecordsBefore::Offset(-1))];
    let error = admin.delete_records(negative).await.unwrap_err();
    says(&error, &["offset", "t-0", "RecordsBefore::End"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_records_are_deleted() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let now = now_or(TIME);
        let key = filled(cluster, &admin, &[now, now, now]).await;
        let delete = async |before| admin.delete_records([(key.clone(), before)]).await.unwrap();
        let low = |each: tidemark_client::admin::Each<_, i64>| each.all().unwrap()[&key];
        assert_eq!(low(delete(RecordsBefore::Offset(2)).await), 2);
        assert_eq!(
            offset(&admin, &key, OffsetSpec::Earliest).await.offset,
            Some(2)
        );
        // What is gone already is no error.
        assert_eq!(low(delete(RecordsBefore::Offset(1)).await), 2);
        let error = refusal(delete(RecordsBefore::Offset(4)).await);
        assert_eq!(code(&error), ErrorCode::OffsetOutOfRange);
        says(&error, &["deleting records", &key.to_string()]);
        assert_eq!(low(delete(RecordsBefore::End).await), 3);
        assert_eq!(
            offset(&admin, &key, OffsetSpec::Latest).await.offset,
            Some(3)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epochs_have_ends() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let now = now_or(TIME);
        let key = filled(cluster, &admin, &[now, now]).await;
        let ask = async |leader_epoch, current| {
            let query = EpochQuery {
                leader_epoch,
                current,
            };
            admin
                .offsets_for_leader_epochs([(key.clone(), query)])
                .await
                .unwrap()
        };
        let end = ask(0, Some(0)).await.all().unwrap()[&key];
        assert_eq!((end.leader_epoch, end.end_offset), (Some(0), Some(2)));
        let end = ask(7, None).await.all().unwrap()[&key];
        assert_eq!((end.leader_epoch, end.end_offset), (None, None));
        let error = refusal(ask(0, Some(7)).await);
        assert_eq!(code(&error), ErrorCode::UnknownLeaderEpoch);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_tell_what_they_hold() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let key = filled(cluster, &admin, &[now_or(TIME)]).await;
        let id = admin.describe_cluster().await.unwrap().brokers[0].id;
        let held = async |wanted: Option<&[TopicPartition]>| {
            let brokers = admin
                .describe_log_dirs(wanted)
                .await
                .unwrap()
                .all()
                .unwrap();
            assert_eq!(brokers.keys().copied().collect::<Vec<_>>(), [id]);
            let dirs = brokers.into_values().flatten();
            let mut held = BTreeMap::new();
            for dir in dirs {
                assert_eq!(dir.error, ErrorCode::None);
                assert!(!dir.path.is_empty());
                held.extend(dir.replicas);
            }
            held
        };
        let all = held(None).await;
        assert!(all[&key].size > 0 && !all[&key].future && all[&key].offset_lag == 0);
        assert!(all.contains_key(&TopicPartition::new(&*key.topic, 1)));
        let one = held(Some(std::slice::from_ref(&key))).await;
        assert_eq!(one.keys().collect::<Vec<_>>(), [&key]);
    })
    .await;
}
