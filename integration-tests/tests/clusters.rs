//! The harness that has one test run on Tidemark and on Apache Kafka, and Kafka's secure listeners.

use std::sync::Arc;

use integration_tests::harness::calls::Connection;
use integration_tests::harness::calls::{
    FETCH, batch, connect, create_served_topic, fetch_request, metadata, produce, read_all,
};
use integration_tests::harness::cluster::{
    Cluster, for_each_cluster, for_each_cluster_behind_a_proxy, unique,
};
use integration_tests::harness::kafka::{Kafka, USER};
use integration_tests::harness::tls::{Authority, Identity};
use tidemark_protocol::frame::{FrameDecoder, encode_request};
use tidemark_protocol::messages::{
    ApiVersionsRequest, FetchRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use tidemark_protocol::{ErrorCode, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[tokio::test]
async fn records_go_in_and_out() {
    for_each_cluster(async |cluster| {
        let mut connection = connect(&cluster.bootstrap()).await;
        let topic = unique("records");
        create_served_topic(&mut connection, &topic, 1, &[]).await;
        for (offset, value) in [(0, "one"), (1, "two")] {
            let base = produce(&mut connection, &topic, batch(value, None), -1).await;
            assert_eq!(base, offset);
        }
        let records = read_all(&mut connection, &topic).await;
        assert_eq!(records, [(0, "one".into()), (1, "two".into())]);
    })
    .await;
}

#[tokio::test]
async fn clients_are_sent_through_the_proxy() {
    for_each_cluster_behind_a_proxy(async |_, proxy| {
        let mut connection = connect(&proxy.address()).await;
        let brokers = metadata(&mut connection).await.brokers;
        let told = format!("{}:{}", brokers[0].host.as_str(), brokers[0].port);
        assert_eq!(told, proxy.address());
        let topic = unique("proxied");
        create_served_topic(&mut connection, &topic, 1, &[]).await;
        produce(&mut connection, &topic, batch("one", None), -1).await;
        assert_eq!(read_all(&mut connection, &topic).await.len(), 1);
        proxy.set_script(|request| request.fail(ErrorCode::FencedLeaderEpoch));
        let fetch = fetch_request(&topic, 0, 0, 0);
        let response = connection.call::<FetchRequest>(FETCH, &fetch).await;
        let partition = &response.expect("an answer").responses[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::FencedLeaderEpoch.code());
    })
    .await;
}

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

/// Logs in by one message; the server's answer to it, or its error.
async fn log_in(connection: &mut Connection, mechanism: &str, says: String) -> Result<String, i16> {
    let mechanism = StrBytes::from_string(mechanism.to_owned());
    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
    let response = connection.call(1, &handshake).await.expect("an answer");
    assert_eq!(response.error_code, 0, "{response:?}");
    let message = SaslAuthenticateRequest::default().with_auth_bytes(says.into_bytes().into());
    let response = connection.call(2, &message).await.expect("an answer");
    match response.error_code {
        0 => Ok(String::from_utf8(response.auth_bytes.to_vec()).expect("text")),
        code => Err(code),
    }
}

#[tokio::test]
async fn users_log_in_with_their_passwords() {
    let Some(kafka) = kafka().await else { return };
    let address = kafka.listener("SASL_PLAINTEXT");
    let (user, password) = USER;
    let mut connection = connect(address).await;
    let right = format!("\0{user}\0{password}");
    assert_eq!(
        log_in(&mut connection, "PLAIN", right).await,
        Ok(String::new())
    );
    assert_eq!(metadata(&mut connection).await.brokers.len(), 1);
    let wrong = format!("\0{user}\0wrong");
    let refused = Err(ErrorCode::SaslAuthenticationFailed.code());
    assert_eq!(
        log_in(&mut connect(address).await, "PLAIN", wrong).await,
        refused
    );
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let first = |user: &str| format!("n,,n={user},r=nonce");
        let mut connection = connect(address).await;
        // Salt and iterations come from what was stored for the user.
        let answer = log_in(&mut connection, mechanism, first(user)).await;
        let answer = answer.expect("the user is known");
        assert!(
            answer.starts_with("r=nonce") && answer.contains(",i=4096"),
            "{answer}"
        );
        let mut connection = connect(address).await;
        assert_eq!(
            log_in(&mut connection, mechanism, first("nobody")).await,
            refused
        );
    }
}

/// What comes of ApiVersions over TLS: whether it is answered.
async fn answers(
    address: &str,
    trusted: &Authority,
    own: Option<&Identity>,
) -> std::io::Result<()> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_slice(trusted.pem().as_bytes());
    roots.add(trusted.expect("a certificate")).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes());
            let chain = vec![certificate.expect("a certificate")];
            let config = config.with_client_auth_cert(chain, key.expect("a key"));
            config.expect("they belong together")
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let request = encode_request(0, 1, None, &ApiVersionsRequest::default());
    stream
        .write_all(&request.expect("it can be encoded"))
        .await?;
    let mut decoder = FrameDecoder::new(1 << 20);
    while decoder.decode(&|_| usize::MAX).expect("frames").is_none() {
        if stream.read_buf(decoder.buffer_mut()).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let Some(kafka) = kafka().await else { return };
    let authority = kafka.authority();
    let client = authority.issue("client", &[]);
    let stranger = Authority::new("stranger");
    let strange = stranger.issue("client", &[]);
    for (listener, trusted, own, good) in [
        ("SSL", authority, None, true),
        ("SASL_SSL", authority, None, true),
        ("SSL", &stranger, None, false),
        ("MTLS", authority, Some(&client), true),
        ("MTLS", authority, None, false),
        ("MTLS", authority, Some(&strange), false),
    ] {
        let answered = answers(kafka.listener(listener), trusted, own).await;
        assert_eq!(answered.is_ok(), good, "{listener}: {answered:?}");
    }
}
