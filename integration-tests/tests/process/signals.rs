//! SIGTERM, SIGINT, a second signal, SIGKILL.

use integration_tests::harness::calls::Connection;
use integration_tests::harness::calls::{
    FETCH, PRODUCE, batch, connect, create_topic, fetch_request, latest_offset, produce,
    produce_request, produced, read_all,
};
use integration_tests::harness::files::is_marked_clean;
use integration_tests::harness::process::{Launch, Running};
use integration_tests::harness::wait::until;
use rustix::process::Signal;
use tidemark_protocol::messages::{FetchRequest, ProduceRequest};

use super::temp_dir;

const MINUTE_MS: i32 = 60_000;

/// Leaves six requests without an answer: a fetch that waits for a minute and, behind it on the
/// same connection, five produce requests, which have been carried out.
async fn begin_requests(broker: &Running) -> Connection {
    let mut connection = connect(broker.bootstrap()).await;
    create_topic(&mut connection, "empty", 1, &[]).await;
    create_topic(&mut connection, "full", 1, &[]).await;
    let parked = fetch_request("empty", 0, MINUTE_MS, 1);
    connection.send(FETCH, &parked).await.expect("it is sent");
    for number in 0..5 {
        let request = produce_request("full", batch(&format!("record {number}"), None), -1);
        let sent = connection.send(PRODUCE, &request).await;
        sent.expect("it is sent");
    }
    let mut observer = connect(broker.bootstrap()).await;
    while latest_offset(&mut observer, "full").await < 5 {
        assert!(!is_marked_clean(&broker.data_dir()));
    }
    connection
}

#[tokio::test]
async fn what_is_under_way_is_answered_and_the_shutdown_is_clean() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = temp_dir();
        let broker = Launch::new(dir.path()).start();
        let data_dir = broker.data_dir();
        let mut connection = begin_requests(&broker).await;
        broker.signal(signal);
        let parked = connection.receive::<FetchRequest>(FETCH).await;
        let parked = parked.expect("the parked fetch is answered");
        assert_eq!(parked.responses[0].partitions[0].error_code, 0);
        for number in 0..5 {
            let response = connection.receive::<ProduceRequest>(PRODUCE).await;
            let response = produced(response.expect("the produce request is answered"));
            assert_eq!((response.error_code, response.base_offset), (0, number));
        }
        let end = connection.receive_frame().await;
        assert!(end.is_err(), "the connection is closed then");
        let ended = broker.wait();
        assert_eq!(ended.status.code(), Some(0), "{signal:?}: {ended:?}");
        assert!(is_marked_clean(&data_dir), "{signal:?}");

        let broker = Launch::new(dir.path()).start();
        assert!(!is_marked_clean(&data_dir), "it vouches for one start only");
        let errors = broker.errors();
        assert!(!errors.contains("recovered"), "{errors}");
        let mut connection = connect(broker.bootstrap()).await;
        assert_eq!(read_all(&mut connection, "full").await.len(), 5);
        let next = produce(&mut connection, "full", batch("next", None), -1).await;
        assert_eq!(next, 5);
        broker.stop();
    }
}

/// A client that does not read its answers holds the first signal up for as long as it may.
#[tokio::test]
async fn a_second_signal_ends_the_broker_at_once() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path()).start();
    let data_dir = broker.data_dir();
    let mut connection = connect(broker.bootstrap()).await;
    create_topic(&mut connection, "large", 1, &[]).await;
    let large = "x".repeat(1 << 20);
    for _ in 0..8 {
        produce(&mut connection, "large", batch(&large[64..], None), 1).await;
    }
    // 40 times 8 MiB: more than any socket's buffers hold.
    let request = fetch_request("large", 0, 0, 0);
    for _ in 0..40 {
        let sent = connection.send(FETCH, &request).await;
        sent.expect("it is sent");
    }
    connection
        .receive::<FetchRequest>(FETCH)
        .await
        .expect("the first answer comes");
    broker.signal(Signal::TERM);
    until("the first signal to be heard", || {
        let errors = broker.errors();
        errors
            .contains("a second signal stops at once")
            .then_some(())
    });
    broker.signal(Signal::TERM);
    let ended = broker.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(!is_marked_clean(&data_dir));

    let broker = Launch::new(dir.path()).start();
    let mut connection = connect(broker.bootstrap()).await;
    assert_eq!(latest_offset(&mut connection, "large").await, 8);
    broker.stop();
}

#[tokio::test]
async fn after_a_kill_what_was_written_is_still_there() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path()).start();
    let mut connection = connect(broker.bootstrap()).await;
    create_topic(&mut connection, "kept", 1, &[]).await;
    for acks in [-1, 1] {
        produce(&mut connection, "kept", batch("record", None), acks).await;
    }
    let data_dir = broker.data_dir();
    broker.kill();
    assert!(!is_marked_clean(&data_dir));
    let broker = Launch::new(dir.path()).start();
    let mut connection = connect(broker.bootstrap()).await;
    assert_eq!(read_all(&mut connection, "kept").await.len(), 2);
    broker.stop();
}
