//! From an address to a link: connect, TLS, ApiVersions, SASL. All of it within one time limit.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{HeaderVersion, Request, StrBytes};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::api::decode_response_header;
use tidemark_protocol::frame::{FrameDecoder, encode_request};
use tidemark_protocol::guard::decode_response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::ConnectError;
use super::link::{Link, decoder};
use super::sasl::Exchange;
use super::transport::BoxStream;
use super::versions::Versions;
use crate::config::{Address, ClientConfig, SaslConfig};

/// The name and version that brokers count clients by (KIP-511).
const SOFTWARE_NAME: &str = "tidemark-client";
/// ApiVersions is asked in this version first. A broker that lacks it answers in version 0 with
/// what it has.
const API_VERSIONS: i16 = 3;
/// Messages of one SASL exchange: SCRAM takes two.
const MAX_STEPS: usize = 8;
/// A session is given up after this part of its lifetime, in percent, and the next request goes out
/// on a new one: a broker ends a connection that outlives its session (KIP-368).
const SESSION_PERCENT: u64 = 85;

/// Makes a link to `address`, within [`ClientConfig::connect_timeout`].
pub(super) async fn establish(
    config: &ClientConfig,
    address: &Address,
) -> Result<Link, ConnectError> {
    let mut step = "connecting";
    let limit = config.connect_timeout;
    let done = config
        .clock
        .timeout(limit, connect(config, address, &mut step))
        .await;
    done.unwrap_or_else(|| {
        Err(ConnectError::Timeout {
            address: address.to_string(),
            step,
            after: limit,
        })
    })
}

async fn connect(
    config: &ClientConfig,
    address: &Address,
    step: &mut &'static str,
) -> Result<Link, ConnectError> {
    let stream = config.transport.connect(&address.host, address.port).await;
    let mut stream = stream.map_err(|error| broken(address, error))?;
    if let Some(tls) = &config.tls {
        *step = "the TLS handshake";
        stream = tls.wrap(stream, address).await?;
    }
    let mut talk = Talk {
        stream,
        decoder: decoder(),
        next_id: 0,
        client_id: StrBytes::from_string(config.client_id.clone()),
        address,
        tls: config.tls.is_some(),
    };
    *step = "ApiVersions";
    let shared: Arc<str> = address.to_string().into();
    let versions = talk.versions(Arc::clone(&shared)).await?;
    let mut retire_at = None;
    if let Some(sasl) = &config.sasl {
        *step = "authentication";
        let lifetime = talk.authenticate(sasl, &versions).await?;
        retire_at = (lifetime > 0).then(|| {
            let span = lifetime.saturating_mul(SESSION_PERCENT) / 100;
            config.clock.now().millis.saturating_add(span)
        });
    }
    let link = Link::start(
        talk.stream,
        talk.decoder,
        talk.next_id,
        versions,
        shared,
        talk.client_id,
        config,
    );
    Ok(link.retiring_at(retire_at))
}

/// The connection while requests and answers still alternate.
struct Talk<'a> {
    stream: BoxStream,
    decoder: FrameDecoder,
    next_id: i32,
    client_id: StrBytes,
    address: &'a Address,
    tls: bool,
}

impl Talk<'_> {
    async fn versions(&mut self, address: Arc<str>) -> Result<Versions, ConnectError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(SOFTWARE_NAME))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut body = self.exchange(API_VERSIONS, &request).await?;
        let mut version = API_VERSIONS;
        let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        if body.starts_with(&unsupported) {
            // The error comes in version 0, with the versions that there are. Brokers before Kafka
            // 2.4 leave them out, and speak version 0 (KIP-511).
            version = 0;
            let listed = self.decode::<ApiVersionsRequest>(0, body)?;
            if !listed.api_keys.is_empty() {
                return Ok(Versions::new(address, &listed.api_keys));
            }
            body = self.exchange(0, &ApiVersionsRequest::default()).await?;
        }
        let response: ApiVersionsResponse = self.decode::<ApiVersionsRequest>(version, body)?;
        let code = ErrorCode::from(response.error_code);
        if !code.is_none() {
            return Err(self.not_kafka(format!("ApiVersions: {code}")));
        }
        Ok(Versions::new(address, &response.api_keys))
    }

    /// Proves who the client is. Gives the session's lifetime in milliseconds, 0 for no end.
    async fn authenticate(
        &mut self,
        sasl: &SaslConfig,
        versions: &Versions,
    ) -> Result<u64, ConnectError> {
        let refused = |reason: String| ConnectError::Authentication {
            address: self.address.to_string(),
            user: sasl.user.clone(),
            mechanism: sasl.mechanism.name(),
            reason,
        };
        let handshake = versions
            .pick::<SaslHandshakeRequest>(1..=1)
            .and_then(|_| versions.pick::<SaslAuthenticateRequest>(0..=2));
        let version = handshake.map_err(|error| {
            refused(format!(
                "{error}: the listener asks for no authentication, do without SASL"
            ))
        })?;
        let mut exchange = Exchange::new(sasl).map_err(refused)?;
        let request = SaslHandshakeRequest::default()
            .with_mechanism(StrBytes::from_static_str(sasl.mechanism.name()));
        let body = self.exchange(1, &request).await?;
        let response = self.decode::<SaslHandshakeRequest>(1, body)?;
        let refused = |reason: String| ConnectError::Authentication {
            address: self.address.to_string(),
            user: sasl.user.clone(),
            mechanism: sasl.mechanism.name(),
            reason,
        };
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {}
            ErrorCode::UnsupportedSaslMechanism => {
                let offered: Vec<&str> = response.mechanisms.iter().map(StrBytes::as_str).collect();
                return Err(refused(format!("the broker offers {}", offered.join(", "))));
            }
            ErrorCode::IllegalSaslState => {
                return Err(refused(
                    "the listener asks for no authentication, do without SASL".to_owned(),
                ));
            }
            code => return Err(refused(code.to_string())),
        }
        let mut message = exchange.step(None).map_err(refused)?;
        let mut lifetime = 0;
        for _ in 0..MAX_STEPS {
            let Some(bytes) = message else {
                return Ok(lifetime);
            };
            let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(bytes));
            let body = self.exchange(version, &request).await?;
            let response = self.decode::<SaslAuthenticateRequest>(version, body)?;
            let refused = |reason: String| ConnectError::Authentication {
                address: self.address.to_string(),
                user: sasl.user.clone(),
                mechanism: sasl.mechanism.name(),
                reason,
            };
            let code = ErrorCode::from(response.error_code);
            if !code.is_none() {
                let words = response.error_message.map(|words| words.to_string());
                return Err(refused(match words {
                    Some(words) if !words.is_empty() => format!("{code}: {words}"),
                    _ => code.to_string(),
                }));
            }
            lifetime = u64::try_from(response.session_lifetime_ms).unwrap_or(0);
            message = exchange.step(Some(&response.auth_bytes)).map_err(refused)?;
        }
        Err(self.not_kafka(format!("authentication did not end in {MAX_STEPS} steps")))
    }

    /// Sends one request and takes its answer, header off.
    async fn exchange<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<Bytes, ConnectError> {
        let id = self.next_id;
        self.next_id += 1;
        let client_id = Some(self.client_id.clone());
        let frame = encode_request(version, id, client_id, request)
            .map_err(|error| self.not_kafka(error.to_string()))?;
        let sent = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| self.hung_up(error))?;
        let frame = self.frame().await?;
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        match decode_response_header(header_version, &frame) {
            Ok((found, body)) if found == id => Ok(body),
            Ok((found, _)) => {
                Err(self.not_kafka(format!("an answer to request {found} instead of {id}")))
            }
            Err(error) => Err(self.not_kafka(format!("the answer's header {error}"))),
        }
    }

    async fn frame(&mut self) -> Result<Bytes, ConnectError> {
        loop {
            match self.decoder.decode(&|_| usize::MAX) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => {
                    // A TLS alert: content type 21, version 3.x.
                    let alert = self.decoder.buffer_mut().starts_with(&[21, 3]);
                    return Err(self.not_kafka(if alert {
                        "it is a TLS listener: connect with TLS".to_owned()
                    } else {
                        error.to_string()
                    }));
                }
            }
            let read = self.stream.read_buf(self.decoder.buffer_mut()).await;
            match read {
                Ok(0) => return Err(self.hung_up(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.hung_up(error)),
            }
        }
    }

    /// The connection has ended in the middle of the handshake.
    fn hung_up(&self, error: io::Error) -> ConnectError {
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        );
        // TLS has its own words for what went wrong.
        if !closed || error.get_ref().is_some() {
            return broken(self.address, error);
        }
        let wants = if self.tls { "SASL" } else { "TLS or SASL" };
        let text = format!(
            "the broker closed the connection during the handshake: is it stopping, or does the \
             listener want {wants}?"
        );
        broken(self.address, io::Error::new(error.kind(), text))
    }

    fn decode<R: Request>(&self, version: i16, body: Bytes) -> Result<R::Response, ConnectError> {
        decode_response::<R>(version, body).map_err(|error| self.not_kafka(error.to_string()))
    }

    fn not_kafka(&self, reason: String) -> ConnectError {
        ConnectError::NotKafka {
            address: self.address.to_string(),
            reason,
        }
    }
}

fn broken(address: &Address, error: io::Error) -> ConnectError {
    // Under TLS 1.3 a broker judges the client's certificate when the handshake is over.
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(alert @ rustls::Error::AlertReceived(_)) = inner {
        return ConnectError::Tls {
            address: address.to_string(),
            reason: format!("{alert}: does the listener ask for a client's certificate?"),
        };
    }
    ConnectError::Io {
        address: address.to_string(),
        error: Arc::new(error),
    }
}
