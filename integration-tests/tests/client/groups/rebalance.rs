//! Members come and go, in good order or not.

use std::time::Duration;

use super::reader::{Reader, Said};
use super::*;

/// The shortest session that Apache Kafka allows.
const SHORT_SESSION: Duration = Duration::from_secs(6);

/// What a listener was told makes sense, one after the other.
#[track_caller]
fn follow(said: &Said, topic: &str, cooperative: bool) {
    let mut owned = BTreeSet::new();
    for (at, change) in said.changes.iter().enumerate() {
        let mut words = change.split(' ');
        let what = words.next().unwrap();
        let partitions: BTreeSet<&str> = words.collect();
        assert!(
            partitions.iter().all(|name| name.starts_with(topic)),
            "{change}"
        );
        let last = at + 1 == said.changes.len();
        match what {
            "assigned" => {
                assert!(owned.is_disjoint(&partitions), "{:?}", said.changes);
                assert!(cooperative || owned.is_empty(), "{:?}", said.changes);
                owned.extend(partitions);
            }
            "revoked" if cooperative && !last => {
                assert!(partitions.is_subset(&owned), "{:?}", said.changes);
                owned.retain(|name| !partitions.contains(name));
                assert!(!owned.is_empty(), "something stays: {:?}", said.changes);
            }
            "revoked" => {
                assert_eq!(owned, partitions, "{:?}", said.changes);
                owned.clear();
            }
            _ => panic!("nothing is lost: {:?}", said.changes),
        }
    }
    assert_eq!(
        owned,
        BTreeSet::new(),
        "closing gives back: {:?}",
        said.changes
    );
}

async fn members_come_and_go(cluster: &Cluster, assignor: &str) {
    let site = Site::new(cluster).await;
    let start = || Reader::start(site.member(site.config_with(assignor)));
    site.write(0..100).await;
    let first = start();
    settle(&[&first], &site.topic, PARTITIONS);
    read_all(&[&first], &[], 0..100);
    let second = start();
    settle(&[&first, &second], &site.topic, PARTITIONS);
    site.write(100..200).await;
    read_all(&[&first, &second], &[], 0..200);
    let third = start();
    settle(&[&first, &second, &third], &site.topic, PARTITIONS);
    site.write(200..300).await;
    read_all(&[&first, &second, &third], &[], 0..300);
    let gone = first.close().await;
    settle(&[&second, &third], &site.topic, PARTITIONS);
    site.write(300..400).await;
    read_all(&[&second, &third], std::slice::from_ref(&gone), 0..400);
    let said = [gone, second.close().await, third.close().await];
    let mut values: Vec<i32> = said.iter().flat_map(Said::values).collect();
    values.sort_unstable();
    assert_eq!(
        values,
        (0..400).collect::<Vec<_>>(),
        "each once: all moves were in good order"
    );
    for said in &said {
        follow(said, &site.topic, assignor == "cooperative-sticky");
    }
    assert_eq!(site.committed().await, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn range_members_come_and_go() {
    for_each_cluster(async |cluster| members_come_and_go(cluster, "range").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_robin_members_come_and_go() {
    for_each_cluster(async |cluster| members_come_and_go(cluster, "roundrobin").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_members_come_and_go() {
    for_each_cluster(async |cluster| members_come_and_go(cluster, "sticky").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cooperative_members_come_and_go() {
    let story = async |cluster: &Cluster| members_come_and_go(cluster, "cooperative-sticky").await;
    for_each_cluster(story).await;
}

/// The first member keeps three of six: the others are told of nothing but what moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_its_partitions_reads_on() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        let start = || Reader::start(site.member(site.config_with("cooperative-sticky")));
        let first = start();
        let all = settle(&[&first], &site.topic, PARTITIONS).remove(0);
        let second = start();
        let shares = settle(&[&first, &second], &site.topic, PARTITIONS);
        assert!(shares[0].is_subset(&all));
        let moved = shares[1].iter().map(ToString::to_string);
        let moved: Vec<String> = moved.collect();
        let told = first.said().changes;
        let revoked: Vec<_> = told
            .iter()
            .filter(|line| line.starts_with("revoked"))
            .collect();
        assert_eq!(
            revoked,
            [&format!("revoked {}", moved.join(" "))],
            "{told:?}"
        );
        first.close().await;
        second.close().await;
    })
    .await;
}

async fn a_killed_member_is_missed(cluster: &Cluster, assignor: &str) {
    let site = Site::new(cluster).await;
    let config = || site.config_with(assignor).session_timeout(SHORT_SESSION);
    let first = Reader::start(site.member(config()));
    let second = Reader::start(site.member(config()));
    settle(&[&first, &second], &site.topic, PARTITIONS);
    site.write(0..100).await;
    read_all(&[&first, &second], &[], 0..100);
    let gone = second.kill().await;
    site.write(100..200).await;
    settle(&[&first], &site.topic, PARTITIONS);
    read_all(&[&first], std::slice::from_ref(&gone), 0..200);
    let said = first.close().await;
    // It had committed nothing, and the survivor begins where it had begun.
    let survivor: BTreeSet<i32> = said.values().into_iter().collect();
    assert_eq!(
        survivor,
        (0..200).collect(),
        "at least once means the killed one's as well"
    );
    assert_eq!(site.committed().await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_range_member_is_missed() {
    for_each_cluster(async |cluster| a_killed_member_is_missed(cluster, "range").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_cooperative_member_is_missed() {
    let story = async |cluster: &Cluster| {
        a_killed_member_is_missed(cluster, "cooperative-sticky").await;
    };
    for_each_cluster(story).await;
}

/// Two that have no assignor in common: the second is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_assignor_in_common_is_told() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        let first = Reader::start(site.member(site.config_with("range")));
        settle(&[&first], &site.topic, PARTITIONS);
        let mut second = site.member(site.config_with("roundrobin"));
        let error = second.recv().await.unwrap_err().to_string();
        assert!(error.contains("roundrobin"), "{error}");
        second.close().await.unwrap();
        assert_eq!(first.close().await.changes.len(), 2);
    })
    .await;
}
