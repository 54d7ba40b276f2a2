//! Connections and requests that want too much: of places, of memory, of patience.

use bytes::Buf;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use tidemark_protocol::frame::FrameDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;

#[tokio::test]
async fn a_client_that_sends_half_a_frame_and_stays_is_closed_when_its_time_is_up() {
    let idle = [("connections.max.idle.ms", "1000")];
    let (server, clock) = Server::with_clock(&idle).await;
    let mut half = server.connect().await;
    half.send_raw(&frame(&[0; 100])[..50]).await.unwrap();
    // Others are served meanwhile, and keep themselves alive by asking.
    let mut busy = server.connect().await;
    for _ in 0..9 {
        alive(&mut busy).await;
        clock.advance(100);
        alive(&mut busy).await;
    }
    assert!(poll(&mut Box::pin(half.receive_frame())).await.is_none());
    for _ in 0..2 {
        clock.advance(100);
        alive(&mut busy).await;
    }
    closed(&mut half, "half a frame").await;
    alive(&mut busy).await;
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_are_closed_whether_or_not_they_have_ever_asked() {
    let idle = [("connections.max.idle.ms", "1000")];
    let (server, clock) = Server::with_clock(&idle).await;
    let mut silent = server.connect().await;
    let mut quiet = server.connect().await;
    alive(&mut quiet).await;
    let mut busy = server.connect().await;
    for _ in 0..11 {
        alive(&mut busy).await;
        clock.advance(100);
    }
    closed(&mut silent, "never asked").await;
    closed(&mut quiet, "asked once").await;
    alive(&mut busy).await;
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_still_to_come_keeps_its_connection_alive() {
    let idle = [("connections.max.idle.ms", "1000")];
    let (server, clock) = Server::with_clock(&idle).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "slow", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(5_000);
    park(&mut connection, 12, &fetch).await;
    let mut busy = server.connect().await;
    for _ in 0..50 {
        alive(&mut busy).await;
        clock.advance(100);
    }
    let answer = connection
        .receive::<kafka_protocol::messages::FetchRequest>(12)
        .await;
    assert!(values(only_fetched(&answer.unwrap())).is_empty());
    server.stop().await;
}

/// Requests go in until the broker takes no more: far less than is sent. Others are served, and
/// in the end every request that went in has its answer, in order.
#[tokio::test]
async fn a_client_that_never_reads_is_not_read_from() {
    let server = Server::start(&[("num.partitions", "50")]).await;
    let mut witness = server.connect().await;
    for name in ["a", "b", "c", "d"] {
        create(&mut witness, name, 50).await;
    }
    let mut greedy = TcpStream::connect(server.address()).await.unwrap();
    let all = encoded(12, 7, &MetadataRequest::default().with_topics(None));
    const MOST: usize = 64 << 20;
    let mut sent = 0;
    let mut refusals = 0;
    while refusals < 200 {
        let rest = &all[sent % all.len()..];
        match greedy.try_write(rest) {
            Ok(count) => {
                sent += count;
                refusals = 0;
                assert!(sent < MOST, "the broker takes whatever is sent");
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                refusals += 1;
                alive(&mut witness).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Whoever reads again is served again.
    let requests = sent / all.len();
    let mut read = greedy;
    let mut decoder = FrameDecoder::new(16 << 20);
    let mut answers = 0;
    while answers < requests.min(5_000) {
        match decoder.decode(&|_| usize::MAX).unwrap() {
            Some(mut frame) => {
                assert_eq!(frame.get_i32(), 7);
                answers += 1;
            }
            None => {
                let count = read.read_buf(decoder.buffer_mut()).await.unwrap();
                assert_ne!(count, 0, "{answers} answers of {requests}");
            }
        }
    }
    drop(read);
    alive(&mut witness).await;
    server.stop().await;
}

#[tokio::test]
async fn beyond_max_connections_nobody_is_accepted_until_somebody_leaves() {
    let server = Server::start(&[("max.connections", "2")]).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    alive(&mut first).await;
    alive(&mut second).await;
    // The third is in the listener's backlog: connected, not served.
    let mut third = server.connect().await;
    third.send(0, &ApiVersionsRequest::default()).await.unwrap();
    for _ in 0..50 {
        alive(&mut first).await;
    }
    let mut answer = Box::pin(third.receive::<ApiVersionsRequest>(0));
    assert!(poll(&mut answer).await.is_none());
    drop(second);
    assert_eq!(answer.await.unwrap().error_code, 0);
    alive(&mut first).await;
    server.stop().await;
}

#[tokio::test]
async fn beyond_max_connections_per_ip_connections_are_closed() {
    let server = Server::start(&[("max.connections.per.ip", "2")]).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    alive(&mut first).await;
    alive(&mut second).await;
    let mut third = server.connect().await;
    closed(&mut third, "one too many").await;
    drop(second);
    alive(&mut first).await;
    // The place is free once the broker has seen that the second has gone.
    loop {
        let mut again = server.connect().await;
        let answer = again.call(0, &ApiVersionsRequest::default()).await;
        if answer.is_ok() {
            break;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_can_have_its_own_limit() {
    let limits = [
        ("max.connections.per.ip", "0"),
        ("max.connections.per.ip.overrides", "127.0.0.1:1"),
    ];
    let server = Server::start(&limits).await;
    let mut first = server.connect().await;
    alive(&mut first).await;
    closed(&mut server.connect().await, "one too many").await;
    server.stop().await;
}

#[tokio::test]
async fn requests_larger_than_allowed_are_closed_before_they_have_arrived() {
    let server = Server::start(&[("socket.request.max.bytes", "10000")]).await;
    let mut witness = server.connect().await;
    // Only the length, key and version have arrived when the verdict falls.
    let announce = |key: i16, length: i32| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(key.to_be_bytes());
        bytes.extend([0, 9]);
        bytes
    };
    for (key, length) in [(0, 10_001), (3, 10_001), (0, i32::MAX), (1, 104_857_600)] {
        let mut connection = server.connect().await;
        connection.send_raw(&announce(key, length)).await.unwrap();
        closed(&mut connection, &format!("key {key}, {length} bytes")).await;
    }
    let topic = create(&mut witness, "large", 1).await;
    let nearly = "x".repeat(9_800);
    produce(&mut witness, &topic, 0, batch(&[&nearly])).await;
    let too_long = "x".repeat(10_000);
    let request = produce_request(12, &topic, 0, -1, Some(batch(&[&too_long])));
    let mut connection = server.connect().await;
    connection.send(12, &request).await.unwrap();
    closed(&mut connection, "a real request that is too large").await;
    alive(&mut witness).await;
    server.stop().await;
}

#[tokio::test]
async fn only_produce_requests_may_be_large() {
    let server = Server::start(&[]).await;
    for (key, version, length, large_is_fine) in [
        (0_i16, 9_i16, 50 << 20, true),
        (3, 9, 5 << 20, false),
        (11, 5, 5 << 20, false),
    ] {
        let mut connection = server.connect().await;
        let mut bytes = i32::to_be_bytes(length).to_vec();
        bytes.extend(key.to_be_bytes());
        bytes.extend(version.to_be_bytes());
        connection.send_raw(&bytes).await.unwrap();
        if large_is_fine {
            let mut witness = server.connect().await;
            alive(&mut witness).await;
            assert!(
                poll(&mut Box::pin(connection.receive_frame()))
                    .await
                    .is_none()
            );
        } else {
            closed(&mut connection, &format!("key {key}")).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bounded_request_memory_makes_large_requests_wait_for_each_other() {
    let limits = [
        ("socket.request.max.bytes", "300000"),
        ("queued.max.request.bytes", "300000"),
    ];
    let server = Server::start(&limits).await;
    let mut witness = server.connect().await;
    let topic = create(&mut witness, "queued", 1).await;
    // A request that has begun and never ends holds most of the memory.
    let mut holder = TcpStream::connect(server.address()).await.unwrap();
    holder.write_all(&frame(&[0, 0, 0, 9])).await.unwrap();
    drop(holder);
    let mut holder = TcpStream::connect(server.address()).await.unwrap();
    let mut begun = 250_000_i32.to_be_bytes().to_vec();
    begun.extend([0, 0, 0, 9]);
    holder.write_all(&begun).await.unwrap();
    alive(&mut witness).await;
    let large = "x".repeat(200_000);
    let request = produce_request(12, &topic, 0, -1, Some(batch(&[&large])));
    let mut waiting = server.connect().await;
    waiting.send(12, &request).await.unwrap();
    for _ in 0..50 {
        alive(&mut witness).await;
    }
    let mut answer = Box::pin(waiting.receive::<kafka_protocol::messages::ProduceRequest>(12));
    assert!(
        poll(&mut answer).await.is_none(),
        "there is no memory for it"
    );
    // Small ones pass, and when the first goes away the second has its turn.
    drop(holder);
    assert_eq!(only_produced(&answer.await.unwrap()).error_code, 0);
    server.stop().await;
}
