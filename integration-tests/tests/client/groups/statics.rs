//! Members that outlive their processes (KIP-345).

use tidemark_client::consumer::ConsumerError;
use tidemark_protocol::ErrorCode;

use integration_tests::harness::wait::until;

use super::reader::Reader;
use super::*;

async fn comes_back(cluster: &Cluster, assignor: &str) {
    let site = Site::new(cluster).await;
    let start = |instance: &str| {
        Reader::start(site.member(site.config_with(assignor).instance_id(instance)))
    };
    let (first, second) = (start("one"), start("two"));
    let shares = settle(&[&first, &second], &site.topic, PARTITIONS);
    site.write(0..50).await;
    read_all(&[&first, &second], &[], 0..50);
    // The leader goes and comes back, then the other one.
    let told = second.said().changes;
    let gone = first.close().await;
    let first = start("one");
    let back = settle(&[&first, &second], &site.topic, PARTITIONS);
    assert_eq!(back, shares);
    assert_eq!(second.said().changes, told, "nobody else has noticed");
    let (gone_too, told) = (second.close().await, first.said().changes);
    let second = start("two");
    let back = settle(&[&first, &second], &site.topic, PARTITIONS);
    assert_eq!(back, shares);
    assert_eq!(first.said().changes, told, "nobody else has noticed");
    site.write(50..100).await;
    read_all(&[&first, &second], &[gone, gone_too], 0..100);
    // What was closed had committed: nothing comes twice.
    let said = [first.close().await, second.close().await];
    let mut values: Vec<i32> = said.iter().flat_map(|said| said.values()).collect();
    values.sort_unstable();
    assert_eq!(values, (50..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_comes_back_and_nobody_notices() {
    for_each_cluster(async |cluster| comes_back(cluster, "range").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cooperative_static_member_comes_back_and_nobody_notices() {
    for_each_cluster(async |cluster| comes_back(cluster, "cooperative-sticky").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_with_one_name_the_first_is_fenced() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        let start = || Reader::start(site.member(site.config().instance_id("same")));
        let first = start();
        let all = settle(&[&first], &site.topic, PARTITIONS).remove(0);
        let second = start();
        assert_eq!(settle(&[&second], &site.topic, PARTITIONS), [all]);
        let said = until("the first to be fenced", || {
            let said = first.said();
            (!said.errors.is_empty()).then_some(said)
        });
        let ConsumerError::Group { code, reason, .. } = &said.errors[0] else {
            panic!("{:?}", said.errors)
        };
        assert_eq!(*code, ErrorCode::FencedInstanceId);
        assert!(reason.contains("\"same\""), "{reason}");
        assert!(
            said.owned.is_empty(),
            "it has lost them: {:?}",
            said.changes
        );
        assert!(
            said.changes.last().unwrap().starts_with("lost"),
            "{:?}",
            said.changes
        );
        site.write(0..20).await;
        read_all(&[&second], &[], 0..20);
        second.close().await;
    })
    .await;
}
