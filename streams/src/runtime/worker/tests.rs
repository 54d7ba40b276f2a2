use std::time::Duration;

use parking_lot::Mutex as Plain;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle};
use tidemark_client::admin::{Mode, NewTopic};
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Client, Clock, TopicPartition};

use super::*;
use crate::StreamsBuilder;
use crate::runtime::application::share;
use crate::runtime::finish;

/// After so long a test gives up. Not a demand on speed: what takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_the_end<T>(work: impl Future<Output = T>) -> T {
    let ended = Clock::system().timeout(PATIENCE, work).await;
    ended.expect("it comes to an end")
}

/// What the workers of an application share that copies a topic of two partitions.
async fn copying(isolation: IsolationLevel) -> (Handle, Arc<Shared>) {
    let options = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
        ("log.dirs", "/worker"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let config = BrokerConfig::from_pairs(options).unwrap();
    let broker = Broker::start(config, Environment::in_memory())
        .await
        .unwrap();
    let client = Client::connect(&broker.bootstrap()).unwrap();
    let topics = [("in", 2), ("out", 1)].map(|(name, count)| NewTopic::new(name).partitions(count));
    let made = client.admin().create_topics(topics, Mode::Apply).await;
    made.unwrap().all().unwrap();
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").to("out");
    let config = StreamsConfig::new("copy", &broker.bootstrap()).isolation_level(isolation);
    let (shared, _) = share(&builder.build().unwrap(), config).await.unwrap();
    (broker, shared)
}

fn task(partition: i32) -> TaskId {
    TaskId {
        subtopology: 0,
        partition,
    }
}

#[tokio::test]
async fn a_command_does_not_cut_a_hand_over_short() {
    let (busy, is_busy) = watch::channel(false);
    let (commands, mut receiver) = mpsc::channel(1);
    let (done, mut handed_over) = oneshot::channel();
    // What a read does in which tasks are handed over.
    let mut read = std::pin::pin!(async {
        busy.send_replace(true);
        commands.send(7).await.unwrap();
        tokio::task::yield_now().await;
        busy.send_replace(false);
        done.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let taken = loop {
        tokio::select! {
            biased;
            taken = next_when_quiet(&is_busy, &mut receiver) => break taken,
            () = &mut read => unreachable!("it goes on for ever"),
            () = quiet(&is_busy, std::future::ready(())) => {}
        }
    };
    assert_eq!(taken, Some(7));
    assert!(handed_over.try_recv().is_ok());
}

/// A broker may take longer to answer than it is until the next tick: a read in which tasks are taken
/// over would be given up, and begun again, for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_does_not_cut_short_the_taking_over_of_tasks() {
    let (broker, shared) = copying(IsolationLevel::ReadUncommitted).await;
    let (_tell, told) = mpsc::channel(1);
    let mut worker = Worker::new(shared, told).unwrap();
    // Whatever it waits for there.
    let tasks = Arc::clone(&worker.tasks);
    let held = tasks.lock().await;
    let mut busy = worker.busy.clone();
    // What is seen is let go of at once: the end of the read waits for that.
    let is_busy = async { drop(busy.wait_for(|busy| *busy).await.unwrap()) };
    in_the_end(async {
        tokio::select! {
            read = worker.consumer.recv_batches() => unreachable!("{read:?}"),
            () = is_busy => {}
        }
    })
    .await;
    drop(held);
    broker.shutdown().await.unwrap();
}

/// A task that changes hands meanwhile may be with none of the workers when they are asked one after the
/// other: they are asked for it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_moves_at_the_end_of_the_input_is_closed_all_the_same() {
    let (broker, shared) = copying(IsolationLevel::ReadUncommitted).await;
    for id in [task(0), task(1)] {
        let own = Arc::new(Plain::new(shared.new_task(id, None)));
        shared.tasks.lock().insert(id, own);
    }
    let asked = Arc::new(Plain::new(Vec::new()));
    // The second task leaves the second worker, and comes to the first one when that has been asked.
    let workers = [0, 1].map(|worker| {
        let (tell, mut told) = mpsc::channel::<Finish>(1);
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some(finish) = told.recv().await {
                let mut asked = asked.lock();
                let has: &[TaskId] = match (worker, asked.len()) {
                    (0, 0) => &[task(0)],
                    (0, _) => &[task(0), task(1)],
                    _ => &[],
                };
                let done = finish.tasks.iter().copied().filter(|id| has.contains(id));
                let done = done.collect();
                asked.push((worker, finish.tasks));
                drop(asked);
                finish.done.send(done).unwrap();
            }
        });
        tell
    });
    let targets = (0..2).map(|partition| (TopicPartition::new("in", partition), 0));
    let finished = finish::finish(&shared, &workers, targets.collect());
    in_the_end(finished).await.unwrap();
    let (both, second) = (
        BTreeSet::from([task(0), task(1)]),
        BTreeSet::from([task(1)]),
    );
    assert_eq!(*asked.lock(), [(0, both), (1, second.clone()), (0, second)]);
    broker.shutdown().await.unwrap();
}

/// What is not there yet is not closed, nor what has not been given all partitions yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_there_when_it_has_processed_all_of_its_partitions() {
    let (broker, shared) = copying(IsolationLevel::ReadUncommitted).await;
    let mut own = shared.new_task(task(1), None);
    let targets = |end: i64| Targets::from([(TopicPartition::new("in", 1), end)]);
    let other = Targets::from([(TopicPartition::new("in", 0), 5)]);
    assert!(is_there(&mut own, task(1), &other));
    assert!(is_there(&mut own, task(1), &targets(0)));
    assert!(!is_there(&mut own, task(1), &targets(5)));
    own.push(0, Vec::new(), 5, true);
    assert!(!is_there(&mut own, task(1), &targets(5)));
    own.step().unwrap();
    assert!(is_there(&mut own, task(1), &targets(5)));
    let mut bare = shared.new_task(task(1), Some(&[]));
    assert!(!is_there(&mut bare, task(1), &targets(0)));
    broker.shutdown().await.unwrap();
}

/// Whoever reads what was committed has all when it has come to the last stable offset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_ends_where_what_counts_of_it_ends() {
    for (isolation, expected) in [
        (IsolationLevel::ReadUncommitted, [7, 7]),
        (IsolationLevel::ReadCommitted, [3, 7]),
    ] {
        let (broker, shared) = copying(isolation).await;
        assert_eq!([shared.end(3, 7), shared.end(-1, 7)], expected);
        broker.shutdown().await.unwrap();
    }
}
