//! Listeners that are told of partitions, and reads that are dropped meanwhile.

use std::sync::Arc;

use tidemark_client::consumer::{RebalanceListener, Told};
use tokio::sync::{Notify, watch};

use super::*;

/// Takes its time whenever it is told of something, until it is let go.
#[derive(Clone, Default)]
struct Slow {
    told: watch::Sender<usize>,
    go: Arc<Notify>,
}

impl Slow {
    fn wait(&self) -> Told<'_> {
        self.told.send_modify(|told| *told += 1);
        Box::pin(self.go.notified())
    }
}

impl RebalanceListener for Slow {
    fn assigned<'a>(&'a mut self, _: &'a mut Consumer, _: &'a [TopicPartition]) -> Told<'a> {
        self.wait()
    }

    fn revoked<'a>(&'a mut self, _: &'a mut Consumer, _: &'a [TopicPartition]) -> Told<'a> {
        self.wait()
    }
}

/// Asks the group where it is when partitions come.
struct Asking(watch::Sender<usize>);

impl RebalanceListener for Asking {
    fn assigned<'a>(
        &'a mut self,
        consumer: &'a mut Consumer,
        partitions: &'a [TopicPartition],
    ) -> Told<'a> {
        Box::pin(async move {
            let committed = consumer.committed(partitions).await.unwrap();
            self.0.send_replace(committed.len());
            let last = partitions.iter().max().unwrap();
            consumer.seek_to_end(last).unwrap();
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_may_ask_for_offsets_and_seek() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..60).await;
        let mut first = site.member(site.config());
        read(&mut first, 60).await;
        first.close().await.unwrap();
        let found = watch::Sender::new(0);
        let mut second = site.member(site.config());
        second.set_rebalance_listener(Asking(found.clone()));
        site.write(60..120).await;
        // All but those of the last partition, unless the end had been found before they came.
        let seen = read(&mut second, 30).await;
        assert!(seen.iter().all(|number| *number >= 60));
        assert_eq!(*found.borrow(), PARTITIONS as usize);
        second.close().await.unwrap();
    })
    .await;
}

/// Reads until the listener is told for the `times`th time, and gives the read up.
async fn give_up(consumer: &mut Consumer, slow: &Slow, times: usize) {
    let mut told = slow.told.subscribe();
    tokio::select! {
        biased;
        told = told.wait_for(|told| *told >= times) => assert_eq!(*told.unwrap(), times),
        read = consumer.recv() => panic!("the listener has not been waited for: {read:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_dropped_while_a_listener_is_told_loses_nothing() {
    for_each_cluster(async |cluster| {
        let site = Site::new(cluster).await;
        site.write(0..60).await;
        let slow = Slow::default();
        let mut first = site.member(site.config_with("range"));
        first.set_rebalance_listener(slow.clone());
        give_up(&mut first, &slow, 1).await;
        give_up(&mut first, &slow, 2).await;
        slow.go.notify_one();
        let seen = read(&mut first, 60).await;
        assert_eq!((seen.len(), *slow.told.borrow()), (60, 3));
        // The same when they go: all of them do, before they are dealt out anew.
        let second = reader::Reader::start(site.member(site.config_with("range")));
        give_up(&mut first, &slow, 4).await;
        give_up(&mut first, &slow, 5).await;
        slow.go.notify_one();
        give_up(&mut first, &slow, 7).await;
        assert_eq!(first.assignment().len(), PARTITIONS as usize / 2);
        slow.go.notify_one();
        site.write(60..120).await;
        let more = read(&mut first, 20).await;
        assert!(more.iter().all(|number| *number >= 60), "{more:?}");
        second.kill().await;
        // Leaving tells it too.
        slow.go.notify_one();
        first.close().await.unwrap();
    })
    .await;
}
