//! TLS and SASL, against Apache Kafka's listeners: what works, and what does not with its reason.

use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, unique};
use integration_tests::harness::kafka::{Kafka, USER};
use integration_tests::harness::tls::Authority;
use tidemark_client::consumer::{ConsumerConfig, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{
    Client, ClientConfig, ClientError, ConnectError, SaslConfig, SaslMechanism, TlsConfig,
    TopicPartition,
};

const MECHANISMS: [SaslMechanism; 3] = [
    SaslMechanism::Plain,
    SaslMechanism::ScramSha256,
    SaslMechanism::ScramSha512,
];

/// The shared Kafka, if there is one.
async fn kafka() -> Option<&'static Kafka> {
    match Cluster::shared_kafka().await {
        Ok(Cluster::SharedKafka(kafka)) => Some(kafka),
        Ok(_) => unreachable!("it is shared"),
        Err(missing) => {
            eprintln!("left out: {missing}");
            None
        }
    }
}

fn sasl(mechanism: SaslMechanism) -> SaslConfig {
    SaslConfig::new(mechanism, USER.0, USER.1)
}

fn tls(kafka: &Kafka) -> TlsConfig {
    TlsConfig::ca(kafka.authority().pem().as_bytes()).unwrap()
}

/// A record goes in and comes out.
async fn works(config: ClientConfig) {
    let client = Client::new(config).unwrap();
    let topic = unique("secure");
    let producer = client.producer(ProducerConfig::new()).unwrap();
    let record = ProducerRecord::to(topic.as_str()).value("secret");
    let written = producer.send(&record).await.unwrap().await.unwrap();
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    consumer
        .assign([TopicPartition::new(topic, written.partition.partition)])
        .unwrap();
    assert_eq!(
        consumer.recv().await.unwrap().value.as_deref(),
        Some(&b"secret"[..])
    );
    consumer.close().await.unwrap();
}

/// Why no connection comes about; it is told at once where that cannot pass by itself.
async fn fails(config: ClientConfig) -> ClientError {
    let config = config
        .connect_timeout(Duration::from_secs(5))
        .api_timeout(Duration::from_secs(8));
    let client = Client::new(config).unwrap();
    match client.admin().describe_cluster().await.unwrap_err() {
        ClientError::Timeout { last, .. } => *last.expect("it was tried"),
        error => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in() {
    let Some(kafka) = kafka().await else { return };
    works(ClientConfig::new(kafka.listener("SSL")).tls(tls(kafka))).await;
    let identity = kafka.authority().issue("client", &["client"]);
    let mutual = TlsConfig::ca_and_client(
        kafka.authority().pem().as_bytes(),
        identity.certificate.as_bytes(),
        identity.key.as_bytes(),
    );
    works(ClientConfig::new(kafka.listener("MTLS")).tls(mutual.unwrap())).await;
    for mechanism in MECHANISMS {
        let config = ClientConfig::new(kafka.listener("SASL_PLAINTEXT")).sasl(sasl(mechanism));
        works(config).await;
        let config = ClientConfig::new(kafka.listener("SASL_SSL")).tls(tls(kafka));
        works(config.sasl(sasl(mechanism))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_get_in_is_told_why() {
    let Some(kafka) = kafka().await else { return };
    let address = |name: &str| kafka.listener(name).to_owned();
    let check = |error: ClientError, parts: &[&str]| {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
        // Whatever it is, it names the place.
        assert!(
            text.contains("127.0.0.1:") || text.contains("localhost:"),
            "{text}"
        );
    };
    for mechanism in MECHANISMS {
        let wrong = SaslConfig::new(mechanism, USER.0, "wrong");
        let config = ClientConfig::new(&address("SASL_PLAINTEXT")).sasl(wrong);
        let error = fails(config).await;
        let same = matches!(
            &error,
            ClientError::Connect(ConnectError::Authentication { .. })
        );
        assert!(same, "{error:?}");
        check(error, &[USER.0, mechanism.name()]);
        let nobody = SaslConfig::new(mechanism, "nobody", "x");
        let config = ClientConfig::new(&address("SASL_PLAINTEXT")).sasl(nobody);
        check(fails(config).await, &["nobody"]);
    }
    // Somebody else's authority.
    let other = Authority::new("other");
    let stranger = TlsConfig::ca(other.pem().as_bytes()).unwrap();
    let error = fails(ClientConfig::new(&address("SSL")).tls(stranger)).await;
    check(error, &["TLS with", "trusted"]);
    // No certificate where one is asked for: TLS 1.3 tells only after the handshake.
    let error = fails(ClientConfig::new(&address("MTLS")).tls(tls(kafka))).await;
    check(error, &["TLS with", "a client's certificate"]);
    // TLS to a plaintext listener, and the reverse.
    let error = fails(ClientConfig::new(kafka.bootstrap()).tls(tls(kafka))).await;
    check(error, &["plaintext"]);
    let error = fails(ClientConfig::new(&address("SSL"))).await;
    check(error, &["TLS"]);
    // SASL to a listener that asks for none, and the reverse.
    let config = ClientConfig::new(kafka.bootstrap()).sasl(sasl(SaslMechanism::Plain));
    check(fails(config).await, &["do without SASL"]);
    let error = fails(ClientConfig::new(&address("SASL_PLAINTEXT"))).await;
    check(error, &["SASL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_is_followed_by_another() {
    use integration_tests::harness::kafka::Options;
    let options = Options::default()
        .security()
        .set("connections.max.reauth.ms", "1000");
    let started = tokio::task::spawn_blocking(move || Kafka::start(&options))
        .await
        .unwrap();
    let kafka = match started {
        Ok(kafka) => kafka,
        Err(missing) => {
            eprintln!("left out: {missing}");
            return;
        }
    };
    let config = ClientConfig::new(kafka.listener("SASL_PLAINTEXT"))
        .sasl(sasl(SaslMechanism::ScramSha256))
        .retry_backoff(Duration::from_millis(5), Duration::from_millis(50));
    let client = Client::new(config).unwrap();
    let topic = unique("sessions");
    let producer = client.producer(ProducerConfig::new()).unwrap();
    let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
    let mut consumer = client.consumer(config).unwrap();
    consumer
        .assign([TopicPartition::new(topic.as_str(), 0)])
        .unwrap();
    // Each fetch without data takes half a second, so this outlives several sessions.
    for offset in 0..6 {
        let record = ProducerRecord::to(topic.as_str()).value("x");
        assert_eq!(
            producer.send(&record).await.unwrap().await.unwrap().offset,
            offset
        );
        assert_eq!(consumer.recv().await.unwrap().offset, offset);
        let clock = tidemark_client::Clock::system();
        let nothing = clock
            .timeout(Duration::from_millis(700), consumer.recv())
            .await;
        assert!(nothing.is_none(), "{nothing:?}");
    }
    consumer.close().await.unwrap();
    tokio::task::spawn_blocking(move || drop(kafka))
        .await
        .unwrap();
}
