//! What members commit, and when that is refused.

use std::time::Duration;

use tidemark_client::consumer::{CommittedOffset, ConsumerError};
use tidemark_protocol::ErrorCode;

use integration_tests::harness::wait::until;

use super::reader::{Listener, Reader};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_out_is_committed_and_nothing_else() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..100).await;
        let by_hand = || site.config().auto_commit(None);
        let mut first = site.member(by_hand());
        let seen = read(&mut first, 40).await;
        first.commit().await.unwrap();
        assert_eq!(site.committed().await, 40);
        let more = read(&mut first, 30).await;
        assert!(more.is_disjoint(&seen));
        // Closing commits nothing when committing is the application's.
        first.close().await.unwrap();
        assert_eq!(site.committed().await, 40);
        let mut second = site.member(by_hand());
        let rest = read(&mut second, 60).await;
        assert!(rest.is_disjoint(&seen) && rest.is_superset(&more));
        second.close().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_carried_out_in_their_order() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..90).await;
        let mut consumer = site.member(site.config().auto_commit(None));
        let mut commits = Vec::new();
        for _ in 0..9 {
            read(&mut consumer, 10).await;
            commits.push(consumer.commit_async().unwrap());
        }
        let last = commits.pop().unwrap();
        // Nobody waits for these.
        drop(commits);
        last.await.unwrap();
        assert_eq!(site.committed().await, 90);
        // A text of the application's own, and back to where it wants.
        let partition = TopicPartition::new(site.topic.as_str(), 0);
        let offset = CommittedOffset {
            metadata: "half".to_owned(),
            ..CommittedOffset::new(3)
        };
        let offsets = vec![(partition.clone(), offset.clone())];
        consumer.commit_offsets(offsets).await.unwrap();
        let found = consumer
            .committed(std::slice::from_ref(&partition))
            .await
            .unwrap();
        assert_eq!(found[&partition].metadata, "half");
        assert_eq!(found[&partition].offset, 3);
        consumer.close().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_committed_now_and_then() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        let config = site.config().auto_commit(Some(Duration::from_millis(50)));
        let reader = Reader::start(site.member(config));
        for round in 0..3 {
            site.write(round * 30..(round + 1) * 30).await;
            site.until_committed(i64::from(round + 1) * 30).await;
        }
        reader.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_thrown_out_commits_nothing_and_begins_anew() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..60).await;
        let listener = Listener::default();
        // The commit is the first to hear of it.
        let config = site.config().auto_commit(None);
        let config = config.heartbeat_interval(Duration::from_secs(40));
        let mut consumer = site.member(config);
        consumer.set_rebalance_listener(listener.clone());
        let all = read(&mut consumer, 60).await;
        let admin = site.client.admin();
        let gone = admin.remove_all_members(&site.group, "test").await.unwrap();
        gone.all().unwrap();
        let error = consumer.commit().await.unwrap_err();
        let ConsumerError::Group { code, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*code, ErrorCode::UnknownMemberId, "{error}");
        assert_eq!(site.committed().await, 0);
        // What it has read comes again, to whoever has the partitions now.
        assert_eq!(read(&mut consumer, 60).await, all);
        let told = listener.said().changes;
        assert!(told[1].starts_with("lost"), "{told:?}");
        assert!(told[2].starts_with("assigned"), "{told:?}");
        consumer.commit().await.unwrap();
        assert_eq!(site.committed().await, 60);
        consumer.close().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_for_too_long_leaves_and_comes_back() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..60).await;
        let listener = Listener::default();
        let config = site.config().auto_commit(None);
        let mut slow = site.member(config.max_poll_interval(Duration::from_secs(1)));
        slow.set_rebalance_listener(listener.clone());
        let all = read(&mut slow, 60).await;
        // Busy with what it has read, it is not missed by the others.
        let other = Reader::start(site.member(site.config()));
        settle(&[&other], &site.topic, PARTITIONS);
        read_all(&[&other], &[], 0..60);
        let error = slow.commit().await.unwrap_err().to_string();
        assert!(error.contains("not a member"), "{error}");
        let reader = tokio::spawn(async move {
            let next = slow.recv().await;
            (slow, next)
        });
        until("the slow one to be back", || {
            let told = listener.said().changes;
            let lost = told.iter().any(|line| line.starts_with("lost"));
            (lost && listener.said().owned.len() == 3).then_some(())
        });
        other.close().await;
        site.write(60..61).await;
        let (slow, next) = reader.await.unwrap();
        assert_eq!(
            number(&next.unwrap()),
            60,
            "the other one has committed {all:?}"
        );
        slow.close().await.unwrap();
    })
    .await;
}
