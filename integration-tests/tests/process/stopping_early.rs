//! A signal while the broker starts: it stops in order when the start is done.
//!
//! A named pipe in the place of a checkpoint holds the start up for as long as a test wants.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use integration_tests::harness::calls::{
    batch, connect, create_topic, latest_offset, produce, read_all,
};
use integration_tests::harness::files::{Gate, is_marked_clean, names};
use integration_tests::harness::process::{Launch, Running};
use integration_tests::harness::wait::until;
use rustix::process::Signal;

use super::{fill, numbered, start, temp_dir};

/// Checkpoints, in the order in which they are read.
const FIRST: &str = "recovery-point-offset-checkpoint";
const LAST: &str = "replication-offset-checkpoint";

/// What the broker says to a signal during the start.
const HEARD: &str = "stopping when the start is done";

/// Starts a broker that has begun to open its logs and stands at the returned gate.
fn start_held_up<'a>(dir: &Path, first: &'a Path, last: &'a Path) -> (Running, Gate<'a>) {
    let (first, last) = (Gate::put(first), Gate::put(last));
    let broker = Launch::new(dir).spawn();
    first.open();
    (broker, last)
}

fn wait_until_heard(broker: &Running) {
    until("the signal to be heard", || {
        broker.errors().contains(HEARD).then_some(())
    });
}

#[tokio::test]
async fn a_signal_during_the_start_stops_in_order_after_it() {
    for signal in [Signal::TERM, Signal::INT] {
        for orderly in [true, false] {
            let dir = temp_dir();
            let (broker, mut connection) = start(dir.path()).await;
            fill(&mut connection, "kept", &["one", "two"]).await;
            let data = broker.data_dir();
            match orderly {
                true => drop(broker.stop()),
                false => broker.kill(),
            }
            let (first, last) = (data.join(FIRST), data.join(LAST));
            let (broker, gate) = start_held_up(dir.path(), &first, &last);
            broker.signal(signal);
            wait_until_heard(&broker);
            gate.open();
            let ended = broker.wait();
            assert_eq!(ended.status.code(), Some(0), "{ended:?}");
            assert_eq!(ended.output, "", "nobody can connect: no banner");
            assert!(is_marked_clean(&data), "{ended:?}");

            let (broker, mut connection) = start(dir.path()).await;
            assert!(!broker.errors().contains("recovered"), "it was done before");
            let all = numbered(&["one", "two"]);
            assert_eq!(read_all(&mut connection, "kept").await, all);
            broker.stop();
        }
    }
}

#[tokio::test]
async fn a_second_signal_during_the_start_ends_it_at_once() {
    let dir = temp_dir();
    let (broker, mut connection) = start(dir.path()).await;
    fill(&mut connection, "kept", &["one"]).await;
    let data = broker.data_dir();
    broker.stop();
    let (first, last) = (data.join(FIRST), data.join(LAST));
    let (broker, _gate) = start_held_up(dir.path(), &first, &last);
    broker.signal(Signal::TERM);
    wait_until_heard(&broker);
    broker.signal(Signal::TERM);
    let ended = broker.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(is_marked_clean(&data), "nothing had been touched yet");
    for pipe in [first, last] {
        std::fs::remove_file(pipe).expect("the pipe is still there");
    }

    let (broker, mut connection) = start(dir.path()).await;
    assert_eq!(read_all(&mut connection, "kept").await, numbered(&["one"]));
    broker.stop();
}

/// Before the handlers are there the signal kills, which the next start gets over as always.
#[tokio::test]
async fn a_signal_at_any_moment_of_the_start_leaves_everything_there() {
    const TOPICS: usize = 2;
    const PARTITIONS: i32 = 10;
    let dir = temp_dir();
    let (broker, mut connection) = start(dir.path()).await;
    for topic in 0..TOPICS {
        let name = format!("topic-{topic}");
        create_topic(&mut connection, &name, PARTITIONS, &[]).await;
        for offset in 0..3 {
            let record = batch(&format!("record {offset}"), None);
            assert_eq!(produce(&mut connection, &name, record, -1).await, offset);
        }
    }
    let data = broker.data_dir();
    broker.kill();
    let dirs = names(&data);
    let (mut clean, mut killed) = (0, 0);
    for looks in 0..12 {
        // A look a little later each time, until the start is over.
        let mut left = looks;
        let mut broker = Launch::new(dir.path()).spawn();
        until("the moment", || {
            left -= 1;
            let over = !broker.output().is_empty();
            (left < 0 || over).then_some(())
        });
        assert_eq!(broker.exited(), None);
        broker.signal(Signal::TERM);
        let ended = broker.wait();
        match ended.status.signal() {
            Some(signal) => {
                assert_eq!(signal, Signal::TERM.as_raw(), "{ended:?}");
                killed += 1;
            }
            None => {
                assert_eq!(ended.status.code(), Some(0), "{ended:?}");
                assert!(is_marked_clean(&data), "{ended:?}");
                clean += 1;
            }
        }
    }
    eprintln!("{clean} ended in order, {killed} were killed by the signal");
    assert!(clean > 0, "the handlers come long before the start is over");
    let broker = Launch::new(dir.path()).start();
    let mut connection = connect(broker.bootstrap()).await;
    for topic in 0..TOPICS {
        let name = format!("topic-{topic}");
        assert_eq!(latest_offset(&mut connection, &name).await, 3);
    }
    assert!(dirs.iter().all(|name| names(&data).contains(name)));
    broker.stop();
}
