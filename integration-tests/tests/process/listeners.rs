//! Several listeners, IPv6, and what clients of each are told to connect to.

use std::time::Duration;

use integration_tests::harness::calls::{connect, metadata};
use integration_tests::harness::process::{Launch, Running};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::temp_dir;

/// Host and port that a client of this listener is told.
async fn told(broker: &Running, listener: &str) -> (String, i32) {
    let address = &broker.banner().listeners[listener];
    let mut connection = connect(address).await;
    let metadata = metadata(&mut connection).await;
    assert_eq!(metadata.brokers.len(), 1);
    let node = &metadata.brokers[0];
    (node.host.to_string(), node.port)
}

fn port(broker: &Running, listener: &str) -> i32 {
    let address = &broker.banner().listeners[listener];
    let (_, port) = address.rsplit_once(':').expect("host:port");
    port.parse().expect("a port")
}

#[tokio::test]
async fn clients_of_each_listener_are_told_its_advertised_address() {
    let dir = temp_dir();
    let map = "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,SIX:PLAINTEXT";
    let listeners = "PLAINTEXT://127.0.0.1:0,OTHER://localhost:0,SIX://[::1]:0";
    let advertised = "PLAINTEXT://plain.example:1111,OTHER://other.example:0,SIX://[fe80::1]:3333";
    let broker = Launch::new(dir.path())
        .set("listeners", listeners)
        .set("listener.security.protocol.map", map)
        .set("advertised.listeners", advertised)
        .start();
    let own = port(&broker, "OTHER");
    for (listener, host, port) in [
        ("PLAINTEXT", "plain.example", 1111),
        ("OTHER", "other.example", own),
        ("SIX", "fe80::1", 3333),
    ] {
        let expected = (host.to_owned(), port);
        assert_eq!(told(&broker, listener).await, expected, "{listener}");
    }
    broker.stop();
}

/// Without `advertised.listeners` a client comes back the way it came. librdkafka takes the host
/// of an IPv6 listener as it is told.
#[tokio::test]
async fn a_client_connects_over_ipv6() {
    let dir = temp_dir();
    let listeners = "PLAINTEXT://127.0.0.1:0,SIX://[::1]:0";
    let broker = Launch::new(dir.path())
        .set("listeners", listeners)
        .set(
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,SIX:PLAINTEXT",
        )
        .start();
    assert_eq!(
        told(&broker, "SIX").await,
        ("::1".to_owned(), port(&broker, "SIX"))
    );
    assert_eq!(told(&broker, "PLAINTEXT").await.0, "127.0.0.1");
    let six = &broker.banner().listeners["SIX"];
    assert!(six.starts_with("[::1]:"), "{six}");
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", six)
        .create()
        .expect("a client");
    let metadata = client.fetch_metadata(None, Duration::from_secs(30));
    let metadata = metadata.expect("metadata over IPv6");
    assert_eq!(metadata.brokers()[0].host(), "::1");
    assert_eq!(metadata.brokers()[0].port(), port(&broker, "SIX"));
    broker.stop();
}
