//! What requests and answers may take of the broker's memory, those of all connections together.
//! What one connection may take is the network layer's business, as are the bytes of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tidemark_protocol::guard::ELEMENT_BYTES;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::registry::MAX_ELEMENTS;
use super::step::Step;
use crate::config::BrokerConfig;

/// Elements that may be decoded at once: 256 MiB of them, and room for the largest request twice.
const DECODED_AT_ONCE: usize = (256 << 20) / ELEMENT_BYTES;
const _: () = assert!(DECODED_AT_ONCE >= 2 * MAX_ELEMENTS);
/// Requests with no more elements than this pass uncounted: they take no more than a connection's
/// buffers, and must not queue behind large ones.
const FEW_ELEMENTS: usize = 256;
/// Bytes of records that may be on their way to consumers, unless `fetch.max.bytes` needs more.
const ANSWERS: usize = 256 << 20;
/// One answer gets no more than this part of what is free, so that there is always some left: a
/// few consumers that never read make answers smaller, and stop nobody.
const SHARE: usize = 4;

/// The memory of requests and answers; one per broker.
pub struct Memory {
    decoded: Semaphore,
    answers: Arc<AtomicUsize>,
}

impl Memory {
    /// All of it is free.
    pub fn new(config: &BrokerConfig) -> Self {
        let fetch_max_bytes = usize::try_from(config.fetch_max_bytes).unwrap_or(0);
        let answers = ANSWERS.max(fetch_max_bytes.saturating_mul(SHARE));
        Self {
            decoded: Semaphore::new(DECODED_AT_ONCE),
            answers: Arc::new(AtomicUsize::new(answers)),
        }
    }

    /// Waits until a request with so many elements may be decoded. The permit is for as long as
    /// its handler runs: nothing that waits for a client may happen under it.
    pub(super) async fn decode(&self, elements: usize) -> Option<SemaphorePermit<'_>> {
        if elements <= FEW_ELEMENTS {
            return None;
        }
        let elements = u32::try_from(elements.min(DECODED_AT_ONCE)).unwrap_or(u32::MAX);
        self.decoded.acquire_many(elements).await.ok()
    }

    /// Room for the records of an answer: as much as is wanted, or less, perhaps none. It never
    /// waits. A fetch sends its first batch whatever the room, so every connection moves on, and
    /// what exceeds the room is at most a batch per connection.
    pub(super) fn answer(&self, wanted: usize) -> Room {
        let mut bytes = 0;
        let take = |free: usize| {
            bytes = wanted.min(free / SHARE);
            Some(free - bytes)
        };
        let _ = self
            .answers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Room {
            answers: Arc::clone(&self.answers),
            bytes,
        }
    }
}

/// Memory set aside for an answer; dropping it gives it back.
pub(super) struct Room {
    answers: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    /// How much there is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back what exceeds `used`, and holds the rest until the answer of `step` has been sent.
    pub(super) fn hold(mut self, used: usize, step: Step) -> Step {
        let excess = self.bytes.saturating_sub(used);
        self.answers.fetch_add(excess, Ordering::Relaxed);
        self.bytes -= excess;
        match step {
            Step::Reply(mut response) => {
                let frame = response.frame;
                response.frame = Bytes::from_owner(Held { frame, _room: self });
                Step::Reply(response)
            }
            other => other,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.answers.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// A frame with the memory that is set aside for it.
struct Held {
    frame: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Response;

    fn free(memory: &Memory) -> usize {
        memory.answers.load(Ordering::Relaxed)
    }

    #[test]
    fn an_answer_holds_its_room_until_its_frame_is_gone() {
        let memory = Memory::new(&BrokerConfig::default());
        let all = free(&memory);
        let room = memory.answer(1000);
        assert_eq!((room.bytes(), free(&memory)), (1000, all - 1000));
        let response = Response {
            frame: Bytes::from_static(b"frame"),
            ..Response::default()
        };
        let Step::Reply(response) = room.hold(300, Step::Reply(response)) else {
            panic!("still a reply");
        };
        assert_eq!(response.frame, b"frame"[..]);
        assert_eq!(free(&memory), all - 300);
        drop(response);
        assert_eq!(free(&memory), all);
        drop(memory.answer(1000).hold(2000, Step::Silent));
        assert_eq!(free(&memory), all, "without an answer nothing is held");
    }

    #[test]
    fn the_largest_answer_fits_and_nobody_takes_everything() {
        let largest = i32::MAX as usize;
        let config = BrokerConfig::from_pairs([("fetch.max.bytes", "2147483647")]).unwrap();
        assert_eq!(Memory::new(&config).answer(largest).bytes(), largest);
        let memory = Memory::new(&BrokerConfig::default());
        let usual = 55 << 20;
        let first = memory.answer(usual);
        assert_eq!(first.bytes(), usual);
        // Whoever never reads keeps it.
        let kept: Vec<_> = (0..10).map(|_| memory.answer(usual)).collect();
        assert!(kept.iter().is_sorted_by(|a, b| a.bytes() >= b.bytes()));
        assert!(memory.answer(usual).bytes() > 1 << 20);
        assert!(kept.iter().map(Room::bytes).sum::<usize>() < ANSWERS);
    }

    #[tokio::test]
    async fn large_requests_wait_for_each_other_and_small_ones_for_nobody() {
        let memory = Memory::new(&BrokerConfig::default());
        let first = memory.decode(MAX_ELEMENTS).await;
        let second = memory.decode(MAX_ELEMENTS).await;
        assert!(first.is_some() && second.is_some());
        let mut third = Box::pin(memory.decode(MAX_ELEMENTS));
        let is_waiting =
            std::future::poll_fn(|cx| std::task::Poll::Ready(third.as_mut().poll(cx).is_pending()));
        assert!(is_waiting.await);
        assert!(memory.decode(FEW_ELEMENTS).await.is_none());
        drop(first);
        assert!(third.await.is_some());
    }
}
