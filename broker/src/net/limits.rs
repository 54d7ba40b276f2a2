//! How many connections and how many bytes of requests there may be at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config::BrokerConfig;

/// Requests are counted in units of so many bytes, so that a large limit fits a semaphore.
const UNIT: usize = 1024;

/// The connections of all listeners, and the memory of their requests.
pub struct Limits {
    state: Mutex<State>,
    freed: Notify,
    /// `queued.max.request.bytes`, in units; `None` without such a limit.
    queued: Option<Arc<Semaphore>>,
}

#[derive(Default)]
struct State {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it frees the place.
pub(super) struct Place {
    limits: Arc<Limits>,
    address: IpAddr,
}

impl Limits {
    /// The limits of a configuration. Those of connections are asked for at each connection, since
    /// they can change at run time.
    pub fn new(config: &BrokerConfig) -> Arc<Self> {
        let queued = usize::try_from(config.queued_max_request_bytes)
            .ok()
            .filter(|max| *max > 0);
        Arc::new(Self {
            state: Mutex::default(),
            freed: Notify::new(),
            queued: queued
                .map(units)
                .map(|units| Arc::new(Semaphore::new(units as usize))),
        })
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
        let mut state = self.state.lock();
        let of_address = state.by_address.entry(address).or_default();
        if *of_address >= per_address(address, config) {
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

    /// Waits until a request of `bytes` may be in memory.
    pub(super) async fn queue(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let queued = self.queued.as_ref()?;
        Arc::clone(queued)
            .acquire_many_owned(units(bytes))
            .await
            .ok()
    }
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

fn per_address(address: IpAddr, config: &BrokerConfig) -> usize {
    let overrides = &config.max_connections_per_ip_overrides.0;
    let limit = overrides
        .iter()
        .find(|(name, _)| name.parse() == Ok(address.to_canonical()))
        .map_or(config.max_connections_per_ip, |(_, limit)| *limit);
    usize::try_from(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_limit_and_gives_places_back() {
        let config = BrokerConfig::from_pairs([
            ("max.connections.per.ip", "1"),
            ("max.connections.per.ip.overrides", "127.0.0.2:2"),
        ])
        .unwrap();
        let limits = Limits::new(&config);
        let (one, two): (IpAddr, IpAddr) =
            ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
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
}
