//! The keys with the largest values.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::QueryError;
use super::walk::{Found, Walk};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;

/// What has the largest ranks.
pub(crate) struct Largest<T> {
    /// The largest one first.
    pub(crate) rows: Vec<T>,
    /// How many keys have a rank.
    pub(crate) ranked: u64,
    /// How many have none.
    pub(crate) left_out: u64,
}

impl<K: Data, A: Aggregate> Walk<'_, K, A> {
    /// The `k` keys with the largest ranks; of equal ones the one that comes first. `rank` says `None` of what
    /// has none. `keep` makes a row of what may stay, and tells its bytes: the rows end with the one with which
    /// they have `room` bytes.
    pub(crate) fn top<R: Ord, T, E: From<QueryError>>(
        &mut self,
        k: usize,
        room: usize,
        mut rank: impl FnMut(&Found<A::State>) -> Result<Option<R>, E>,
        mut keep: impl FnMut(Found<A::State>) -> Result<(T, usize), E>,
    ) -> Result<Largest<T>, E> {
        let mut best: BinaryHeap<Reverse<Ranked<R, T>>> = BinaryHeap::new();
        let (mut ranked, mut left_out, mut total) = (0_u64, 0, 0_usize);
        while let Some(found) = self.next()? {
            let Some(rank) = rank(&found)? else {
                left_out += 1;
                continue;
            };
            ranked += 1;
            // Once nothing more is let in, only better ones take the places of those that are there. So what
            // has been dropped never comes before what is kept.
            let is_full = best.len() >= k || total >= room;
            let worst = best.peek().filter(|_| is_full);
            if worst.is_some_and(|Reverse(worst)| rank <= worst.rank.0) {
                continue;
            }
            let (row, bytes) = keep(found)?;
            total = total.saturating_add(bytes);
            // Keys come in their order.
            let rank = (rank, Reverse(ranked));
            best.push(Reverse(Ranked { rank, bytes, row }));
            while let Some(Reverse(worst)) = best.peek()
                && (best.len() > k || total - worst.bytes >= room)
            {
                total -= worst.bytes;
                best.pop();
            }
        }
        let rows = best.into_sorted_vec().into_iter();
        Ok(Largest {
            rows: rows.map(|Reverse(ranked)| ranked.row).collect(),
            ranked,
            left_out,
        })
    }
}

/// A row by its rank.
struct Ranked<R, T> {
    rank: (R, Reverse<u64>),
    bytes: usize,
    row: T,
}

impl<R: Ord, T> Ord for Ranked<R, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<R: Ord, T> PartialOrd for Ranked<R, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord, T> PartialEq for Ranked<R, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R: Ord, T> Eq for Ranked<R, T> {}
