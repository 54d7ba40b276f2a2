//! Adds records to segments.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::store::SegmentStore;
use crate::data::{Data, Payload};
use crate::operator::source::Undecided;
use crate::operator::{Context, Operator};
use crate::record::chunk::{AnyChunk, typed};
use crate::serving::aggregate::Aggregate;
use crate::serving::kept::Kept;
use crate::serving::merged::{Live, Site};
use crate::serving::snapshot::Part;
use crate::serving::view::{Raw, Scratch};
use crate::state::StoreId;

/// So many records are added without letting those in who ask.
const AT_ONCE: usize = 128;

/// The records of one source partition.
pub(crate) struct Segmenter<K: Data, A: Aggregate> {
    site: Arc<Site<K, A>>,
    part: Part,
    store: StoreId,
    scratch: Scratch<K, A::Event>,
    /// What the site has been given.
    given: Option<Arc<Live<A::State>>>,
}

impl<K: Data, A: Aggregate> Segmenter<K, A> {
    pub(crate) fn new(site: Arc<Site<K, A>>, part: Part, store: StoreId) -> Self {
        Self {
            site,
            part,
            store,
            scratch: Scratch::default(),
            given: None,
        }
    }

    /// From now on the partition can be asked for.
    fn enter(&mut self, live: &Arc<Live<A::State>>, wall: i64) {
        if self.given.is_some() {
            return;
        }
        if let Err(error) = self.site.enter(self.part, Arc::clone(live), wall) {
            tracing::warn!(view = self.site.view.name(), %error, "answers have a gap until the next snapshot");
        }
        self.given = Some(Arc::clone(live));
    }
}

impl<K: Data, A: Aggregate> Drop for Segmenter<K, A> {
    fn drop(&mut self) {
        if let Some(live) = &self.given {
            self.site.leave(self.part, live);
        }
    }
}

impl<K: Data, A: Aggregate> Operator for Segmenter<K, A> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<(), Undecided>(input);
        let store = cx.stores.get::<SegmentStore<A::State>>(self.store);
        let live = Arc::clone(&store.live);
        // A task is told its place and the time before it is given anything: the store has begun.
        debug_assert!(self.given.is_some(), "nothing can be asked for yet");
        let view = &*self.site.view;
        let aggregate = view.aggregate();
        let scratch = &mut self.scratch;
        let mut newest = None;
        for rows in input.rows.chunks(AT_ONCE) {
            let mut segments = live.segments.write();
            for row in rows {
                let record = &row.value;
                let raw = Raw {
                    partition: self.part.1,
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: payload(record.key.as_ref()),
                    value: payload(record.value.as_ref()),
                    headers: record.headers.clone(),
                };
                segments.record(record.offset, |adding| {
                    let read = view.read(self.part.0, &raw, scratch, |key, place, event| {
                        adding.add(key, place.time, |state| {
                            let state = state.get_or_insert_with(|| Kept(aggregate.empty()));
                            aggregate.add(event, place, &mut state.0);
                        });
                    });
                    if read.is_err() {
                        cx.counts.undecodable += 1;
                        adding.bad();
                    }
                });
                newest = newest.max(Some(record.timestamp));
            }
        }
        if let Some(newest) = newest {
            live.fresh.store(newest, Ordering::Relaxed);
        }
        input.rows.clear();
    }

    fn committed(&mut self, cx: &mut Context<'_>) {
        let store = cx.stores.get::<SegmentStore<A::State>>(self.store);
        if let Some(saved) = store.saved() {
            self.site.announce(self.part, saved);
        }
    }

    fn wall_clock(&mut self, now: i64, cx: &mut Context<'_>) {
        let store = cx.stores.get::<SegmentStore<A::State>>(self.store);
        let live = Arc::clone(&store.live);
        self.enter(&live, now);
    }
}

fn payload(bytes: Option<&bytes::Bytes>) -> Payload<'_> {
    match bytes {
        Some(bytes) => Payload::within(Some(bytes), bytes),
        None => Payload::new(None),
    }
}
