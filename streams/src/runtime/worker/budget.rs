//! How much memory the state of an instance takes, and whether it may.

use std::collections::BTreeMap;

use crate::error::StreamsError;
use crate::runtime::assignment::TaskId;
use crate::runtime::shared::Shared;

/// How many bytes the stores of each task of the instance had when they were last looked at.
#[derive(Default)]
pub(crate) struct Budget {
    sizes: BTreeMap<TaskId, Vec<(usize, usize)>>,
}

impl Budget {
    /// Whether all state of the instance is within what it may take.
    pub(crate) fn check(&mut self, shared: &Shared) -> Result<(), StreamsError> {
        let budget = shared.config.state_budget;
        if budget == usize::MAX {
            return Ok(());
        }
        let tasks = shared.tasks.lock().clone();
        self.sizes.retain(|id, _| tasks.contains_key(id));
        for (id, task) in &tasks {
            // One that is busy counts as it was: nothing may wait here.
            if let Some(mut task) = task.try_lock() {
                let sizes = task.stores().map(|(number, store)| (number, store.bytes()));
                self.sizes.insert(*id, sizes.collect());
            }
        }
        let mut by_store: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, bytes) in self.sizes.values().flatten() {
            *by_store.entry(*number).or_default() += bytes;
        }
        // Those that are being restored grow, too.
        for (id, restoring) in shared.restoring.lock().iter() {
            if !tasks.contains_key(id) {
                for (number, bytes) in &restoring.sizes {
                    *by_store.entry(*number).or_default() += bytes;
                }
            }
        }
        let topology = &shared.topology;
        let stores = by_store.into_iter();
        let stores = stores.map(|(number, bytes)| (&topology.stores[number].name, bytes));
        let globals = topology.globals.iter().enumerate();
        let globals = globals.map(|(number, global)| {
            let (_, bytes) = (global.size)(shared.globals.any(number));
            (&global.name, bytes)
        });
        let all: Vec<(&String, usize)> = stores.chain(globals).collect();
        let bytes: usize = all.iter().map(|(_, bytes)| bytes).sum();
        if bytes <= budget {
            return Ok(());
        }
        let largest = all.into_iter().max_by_key(|(_, bytes)| *bytes);
        let store = largest.map(|(name, _)| name.clone());
        Err(StreamsError::StateTooLarge {
            bytes,
            budget,
            store: store.unwrap_or_default(),
        })
    }
}
