//! Encrypted and authenticated listeners, of Apache Kafka: Tidemark has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::cluster::{Cluster, unique};
use integration_tests::harness::kafka::{self, Kafka, USER};
use integration_tests::harness::tls::Authority;
use integration_tests::harness::wait::until;
use tidemark_client::producer::{Acks, ProducerConfig, ProducerRecord};
use tidemark_client::{BoxStream, Client, ClientConfig, SaslConfig, SaslMechanism, TlsConfig};
use tokio::net::TcpStream;

use crate::support::*;

const MECHANISMS: [SaslMechanism; 3] = [
    SaslMechanism::Plain,
    SaslMechanism::ScramSha256,
    SaslMechanism::ScramSha512,
];

/// The shared Apache Kafka, or `None` if it is not there, which is said.
async fn kafka() -> Option<(Cluster, &'static Kafka)> {
    match Cluster::shared_kafka().await {
        Ok(cluster) => {
            let Cluster::SharedKafka(kafka) = cluster else {
                unreachable!("it was asked for")
            };
            Some((cluster, kafka))
        }
        Err(missing) => {
            eprintln!("left out: {missing}");
            None
        }
    }
}

fn trusting(kafka: &Kafka) -> TlsConfig {
    TlsConfig::ca(kafka.authority().pem().as_bytes()).unwrap()
}

fn user(mechanism: SaslMechanism) -> SaslConfig {
    SaslConfig::new(mechanism, USER.0, USER.1)
}

/// Writes and reads through it.
async fn works(config: ClientConfig, topic: &Arc<str>) {
    let client = Client::new(config).unwrap();
    let partition = first(topic);
    let producer = producer(&client, ProducerConfig::new());
    let text = unique("value");
    let record = ProducerRecord::to(Arc::clone(topic)).value(text.clone());
    // More than one TLS record.
    let large = ProducerRecord::to(Arc::clone(topic)).value(vec![b'x'; 500_000]);
    let written = producer.send(&record).await.unwrap().await.unwrap();
    producer.send(&large).await.unwrap().await.unwrap();
    let mut consumer = reader(&client, [partition.clone()]);
    consumer.seek(&partition, written.offset).unwrap();
    let read = take(&mut consumer, 2).await;
    assert_eq!(value(&read[0]), text);
    assert_eq!(read[1].value.as_ref().unwrap().len(), 500_000);
    consumer.close().await.unwrap();
    assert_eq!(producer.close(LONG).await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in_works() {
    let Some((cluster, kafka)) = kafka().await else {
        return;
    };
    let topic = topic(&cluster, "secure", 1).await;
    let tls = trusting(kafka);
    works(config(kafka.listener("SSL")).tls(tls.clone()), &topic).await;
    // The name in the certificate counts, too.
    let port = kafka.listener("SSL").rsplit_once(':').unwrap().1;
    works(
        config(&format!("localhost:{port}")).tls(tls.clone()),
        &topic,
    )
    .await;
    let identity = kafka.authority().issue("client", &[]);
    let (certificate, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
    let authority = kafka.authority().pem().as_bytes();
    let mutual = TlsConfig::ca_and_client(authority, certificate, key).unwrap();
    works(config(kafka.listener("MTLS")).tls(mutual), &topic).await;
    for mechanism in MECHANISMS {
        let plain = config(kafka.listener("SASL_PLAINTEXT"));
        works(plain.sasl(user(mechanism)), &topic).await;
        let encrypted = config(kafka.listener("SASL_SSL")).tls(tls.clone());
        works(encrypted.sasl(user(mechanism)), &topic).await;
    }
}

/// What a client says that is not let in: it names the address and these.
async fn refused(config: ClientConfig, address: &str, about: &[&str]) {
    let config = config
        .connect_timeout(Duration::from_secs(5))
        .api_timeout(Duration::from_millis(500));
    let client = Client::new(config).unwrap();
    for text in failures(&client).await {
        assert!(text.contains(address), "{address}: {text}");
        for word in about {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_users_are_told_so() {
    let Some((_, kafka)) = kafka().await else {
        return;
    };
    for mechanism in MECHANISMS {
        for (name, password) in [(USER.0, "wrong"), ("mallory", USER.1)] {
            let sasl = SaslConfig::new(mechanism, name, password);
            let address = kafka.listener("SASL_PLAINTEXT");
            let about = [name, mechanism.name(), "refused to authenticate"];
            refused(config(address).sasl(sasl.clone()), address, &about).await;
            let address = kafka.listener("SASL_SSL");
            let config = config(address).tls(trusting(kafka)).sasl(sasl);
            refused(config, address, &about).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sasl_and_no_sasl_do_not_meet_in_silence() {
    let Some((_, kafka)) = kafka().await else {
        return;
    };
    let address = kafka.bootstrap();
    for mechanism in MECHANISMS {
        let config = config(address).sasl(user(mechanism));
        refused(config, address, &["do without SASL"]).await;
    }
    let address = kafka.listener("SASL_PLAINTEXT");
    refused(config(address), address, &["SASL"]).await;
    let address = kafka.listener("SASL_SSL");
    refused(config(address).tls(trusting(kafka)), address, &["SASL"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_plaintext_do_not_meet_in_silence() {
    let Some((_, kafka)) = kafka().await else {
        return;
    };
    let address = kafka.bootstrap();
    let encrypted = config(address).tls(trusting(kafka));
    refused(encrypted, address, &["plaintext listener"]).await;
    for listener in ["SSL", "MTLS", "SASL_SSL"] {
        let address = kafka.listener(listener);
        refused(config(address), address, &["TLS"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_certificates_are_told() {
    let Some((_, kafka)) = kafka().await else {
        return;
    };
    let address = kafka.listener("SSL");
    let stranger = Authority::new("stranger");
    let distrusting = TlsConfig::ca(stranger.pem().as_bytes()).unwrap();
    refused(
        config(address).tls(distrusting),
        address,
        &["TLS", "certificate", "trusted"],
    )
    .await;
    // The certificate is for localhost and 127.0.0.1.
    let there = address.to_owned();
    let elsewhere =
        config("kafka.example:9093")
            .tls(trusting(kafka))
            .transport(move |_: &str, _: u16| {
                let there = there.clone();
                async move { Ok(Box::new(TcpStream::connect(there).await?) as BoxStream) }
            });
    let about = ["TLS", "certificate", "\"kafka.example\""];
    refused(elsewhere, "kafka.example:9093", &about).await;
    // The broker wants one, too.
    let address = kafka.listener("MTLS");
    let config_without = config(address).tls(trusting(kafka));
    refused(config_without, address, &["ertificate"]).await;
    let identity = stranger.issue("client", &[]);
    let (certificate, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
    let authority = kafka.authority().pem().as_bytes();
    let unknown = TlsConfig::ca_and_client(authority, certificate, key).unwrap();
    refused(config(address).tls(unknown), address, &["ertificate"]).await;
}

/// Sessions end, and nothing is lost: not even with acks=0, where a broker that closes the
/// connection takes records with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_renewed_and_mechanisms_are_offered() {
    let options = kafka::Options::default()
        .security()
        .set("connections.max.reauth.ms", "3000")
        .set(
            "listener.name.sasl_plaintext.sasl.enabled.mechanisms",
            "PLAIN",
        );
    let cluster = match Cluster::kafka(options).await {
        Ok(cluster) => cluster,
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let Cluster::Kafka(kafka) = &cluster else {
        unreachable!("it was asked for")
    };
    let address = kafka.listener("SASL_PLAINTEXT");
    let other = config(address).sasl(user(SaslMechanism::ScramSha256));
    refused(other, address, &["SCRAM-SHA-256", "offers PLAIN"]).await;

    let topic = topic(&cluster, "sessions", 1).await;
    let connections = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&connections);
    let config =
        config(address)
            .sasl(user(SaslMechanism::Plain))
            .transport(move |host: &str, port: u16| {
                made.fetch_add(1, Ordering::Relaxed);
                let address = (host.to_owned(), port);
                async move { Ok(Box::new(TcpStream::connect(address).await?) as BoxStream) }
            });
    let client = Client::new(config).unwrap();
    let careless = producer(&client, ProducerConfig::new().acks(Acks::None));
    let careful = producer(&client, ProducerConfig::new());
    let record = |value: String| ProducerRecord::to(Arc::clone(&topic)).value(value);
    let mut consumer = reader(&client, [first(&topic)]);
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while read.last().is_none_or(|last| last != "end") {
            read.push(value(&consumer.recv().await.unwrap()));
        }
        consumer.close().await.unwrap();
        read
    });
    let mut sent = 0;
    // Three at the beginning, and two for each session after the first.
    while connections.load(Ordering::Relaxed) < 3 + 4 * 2 {
        for at in 0..10 {
            let writer = if at < 9 { &careless } else { &careful };
            let delivery = writer.send(&record(sent.to_string())).await.unwrap();
            delivery.await.unwrap();
            sent += 1;
        }
    }
    assert_eq!(careless.close(LONG).await.failed, 0);
    // Nobody answers for the last ones: they are waited for.
    let runtime = tokio::runtime::Handle::current();
    let (address, partition) = (kafka.bootstrap().to_owned(), first(&topic));
    blocking(move || {
        let end = || runtime.block_on(end_offset(&address, &partition));
        until("all records", || (end() == sent).then_some(()));
    })
    .await;
    let last = careful.send(&record("end".to_owned())).await.unwrap();
    last.await.unwrap();
    assert_eq!(careful.close(LONG).await.failed, 0);
    let mut read = reading.await.unwrap();
    assert_eq!(read.pop().as_deref(), Some("end"));
    // A record of acks=0 may be overtaken by the first one on the next connection.
    read.sort_by_key(|value| value.parse::<i64>().unwrap());
    let all: Vec<String> = (0..sent).map(|at| at.to_string()).collect();
    assert_eq!(read, all);
    cluster.stop().await;
}
