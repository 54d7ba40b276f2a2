//! The same aggregate for other events, or shown otherwise.

use std::marker::PhantomData;

use crate::serving::Place;
use crate::serving::aggregate::Aggregate;

/// An aggregate whose values are shown as something else: see [`Aggregate::map_value`].
pub struct MapValue<A, F> {
    pub(in crate::serving::aggregate) aggregate: A,
    pub(in crate::serving::aggregate) map: F,
}

impl<A, F, V> Aggregate for MapValue<A, F>
where
    A: Aggregate,
    F: Fn(A::Value) -> V + Send + Sync + 'static,
    V: serde::Serialize,
{
    type Event = A::Event;
    type State = A::State;
    type Value = V;

    fn describe(&self) -> String {
        self.aggregate.describe()
    }

    fn empty(&self) -> A::State {
        self.aggregate.empty()
    }

    fn add(&self, event: &A::Event, at: Place, state: &mut A::State) {
        self.aggregate.add(event, at, state);
    }

    fn merge(&self, state: &mut A::State, other: A::State) {
        self.aggregate.merge(state, other);
    }

    fn value(&self, state: &A::State) -> V {
        (self.map)(self.aggregate.value(state))
    }
}

/// An aggregate of a part of each event: see [`Aggregate::of_event`].
pub struct OfEvent<A, E, F> {
    pub(in crate::serving::aggregate) aggregate: A,
    pub(in crate::serving::aggregate) part: F,
    pub(in crate::serving::aggregate) event: PhantomData<fn(&E)>,
}

impl<A, E, F> Aggregate for OfEvent<A, E, F>
where
    A: Aggregate,
    E: Send + Sync + 'static,
    F: Fn(&E) -> Option<A::Event> + Send + Sync + 'static,
{
    type Event = E;
    type State = A::State;
    type Value = A::Value;

    fn describe(&self) -> String {
        self.aggregate.describe()
    }

    fn empty(&self) -> A::State {
        self.aggregate.empty()
    }

    fn add(&self, event: &E, at: Place, state: &mut A::State) {
        if let Some(part) = (self.part)(event) {
            self.aggregate.add(&part, at, state);
        }
    }

    fn merge(&self, state: &mut A::State, other: A::State) {
        self.aggregate.merge(state, other);
    }

    fn value(&self, state: &A::State) -> A::Value {
        self.aggregate.value(state)
    }
}
