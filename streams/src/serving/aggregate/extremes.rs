//! The smallest and the largest.

use serde::Serialize;

use super::codec::Canonical;
use super::{Aggregate, State};
use crate::data::DataError;
use crate::serving::Place;

/// One value, if there is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct One<T>(Option<T>);

impl<T: Canonical + Clone + Send + Sync + 'static> State for One<T> {
    fn encode(&self, into: &mut Vec<u8>) {
        self.0.write(into);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        Canonical::read(bytes).map(Self)
    }
}

macro_rules! extreme {
    ($name:ident, $word:literal, $better:ident, $doc:literal, $value:literal) => {
        #[doc = $doc]
        ///
        /// ```
        /// use tidemark_streams::serving::Place;
        #[doc = concat!("use tidemark_streams::serving::aggregate::{Aggregate, ", stringify!($name), "};")]
        ///
        #[doc = concat!("let extreme = ", stringify!($name), "::of(|number: &i64| *number);")]
        /// let mut state = extreme.empty();
        /// for number in [4, 1, 9] {
        ///     extreme.add(&number, Place::default(), &mut state);
        /// }
        #[doc = concat!("assert_eq!(extreme.value(&state), Some(", $value, "));")]
        /// ```
        pub struct $name<E, T> {
            of: Box<dyn Fn(&E) -> T + Send + Sync>,
        }

        impl<E, T: Ord + Canonical> $name<E, T> {
            /// Of what `of` gives of each event.
            pub fn of(of: impl Fn(&E) -> T + Send + Sync + 'static) -> Self {
                Self { of: Box::new(of) }
            }
        }

        impl<E, T> Aggregate for $name<E, T>
        where
            E: Send + Sync + 'static,
            T: Ord + Canonical + Clone + Serialize + Send + Sync + 'static,
        {
            type Event = E;
            type State = One<T>;
            type Value = Option<T>;

            fn describe(&self) -> String {
                format!("{} of {}", $word, T::kind())
            }

            fn empty(&self) -> One<T> {
                One(None)
            }

            fn add(&self, event: &E, _at: Place, state: &mut One<T>) {
                self.merge(state, One(Some((self.of)(event))));
            }

            fn merge(&self, state: &mut One<T>, other: One<T>) {
                let old = state.0.take();
                state.0 = match (old, other.0) {
                    (Some(a), Some(b)) => Some(a.$better(b)),
                    (a, b) => a.or(b),
                };
            }

            fn value(&self, state: &One<T>) -> Option<T> {
                state.0.clone()
            }
        }
    };
}

extreme!(
    Min,
    "min",
    min,
    "The smallest of a value of each event.",
    "1"
);
extreme!(
    Max,
    "max",
    max,
    "The largest of a value of each event.",
    "9"
);
