//! The outcome of a call that is about many things.

use std::collections::{BTreeMap, btree_map};

use crate::error::ClientError;

/// What became of each thing that a call was about, in order. Kafka answers for each by itself: one
/// topic may be made while another one is refused (Kafka: the `Map` of `KafkaFuture` in the results
/// of `Admin`).
///
/// ```no_run
/// # use tidemark_client::{Client, ClientError};
/// # async fn example(client: &Client) -> Result<(), ClientError> {
/// for (topic, outcome) in client.admin().delete_topics(["orders", "payments"]).await? {
///     match outcome {
///         Ok(()) => println!("{topic} is gone"),
///         Err(error) => println!("{topic} stays: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "each outcome may be an error"]
pub struct Each<K, T> {
    outcomes: BTreeMap<K, Result<T, ClientError>>,
}

impl<K: Ord, T> Each<K, T> {
    /// All values, or the first error (Kafka: `all()` of the results of `Admin`).
    ///
    /// # Errors
    ///
    /// The first one in the order of the keys.
    pub fn all(self) -> Result<BTreeMap<K, T>, ClientError> {
        let outcomes = self.outcomes.into_iter();
        outcomes.map(|(key, outcome)| Ok((key, outcome?))).collect()
    }

    /// What became of this one; `None` if the call was not about it.
    pub fn get<Q>(&self, key: &Q) -> Option<&Result<T, ClientError>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.outcomes.get(key)
    }

    /// What became of this one, taken out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<Result<T, ClientError>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.outcomes.remove(key)
    }

    /// All outcomes, in order.
    pub fn iter(&self) -> btree_map::Iter<'_, K, Result<T, ClientError>> {
        self.outcomes.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether the call was about nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }
}

impl<K: Ord, T> Each<K, T> {
    /// Puts an outcome in the place of another.
    pub(super) fn insert(&mut self, key: K, outcome: Result<T, ClientError>) {
        self.outcomes.insert(key, outcome);
    }
}

impl<K: Ord, T> FromIterator<(K, Result<T, ClientError>)> for Each<K, T> {
    fn from_iter<I: IntoIterator<Item = (K, Result<T, ClientError>)>>(outcomes: I) -> Self {
        Self {
            outcomes: outcomes.into_iter().collect(),
        }
    }
}

impl<K, T> IntoIterator for Each<K, T> {
    type Item = (K, Result<T, ClientError>);
    type IntoIter = btree_map::IntoIter<K, Result<T, ClientError>>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}

impl<'a, K, T> IntoIterator for &'a Each<K, T> {
    type Item = (&'a K, &'a Result<T, ClientError>);
    type IntoIter = btree_map::Iter<'a, K, Result<T, ClientError>>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.iter()
    }
}
