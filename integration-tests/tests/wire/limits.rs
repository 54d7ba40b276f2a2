//! Connections and requests that want too much: of places, of memory, of patience.

use bytes::{Buf, Bytes};
use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, MetadataRequest, ProduceResponse,
};
use kafka_protocol::protocol::Decodable;
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
    let greedy = TcpStream::connect(server.address()).await.unwrap();
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
    let mut attempts = 0;
    while server
        .connect()
        .await
        .call(0, &ApiVersionsRequest::default())
        .await
        .is_err()
    {
        attempts += 1;
        assert!(attempts < 1_000, "the place does not become free");
        alive(&mut first).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_can_have_its_own_limit() {
    for limit in ["127.0.0.1:1", "localhost:1"] {
        let limits = [
            ("max.connections.per.ip", "0"),
            ("max.connections.per.ip.overrides", limit),
        ];
        let server = Server::start(&limits).await;
        let mut first = server.connect().await;
        alive(&mut first).await;
        closed(&mut server.connect().await, "one too many").await;
        server.stop().await;
    }
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
    const CONTROL_CAP: usize = 4 << 20;
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "large", 6).await;
    let nearly_all = "x".repeat(1_000_000);
    let mut request = produce_request(12, &topic, 0, -1, Some(batch(&[&nearly_all])));
    let partitions = &mut request.topic_data[0].partition_data;
    for index in 1..6 {
        partitions.push(partitions[0].clone().with_index(index));
    }
    let bytes = encoded(12, 7, &request);
    assert!(bytes.len() > CONTROL_CAP);
    // The verdict falls when the key is there: nothing is wrong so far.
    let (begin, rest) = bytes.split_at(12);
    connection.send_raw(begin).await.unwrap();
    let mut witness = server.connect().await;
    alive(&mut witness).await;
    connection.send_raw(rest).await.unwrap();
    let mut answer = connection.receive_frame().await.unwrap();
    assert_eq!((answer.get_i32(), answer.get_u8()), (7, 0));
    let answer = ProduceResponse::decode(&mut answer, 12).unwrap();
    let partitions = &answer.responses[0].partition_responses;
    assert_eq!(partitions.len(), 6);
    assert!(partitions.iter().all(|partition| partition.error_code == 0));
    for key in [1_i16, 3, 11] {
        let mut connection = server.connect().await;
        let mut bytes = (CONTROL_CAP as i32 + 1).to_be_bytes().to_vec();
        bytes.extend(key.to_be_bytes());
        connection.send_raw(&bytes).await.unwrap();
        closed(&mut connection, &format!("key {key}")).await;
    }
    server.stop().await;
}

/// Half a megabyte that would become 25 to 100 times as much.
#[tokio::test]
async fn requests_with_more_elements_than_any_client_sends_are_closed() {
    let server = Server::start(&[]).await;
    let mut witness = server.connect().await;
    let asking_for = |topics: usize| {
        let topic = MetadataRequestTopic::default().with_name(Some(named("")));
        let request = MetadataRequest::default().with_topics(Some(vec![topic; topics]));
        encoded(9, 7, &request)
    };
    let mut connection = server.connect().await;
    let bytes = asking_for(250_001);
    assert!(bytes.len() < 600_000);
    connection.send_raw(&bytes).await.unwrap();
    closed(&mut connection, "one element too many").await;
    let mut connection = server.connect().await;
    connection.send_raw(&asking_for(250_000)).await.unwrap();
    let mut answer = connection.receive_frame().await.unwrap();
    assert_eq!(answer.get_i32(), 7);
    alive(&mut witness).await;
    server.stop().await;
}

/// The last request in the row has an effect that others see: it is not begun before the answers
/// ahead of it have been read.
#[tokio::test]
async fn requests_behind_megabytes_of_unread_answers_are_not_begun() {
    const BACKLOG: usize = 4 << 20;
    let server = Server::start(&[]).await;
    let mut witness = server.connect().await;
    let names: Vec<String> = (0..60).map(|number| format!("t{number}")).collect();
    for name in &names {
        create(&mut witness, name, 1).await;
    }
    let resource = |name: &String| {
        DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let describe = DescribeConfigsRequest::default()
        .with_resources(names.iter().map(resource).collect())
        .with_include_documentation(true)
        .with_include_synonyms(true);
    let request = encoded(4, 7, &describe);
    witness.send_raw(&request).await.unwrap();
    let size = witness.receive_frame().await.unwrap().len();
    // Fewer requests than may be pipelined; more bytes than the broker and the sockets take.
    const AHEAD: usize = 60;
    assert!(AHEAD * size > 4 * BACKLOG, "{size}");
    let mut bytes = request.repeat(AHEAD);
    let marker = create_request(vec![creatable("marker", 1, &[])]);
    bytes.extend(&encoded(7, 8, &marker)[..]);
    let mut greedy = server.connect().await;
    greedy.send_raw(&bytes).await.unwrap();
    let marked = async |witness: &mut Connection| {
        let asked = MetadataRequest::default()
            .with_topics(Some(vec![
                MetadataRequestTopic::default().with_name(Some(named("marker"))),
            ]))
            .with_allow_auto_topic_creation(false);
        let answer = witness.call(12, &asked).await.unwrap();
        answer.topics[0].error_code == 0
    };
    for _ in 0..200 {
        assert!(!marked(&mut witness).await, "everything was begun");
    }
    for _ in 0..AHEAD {
        assert_eq!(greedy.receive_frame().await.unwrap().get_i32(), 7);
    }
    assert_eq!(greedy.receive_frame().await.unwrap().get_i32(), 8);
    assert!(marked(&mut witness).await);
    server.stop().await;
}

/// Consumers that ask for much and do not read it hold memory; others get less, and get on.
#[tokio::test]
async fn answers_that_nobody_reads_make_others_smaller_and_stop_nobody() {
    const MUCH: i32 = 50 << 20;
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "much", 1).await;
    let large = "x".repeat(1_000_000);
    for _ in 0..55 {
        produce(&mut connection, &topic, 0, batch(&[&large])).await;
    }
    let fetch = fetch_request(12, &topic, &[(0, 0, MUCH)]);
    let bytes = encoded(12, 7, &fetch);
    let mut deaf = Vec::new();
    for _ in 0..6 {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(&bytes).unwrap(), bytes.len());
        // Its answer has been made, and is far larger than what sockets hold.
        stream.readable().await.unwrap();
        deaf.push(stream);
    }
    let fetched_bytes = async |connection: &mut Connection| {
        let answer = connection.call(12, &fetch).await.unwrap();
        only_fetched(&answer).records.as_ref().map_or(0, Bytes::len)
    };
    let size = fetched_bytes(&mut connection).await;
    assert!((2_000_000..20_000_000).contains(&size), "{size}");
    // What they held comes back when they go.
    drop(deaf);
    for round in 0.. {
        assert!(round < 1_000, "nothing came back");
        alive(&mut connection).await;
        if fetched_bytes(&mut connection).await > 50_000_000 {
            break;
        }
    }
    server.stop().await;
}

/// What a probe asks for, without the empty line at its end.
const HALF_A_PROBE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: x\r\n";

#[tokio::test]
async fn half_open_http_connections_are_limited_in_number_and_time() {
    const MOST: usize = 64;
    let listener = [("tidemark.http.listener", "127.0.0.1:0")];
    let (server, clock) = Server::with_clock(&listener).await;
    let mut witness = server.connect().await;
    let half_open = async || {
        let mut stream = TcpStream::connect(server.http()).await.unwrap();
        stream.write_all(HALF_A_PROBE).await.unwrap();
        stream
    };
    let ask = async || {
        let mut stream = half_open().await;
        stream.write_all(b"\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = ask().await;
    assert!(answer.ends_with("live\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let mut held = Vec::new();
    for _ in 0..MOST {
        held.push(half_open().await);
    }
    let mut late = Box::pin(ask());
    for _ in 0..50 {
        alive(&mut witness).await;
        assert!(poll(&mut late).await.is_none(), "there is no place for it");
    }
    // They do not get more time by saying something now and then.
    for _ in 0..3 {
        for stream in &mut held {
            stream.write_all(b"X-More: yes\r\n").await.unwrap();
        }
        alive(&mut witness).await;
        clock.advance(10_000);
    }
    assert!(late.await.ends_with("live\n"));
    for mut stream in held {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
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
