use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::harness::calls::{Connection, RawError};
use bytes::Bytes;
use tidemark_broker::environment::Environment;
use tidemark_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use tidemark_protocol::{ErrorCode, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::harness::calls::{
    self, FETCH, PRODUCE, batch, connect, create_topic, fetch_request, fetched, produce,
    produce_request, produced, read_all,
};
use crate::harness::embedded::{self, Embedded};

/// Sends everything back, on every connection.
struct Echo {
    address: String,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    // A client that is cut off is no failure.
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
        });
        Self { address }
    }
}

async fn before_echo() -> (Proxy, TcpStream) {
    let proxy = Proxy::start().await;
    proxy.forward_to(&Echo::start().await.address);
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, client)
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn hear(stream: &mut TcpStream, length: usize) -> String {
    let mut heard = vec![0; length];
    stream.read_exact(&mut heard).await.unwrap();
    String::from_utf8(heard).unwrap()
}

/// All until the end, which is not a fault here.
async fn hear_all(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    String::from_utf8(heard).unwrap()
}

async fn echoes(stream: &mut TcpStream) {
    say(stream, "ping").await;
    assert_eq!(hear(stream, 4).await, "ping");
}

/// Looks once.
async fn is_ready(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let (proxy, mut client) = before_echo().await;
    echoes(&mut client).await;
    say(&mut client, "last").await;
    client.shutdown().await.unwrap();
    assert_eq!(hear_all(&mut client).await, "last");
    let counts = proxy.wait_for(|counts| counts.open == 0).await;
    assert_eq!(counts.accepted, 1);
}

#[tokio::test]
async fn a_cut_ends_what_is_open_and_nothing_that_comes() {
    let (proxy, mut client) = before_echo().await;
    for reset in [false, true] {
        echoes(&mut client).await;
        if reset {
            proxy.reset();
            let error = client.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        } else {
            proxy.cut();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
        client = TcpStream::connect(proxy.address()).await.unwrap();
    }
    echoes(&mut client).await;
    assert_eq!(
        proxy.counts(),
        Counts {
            accepted: 3,
            open: 1
        }
    );
}

#[tokio::test]
async fn a_cut_may_come_after_a_number_of_bytes() {
    for (direction, bytes) in [(Direction::ToBroker, 6), (Direction::ToClient, 6)] {
        let (proxy, mut client) = before_echo().await;
        proxy.strike_after(direction, bytes, Strike::Cut);
        echoes(&mut client).await;
        assert!(proxy.strikes(direction));
        say(&mut client, "1234").await;
        // Two more bytes reached the broker; whether it could still answer them is open.
        let heard = hear_all(&mut client).await;
        assert!("12".starts_with(&heard), "{heard}");
        assert!(direction == Direction::ToBroker || heard == "12", "{heard}");
        assert!(!proxy.strikes(direction));
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        echoes(&mut next).await;
    }
}

#[tokio::test]
async fn one_byte_may_come_out_wrong() {
    let (proxy, mut client) = before_echo().await;
    proxy.strike_after(Direction::ToClient, 5, Strike::Flip);
    echoes(&mut client).await;
    say(&mut client, "aaaa").await;
    assert_eq!(hear(&mut client, 4).await, "a`aa");
    echoes(&mut client).await;
}

#[tokio::test]
async fn held_bytes_arrive_when_they_are_let_go() {
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let (proxy, mut client) = before_echo().await;
        echoes(&mut client).await;
        proxy.set_flow(direction, Flow::Hold);
        say(&mut client, "held").await;
        client.shutdown().await.unwrap();
        // Another connection is held as well.
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.wait_for(|counts| counts.accepted == 2).await;
        assert!(!is_ready(client.read(&mut [0])).await);
        proxy.set_flow(direction, Flow::Pass);
        assert_eq!(hear_all(&mut client).await, "held");
        echoes(&mut other).await;
    }
}

#[tokio::test]
async fn a_connection_that_has_lost_bytes_stays_dumb() {
    let (proxy, mut client) = before_echo().await;
    echoes(&mut client).await;
    proxy.set_flow(Direction::ToClient, Flow::Discard);
    say(&mut client, "lost").await;
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut other, "lost").await;
    client.shutdown().await.unwrap();
    proxy.wait_for(|counts| counts.accepted == 2).await;
    // Nothing comes, not even the end.
    assert!(!is_ready(client.read(&mut [0])).await);
    assert_eq!(proxy.counts().open, 2);
    proxy.cut();
    assert_eq!(hear_all(&mut client).await, "");
    assert_eq!(hear_all(&mut other).await, "");
    proxy.set_flows(Flow::Pass);
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    echoes(&mut next).await;
}

#[tokio::test]
async fn refused_connections_do_not_disturb_open_ones() {
    let (proxy, mut client) = before_echo().await;
    echoes(&mut client).await;
    for _ in 0..3 {
        proxy.refuse().await;
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        echoes(&mut client).await;
        proxy.accept().await;
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        echoes(&mut next).await;
    }
}

#[tokio::test]
async fn without_a_broker_behind_it_connections_end() {
    let proxy = Proxy::start().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(hear_all(&mut client).await, "");
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    proxy.forward_to(&gone);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(hear_all(&mut client).await, "");
    proxy.forward_to(&Echo::start().await.address);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    echoes(&mut client).await;
}

/// A broker that tells clients to come through the proxy, and a topic.
async fn before_broker(
    script: impl FnMut(&Intercepted) -> Verdict + Send + 'static,
) -> (Proxy, Embedded, Connection) {
    let proxy = Proxy::intercept(script).await;
    let advertised = proxy.advertised();
    let options = [
        ("advertised.listeners", &*advertised),
        ("max.incremental.fetch.session.cache.slots", "0"),
    ];
    let dir = std::path::Path::new("/data");
    let broker = embedded::start(dir, Environment::in_memory(), &options).await;
    proxy.forward_to(&broker.bootstrap());
    let mut connection = connect(&proxy.address()).await;
    create_topic(&mut connection, "topic", 1, &[]).await;
    (proxy, broker, connection)
}

fn pass(_: &Intercepted) -> Verdict {
    Verdict::Pass
}

#[tokio::test]
async fn the_broker_tells_clients_to_come_through_the_proxy() {
    let (proxy, broker, mut connection) = before_broker(pass).await;
    let metadata = calls::metadata(&mut connection).await;
    let told = &metadata.brokers[0];
    assert_eq!(format!("{}:{}", told.host, told.port), proxy.address());
    assert_eq!(
        produce(&mut connection, "topic", batch("a", None), -1).await,
        0
    );
    assert_eq!(read_all(&mut connection, "topic").await, [(0, "a".into())]);
    // acks=0 has no answer, and what follows still has its own.
    let silent = produce_request("topic", batch("b", None), 0);
    connection
        .send_without_answer(PRODUCE, &silent)
        .await
        .unwrap();
    assert_eq!(
        produce(&mut connection, "topic", batch("c", None), 1).await,
        2
    );
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_script_sees_every_request_in_its_order() {
    let (seen, mut requests) = mpsc::channel(100);
    let (proxy, broker, mut connection) = before_broker(pass).await;
    proxy.set_script(move |request| {
        let header = &request.header;
        seen.try_send((header.api_key, header.api_version, header.client_id.clone()))
            .unwrap();
        if request.is::<FetchRequest>() {
            assert_eq!(request.decode::<FetchRequest>().topics.len(), 1);
        }
        Verdict::Pass
    });
    produce(&mut connection, "topic", batch("a", None), -1).await;
    read_all(&mut connection, "topic").await;
    let name = Some(StrBytes::from_static_str("test"));
    assert_eq!(requests.recv().await, Some((0, PRODUCE, name.clone())));
    assert_eq!(requests.recv().await, Some((1, FETCH, name)));
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_answer_in_the_brokers_place_waits_for_its_turn() {
    let (proxy, broker, mut connection) = before_broker(pass).await;
    let gate = Gate::new();
    let held = gate.clone();
    proxy.set_script(move |request| match request.header.api_key {
        0 => Verdict::HoldAnswer(held.clone()),
        1 => request.fail(ErrorCode::NotLeaderOrFollower),
        _ => Verdict::Pass,
    });
    let first = produce_request("topic", batch("a", None), -1);
    connection.send(PRODUCE, &first).await.unwrap();
    let second = fetch_request("topic", 0, 60_000, 1);
    connection.send(FETCH, &second).await.unwrap();
    connection
        .send(0, &ApiVersionsRequest::default())
        .await
        .unwrap();
    gate.reached(1).await;
    // It was done, and nothing is said.
    let mut other = connect(&broker.bootstrap()).await;
    assert_eq!(read_all(&mut other, "topic").await.len(), 1);
    assert!(!is_ready(connection.receive_frame()).await);
    gate.open();
    let response = connection.receive::<ProduceRequest>(PRODUCE);
    assert_eq!(produced(response.await.unwrap()).error_code, 0);
    let response = connection.receive::<FetchRequest>(FETCH).await.unwrap();
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
    connection.receive::<ApiVersionsRequest>(0).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_held_has_not_reached_the_broker() {
    let (proxy, broker, mut connection) = before_broker(pass).await;
    let gate = Gate::new();
    let held = gate.clone();
    proxy.set_script(move |_| Verdict::Hold(held.clone()));
    let request = produce_request("topic", batch("a", None), -1);
    connection.send(PRODUCE, &request).await.unwrap();
    gate.reached(1).await;
    let mut other = connect(&broker.bootstrap()).await;
    assert_eq!(read_all(&mut other, "topic").await, []);
    gate.open();
    let response = connection.receive::<ProduceRequest>(PRODUCE);
    assert_eq!(produced(response.await.unwrap()).error_code, 0);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_connection_may_end_before_the_request_or_after_it() {
    let (proxy, broker, _) = before_broker(pass).await;
    let mut witness = connect(&broker.bootstrap()).await;
    for (close_at_answer, records) in [(false, 0), (true, 1)] {
        proxy.set_script(move |_| match close_at_answer {
            false => Verdict::Close,
            true => Verdict::CloseAtAnswer,
        });
        let mut connection = connect(&proxy.address()).await;
        let request = produce_request("topic", batch("a", None), -1);
        let error = connection.call(PRODUCE, &request).await.unwrap_err();
        assert!(
            matches!(error, RawError::Closed | RawError::Io(_)),
            "{error}"
        );
        assert_eq!(read_all(&mut witness, "topic").await.len(), records);
    }
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn answers_may_be_lost_changed_or_nonsense() {
    let (proxy, broker, mut connection) = before_broker(pass).await;
    proxy.set_script(|request| match request.header.api_key {
        0 => request.rewrite::<ProduceRequest>(|response| {
            response.responses[0].partition_responses[0].error_code =
                ErrorCode::RequestTimedOut.code();
        }),
        3 => Verdict::DropAnswer,
        18 => Verdict::Drop,
        _ => Verdict::Garbage(Bytes::from_static(&[0xff; 8])),
    });
    let request = produce_request("topic", batch("a", None), -1);
    let response = connection.call(PRODUCE, &request).await.unwrap();
    let code = ErrorCode::RequestTimedOut.code();
    assert_eq!(produced(response).error_code, code);
    let metadata = MetadataRequest::default();
    connection.send_without_answer(12, &metadata).await.unwrap();
    let versions = ApiVersionsRequest::default();
    connection.send_without_answer(0, &versions).await.unwrap();
    let request = produce_request("topic", batch("b", None), -1);
    let response = connection.call(PRODUCE, &request).await.unwrap();
    assert_eq!(produced(response).error_code, code);
    let fetch = fetch_request("topic", 0, 0, 0);
    let error = connection.call(FETCH, &fetch).await.unwrap_err();
    assert!(matches!(error, RawError::Frame(_)), "{error}");
    let mut witness = connect(&broker.bootstrap()).await;
    let response = witness.call(FETCH, &fetch).await.unwrap();
    assert_eq!(fetched(&response).len(), 2, "it was done each time");
    broker.shutdown().await.unwrap();
}

/// Every answer of `failures.rs`, at the oldest version and at one with compact fields.
#[tokio::test]
async fn failures_have_the_shape_of_their_version() {
    let code = ErrorCode::CoordinatorNotAvailable;
    let (_proxy, _broker, mut connection) =
        before_broker(move |request| match request.header.api_key {
            19 => Verdict::Pass,
            _ => request.fail(code),
        })
        .await;
    let text = StrBytes::from_static_str;
    let code = code.code();
    let partition = produced(
        connection
            .call(3, &produce_request("topic", batch("a", None), 1))
            .await
            .unwrap(),
    );
    assert_eq!((partition.error_code, partition.base_offset), (code, -1));
    for version in [4, FETCH] {
        let request = fetch_request("topic", 0, 0, 0);
        let response = connection.call(version, &request).await.unwrap();
        assert_eq!(response.responses[0].partitions[0].error_code, code);
    }
    for version in [1, 3, 6] {
        let request = FindCoordinatorRequest::default();
        let request = match version {
            6 => request.with_coordinator_keys(vec![text("group")]),
            _ => request.with_key(text("group")),
        };
        let response = connection.call(version, &request).await.unwrap();
        match version {
            6 => assert_eq!(response.coordinators[0].error_code, code),
            _ => assert_eq!(response.error_code, code),
        }
    }
    let heartbeat = connection.call(4, &HeartbeatRequest::default()).await;
    assert_eq!(heartbeat.unwrap().error_code, code);
    assert_eq!(
        calls::commit(&mut connection, "group", "topic", 1).await,
        code
    );
    assert_eq!(
        calls::committed(&mut connection, "group", "topic").await,
        Err(code)
    );
    for version in [1, 7] {
        let request = ListOffsetsRequest::default();
        let response = connection.call(version, &request).await.unwrap();
        assert_eq!(response.topics.len(), 0);
    }
    let request = OffsetCommitRequest::default();
    connection.call(2, &request).await.unwrap();
    let request = OffsetFetchRequest::default();
    connection.call(1, &request).await.unwrap();
}
