//! The links to all brokers: made when first needed, replaced when they break or their session
//! ends, and not tried again too soon after a failure.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::error::{CallError, ConnectError};
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
    /// Attempts that have failed.
    failures: AtomicU64,
    /// When the next attempt may be made, in clock milliseconds.
    not_before: AtomicU64,
    /// Held by whoever connects; others wait for the outcome.
    connecting: tokio::sync::Mutex<Retry>,
}

#[derive(Default)]
struct Retry {
    backoff: Option<Backoff>,
    /// Why the last attempt that failed did.
    failure: Option<ConnectError>,
}

impl Pool {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            slots: Mutex::default(),
        }
    }

    /// The link to a broker, made if there is none. After a failure the next attempt waits for its
    /// time. Those who wait for the same attempt share what comes of it.
    pub(crate) async fn link(&self, address: &Address, lane: Lane) -> Result<Link, CallError> {
        let slot = self.slot(address, lane)?;
        if let Some(link) = usable(&slot) {
            return Ok(link);
        }
        let failures = slot.failures.load(Ordering::Acquire);
        let mut retry = slot.connecting.lock().await;
        // Another caller may have connected meanwhile.
        if let Some(link) = usable(&slot) {
            return Ok(link);
        }
        if let Some(failure) = &retry.failure
            && slot.failures.load(Ordering::Acquire) != failures
        {
            return Err(CallError::Connect(failure.clone()));
        }
        let clock = &self.config.clock;
        clock
            .sleep_until(slot.not_before.load(Ordering::Relaxed))
            .await;
        // The time until the next attempt runs from here, also if the caller gives this one up.
        let first = u64::try_from(self.config.reconnect_backoff.as_millis()).unwrap_or(u64::MAX);
        let longest =
            u64::try_from(self.config.reconnect_backoff_max.as_millis()).unwrap_or(u64::MAX);
        let wait = retry
            .backoff
            .get_or_insert_with(|| Backoff::new(first, longest))
            .next(clock.random());
        let put_off = || {
            let next = clock.now().millis.saturating_add(wait);
            slot.not_before.store(next, Ordering::Relaxed);
        };
        put_off();
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
                put_off();
                retry.failure = Some(error.clone());
                slot.failures.fetch_add(1, Ordering::Release);
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

    /// Has the next call make a link of its own: who has waited on this one in vain need not wait
    /// until it breaks. What others wait for there still comes.
    pub(crate) fn replace(&self, address: &Address, lane: Lane) {
        let key = (address.clone(), lane);
        if let Some(slot) = self.slots.lock().by_use.get(&key) {
            slot.current.store(None);
        }
    }

    /// When a broker may be connected to, in clock milliseconds: after a failure not at once.
    pub(crate) fn ready_at(&self, address: &Address, lane: Lane) -> u64 {
        let key = (address.clone(), lane);
        let slots = self.slots.lock();
        let slot = slots.by_use.get(&key);
        slot.map_or(0, |slot| slot.not_before.load(Ordering::Relaxed))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::clock::Clock;

    /// Lets every task run until it waits for something that does not come by itself.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_link_that_is_replaced_stays_with_those_who_have_it() {
        let config = ClientConfig::new("a:1");
        let address = config.addresses().unwrap().remove(0);
        let pool = Pool::new(config.clone());
        let (ours, theirs) = tokio::io::duplex(1024);
        let link = Link::start(
            Box::new(ours),
            super::super::link::decoder(),
            0,
            crate::connection::versions::Versions::default(),
            "a:1".into(),
            kafka_protocol::protocol::StrBytes::from_static_str("test"),
            &config,
        );
        let slot = pool.slot(&address, Lane::General).unwrap();
        slot.current.store(Some(Arc::new(link.clone())));
        pool.replace(&address, Lane::Produce);
        assert!(pool.existing(&address, Lane::General).is_some());
        pool.replace(&address, Lane::General);
        assert!(pool.existing(&address, Lane::General).is_none());
        settle().await;
        assert!(link.is_open());
        drop(theirs);
    }

    #[tokio::test]
    async fn those_who_wait_for_the_same_attempt_share_its_failure() {
        let (clock, time) = Clock::manual(1);
        let (attempts, outcome) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(tokio::sync::Semaphore::new(0)),
        );
        let (counted, awaited) = (Arc::clone(&attempts), Arc::clone(&outcome));
        let config = ClientConfig::new("a:1")
            .clock(clock)
            .transport(move |_: &str, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                let awaited = Arc::clone(&awaited);
                async move {
                    awaited.acquire().await.unwrap().forget();
                    Err(std::io::ErrorKind::ConnectionRefused.into())
                }
            });
        let address = config.addresses().unwrap().remove(0);
        let pool = Arc::new(Pool::new(config));
        let call = || {
            let (pool, address) = (Arc::clone(&pool), address.clone());
            tokio::spawn(async move { pool.link(&address, Lane::General).await.err() })
        };
        let callers = [call(), call(), call()];
        settle().await;
        outcome.add_permits(1);
        settle().await;
        assert!(callers.iter().all(|caller| caller.is_finished()));
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
        // Whoever comes later tries again, in its time.
        let later = call();
        outcome.add_permits(1);
        settle().await;
        assert!(!later.is_finished());
        time.advance(std::time::Duration::from_millis(60));
        settle().await;
        assert!(later.is_finished());
        assert_eq!(attempts.load(Ordering::Relaxed), 2);
    }
}
