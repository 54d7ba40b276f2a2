//! Listeners: where the broker accepts connections and what it tells clients to connect to.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::java;
use super::value::Value;

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOL_MAP: &str = "listener.security.protocol.map";

/// How connections of a listener are protected. Only plaintext is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encryption nor authentication.
    Plaintext,
}

/// One listener, by Kafka's notation `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The name in upper case; it picks the protocol through `listener.security.protocol.map`.
    pub name: String,
    /// How its connections are protected.
    pub protocol: SecurityProtocol,
    /// A host name or an address, IPv6 without brackets. When listening, empty means every
    /// interface. When advertised, empty means the machine's own host name, which the caller
    /// looks up at the start, as Kafka does.
    pub host: String,
    /// The port. When listening, 0 takes any free one; an advertised 0 means the port that was
    /// taken.
    pub port: u16,
}

/// `NAME://host:port`, an IPv6 address in brackets.
impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// Where HTTP is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpListener {
    /// A host name or an address, IPv6 without brackets; empty means every interface.
    pub host: String,
    /// The port; 0 takes any free one.
    pub port: u16,
}

impl HttpListener {
    /// Reads `tidemark.http.listener`; `None` when it is switched off.
    ///
    /// # Errors
    /// What is expected instead.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() || text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        let (host, port) = host_and_port(text)?;
        Ok(Some(Self { host, port }))
    }
}

/// The rule of `tidemark.http.listener`.
pub(super) fn check_http(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) => HttpListener::parse(text).map(|_| ()),
        _ => Ok(()),
    }
}

/// The raw settings listeners are made from.
pub(super) struct Settings<'a> {
    /// `listeners`.
    pub(super) listeners: &'a [String],
    /// `advertised.listeners`.
    pub(super) advertised: Option<&'a [String]>,
    /// `listener.security.protocol.map`.
    pub(super) protocol_map: &'a str,
}

/// Makes the listeners to open and the ones to advertise.
///
/// # Errors
/// All that is wrong with one of the two lists: [`ConfigError::Several`].
pub(super) fn listeners(
    settings: &Settings<'_>,
) -> Result<(Vec<Listener>, Vec<Listener>), ConfigError> {
    let protocols = protocol_map(settings.protocol_map)?;
    let listeners = parse_list(LISTENERS, settings.listeners, &protocols)?;
    check_ports(&listeners)?;
    let advertised = match settings.advertised {
        Some(list) => parse_list(ADVERTISED, list, &protocols)?,
        None => listeners.clone(),
    };
    check_advertised(&advertised, &listeners, settings.advertised.is_some())?;
    Ok((listeners, advertised))
}

/// Reads `host:port` or `[ipv6]:port`; the host may be empty.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let form = || "expected host:port, an IPv6 address in brackets".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']').ok_or_else(form)?;
            let address = inner.split('%').next().unwrap_or(inner);
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| format!("'{inner}' in brackets is not an IPv6 address"))?;
            inner
        }
        None if host.contains(':') => {
            return Err("an IPv6 address must stand in brackets, as in [::1]:9092".to_owned());
        }
        None => host,
    };
    if !host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._:%".contains(&b))
    {
        return Err(format!("'{host}' is not a host name or an address"));
    }
    let is_digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = if is_digits { port.parse().ok() } else { None };
    let port = port.ok_or_else(|| "the port must be a number from 0 to 65535".to_owned())?;
    Ok((host.to_owned(), port))
}

/// Protocol names by listener name, both in upper case.
fn protocol_map(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut map = BTreeMap::new();
    for entry in java::split_list(text) {
        let (name, protocol) = entry.rsplit_once(':').ok_or_else(|| {
            ConfigError::invalid(
                PROTOCOL_MAP,
                text,
                format!("expected NAME:PROTOCOL,..., which '{entry}' is not"),
            )
        })?;
        let protocol = protocol.trim().to_ascii_uppercase();
        if !["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.as_str()) {
            return Err(ConfigError::invalid(
                PROTOCOL_MAP,
                text,
                format!(
                    "the protocol must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, which \
                     '{protocol}' is not"
                ),
            ));
        }
        map.insert(name.trim().to_ascii_uppercase(), protocol);
    }
    Ok(map)
}

fn parse_list(
    key: &'static str,
    entries: &[String],
    protocols: &BTreeMap<String, String>,
) -> Result<Vec<Listener>, ConfigError> {
    let mut listeners: Vec<Listener> = Vec::new();
    for entry in entries {
        let bad = |reason: String| ConfigError::invalid(key, entry.as_str(), reason);
        let (name, address) = entry
            .split_once("://")
            .ok_or_else(|| bad("expected NAME://host:port".to_owned()))?;
        let name = name.trim().to_ascii_uppercase();
        let (host, port) = host_and_port(address).map_err(bad)?;
        let protocol = protocol_of(&name, protocols).map_err(bad)?;
        if listeners.iter().any(|other| other.name == name) {
            return Err(bad(format!(
                "each listener must have a different name; {name} is there twice"
            )));
        }
        listeners.push(Listener {
            name,
            protocol,
            host,
            port,
        });
    }
    Ok(listeners)
}

fn protocol_of(
    name: &str,
    protocols: &BTreeMap<String, String>,
) -> Result<SecurityProtocol, String> {
    match protocols.get(name).map(String::as_str) {
        Some("PLAINTEXT") => Ok(SecurityProtocol::Plaintext),
        Some(protocol) => Err(format!(
            "the security protocol {protocol} of listener {name} is not served yet; PLAINTEXT is \
             the only one"
        )),
        None => Err(format!(
            "No security protocol defined for listener {name}; add {name}:PLAINTEXT to \
             {PROTOCOL_MAP}"
        )),
    }
}

/// Two listeners may share a port only when one has an IPv4 and the other an IPv6 address.
fn check_ports(listeners: &[Listener]) -> Result<(), ConfigError> {
    let is_v6 = |listener: &Listener| {
        listener
            .host
            .parse::<std::net::IpAddr>()
            .ok()
            .map(|address| address.is_ipv6())
    };
    for (at, listener) in listeners.iter().enumerate() {
        let clash = listeners.iter().take(at).find(|other| {
            let families = (is_v6(listener), is_v6(other));
            let apart = matches!(
                families,
                (Some(true), Some(false)) | (Some(false), Some(true))
            );
            other.port == listener.port && listener.port != 0 && !apart
        });
        if let Some(other) = clash {
            return Err(ConfigError::invalid(
                LISTENERS,
                format!("{other},{listener}"),
                "each listener must have a different port, unless one has an IPv4 and the other \
                 an IPv6 address",
            ));
        }
    }
    Ok(())
}

fn check_advertised(
    advertised: &[Listener],
    listeners: &[Listener],
    explicit: bool,
) -> Result<(), ConfigError> {
    for one in advertised {
        if !listeners.iter().any(|listener| listener.name == one.name) {
            let names: Vec<&str> = listeners.iter().map(|l| l.name.as_str()).collect();
            return Err(ConfigError::invalid(
                ADVERTISED,
                one.to_string(),
                format!(
                    "the listener's name must be one of {LISTENERS}: {}",
                    names.join(", ")
                ),
            ));
        }
        let is_wildcard = one
            .host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_unspecified());
        if is_wildcard {
            let fix = if explicit {
                "use"
            } else {
                "set advertised.listeners with"
            };
            return Err(ConfigError::invalid(
                ADVERTISED,
                one.to_string(),
                format!(
                    "clients cannot connect to the meta-address {}; {fix} a host name or an \
                     address they can reach, as in {}://localhost:{}",
                    one.host, one.name, one.port
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
