//! The first and the last, by time.

use serde::Serialize;

use super::codec::Canonical;
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// A value with its place, if there is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T>(Option<(Place, T)>);

impl<T: Canonical + Clone + Send + Sync + 'static> State for Placed<T> {
    fn encode(&self, into: &mut Vec<u8>) {
        self.0.write(into);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        Canonical::read(bytes).map(Self)
    }
}

macro_rules! by_place {
    ($name:ident, $word:literal, $earlier:literal, $doc:literal, $value:literal) => {
        #[doc = $doc]
        ///
        /// "First" by arrival would be a matter of who reads when; the order of [`Place`] is the same for all.
        ///
        /// ```
        /// use tidemark_streams::serving::Place;
        #[doc = concat!("use tidemark_streams::serving::aggregate::{Aggregate, ", stringify!($name), "};")]
        ///
        #[doc = concat!("let own = ", stringify!($name), "::of(|word: &&str| word.to_string());")]
        /// let mut state = own.empty();
        /// own.add(&"late", Place { time: 7, ..Place::default() }, &mut state);
        /// own.add(&"early", Place { time: 3, ..Place::default() }, &mut state);
        #[doc = concat!("assert_eq!(own.value(&state).as_deref(), Some(", $value, "));")]
        /// ```
        pub struct $name<E, T> {
            of: Box<dyn Fn(&E) -> T + Send + Sync>,
        }

        impl<E, T: Canonical> $name<E, T> {
            /// Of what `of` gives of each event.
            pub fn of(of: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
                Self { of: Box::new(of) }
            }

            /// Whether an event at `at` counts instead of what there is.
            fn counts(state: &Placed<T>, at: Place) -> bool {
                state.0.as_ref().is_none_or(|(known, _)| (at < *known) == $earlier && at != *known)
            }
        }

        impl<E, T> Aggregate for $name<E, T>
        where
            E: Send + Sync + 'static,
            T: Canonical + Ord + Clone + Serialize + Send + Sync + 'static,
        {
            type Event = E;
            type State = Placed<T>;
            type Value = Option<T>;

            fn describe(&self) -> String {
                format!("{} of {}", $word, T::kind())
            }

            fn empty(&self) -> Placed<T> {
                Placed(None)
            }

            fn add(&self, event: &E, at: Place, state: &mut Placed<T>) {
                if Self::counts(state, at) {
                    state.0 = Some((at, (self.of)(event)));
                } else if state.0.as_ref().is_some_and(|(known, _)| *known == at) {
                    // One record that is several events of a key: the smaller one, whichever comes first.
                    self.merge(state, Placed(Some((at, (self.of)(event)))));
                }
            }

            fn merge(&self, state: &mut Placed<T>, other: Placed<T>) {
                let Some((at, value)) = other.0 else {
                    return;
                };
                if Self::counts(state, at) {
                    state.0 = Some((at, value));
                } else if let Some((known, own)) = &mut state.0
                    && *known == at
                    && value < *own
                {
                    *own = value;
                }
            }

            fn value(&self, state: &Placed<T>) -> Option<T> {
                state.0.as_ref().map(|(_, value)| value.clone())
            }
        }
    };
}

by_place!(
    First,
    "first",
    true,
    "A value of the first event by (time, topic, partition, offset).",
    "\"early\""
);
by_place!(
    Last,
    "last",
    false,
    "A value of the last event by (time, topic, partition, offset).",
    "\"late\""
);
