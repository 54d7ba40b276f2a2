//! Several aggregates at once.

use crate::data::DataError;
use crate::serving::Place;
use crate::serving::aggregate::{Aggregate, State};

macro_rules! tuples {
    ($(($($name:ident $at:tt),+);)*) => { $(
        impl<$($name: State),+> State for ($($name,)+) {
            fn encode(&self, into: &mut Vec<u8>) {
                $(self.$at.encode(into);)+
            }

            fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
                Ok(($($name::decode(bytes)?,)+))
            }
        }

        impl<Event, $($name),+> Aggregate for ($($name,)+)
        where
            Event: Send + Sync + 'static,
            $($name: Aggregate<Event = Event>,)+
        {
            type Event = Event;
            type State = ($($name::State,)+);
            type Value = ($($name::Value,)+);

            fn describe(&self) -> String {
                let own = [$(self.$at.describe()),+];
                format!("({})", own.join(", "))
            }

            fn empty(&self) -> Self::State {
                ($(self.$at.empty(),)+)
            }

            fn add(&self, event: &Event, at: Place, state: &mut Self::State) {
                $(self.$at.add(event, at, &mut state.$at);)+
            }

            fn merge(&self, state: &mut Self::State, other: Self::State) {
                $(self.$at.merge(&mut state.$at, other.$at);)+
            }

            fn value(&self, state: &Self::State) -> Self::Value {
                ($(self.$at.value(&state.$at),)+)
            }
        }
    )* };
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
}
