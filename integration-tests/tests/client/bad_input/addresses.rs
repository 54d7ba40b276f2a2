//! Addresses at which there is no Kafka.

use std::time::Duration;

use integration_tests::harness::proxy::{Flow, Proxy};
use tidemark_client::{Client, ClientError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::*;

#[tokio::test]
async fn addresses_that_cannot_be_meant() {
    for (address, reason) in [
        ("", "no address"),
        ("localhost", "port is missing"),
        ("localhost:http", "1 to 65535"),
        ("http://localhost:9092", "without a protocol"),
        ("::1:9092", "[::1]:9092"),
    ] {
        let error = Client::connect(address).err().unwrap();
        let ClientError::Config { option, .. } = &error else {
            panic!("{address}: {error}");
        };
        assert_eq!(*option, "bootstrap");
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(address), "{text}");
    }
}

/// What producer and consumer say of a cluster at this address, which is to be about these.
async fn told(address: &str, about: &[&str]) {
    let config = config(address)
        .connect_timeout(Duration::from_millis(300))
        .api_timeout(Duration::from_millis(500));
    for text in failures(&Client::new(config).unwrap()).await {
        assert!(text.contains(address), "{text}");
        for word in about {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test]
async fn names_without_an_address() {
    // Never to be given to anybody (RFC 2606).
    told("kafka.invalid:9092", &["cannot connect"]).await;
}

#[tokio::test]
async fn ports_where_nobody_listens() {
    let proxy = Proxy::start().await;
    proxy.refuse().await;
    told(&proxy.address(), &["cannot connect", "refused"]).await;
}

#[tokio::test]
async fn listeners_that_hang_up() {
    // A proxy without a broker closes what it accepts.
    let proxy = Proxy::start().await;
    told(&proxy.address(), &["closed the connection", "TLS or SASL"]).await;
}

#[tokio::test]
async fn listeners_that_never_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start().await;
    proxy.forward_to(&listener.local_addr().unwrap().to_string());
    proxy.set_flows(Flow::Discard);
    told(&proxy.address(), &["ApiVersions", "300ms"]).await;
}

#[tokio::test]
async fn listeners_of_other_protocols() {
    let answers: [&'static [u8]; 3] = [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        // A frame with an answer to something else.
        &[0, 0, 0, 8, 0, 0, 0, 99, 0, 0, 0, 0],
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // Some have gone before they are answered.
                let _ = stream.write_all(answer).await;
                open.push(stream);
            }
        });
        told(&address, &["does not answer as a Kafka broker"]).await;
        answering.abort();
    }
}
