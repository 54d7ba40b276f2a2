//! How many members of a group support each protocol (Kafka's `ClassicGroup.supportedProtocols`):
//! what all support is looked up in it and not searched for, member by member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Member;

/// A table that groups share until one changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ProtocolCounts(Arc<BTreeMap<Arc<str>, usize>>);

impl ProtocolCounts {
    /// How many members support the protocol.
    pub(super) fn of(&self, protocol: &str) -> usize {
        self.0.get(protocol).copied().unwrap_or(0)
    }

    /// Counts a member.
    pub(in super::super) fn add(&mut self, member: &Member) {
        let counts = Arc::make_mut(&mut self.0);
        for name in names(member) {
            *counts.entry(Arc::clone(name)).or_default() += 1;
        }
    }

    /// Counts a member no longer.
    pub(super) fn remove(&mut self, member: &Member) {
        let counts = Arc::make_mut(&mut self.0);
        for name in names(member) {
            match counts.get_mut(name) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    counts.remove(name);
                }
            }
        }
    }
}

/// A member that names a protocol twice supports it once.
fn names(member: &Member) -> BTreeSet<&Arc<str>> {
    member.protocols.iter().map(|(name, _)| name).collect()
}
