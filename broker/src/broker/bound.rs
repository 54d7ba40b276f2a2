//! The listening sockets, and where clients are told to find them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::StartError;
use crate::api::Endpoint;
use crate::config::BrokerConfig;
use crate::net::bind;

/// The sockets, bound before anything is written or told of them.
pub(super) struct Bound {
    pub(super) listeners: Vec<(Arc<str>, TcpListener)>,
    pub(super) endpoints: HashMap<Arc<str>, Endpoint>,
    pub(super) http: Option<TcpListener>,
}

impl Bound {
    /// Binds every listener of the configuration.
    pub(super) fn new(config: &BrokerConfig) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        let mut endpoints = HashMap::new();
        for wanted in &config.listeners {
            let listener = bind(&wanted.host, wanted.port, config)?;
            let port = listener.local_addr()?.port();
            let name: Arc<str> = wanted.name.as_str().into();
            let advertised = config.advertised_listeners.iter();
            let advertised = advertised
                .into_iter()
                .find(|other| other.name == wanted.name);
            let (host, advertised_port) =
                advertised.map_or((&wanted.host, 0), |other| (&other.host, other.port));
            let host = if host.is_empty() {
                host_name()
            } else {
                host.clone()
            };
            // An advertised port 0 means the one that was taken.
            let port = if advertised_port == 0 {
                port
            } else {
                advertised_port
            };
            endpoints.insert(Arc::clone(&name), Endpoint { host, port });
            listeners.push((name, listener));
        }
        let http = match &config.http {
            Some(http) => Some(bind(&http.host, http.port, config)?),
            None => None,
        };
        Ok(Self {
            listeners,
            endpoints,
            http,
        })
    }
}

/// The machine's own name, for listeners on every interface that advertise nothing else.
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
