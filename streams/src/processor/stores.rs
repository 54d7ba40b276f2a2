//! Stores that processors share, and how they see them.

mod key_value;
mod session;
mod window;

use std::marker::PhantomData;

use super::Failure;
use crate::data::Data;
use crate::state::{StoreId, Stores};
use crate::topology::StoreSpec;

pub use key_value::{KeyValue, KeyValueView};
pub use session::{SessionValue, SessionValueView};
pub use window::{WindowValue, WindowValueView};

/// A kind of store that processors can have: [`KeyValue`], [`WindowValue`] or [`SessionValue`].
pub trait StoreKind: private::Kind {}

impl<K: Data, V: Data> StoreKind for KeyValue<K, V> {}
impl<K: Data, V: Data> StoreKind for WindowValue<K, V> {}
impl<K: Data, V: Data> StoreKind for SessionValue<K, V> {}

pub(crate) mod private {
    use super::{StoreId, StoreSpec, Stores};

    pub trait Kind: 'static {
        /// How a processor sees the store.
        type View<'a>;

        #[allow(private_interfaces, reason = "sealed")]
        fn spec(&self) -> StoreSpec;

        #[allow(private_interfaces, reason = "sealed")]
        fn view(stores: &mut Stores, id: StoreId) -> Self::View<'_>;
    }
}

/// A store of a topology. Made by [`crate::StreamsBuilder::add_store`].
pub struct StoreHandle<S> {
    /// Of which builder it is.
    pub(crate) plan: usize,
    pub(crate) number: usize,
    pub(crate) kind: PhantomData<fn() -> S>,
}

impl<S> Clone for StoreHandle<S> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan,
            number: self.number,
            kind: PhantomData,
        }
    }
}

/// Where a task has a store.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) number: usize,
    pub(crate) id: StoreId,
}

impl<S: StoreKind> StoreHandle<S> {
    /// The store of the task, if the processor has been given it.
    pub(crate) fn view<'a>(
        &self,
        stores: &'a mut Stores,
        places: &[Place],
    ) -> Result<S::View<'a>, Failure> {
        let place = places.iter().find(|place| place.number == self.number);
        let place = place.ok_or("the processor has not been given that store")?;
        Ok(S::view(stores, place.id))
    }
}
