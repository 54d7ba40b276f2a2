//! Global tables: every instance holds them as a whole, and all of its tasks look things up in them.

use std::any::Any;
use std::sync::Arc;

use parking_lot::RwLock;

use super::KeyValueStore;
use crate::data::Data;
use crate::topology::Topology;

/// What a global table holds. The tasks that read its topic write here, all others look things up.
pub(crate) type GlobalStore<V> = RwLock<KeyValueStore<V>>;

/// The global tables of one instance, by their numbers in the topology. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Globals(Arc<[Arc<dyn Any + Send + Sync>]>);

impl Globals {
    /// Empty ones; `seed` is chance for the hashes of keys.
    pub(crate) fn new(topology: &Topology, seed: u64) -> Self {
        let stores = topology.globals.iter();
        Self(stores.map(|global| (global.make)(seed)).collect())
    }

    /// One of whatever type.
    pub(crate) fn any(&self, number: usize) -> &(dyn Any + Send + Sync) {
        &*self.0[number]
    }

    pub(crate) fn get<V: Data>(&self, number: usize) -> Arc<GlobalStore<V>> {
        Arc::clone(&self.0[number])
            .downcast()
            .expect("the DSL makes the global tables that its operators ask for")
    }
}
