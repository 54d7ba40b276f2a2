//! Instances that were stopped, and go on when others have their tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemark_client::Client;
use tidemark_streams::{Streams, StreamsBuilder, StreamsConfig, Topology};

use crate::support::{catch_up, committed, config, read, started, until, until_found, write};

/// Holds a thread up, with all that runs on it.
#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: AtomicBool,
}

impl Gate {
    #[allow(
        clippy::disallowed_methods,
        reason = "the thread is to stand still, as in a process that was stopped"
    )]
    fn pass(&self) {
        self.reached.store(true, Ordering::Release);
        while !self.open.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Counts, and says who has counted. Whoever has a gate waits there with the value "stop".
fn counting(name: &'static str, gate: Option<Arc<Gate>>) -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .peek(move |record| {
            if let (true, Some(gate)) = (record.value == "stop", &gate) {
                gate.pass();
            }
        })
        .group_by_key()
        .count()
        .values()
        .map_values(move |count| format!("{name}: {count}"))
        .to("out");
    builder.build().unwrap()
}

fn quick(config: StreamsConfig) -> StreamsConfig {
    config.session_timeout(Duration::from_secs(6))
}

async fn members(client: &Client) -> usize {
    let mut groups = client.admin().describe_groups(["counts"]).await.unwrap();
    groups.remove("counts").unwrap().unwrap().members.len()
}

/// Neither outputs nor changelogs have anything of an instance that has lost its tasks: not what it was
/// at when it was stopped, and not what waited to be sent. It goes on as a new member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_lost_its_tasks_writes_nothing() {
    let (_dir, broker, client) = started(&[("in", 1), ("out", 1)]).await;
    let record = |key: &str, value: &str| (key.to_owned(), value.to_owned(), 5);
    let gate = Arc::new(Gate::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = {
        let (gate, config) = (Arc::clone(&gate), quick(config(&broker, "counts")));
        // All of it on one thread, heartbeats, too.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let topology = counting("a", Some(gate));
                let streams = Streams::start(&topology, config).await.unwrap();
                let _ = stopped.await;
                streams.close(Duration::from_secs(60)).await.unwrap();
            });
        })
    };
    write(&client, "in", [record("k", "x"), record("k", "x")]).await;
    let outputs = async || {
        let out = read::<String, String>(&client, "out").await;
        out.into_iter()
            .map(|(_, value)| value)
            .collect::<Vec<String>>()
    };
    let last = async |wanted: &str| {
        until_found(wanted, async || {
            outputs()
                .await
                .last()
                .is_some_and(|last| last == wanted)
                .then_some(())
        })
        .await;
    };
    last("a: 2").await;
    // What it has written comes again unless it is committed.
    until_found("its commit", async || {
        (committed(&client, "counts", &["in"]).await == 2).then_some(())
    })
    .await;
    let records = [record("k", "x"), record("k", "stop"), record("k", "x")];
    write(&client, "in", records).await;
    until("it to stand still", || gate.reached.load(Ordering::Acquire)).await;
    let other = counting("b", None);
    let other = Streams::start(&other, quick(config(&broker, "counts")))
        .await
        .unwrap();
    until("the other to have the task", || other.tasks().len() == 1).await;
    write(&client, "in", [record("k", "x"), record("k", "x")]).await;
    last("b: 7").await;
    gate.open.store(true, Ordering::Release);
    let both = async || (members(&client).await == 2).then_some(());
    until_found("both to be members", both).await;
    // Something to commit, with what is in the changelog by then.
    write(&client, "in", [record("z", "x")]).await;
    last("b: 1").await;
    stop.send(()).unwrap();
    thread.join().unwrap();
    other.close(Duration::from_secs(60)).await.unwrap();
    let last = counting("c", None);
    write(&client, "in", [record("k", "x")]).await;
    catch_up(&last, quick(config(&broker, "counts"))).await;
    let expected = [
        "a: 1", "a: 2", "b: 3", "b: 4", "b: 5", "b: 6", "b: 7", "b: 1", "c: 8",
    ];
    // The record in front of the stop may have been through on its own.
    let out: Vec<String> = outputs()
        .await
        .into_iter()
        .filter(|value| value != "a: 3")
        .collect();
    assert_eq!(out, expected);
    broker.shutdown().await.unwrap();
}
