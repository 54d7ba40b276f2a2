//! How a table can be looked up, as the DSL's handles know it.

use std::sync::Arc;

use crate::data::Data;
use crate::state::{Getter, Stores};
use crate::topology::MakeContext;

type Keep = Arc<dyn Fn() -> Vec<usize> + Send + Sync>;
pub(crate) type MakeGetter<K, V> = Arc<dyn Fn(&MakeContext<'_>) -> Getter<K, V> + Send + Sync>;

/// How values of a table can be looked up (Kafka: `KTableValueGetterSupplier`).
pub(crate) struct View<K, V> {
    keep: Keep,
    make: MakeGetter<K, V>,
}

impl<K, V> Clone for View<K, V> {
    fn clone(&self) -> Self {
        Self {
            keep: Arc::clone(&self.keep),
            make: Arc::clone(&self.make),
        }
    }
}

impl<K: 'static, V: Data> View<K, V> {
    /// `keep` makes sure that there are the stores that the getter reads, and names them.
    pub(crate) fn new(
        keep: impl Fn() -> Vec<usize> + Send + Sync + 'static,
        make: impl Fn(&MakeContext<'_>) -> Getter<K, V> + Send + Sync + 'static,
    ) -> Self {
        Self {
            keep: Arc::new(keep),
            make: Arc::new(make),
        }
    }

    /// That of a key-value store.
    pub(crate) fn stored(store: usize) -> Self {
        Self::new(
            move || vec![store],
            move |cx| Getter::Stored(cx.store(store)),
        )
    }

    /// Makes sure that values can be looked up, and old values told; the stores that are read.
    pub(crate) fn keep(&self) -> Vec<usize> {
        (self.keep)()
    }

    /// What makes the getter for a task. Unlike the view it knows nothing of the plan, so that nodes
    /// can have it.
    pub(crate) fn maker(&self) -> MakeGetter<K, V> {
        Arc::clone(&self.make)
    }

    /// One whose values are worked out of those of this one.
    pub(crate) fn map<W: Data>(
        &self,
        map: impl Fn(&K, &V) -> Option<W> + Send + Sync + 'static,
    ) -> View<K, W> {
        let (keep, make) = (Arc::clone(&self.keep), Arc::clone(&self.make));
        let map = Arc::new(map);
        View {
            keep,
            make: Arc::new(move |cx| {
                let (inner, map) = (make(cx), Arc::clone(&map));
                Getter::Computed(Box::new(move |stores: &mut Stores, key, bytes, at| {
                    inner.with_as_of(stores, key, bytes, at, |found| {
                        let (value, timestamp) = found?;
                        Some((map(key, value)?, timestamp))
                    })
                }))
            }),
        }
    }
}
