//! Exact sums.

use super::codec::Canonical;
use super::{Aggregate, Decimal, State};
use crate::data::DataError;
use crate::serving::Place;

/// Numbers whose sums are exact.
#[diagnostic::on_unimplemented(
    message = "sums of `{Self}` are not exact",
    label = "integers and `Decimal` are",
    note = "the sum of floats depends on the order in which they are added, and snapshots and the speed layer \
            add them in different orders: use `Decimal`, which reads JSON numbers exactly, or integers of a \
            smaller unit"
)]
pub trait Exact: sealed::Exact {
    /// What sums are.
    #[doc(hidden)]
    type Sum: Canonical + Clone + Default + serde::Serialize + Send + Sync + 'static;

    #[doc(hidden)]
    fn add_to(self, sum: &mut Self::Sum);

    #[doc(hidden)]
    fn merge(sum: &mut Self::Sum, other: Self::Sum);

    #[doc(hidden)]
    fn to_f64(sum: &Self::Sum) -> f64;

    #[doc(hidden)]
    const NAME: &str;
}

mod sealed {
    pub trait Exact {}
}

macro_rules! integers {
    ($($integer:ty)*) => { $(
        impl sealed::Exact for $integer {}

        impl Exact for $integer {
            type Sum = i128;
            const NAME: &str = "integers";

            fn add_to(self, sum: &mut i128) {
                // A partition has less than 2^63 records, so no sum of theirs leaves 128 bits.
                *sum = sum.wrapping_add(i128::from(self));
            }

            fn merge(sum: &mut i128, other: i128) {
                *sum = sum.wrapping_add(other);
            }

            fn to_f64(sum: &i128) -> f64 {
                *sum as f64
            }
        }
    )* };
}

integers! { i8 i16 i32 i64 u8 u16 u32 u64 }

impl sealed::Exact for Decimal {}

impl Exact for Decimal {
    type Sum = Self;
    const NAME: &str = "decimals";

    fn add_to(self, sum: &mut Self) {
        *sum += self;
    }

    fn merge(sum: &mut Self, other: Self) {
        *sum += other;
    }

    fn to_f64(sum: &Self) -> f64 {
        sum.to_f64()
    }
}

/// Sums a number of each event, exactly.
///
/// ```
/// use tidemark_streams::serving::Place;
/// use tidemark_streams::serving::aggregate::{Aggregate, Decimal, Sum};
///
/// let sum = Sum::of(|price: &&str| price.parse::<Decimal>().unwrap_or_default());
/// let mut state = sum.empty();
/// sum.add(&"0.1", Place::default(), &mut state);
/// sum.add(&"0.2", Place::default(), &mut state);
/// assert_eq!(sum.value(&state).to_string(), "0.3");
/// ```
///
/// Floats are refused: their sums depend on the order.
///
/// ```compile_fail,E0277
/// use tidemark_streams::serving::aggregate::{Aggregate, Sum};
///
/// let sum = Sum::of(|price: &f64| *price);
/// sum.empty();
/// ```
pub struct Sum<E, N> {
    of: Box<dyn Fn(&E) -> N + Send + Sync>,
}

impl<E, N: Exact> Sum<E, N> {
    /// Sums what `of` gives of each event.
    pub fn of(of: impl Fn(&E) -> N + Send + Sync + 'static) -> Self {
        Self { of: Box::new(of) }
    }
}

/// A sum as a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total<T>(pub(super) T);

impl<T: Canonical + Clone + Send + Sync + 'static> State for Total<T> {
    fn encode(&self, into: &mut Vec<u8>) {
        self.0.write(into);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DataError> {
        T::read(bytes).map(Self)
    }
}

impl<E: Send + Sync + 'static, N: Exact + 'static> Aggregate for Sum<E, N> {
    type Event = E;
    type State = Total<N::Sum>;
    type Value = N::Sum;

    fn describe(&self) -> String {
        format!("sum of {}", N::NAME)
    }

    fn empty(&self) -> Self::State {
        Total(N::Sum::default())
    }

    fn add(&self, event: &E, _at: Place, state: &mut Self::State) {
        (self.of)(event).add_to(&mut state.0);
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        N::merge(&mut state.0, other.0);
    }

    fn value(&self, state: &Self::State) -> N::Sum {
        state.0.clone()
    }
}
