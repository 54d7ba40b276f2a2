//! How many connections and how many bytes of requests there may be at once.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config::{BrokerConfig, ConfigError, ConnectionLimits};

/// Requests are counted in units of so many bytes, so that a large limit fits a semaphore.
const UNIT: usize = 1024;

/// The connections of all listeners, and the memory of their requests.
pub struct Limits {
    state: Mutex<State>,
    overrides: Mutex<Overrides>,
    freed: Notify,
    /// `queued.max.request.bytes`, in units; `None` without such a limit.
    queued: Option<Arc<Semaphore>>,
}

#[derive(Default)]
struct State {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// `max.connections.per.ip.overrides` with the addresses of its host names.
struct Overrides {
    names: ConnectionLimits,
    by_address: HashMap<IpAddr, i32>,
}

/// One connection's place; dropping it frees the place.
pub(super) struct Place {
    limits: Arc<Limits>,
    address: IpAddr,
}

impl Limits {
    /// The limits of a configuration. Those of connections are asked for at each connection, since
    /// they can change at run time.
    ///
    /// # Errors
    /// A host name in `max.connections.per.ip.overrides` has no address.
    pub async fn new(config: &BrokerConfig) -> Result<Arc<Self>, ConfigError> {
        let queued = usize::try_from(config.queued_max_request_bytes)
            .ok()
            .filter(|max| *max > 0);
        let (overrides, mut unknown) =
            Overrides::look_up(&config.max_connections_per_ip_overrides).await;
        if let Some(error) = unknown.pop() {
            return Err(error);
        }
        Ok(Arc::new(Self {
            state: Mutex::default(),
            overrides: Mutex::new(overrides),
            freed: Notify::new(),
            queued: queued
                .map(units)
                .map(|units| Arc::new(Semaphore::new(units as usize))),
        }))
    }

    /// Looks host names up again if the overrides have changed at run time. By then nobody is there
    /// to be told that one has no address: it is logged and has no effect, as in Kafka.
    pub(super) async fn follow(&self, config: &BrokerConfig) {
        let names = &config.max_connections_per_ip_overrides;
        if self.overrides.lock().names == *names {
            return;
        }
        let (overrides, unknown) = Overrides::look_up(names).await;
        for error in unknown {
            tracing::warn!(%error, "a connection limit has no effect");
        }
        *self.overrides.lock() = overrides;
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.state.lock().total
    }

    /// Waits until there is room for one more connection (`max.connections`): until then nothing
    /// is accepted, and clients queue in the listener's backlog.
    pub(super) async fn room(&self, config: impl Fn() -> Arc<BrokerConfig>) {
        loop {
            let freed = self.freed.notified();
            let max = usize::try_from(config().max_connections).unwrap_or(0);
            if self.state.lock().total < max {
                return;
            }
            freed.await;
        }
    }

    /// Takes a place for a connection; `None` if this address has all it may have.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, config: &BrokerConfig) -> Option<Place> {
        // One client, whichever family the listener's socket has.
        let address = address.to_canonical();
        let limit = self.per_address(address, config);
        let mut state = self.state.lock();
        let of_address = state.by_address.entry(address).or_default();
        if *of_address >= limit {
            if *of_address == 0 {
                state.by_address.remove(&address);
            }
            return None;
        }
        *of_address += 1;
        state.total += 1;
        drop(state);
        Some(Place {
            limits: Arc::clone(self),
            address,
        })
    }

    fn per_address(&self, address: IpAddr, config: &BrokerConfig) -> usize {
        let overrides = self.overrides.lock();
        let limit = overrides.by_address.get(&address);
        let limit = limit.copied().unwrap_or(config.max_connections_per_ip);
        usize::try_from(limit).unwrap_or(0)
    }

    /// Waits until a request of `bytes` may be in memory.
    pub(super) async fn queue(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let queued = self.queued.as_ref()?;
        Arc::clone(queued)
            .acquire_many_owned(units(bytes))
            .await
            .ok()
    }
}

impl Overrides {
    /// Finds the addresses of all names, and what is wrong with those that have none.
    async fn look_up(names: &ConnectionLimits) -> (Self, Vec<ConfigError>) {
        let mut by_address = HashMap::new();
        let mut unknown = Vec::new();
        for (name, limit) in &names.0 {
            match address_of(name).await {
                Ok(address) => {
                    by_address.insert(address, *limit);
                }
                Err(reason) => unknown.push(ConfigError::invalid(
                    "max.connections.per.ip.overrides",
                    format!("{name}:{limit}"),
                    format!("'{name}' has no address: {reason}"),
                )),
            }
        }
        let names = names.clone();
        (Self { names, by_address }, unknown)
    }
}

/// The one address that Kafka takes a name for (`InetAddress.getByName`): its first, those of IPv4
/// before all others.
async fn address_of(name: &str) -> io::Result<IpAddr> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(address.to_canonical());
    }
    let found: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
    let first = found.iter().find(|found| found.is_ipv4()).or(found.first());
    first
        .map(|found| found.ip().to_canonical())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.limits.state.lock();
        state.total -= 1;
        if let Some(of_address) = state.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                state.by_address.remove(&self.address);
            }
        }
        drop(state);
        self.limits.freed.notify_one();
    }
}

/// Bytes as semaphore units, rounded up.
pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT))
        .unwrap_or(u32::MAX)
        .min(Semaphore::MAX_PERMITS as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn limits(pairs: &[(&str, &str)]) -> (Arc<Limits>, BrokerConfig) {
        let config = BrokerConfig::from_pairs(pairs.iter().copied()).unwrap();
        (Limits::new(&config).await.unwrap(), config)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_address_has_its_own_limit_and_gives_places_back() {
        let (limits, config) = limits(&[
            ("max.connections.per.ip", "1"),
            ("max.connections.per.ip.overrides", "127.0.0.2:2"),
        ])
        .await;
        let (one, two) = (address("127.0.0.1"), address("127.0.0.2"));
        let first = limits.admit(one, &config);
        assert!(first.is_some());
        assert!(limits.admit(one, &config).is_none());
        let _pair = (
            limits.admit(two, &config).unwrap(),
            limits.admit(two, &config).unwrap(),
        );
        assert!(limits.admit(two, &config).is_none());
        drop(first);
        assert!(limits.admit(one, &config).is_some());
        assert_eq!(limits.connections(), 2);
    }

    #[tokio::test]
    async fn a_host_name_stands_for_its_address() {
        let (limits, config) =
            limits(&[("max.connections.per.ip.overrides", "localhost:1,[::1]:5")]).await;
        let _only = limits.admit(address("127.0.0.1"), &config).unwrap();
        assert!(limits.admit(address("127.0.0.1"), &config).is_none());
        // An IPv4 client of a socket for both families is the same client.
        assert!(limits.admit(address("::ffff:127.0.0.1"), &config).is_none());
        assert!(limits.admit(address("127.0.0.2"), &config).is_some());
    }

    #[tokio::test]
    async fn names_without_an_address_are_refused_at_the_start_and_later_have_no_effect() {
        let text = "127.0.0.3:1,no-such-host.invalid:7";
        let config =
            BrokerConfig::from_pairs([("max.connections.per.ip.overrides", text)]).unwrap();
        let error = Limits::new(&config).await.err().unwrap().to_string();
        let expected = "Invalid value no-such-host.invalid:7 for configuration \
                        max.connections.per.ip.overrides: 'no-such-host.invalid' has no address";
        assert!(error.starts_with(expected), "{error}");
        let (limits, _) = limits(&[]).await;
        limits.follow(&config).await;
        let _only = limits.admit(address("127.0.0.3"), &config).unwrap();
        assert!(limits.admit(address("127.0.0.3"), &config).is_none());
    }
}
