//! Frames: truncated, oversized, garbage, in pieces, pipelined. A connection that cannot be
//! understood is closed; the others do not notice.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, ListOffsetsRequest, MetadataRequest,
    ProduceRequest,
};
use kafka_protocol::protocol::{Decodable, Request};
use rand::{Rng, SeedableRng};
use tidemark_broker::api::REGISTRY;
use tidemark_protocol::frame::FrameDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;

#[tokio::test]
async fn what_is_no_request_closes_the_connection_and_nothing_else() {
    let server = Server::start(&[]).await;
    let mut witness = server.connect().await;
    let metadata = |version, body: &[u8]| request(3, version, 1, body);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("length -1", (-1_i32).to_be_bytes().into()),
        ("length i32::MIN", i32::MIN.to_be_bytes().into()),
        ("length i32::MAX", i32::MAX.to_be_bytes().into()),
        ("an empty frame", frame(&[])),
        ("a frame of one byte", frame(&[0])),
        ("a key", frame(&[0, 18])),
        ("key and version", frame(&[0, 18, 0, 0])),
        ("no client id", frame(&[0, 18, 0, 0, 0, 0, 0, 1])),
        (
            "half a client id",
            frame(&[0, 18, 0, 0, 0, 0, 0, 1, 0, 9, b'x']),
        ),
        (
            "client id of length -2",
            frame(&[0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xfe]),
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("0xff", vec![0xff; 64]),
        ("Metadata v0 without a body", metadata(0, &[])),
        ("Metadata v0 with half a count", metadata(0, &[0, 0])),
        (
            "Metadata v0 with count -2",
            metadata(0, &(-2_i32).to_be_bytes()),
        ),
        (
            "Metadata v0 with count i32::MAX",
            metadata(0, &i32::MAX.to_be_bytes()),
        ),
        (
            "Metadata v0 asking for 3.9 GB",
            metadata(0, &[3, 0x3c, 0x0c, 0, 0xb6]),
        ),
        (
            "Metadata v13 asking for 309 GB",
            metadata(13, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ),
        (
            "Metadata v13 with an endless varint",
            metadata(13, &[0xff; 12]),
        ),
        (
            "Metadata v0 with a name of length -3",
            metadata(0, &[0, 0, 0, 1, 0xff, 0xfd]),
        ),
        (
            "Metadata v0 with a cut name",
            metadata(0, &[0, 0, 0, 1, 0, 9, b'a']),
        ),
        (
            "Metadata v12 with endless tags",
            metadata(12, &[1, 1, 0, 0xff, 0xff, 0xff, 0xff, 7]),
        ),
    ];
    for (story, bytes) in cases {
        let mut connection = server.connect().await;
        connection.send_raw(&bytes).await.unwrap();
        closed(&mut connection, story).await;
        alive(&mut witness).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_keys_and_versions_close_the_connection() {
    let server = Server::start(&[]).await;
    let mut witness = server.connect().await;
    let mut cases: Vec<(i16, i16)> = vec![(-1, 0), (999, 0), (i16::MAX, 0), (i16::MIN, 0)];
    // Keys of Kafka's that are not served: controlled shutdown, SASL, transactions, quorum.
    cases.extend([4, 5, 6, 7, 17, 24, 25, 26, 27, 28, 36, 52, 68, 76].map(|key| (key, 0)));
    for api in REGISTRY.iter().filter(|api| api.key as i16 != 18) {
        let key = api.key as i16;
        cases.extend([
            (key, api.max + 1),
            (key, i16::MAX),
            (key, -1),
            (key, api.min - 1),
        ]);
    }
    for (key, version) in cases {
        let mut connection = server.connect().await;
        // A body that would do for most.
        let bytes = request(key, version, 1, &[0; 64]);
        connection.send_raw(&bytes).await.unwrap();
        closed(&mut connection, &format!("key {key} version {version}")).await;
    }
    alive(&mut witness).await;
    server.stop().await;
}

#[tokio::test]
async fn a_too_new_api_versions_is_answered_in_version_0_with_the_list() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    for version in [5, 99, i16::MAX, -1] {
        let bytes = request(18, version, 77, b"whatever this version may hold");
        connection.send_raw(&bytes).await.unwrap();
        let mut frame = connection.receive_frame().await.unwrap();
        assert_eq!(frame.get_i32(), 77);
        let answer = ApiVersionsResponse::decode(&mut frame, 0).unwrap();
        assert!(!frame.has_remaining());
        assert_eq!(answer.error_code, 35, "UNSUPPORTED_VERSION");
        let told = answer.api_keys.iter().find(|api| api.api_key == 18);
        assert_eq!(
            told.map(|api| (api.min_version, api.max_version)),
            Some((0, 4))
        );
        assert_eq!(answer.api_keys.len(), REGISTRY.len());
    }
    // The client asks again, in a version from the list.
    alive(&mut connection).await;
    server.stop().await;
}

#[tokio::test]
async fn api_versions_tells_exactly_what_is_served() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    for version in 0..=4 {
        let request = if version >= 3 {
            ApiVersionsRequest::default()
                .with_client_software_name(text("wire-test"))
                .with_client_software_version(text("1.0"))
        } else {
            ApiVersionsRequest::default()
        };
        let answer = connection.call(version, &request).await.unwrap();
        let told: Vec<_> = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version, api.max_version))
            .collect();
        let served: Vec<_> = REGISTRY
            .iter()
            .map(|api| {
                (
                    api.key as i16,
                    if api.key as i16 == 0 { 0 } else { api.min },
                    api.max,
                )
            })
            .collect();
        assert_eq!(told, served, "version {version}");
    }
    server.stop().await;
}

#[tokio::test]
async fn produce_versions_0_to_2_are_told_of_and_refused() {
    let server = Server::start(&[]).await;
    for version in 0..3 {
        let mut connection = server.connect().await;
        let bytes = request(0, version, 1, &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
        connection.send_raw(&bytes).await.unwrap();
        closed(&mut connection, &format!("Produce v{version}")).await;
    }
    server.stop().await;
}

/// Whatever bytes follow a header that is in order, the broker answers or closes, and lives.
#[tokio::test]
async fn garbage_bodies_of_every_api_do_no_harm() {
    let server = Server::start(&[]).await;
    let mut witness = server.connect().await;
    for seed in 0..4 {
        println!("seed {seed}");
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        for api in REGISTRY {
            for version in api.min..=api.max {
                let mut body = vec![0; (random.next_u32() % 90) as usize];
                random.fill_bytes(&mut body);
                if random.next_u32() % 2 == 0 {
                    // Small numbers get further than large ones.
                    body.iter_mut().for_each(|byte| *byte &= 3);
                }
                let mut connection = server.connect().await;
                let bytes = request(api.key as i16, version, 9, &body);
                connection.send_raw(&bytes).await.unwrap();
                connection.send_raw(&i32::MIN.to_be_bytes()).await.unwrap();
                // An answer, if there is one, is to this request.
                if let Ok(mut frame) = connection.receive_frame().await {
                    assert_eq!(frame.get_i32(), 9, "{api:?} v{version}");
                }
            }
        }
        alive(&mut witness).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn frames_may_come_in_pieces() {
    let server = Server::start(&[]).await;
    let mut witness = server.connect().await;
    let mut connection = server.connect().await;
    let bytes = encoded(0, 5, &ApiVersionsRequest::default());
    for byte in &bytes[..] {
        connection.send_raw(&[*byte]).await.unwrap();
        // The broker has a turn with what is there, and serves others meanwhile.
        alive(&mut witness).await;
    }
    let mut frame = connection.receive_frame().await.unwrap();
    assert_eq!(frame.get_i32(), 5);
    server.stop().await;
}

/// Sends bytes and closes the sending side, as `printf ... | nc -N` does.
async fn send_and_half_close(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("it is sent");
    stream.shutdown().await.expect("it closes");
}

/// Correlation id and bytes of every answer up to the end of the connection.
async fn answers_to_the_end(mut stream: TcpStream) -> Vec<(i32, Bytes)> {
    let mut decoder = FrameDecoder::new(64 << 20);
    let mut answers = Vec::new();
    loop {
        while let Some(mut frame) = decoder.decode(&|_| usize::MAX).expect("frames") {
            answers.push((frame.get_i32(), frame));
        }
        let read = stream.read_buf(decoder.buffer_mut()).await;
        if read.expect("it ends in order") == 0 {
            assert_eq!(decoder.buffered(), 0, "the last answer is whole");
            return answers;
        }
    }
}

fn ids(answers: &[(i32, Bytes)]) -> Vec<i32> {
    answers.iter().map(|(id, _)| *id).collect()
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_still_gets_its_answers() {
    let server = Server::start(&[]).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let bytes = encoded(0, 5, &ApiVersionsRequest::default());
    send_and_half_close(&mut stream, &bytes).await;
    assert_eq!(ids(&answers_to_the_end(stream).await), [5]);
    server.stop().await;
}

/// acks=all waits for the disk; when the client closes its side, most of these are not ready.
#[tokio::test]
async fn rule_62_answers_that_are_still_to_come_at_the_half_close_come_in_their_order() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "half", 1).await;
    let mut bytes = Vec::new();
    for id in 0..40 {
        let one = match id % 2 {
            0 => encoded(
                9,
                id,
                &produce_request(9, &topic, 0, -1, Some(batch(&["a"]))),
            ),
            _ => encoded(0, id, &ApiVersionsRequest::default()),
        };
        bytes.extend(&one[..]);
    }
    for round in 0..10 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        send_and_half_close(&mut stream, &bytes).await;
        let answers = answers_to_the_end(stream).await;
        assert_eq!(ids(&answers), (0..40).collect::<Vec<_>>(), "round {round}");
    }
    server.stop().await;
}

/// The answer is larger than what the sockets hold: half of it is written when the client closes
/// its side, and the rest goes out when it reads.
#[tokio::test]
async fn a_half_written_answer_is_finished_after_the_half_close() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "long", 1).await;
    let large = "x".repeat(1_000_000);
    for _ in 0..16 {
        produce(&mut connection, &topic, 0, batch(&[&large])).await;
    }
    let fetch = fetch_request(12, &topic, &[(0, 0, 50 << 20)]);
    let mut bytes = encoded(12, 1, &fetch).to_vec();
    bytes.extend(&encoded(0, 2, &ApiVersionsRequest::default())[..]);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream.readable().await.unwrap();
    stream.shutdown().await.unwrap();
    for _ in 0..50 {
        alive(&mut connection).await;
    }
    let answers = answers_to_the_end(stream).await;
    assert_eq!(ids(&answers), [1, 2]);
    assert!(answers[0].1.len() > 16_000_000);
    server.stop().await;
}

#[tokio::test]
async fn a_parked_fetch_is_answered_after_the_half_close_when_its_data_comes() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut producer = server.connect().await;
    let topic = create(&mut producer, "late", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(3_600_000);
    let mut bytes = encoded(12, 1, &fetch).to_vec();
    bytes.extend(&encoded(0, 2, &ApiVersionsRequest::default())[..]);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    send_and_half_close(&mut stream, &bytes).await;
    let mut answers = Box::pin(answers_to_the_end(stream));
    for _ in 0..20 {
        alive(&mut producer).await;
        assert!(poll(&mut answers).await.is_none());
    }
    produce(&mut producer, &topic, 0, batch(&["news"])).await;
    assert_eq!(ids(&answers.await), [1, 2]);
    server.stop().await;
}

#[tokio::test]
async fn a_half_closed_connection_does_not_wait_for_all_the_time_of_its_parked_fetch() {
    let (server, clock) = Server::with_clock(&[]).await;
    let mut witness = server.connect().await;
    let topic = create(&mut witness, "gone", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(3_600_000);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    send_and_half_close(&mut stream, &encoded(12, 1, &fetch)).await;
    let mut answers = Box::pin(answers_to_the_end(stream));
    let mut seconds = 0;
    let answers = loop {
        // The broker has seen what has happened so far.
        for _ in 0..20 {
            alive(&mut witness).await;
        }
        if let Some(answers) = poll(&mut answers).await {
            break answers;
        }
        assert!(seconds < 60, "the connection is still there");
        clock.advance(1_000);
        seconds += 1;
    };
    assert!(answers.is_empty());
    assert!(seconds >= 10, "{seconds}: the fetch had no time at all");
    alive(&mut witness).await;
    server.stop().await;
}

#[tokio::test]
async fn rule_62_fifty_mixed_requests_in_one_write_are_answered_in_order() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "mixed", 1).await;
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for id in 1_000..1_050 {
        // acks=all waits for the disk, acks=1 and the others do not: order is kept all the same.
        let one = match id % 5 {
            0 => encoded(
                9,
                id,
                &produce_request(9, &topic, 0, -1, Some(batch(&["a"]))),
            ),
            1 => encoded(
                9,
                id,
                &produce_request(9, &topic, 0, 1, Some(batch(&["b"]))),
            ),
            2 => encoded(12, id, &fetch_request(12, &topic, &[(0, 0, 1 << 20)])),
            3 => encoded(12, id, &MetadataRequest::default().with_topics(None)),
            _ => encoded(
                7,
                id,
                &ListOffsetsRequest::default().with_replica_id((-1).into()),
            ),
        };
        bytes.extend(&one[..]);
        expected.push(id);
    }
    connection.send_raw(&bytes).await.unwrap();
    let mut bases = Vec::new();
    for id in expected {
        let mut frame = connection.receive_frame().await.unwrap();
        assert_eq!(frame.get_i32(), id);
        // Flexible response headers end with their tagged fields; each body decodes to its end.
        match id % 5 {
            0 | 1 => {
                assert_eq!(frame.get_u8(), 0);
                let answer = <ProduceRequest as Request>::Response::decode(&mut frame, 9).unwrap();
                let partition = only_produced(&answer);
                assert_eq!(partition.error_code, 0);
                bases.push(partition.base_offset);
            }
            2 => {
                assert_eq!(frame.get_u8(), 0);
                let answer = <FetchRequest as Request>::Response::decode(&mut frame, 12).unwrap();
                let seen = values(only_fetched(&answer)).len();
                assert!(seen >= bases.len(), "it sees what was answered before it");
            }
            3 => {
                assert_eq!(frame.get_u8(), 0);
                <MetadataRequest as Request>::Response::decode(&mut frame, 12).unwrap();
            }
            _ => {
                assert_eq!(frame.get_u8(), 0);
                <ListOffsetsRequest as Request>::Response::decode(&mut frame, 7).unwrap();
            }
        }
        assert!(!frame.has_remaining(), "request {id}");
    }
    let in_order: Vec<i64> = (0..20).collect();
    assert_eq!(bases, in_order, "requests take effect in their order");
    server.stop().await;
}

#[tokio::test]
async fn rule_62_a_request_behind_a_parked_one_waits_for_its_turn() {
    let (server, clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "parked", 1).await;
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(1_000);
    park(&mut connection, 12, &fetch).await;
    connection
        .send(0, &ApiVersionsRequest::default())
        .await
        .unwrap();
    let mut other = server.connect().await;
    alive(&mut other).await;
    clock.advance(1_000);
    // `receive` checks the correlation ids.
    let answer = connection.receive::<FetchRequest>(12).await.unwrap();
    assert!(values(only_fetched(&answer)).is_empty());
    connection.receive::<ApiVersionsRequest>(0).await.unwrap();
    server.stop().await;
}

/// As in Kafka, which reads the fields it knows and looks no further.
#[tokio::test]
async fn bytes_behind_a_requests_last_field_do_no_harm() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    // Metadata v1 for no topic, and two bytes too many.
    let bytes = request(3, 1, 1, &[0, 0, 0, 0, 9, 9]);
    connection.send_raw(&bytes).await.unwrap();
    assert_eq!(connection.receive_frame().await.unwrap().get_i32(), 1);
    alive(&mut connection).await;
    server.stop().await;
}
