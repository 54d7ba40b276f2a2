//! The links to all brokers: made when first needed, replaced when they break or their session
//! ends, and not tried again too soon after a failure.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::error::CallError;
use super::handshake::establish;
use super::link::Link;
use crate::config::{Address, ClientConfig};
use crate::retry::Backoff;

/// What a connection is for. Each has its own, so that an answer that takes its time (a fetch that
/// waits for data, a join that waits for members) delays nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Metadata, coordinators, admin calls.
    General,
    /// Produce requests.
    Produce,
    /// Fetch requests of one consumer.
    Fetch(u32),
    /// One group member's joining and syncing.
    Join(u32),
}

/// Connections by address and use.
pub(crate) struct Pool {
    config: ClientConfig,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_use: HashMap<(Address, Lane), Arc<Slot>>,
    /// No more links are made.
    closed: bool,
}

#[derive(Default)]
struct Slot {
    /// The link in use, without a lock to look at it.
    current: ArcSwapOption<Link>,
    /// Held by whoever connects; others wait for the outcome.
    connecting: tokio::sync::Mutex<Retry>,
}

#[derive(Default)]
struct Retry {
    backoff: Option<Backoff>,
    not_before: u64,
}

impl Pool {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            slots: Mutex::default(),
        }
    }

    /// The link to a broker, made if there is none. After a failure the next attempt waits for its
    /// time.
    pub(crate) async fn link(&self, address: &Address, lane: Lane) -> Result<Link, CallError> {
        let slot = self.slot(address, lane)?;
        if let Some(link) = usable(&slot) {
            return Ok(link);
        }
        let mut retry = slot.connecting.lock().await;
        // Another caller may have connected meanwhile.
        if let Some(link) = usable(&slot) {
            return Ok(link);
        }
        let clock = &self.config.clock;
        clock.sleep_until(retry.not_before).await;
        // The time until the next attempt runs from here, also if the caller gives this one up.
        let first = u64::try_from(self.config.reconnect_backoff.as_millis()).unwrap_or(u64::MAX);
        let longest =
            u64::try_from(self.config.reconnect_backoff_max.as_millis()).unwrap_or(u64::MAX);
        let wait = retry
            .backoff
            .get_or_insert_with(|| Backoff::new(first, longest))
            .next(clock.random());
        retry.not_before = clock.now().millis.saturating_add(wait);
        match establish(&self.config, address).await {
            Ok(link) => {
                if let Some(backoff) = &mut retry.backoff {
                    backoff.reset();
                }
                tracing::debug!(%address, ?lane, "connected");
                slot.current.store(Some(Arc::new(link.clone())));
                if self.slots.lock().closed {
                    link.close();
                    return Err(CallError::ClientClosed);
                }
                Ok(link)
            }
            Err(error) => {
                tracing::debug!(%address, ?lane, %error, "no connection");
                retry.not_before = clock.now().millis.saturating_add(wait);
                Err(CallError::Connect(error))
            }
        }
    }

    /// The link to a broker if there is one already.
    pub(crate) fn existing(&self, address: &Address, lane: Lane) -> Option<Link> {
        let key = (address.clone(), lane);
        let slot = self.slots.lock().by_use.get(&key).cloned()?;
        usable(&slot)
    }

    /// Closes the links to brokers that are not in use any more.
    pub(crate) fn keep(&self, wanted: impl Fn(&Address) -> bool) {
        let mut slots = self.slots.lock();
        slots.by_use.retain(|(address, _), _| wanted(address));
    }

    /// Gives up the links of this use; those that others hold end with them.
    pub(crate) fn end(&self, ended: Lane) {
        let mut slots = self.slots.lock();
        slots.by_use.retain(|(_, lane), _| *lane != ended);
    }

    /// Closes all links, those that others hold included, and makes no more.
    pub(crate) fn close(&self) {
        let slots = {
            let mut slots = self.slots.lock();
            slots.closed = true;
            std::mem::take(&mut slots.by_use)
        };
        for slot in slots.into_values() {
            if let Some(link) = slot.current.load().as_ref() {
                link.close();
            }
        }
    }

    fn slot(&self, address: &Address, lane: Lane) -> Result<Arc<Slot>, CallError> {
        let mut slots = self.slots.lock();
        if slots.closed {
            return Err(CallError::ClientClosed);
        }
        Ok(Arc::clone(
            slots.by_use.entry((address.clone(), lane)).or_default(),
        ))
    }
}

fn usable(slot: &Slot) -> Option<Link> {
    let current = slot.current.load();
    let link = current.as_ref()?;
    link.is_usable().then(|| Link::clone(link))
}
