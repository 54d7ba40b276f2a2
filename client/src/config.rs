//! What all parts of a client have in common: where the cluster is and how it is spoken to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::connection::{Tcp, TlsConfig, Transport};
use crate::error::ClientError;

/// Addresses, security and patience of a client (Kafka: what `ProducerConfig`, `ConsumerConfig` and
/// `AdminClientConfig` have in common).
///
/// ```
/// use tidemark_client::ClientConfig;
/// let config = ClientConfig::new("localhost:9092,localhost:9093").client_id("shop");
/// ```
#[derive(Clone)]
pub struct ClientConfig {
    pub(crate) bootstrap: Vec<String>,
    pub(crate) client_id: String,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) sasl: Option<SaslConfig>,
    pub(crate) request_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) api_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    pub(crate) reconnect_backoff: Duration,
    pub(crate) reconnect_backoff_max: Duration,
    pub(crate) connections_max_idle: Duration,
    pub(crate) metadata_max_age: Duration,
    pub(crate) metadata_max_idle: Duration,
    pub(crate) auto_create_topics: bool,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Clock,
}

impl ClientConfig {
    /// A plaintext client of the cluster that any of `bootstrap` belongs to: `host:port`, several
    /// with commas between them (Kafka: `bootstrap.servers`). They are only where the client
    /// begins; the cluster tells the addresses of its brokers. They are tried again when none of
    /// those answers (KIP-899). IPv6 addresses stand in brackets: `[::1]:9092`.
    ///
    /// An address that cannot be one shows in [`crate::Client::new`].
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.split(',').map(|part| part.trim().to_owned());
        Self {
            bootstrap: bootstrap.filter(|part| !part.is_empty()).collect(),
            client_id: "tidemark".to_owned(),
            tls: None,
            sasl: None,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            api_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            connections_max_idle: Duration::from_secs(540),
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
            auto_create_topics: true,
            transport: Arc::new(Tcp),
            clock: Clock::system(),
        }
    }

    /// The name that the broker's logs and quotas know the client by (Kafka: `client.id`). Default:
    /// `tidemark`.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }

    /// Encrypts every connection (Kafka: `security.protocol=SSL`, with [`Self::sasl`] `SASL_SSL`).
    /// Default: plaintext.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Authenticates every connection (Kafka: `security.protocol=SASL_PLAINTEXT`, with
    /// [`Self::tls`] `SASL_SSL`). Default: no authentication.
    #[must_use]
    pub fn sasl(mut self, sasl: SaslConfig) -> Self {
        self.sasl = Some(sasl);
        self
    }

    /// How long one request may take until its connection counts as broken (Kafka:
    /// `request.timeout.ms`). Default: 30 s.
    #[must_use]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// How long making one connection may take, TLS and SASL included (Kafka:
    /// `socket.connection.setup.timeout.ms`, KIP-601, which does not grow here). Default: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long a call may take, all its tries included, where the call has no limit of its own
    /// (Kafka: `default.api.timeout.ms`, KIP-266, KIP-533). It is also after how much trouble
    /// without a success a consumer tells of it. Default: 60 s.
    #[must_use]
    pub fn api_timeout(mut self, limit: Duration) -> Self {
        self.api_timeout = limit;
        self
    }

    /// The first and the longest wait before a request is tried again; in between it doubles
    /// (Kafka: `retry.backoff.ms`, `retry.backoff.max.ms`, KIP-580). Default: 100 ms and 1 s.
    #[must_use]
    pub fn retry_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.retry_backoff = first;
        self.retry_backoff_max = longest;
        self
    }

    /// The first and the longest wait before a broker is connected to again; in between it doubles
    /// (Kafka: `reconnect.backoff.ms`, `reconnect.backoff.max.ms`). Default: 50 ms and 1 s.
    #[must_use]
    pub fn reconnect_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.reconnect_backoff = first;
        self.reconnect_backoff_max = longest;
        self
    }

    /// After how long a connection without anything to do is closed; the next request makes a new one
    /// (Kafka: `connections.max.idle.ms`). [`Duration::MAX`] keeps all open. Default: 9 min, which is
    /// less than the 10 min after which brokers close them.
    #[must_use]
    pub fn connections_max_idle(mut self, limit: Duration) -> Self {
        self.connections_max_idle = limit;
        self
    }

    /// After how long the cluster's layout is asked for again although nothing failed (Kafka:
    /// `metadata.max.age.ms`). Default: 5 min.
    #[must_use]
    pub fn metadata_max_age(mut self, age: Duration) -> Self {
        self.metadata_max_age = age;
        self
    }

    /// After how long a topic that no producer has sent anything to is not asked for any more, unless
    /// a consumer reads it (Kafka: `metadata.max.idle.ms`). The next record asks for it again.
    /// Default: 5 min.
    #[must_use]
    pub fn metadata_max_idle(mut self, limit: Duration) -> Self {
        self.metadata_max_idle = limit;
        self
    }

    /// Whether asking for a topic that does not exist makes it, if the cluster allows that (Kafka:
    /// `allow.auto.create.topics`, KIP-361, which producers always do). Admin calls never do.
    /// Default: true.
    #[must_use]
    pub fn auto_create_topics(mut self, allow: bool) -> Self {
        self.auto_create_topics = allow;
        self
    }

    /// How connections are made. Default: [`Tcp`]. Another one reaches a broker in the same
    /// process, or goes through a tunnel. Kafka has no such option.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Arc::new(transport);
        self
    }

    /// Where time and chance come from (Kafka: `Time`). Default: [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The bootstrap addresses, checked.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, ClientError> {
        if self.bootstrap.is_empty() {
            return Err(ClientError::config(
                "bootstrap",
                "",
                "there is no address: give host:port, several with commas between them",
            ));
        }
        self.bootstrap
            .iter()
            .map(|text| {
                Address::parse(text)
                    .map_err(|reason| ClientError::config("bootstrap", text, reason))
            })
            .collect()
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("tls", &self.tls.is_some())
            .field("sasl", &self.sasl)
            .finish_non_exhaustive()
    }
}

/// How a client proves who it is (KIP-43, KIP-152). A session that the broker limits is replaced by
/// a new connection before it ends (KIP-368). The password does not show in debug output.
#[derive(Clone)]
pub struct SaslConfig {
    pub(crate) mechanism: SaslMechanism,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl SaslConfig {
    /// A user and a password by this mechanism (Kafka: `sasl.mechanism`, `sasl.jaas.config`).
    pub fn new(
        mechanism: SaslMechanism,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            mechanism,
            user: user.into(),
            password: password.into(),
        }
    }
}

impl fmt::Debug for SaslConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslConfig")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A SASL mechanism (Kafka: `sasl.mechanism`). GSSAPI and OAUTHBEARER are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password as it is: over TLS only, unless the network is one's own (RFC 4616).
    Plain,
    /// Proof of the password without sending it (RFC 5802, KIP-84).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains("://") {
            return Err("an address is host:port, without a protocol in front");
        }
        let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => {
                return Err("an IPv6 address stands in brackets: [::1]:9092");
            }
            None => host,
        };
        if host.is_empty() {
            return Err("the host is missing");
        }
        match port.parse() {
            Ok(0) | Err(_) => Err("the port is a number from 1 to 65535"),
            Ok(port) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Result<&[&str], &str>| {
            let found = ClientConfig::new(text).addresses();
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    assert_eq!(found, expected);
                }
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}");
                }
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        };
        check("a:1", Ok(&["a:1"]));
        check(" a:1 , b:2,", Ok(&["a:1", "b:2"]));
        check("[::1]:9092", Ok(&["[::1]:9092"]));
        check("", Err("there is no address"));
        check("a", Err("\"a\": the port is missing"));
        check(":9092", Err("the host is missing"));
        check("a:0", Err("1 to 65535"));
        check("a:65536", Err("1 to 65535"));
        check("::1:9092", Err("brackets"));
        check("PLAINTEXT://a:9092", Err("without a protocol"));
    }

    #[test]
    fn passwords_do_not_show() {
        let sasl = SaslConfig::new(SaslMechanism::Plain, "alice", "secret");
        let shown = format!("{:?}", ClientConfig::new("a:1").sasl(sasl));
        assert!(
            shown.contains("alice") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
