//! How values become aggregates.

use std::marker::PhantomData;

use crate::data::Data;

/// Makes one value of many (Kafka: `Initializer`, `Aggregator` and `Merger` in one).
///
/// The state of a key begins as `None`, and is gone from the table when it is `None` again.
pub trait Aggregator<K, V>: Send + Sync + 'static {
    /// What is kept for each key, and each window of a key.
    type State: Data;

    /// Adds a value.
    fn add(&self, key: &K, value: V, state: &mut Option<Self::State>);

    /// Makes one state of two: that of `other` goes into `state`. Session windows cannot do without;
    /// hopping windows cost the same whatever their size with it, unless the state is of a type that
    /// can be null. `false` if it cannot be done.
    fn merge(&self, key: &K, state: &mut Option<Self::State>, other: Self::State) -> bool {
        let _ = (key, state, other);
        false
    }

    /// Whether [`Self::merge`] can do it.
    fn can_merge(&self) -> bool {
        false
    }
}

/// Counts records (Kafka: `count()`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<K, V> Aggregator<K, V> for Count {
    type State = i64;

    #[inline]
    fn add(&self, _key: &K, _value: V, state: &mut Option<i64>) {
        *state.get_or_insert(0) += 1;
    }

    fn merge(&self, _key: &K, state: &mut Option<i64>, other: i64) -> bool {
        *state.get_or_insert(0) += other;
        true
    }

    fn can_merge(&self) -> bool {
        true
    }
}

/// Makes one value of two, again and again (Kafka: `Reducer`).
#[derive(Clone, Copy, Debug)]
pub struct Reduce<F>(pub F);

impl<K, V: Data, F> Aggregator<K, V> for Reduce<F>
where
    F: Fn(V, V) -> V + Send + Sync + 'static,
{
    type State = V;

    #[inline]
    fn add(&self, _key: &K, value: V, state: &mut Option<V>) {
        let new = match state.take() {
            Some(old) => (self.0)(old, value),
            None => value,
        };
        // What is null is not there: the next value begins anew.
        *state = (!new.is_null()).then_some(new);
    }

    fn merge(&self, key: &K, state: &mut Option<V>, other: V) -> bool {
        self.add(key, other, state);
        true
    }

    fn can_merge(&self) -> bool {
        true
    }
}

/// An aggregate by closures: what it begins with, and how a value is added; with
/// [`Self::merging`] also how two are made one.
pub struct Fold<I, F, M = NoMerge> {
    init: I,
    add: F,
    merge: M,
}

/// A [`Fold`] that cannot merge.
#[derive(Clone, Copy, Debug)]
pub struct NoMerge;

impl<I, F> Fold<I, F> {
    /// Begins with what `init` gives; `add` puts a value in.
    pub fn new<K, V, A>(init: I, add: F) -> Self
    where
        I: Fn() -> A,
        F: Fn(&K, V, &mut A),
    {
        Self {
            init,
            add,
            merge: NoMerge,
        }
    }

    /// With a way to put a second aggregate into the first.
    pub fn merging<K, A, M>(self, merge: M) -> Fold<I, F, Merging<M>>
    where
        M: Fn(&K, &mut A, A),
    {
        Fold {
            init: self.init,
            add: self.add,
            merge: Merging(merge),
        }
    }
}

/// How a [`Fold`] merges.
#[derive(Clone, Copy, Debug)]
pub struct Merging<M>(M);

impl<K, V, A, I, F> Aggregator<K, V> for Fold<I, F>
where
    A: Data,
    I: Fn() -> A + Send + Sync + 'static,
    F: Fn(&K, V, &mut A) + Send + Sync + 'static,
{
    type State = A;

    #[inline]
    fn add(&self, key: &K, value: V, state: &mut Option<A>) {
        (self.add)(key, value, state.get_or_insert_with(&self.init));
    }
}

impl<K, V, A, I, F, M> Aggregator<K, V> for Fold<I, F, Merging<M>>
where
    A: Data,
    I: Fn() -> A + Send + Sync + 'static,
    F: Fn(&K, V, &mut A) + Send + Sync + 'static,
    M: Fn(&K, &mut A, A) + Send + Sync + 'static,
{
    type State = A;

    #[inline]
    fn add(&self, key: &K, value: V, state: &mut Option<A>) {
        (self.add)(key, value, state.get_or_insert_with(&self.init));
    }

    fn merge(&self, key: &K, state: &mut Option<A>, other: A) -> bool {
        (self.merge.0)(key, state.get_or_insert_with(&self.init), other);
        true
    }

    fn can_merge(&self) -> bool {
        true
    }
}

/// An aggregator that is a closure over the optional state: it may also take a key out.
pub struct Update<A, F> {
    update: F,
    state: PhantomData<fn() -> A>,
}

impl<A, F> Update<A, F> {
    /// `update` gets the key, the value and what there is.
    pub fn new<K, V>(update: F) -> Self
    where
        F: Fn(&K, V, &mut Option<A>),
    {
        Self {
            update,
            state: PhantomData,
        }
    }
}

impl<K, V, A, F> Aggregator<K, V> for Update<A, F>
where
    A: Data,
    F: Fn(&K, V, &mut Option<A>) + Send + Sync + 'static,
{
    type State = A;

    #[inline]
    fn add(&self, key: &K, value: V, state: &mut Option<A>) {
        (self.update)(key, value, state);
    }
}

/// What states have been merged to, `None` if that is gone again, and the largest timestamp in it.
pub(crate) type Merged<A> = (Option<A>, i64);

/// Merges what comes later into a state.
pub(crate) fn merge_all<A>(
    first: Merged<A>,
    later: impl IntoIterator<Item = Merged<A>>,
    merge: impl Fn(&mut Option<A>, A),
) -> Merged<A> {
    let (mut state, mut timestamp) = first;
    for (other, at) in later {
        if let Some(other) = other {
            match &mut state {
                Some(_) => merge(&mut state, other),
                None => state = Some(other),
            }
        }
        timestamp = timestamp.max(at);
    }
    (state, timestamp)
}
