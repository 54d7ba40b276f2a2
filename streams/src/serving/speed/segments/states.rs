//! The states of a segment: a table that changes, or one that does not any more.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use crate::state::table::Table;

/// The states of a segment.
pub(super) enum States<S> {
    /// They may still change, or be told.
    Own(Table<S>),
    /// They do not: whoever reads may hold them for as long as that takes.
    Closed(Arc<Closed<S>>),
}

impl<S> Default for States<S> {
    fn default() -> Self {
        Self::Own(Table::default())
    }
}

impl<S> States<S> {
    #[inline]
    pub(super) fn table(&self) -> &Table<S> {
        match self {
            Self::Own(table) => table,
            Self::Closed(closed) => &closed.table,
        }
    }

    /// To change them.
    #[inline]
    pub(super) fn own(&mut self) -> &mut Table<S> {
        match self {
            Self::Own(table) => table,
            Self::Closed(_) => {
                unreachable!("a segment is closed when nothing of it changes any more")
            }
        }
    }

    /// They do not change from now on.
    pub(super) fn close(&mut self) {
        if let Self::Own(table) = self {
            let table = std::mem::take(table);
            *self = Self::Closed(Arc::new(Closed {
                table,
                order: OnceLock::new(),
            }));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    pub(super) fn closed(&self) -> Option<Arc<Closed<S>>> {
        match self {
            Self::Own(_) => None,
            Self::Closed(closed) => Some(Arc::clone(closed)),
        }
    }
}

/// States that do not change.
pub(crate) struct Closed<S> {
    table: Table<S>,
    /// Numbers of slots in the order of their keys, once somebody has asked for it.
    order: OnceLock<Vec<u32>>,
}

impl<S> Closed<S> {
    /// Puts them in order, if nobody has yet: always by the same one.
    pub(crate) fn sort(&self, order: impl Fn(&[u8], &[u8]) -> Ordering) {
        self.order.get_or_init(|| {
            let table = &self.table;
            let slots = 0..u32::try_from(table.slots()).unwrap_or(u32::MAX);
            let mut slots: Vec<u32> = slots.filter(|slot| table.at(*slot).is_some()).collect();
            slots.sort_unstable_by(|a, b| order(table.key(*a), table.key(*b)));
            slots
        });
    }

    fn order(&self) -> &[u32] {
        self.order.get().map_or(&[], |order| order)
    }

    /// The key and the state at that place of the order; `None` behind the last one.
    pub(crate) fn get(&self, at: usize) -> Option<(&[u8], &S)> {
        let (key, state, _) = self.table.at(*self.order().get(at)?)?;
        Some((key, state))
    }

    /// The first place whose key is not in front of what is looked for.
    pub(crate) fn find(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        self.order()
            .partition_point(|slot| is_before(self.table.key(*slot)))
    }
}
