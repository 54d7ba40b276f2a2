//! State: what operators keep, by the bytes of keys.

mod buffer;
mod far;
mod global;
mod join_buffer;
mod kv;
mod parts;
mod span;
pub(crate) mod table;
mod unmatched;
mod versions;
mod view;
mod window;

use std::any::Any;

use crate::data::DataError;

pub(crate) use buffer::{BufferStore, Held, Popped};
pub(crate) use global::{GlobalStore, Globals};
pub(crate) use join_buffer::JoinBuffer;
pub(crate) use kv::KeyValueStore;
pub(crate) use span::{Passing, Span, SpanStore, SpanTimes};
pub(crate) use unmatched::Unmatched;
pub(crate) use versions::VersionedStore;
pub(crate) use view::Getter;
pub(crate) use window::WindowStore;

/// One store of one task.
///
/// Whatever it holds can be told as a map from bytes to bytes: that is its changelog and its
/// snapshot, too.
pub(crate) trait Store: Any + Send {
    /// Itself, for whoever knows its type.
    fn as_any(&mut self) -> &mut dyn Any;

    /// Tells each key that has changed since the last call, with its value as it is now; `None` if it
    /// has gone. The order depends on nothing but what was done to the store. When `tell` says `false`
    /// it stops, and tells the rest with the next call, whatever changes in between.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a value that has no bytes.
    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError>;

    /// Tells everything, in no order that means anything.
    ///
    /// # Errors
    ///
    /// [`DataError`] of a value that has no bytes.
    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError>;

    /// Puts one entry in as it was told. It does not count as a change.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not what such a store tells.
    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError>;

    /// [`Self::restore`] for some entries, one after the other.
    ///
    /// # Errors
    ///
    /// Those of [`Self::restore`].
    fn restore_all(&mut self, entries: &[Entry<'_>]) -> Result<(), DataError> {
        entries.iter().try_for_each(|entry| self.restore(*entry))
    }

    /// Whether all that has changed has been told. Stores that only their task changes need not know: what it
    /// has changed shows in its position.
    fn is_told(&self) -> bool {
        true
    }

    /// The store's own time, to be kept with what it holds: without it a restart would change what
    /// is late.
    fn time(&self) -> StoreTime;

    /// Sets the time as it was told; called after everything has been restored.
    fn set_time(&mut self, time: StoreTime);

    /// How far the source partition has been read that feeds it; when the broker last had no more of it, if
    /// it has none now; and the time; both by the wall clock. Only stores that go by offsets are told
    /// ([`crate::topology::Node::keeps_place`]).
    fn passed(&mut self, _position: i64, _fresh: Option<i64>, _wall: i64) {}

    /// Up to where it has the source partition that feeds it: nothing in front of it has to be read, though it
    /// may be further than what has been. Only of stores that go by offsets.
    fn reached(&self) -> Option<i64> {
        None
    }

    /// The event time at which the last of what it holds closes; `None` if nothing in it does.
    fn horizon(&self) -> Option<i64> {
        None
    }

    /// When nothing of what it holds now will be left; `None` if that cannot be said.
    fn expiry(&self) -> Option<Expiry> {
        None
    }

    /// About how many bytes it takes in memory.
    fn bytes(&self) -> usize;

    /// How many keys it holds, each window of a key counted.
    fn len(&self) -> usize;
}

/// One key of a store as its changelog has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    /// `None` if the key has gone.
    pub(crate) value: Option<&'a [u8]>,
}

/// How far a store has come in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreTime {
    /// The largest timestamp that its operator has seen.
    pub(crate) stream_time: i64,
    /// Up to where windows have been closed.
    pub(crate) closed: i64,
}

/// When nothing is left of what a store holds, on a scale of its own: mostly event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// How far the store has come.
    pub(crate) now: i64,
    /// When it has come there nothing is left of what it holds now, and what is put in again from now
    /// on counts as changed.
    pub(crate) last: i64,
}

impl Expiry {
    /// Of a store whose entries go in an order that nothing changes: as far as the first of them.
    fn in_order(first: Option<i64>, last: Option<i64>) -> Option<Self> {
        match (first, last) {
            (Some(first), Some(last)) => Some(Self {
                now: first.checked_sub(1)?,
                last,
            }),
            _ => Some(Self {
                now: i64::MAX,
                last: i64::MIN,
            }),
        }
    }
}

impl Default for StoreTime {
    fn default() -> Self {
        Self {
            stream_time: i64::MIN,
            closed: i64::MIN,
        }
    }
}

/// The stores of a task, by their numbers.
#[derive(Default)]
pub(crate) struct Stores {
    pub(crate) list: Vec<Box<dyn Store>>,
}

/// A store's place in [`Stores`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StoreId(pub(crate) usize);

impl Stores {
    /// A store with its type.
    #[inline]
    pub(crate) fn get<S: Store>(&mut self, id: StoreId) -> &mut S {
        known(self.list[id.0].as_any())
    }
}

fn known<S: Store>(store: &mut dyn Any) -> &mut S {
    store
        .downcast_mut()
        .expect("the DSL makes the stores that its operators ask for")
}

#[cfg(test)]
mod tests;
