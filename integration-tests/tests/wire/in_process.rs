//! Connections without a socket: the same answers, the same limits, the same end.

use std::io::ErrorKind;

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, ProduceRequest,
};
use kafka_protocol::protocol::{HeaderVersion, Request};
use tidemark_protocol::api::decode_response_header;
use tidemark_protocol::frame::FrameDecoder;
use tidemark_protocol::guard::decode_response;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::support::*;

/// A client of one connection.
struct Client {
    stream: DuplexStream,
    decoder: FrameDecoder,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let stream = server.connector().connect().await;
        Self {
            stream: stream.expect("the broker accepts"),
            decoder: FrameDecoder::new(64 << 20),
        }
    }

    async fn send<R: Request>(&mut self, version: i16, id: i32, request: &R) {
        let frame = encoded(version, id, request);
        self.stream.write_all(&frame).await.expect("it is taken");
    }

    async fn receive<R: Request>(&mut self, version: i16, id: i32) -> R::Response {
        let frame = self.frame().await.expect("an answer");
        let header = <R::Response as HeaderVersion>::header_version(version);
        let (found, body) = decode_response_header(header, &frame).expect("a header");
        assert_eq!(found, id);
        decode_response::<R>(version, body).expect("the answer is good")
    }

    async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, 7, request).await;
        self.receive::<R>(version, 7).await
    }

    /// The next frame, or `None` at the end.
    async fn frame(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.decoder.decode(&|_| usize::MAX);
            if let Some(frame) = frame.expect("frames") {
                return Some(frame);
            }
            let buffer = self.decoder.buffer_mut();
            if self.stream.read_buf(buffer).await.expect("a pipe") == 0 {
                assert!(buffer.is_empty(), "it ends within a frame");
                return None;
            }
        }
    }
}

async fn with_topic(client: &mut Client, name: &str) -> Topic {
    let request = create_request(vec![creatable(name, 1, &[])]);
    let response = client.call::<CreateTopicsRequest>(7, &request).await;
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    Topic {
        name: named(name),
        id: response.topics[0].topic_id,
    }
}

#[tokio::test]
async fn records_go_in_and_out_also_ones_larger_than_the_pipe() {
    let server = Server::start(&[("message.max.bytes", "8388608")]).await;
    let mut client = Client::connect(&server).await;
    let versions = client.call(0, &ApiVersionsRequest::default()).await;
    assert_eq!(versions.error_code, 0);
    assert!(!versions.api_keys.is_empty());
    let topic = with_topic(&mut client, "pipe").await;
    let large = "x".repeat(4 << 20);
    let both = [(0, "small".to_owned()), (1, large.clone())];
    for (offset, value) in [(0, "small"), (1, &large)] {
        let request = produce_request(12, &topic, 0, -1, Some(batch(&[value])));
        let response = client.call(12, &request).await;
        let partition = only_produced(&response);
        assert_eq!((partition.error_code, partition.base_offset), (0, offset));
    }
    let fetch = fetch_request(12, &topic, &[(0, 0, 16 << 20)]);
    let response = client.call(12, &fetch).await;
    assert_eq!(values(only_fetched(&response)), both);
    // A socket's client sees the same log.
    let mut other = server.connect().await;
    let response = other.call(12, &fetch).await.expect("an answer");
    assert_eq!(values(only_fetched(&response)), both);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answers_in_order() {
    let server = Server::start(&[]).await;
    let mut client = Client::connect(&server).await;
    let topic = with_topic(&mut client, "half").await;
    let produce = produce_request(12, &topic, 0, -1, Some(batch(&["last words"])));
    client.send(12, 1, &produce).await;
    client.send(0, 2, &ApiVersionsRequest::default()).await;
    client.stream.shutdown().await.expect("its half closes");
    let produced = client.receive::<ProduceRequest>(12, 1).await;
    assert_eq!(only_produced(&produced).error_code, 0);
    client.receive::<ApiVersionsRequest>(0, 2).await;
    assert_eq!(client.frame().await, None);
    server.stop().await;
}

/// As a socket's is, and others do not notice.
#[tokio::test]
async fn a_connection_that_cannot_be_understood_is_closed() {
    let server = Server::start(&[]).await;
    let mut client = Client::connect(&server).await;
    let mut other = Client::connect(&server).await;
    let garbage = (-1_i32).to_be_bytes();
    client.stream.write_all(&garbage).await.expect("taken");
    assert_eq!(client.frame().await, None);
    other.call(0, &ApiVersionsRequest::default()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_ends_it_and_refuses_the_next() {
    let server = Server::start(&[]).await;
    let connector = server.connector();
    let mut client = Client::connect(&server).await;
    let topic = with_topic(&mut client, "parked").await;
    // Waits for an hour unless the broker stops; which comes first of the two is open.
    let fetch = fetch_request(12, &topic, &[(0, 0, 1 << 20)]).with_max_wait_ms(3_600_000);
    client.send(12, 1, &fetch).await;
    server.stop().await;
    if let Some(frame) = client.frame().await {
        let header = <<FetchRequest as Request>::Response as HeaderVersion>::header_version(12);
        let (id, _) = decode_response_header(header, &frame).expect("a header");
        assert_eq!(id, 1);
        assert_eq!(client.frame().await, None);
    }
    let refused = connector.connect().await.expect_err("nobody is there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_kill_ends_it_in_the_middle() {
    let server = Server::start(&[]).await;
    let connector = server.connector();
    let mut client = Client::connect(&server).await;
    client.call(0, &ApiVersionsRequest::default()).await;
    server.kill().await;
    assert_eq!(client.frame().await, None);
    assert!(connector.connect().await.is_err());
}

#[tokio::test]
async fn it_counts_as_a_connection_from_the_loopback_address() {
    let server = Server::start(&[("max.connections.per.ip", "2")]).await;
    let mut first = Client::connect(&server).await;
    first.call(0, &ApiVersionsRequest::default()).await;
    let mut socket = server.connect().await;
    alive(&mut socket).await;
    let mut third = Client::connect(&server).await;
    assert_eq!(third.frame().await, None);
    // The place of one that has gone is free, as soon as the broker has noticed.
    first.stream.shutdown().await.expect("its half closes");
    assert_eq!(first.frame().await, None);
    let mut fourth = Client::connect(&server).await;
    fourth.call(0, &ApiVersionsRequest::default()).await;
    server.stop().await;
}
