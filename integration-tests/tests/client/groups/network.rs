//! The coordinator cannot be reached for a while, or is another one.

use std::path::Path;

use integration_tests::harness::cluster::for_each_cluster_behind_a_proxy;
use integration_tests::harness::embedded;
use integration_tests::harness::proxy::Proxy;
use tidemark_broker::environment::Environment;

use super::reader::Reader;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_move_no_partition() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let site = Site::new(cluster).await;
        let through = client(&proxy.address());
        let start = || {
            let mut consumer = through.consumer(site.config()).unwrap();
            consumer.subscribe([site.topic.as_str()]).unwrap();
            Reader::start(consumer)
        };
        let (first, second) = (start(), start());
        settle(&[&first, &second], &site.topic, PARTITIONS);
        let told = [first.said().changes, second.said().changes];
        for round in 0..3 {
            let values = round * 30..(round + 1) * 30;
            match round {
                0 => proxy.cut(),
                1 => proxy.reset(),
                _ => {
                    proxy.refuse().await;
                    proxy.cut();
                    proxy.wait_for(|counts| counts.open == 0).await;
                    proxy.accept().await;
                }
            }
            write(&through, &site.topic, values.clone()).await;
            read_all(&[&first, &second], &[], values);
        }
        assert_eq!([first.said().changes, second.said().changes], told);
        let said = [first.close().await, second.close().await];
        let mut values: Vec<i32> = said.iter().flat_map(|said| said.values()).collect();
        values.sort_unstable();
        assert_eq!(values, (0..90).collect::<Vec<_>>());
        assert_eq!(site.committed().await, 90);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_outlives_its_coordinators_restart() {
    let environment = Environment::in_memory();
    let pass = |_: &_| integration_tests::harness::proxy::Verdict::Pass;
    let proxy = Proxy::intercept(pass).await;
    let advertised = proxy.advertised();
    let options = [("advertised.listeners", advertised.as_str())];
    let start = || embedded::start(Path::new("/data"), environment.clone(), &options);
    let mut broker = start().await;
    proxy.forward_to(&broker.bootstrap());
    let site = Site::at(&proxy.address()).await;
    let member = || Reader::start(site.member(site.config_with("cooperative-sticky")));
    let (first, second) = (member(), member());
    settle(&[&first, &second], &site.topic, PARTITIONS);
    site.write(0..30).await;
    read_all(&[&first, &second], &[], 0..30);
    let told = [first.said().changes, second.said().changes];
    for round in 1..3 {
        // In order the first time, without a word the second.
        if round == 1 {
            broker.shutdown().await.unwrap();
        } else {
            broker.kill().await;
        }
        broker = start().await;
        proxy.forward_to(&broker.bootstrap());
        let values = round * 30..(round + 1) * 30;
        site.write(values.clone()).await;
        read_all(&[&first, &second], &[], values);
    }
    assert_eq!(
        [first.said().changes, second.said().changes],
        told,
        "it knows its members still"
    );
    let third = member();
    settle(&[&first, &second, &third], &site.topic, PARTITIONS);
    for member in [first, second, third] {
        member.close().await;
    }
    assert_eq!(site.committed().await, 90);
    drop(proxy);
    broker.shutdown().await.unwrap();
}
