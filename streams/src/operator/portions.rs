//! Operators of which one record, or the watermark, may bring out much: they give it out in portions,
//! and leave the records behind for later.

use std::vec::Drain;

use super::{Context, Operator};
use crate::data::Data;
use crate::record::Record;
use crate::record::chunk::{AnyChunk, Chunk, typed};

/// Whether all records have been taken. `Err` says that something is left for later, and has the record
/// that is to be taken again, if the last one was not taken yet.
pub(crate) type Taken<K, V> = Result<(), Option<Record<K, V>>>;

/// What is asked of such an operator.
pub(crate) trait Portions<K, V>: Send {
    /// Takes records in until something is left for later.
    fn take(&mut self, rows: &mut Drain<'_, Record<K, V>>, cx: &mut Context<'_>) -> Taken<K, V>;

    /// The watermark has come to `now`, behind all records; `false` if something is left for later.
    fn watermark(&mut self, now: i64, cx: &mut Context<'_>) -> bool;

    /// Gives out what was left; `false` if some of it still is.
    fn give_out(&mut self, cx: &mut Context<'_>) -> bool;

    /// By how much the watermark behind it is below that in front of it.
    fn holds_back(&self) -> i64;
}

/// Takes records one by one.
#[inline]
pub(crate) fn one_by_one<K, V>(
    rows: &mut Drain<'_, Record<K, V>>,
    cx: &mut Context<'_>,
    mut take: impl FnMut(Record<K, V>, &mut Context<'_>) -> Taken<K, V>,
) -> Taken<K, V> {
    for row in rows {
        take(row, cx)?;
        if cx.failed.is_some() {
            break;
        }
    }
    Ok(())
}

/// The operator, and what it has left.
pub(crate) struct InPortions<O, K, V> {
    operator: O,
    rest: Rest<K, V>,
}

impl<O: Portions<K, V>, K: Data, V: Clone + Send + 'static> InPortions<O, K, V> {
    pub(crate) fn new(operator: O) -> Self {
        Self {
            operator,
            rest: Rest::default(),
        }
    }
}

impl<O: Portions<K, V>, K: Data, V: Clone + Send + 'static> Operator for InPortions<O, K, V> {
    fn process(&mut self, _port: usize, input: &mut dyn AnyChunk, cx: &mut Context<'_>) {
        let input = typed::<K, V>(input);
        let mut rows = input.rows.drain(..);
        if let Err(own) = self.operator.take(&mut rows, cx) {
            self.rest.put_back(own, rows, input.watermark);
            return cx.leave(self.operator.holds_back());
        }
        drop(rows);
        if cx.failed.is_some() {
            return;
        }
        if !self.operator.watermark(input.watermark, cx) {
            self.rest
                .put_back(None, std::iter::empty(), input.watermark);
            return cx.leave(self.operator.holds_back());
        }
        for output in &mut cx.outputs.ports {
            output.chunk.set_watermark(input.watermark);
            output.chunk.hold_back(self.operator.holds_back());
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        if !self.operator.give_out(cx) {
            return cx.leave(self.operator.holds_back());
        }
        if cx.failed.is_none()
            && let Some(mut next) = self.rest.next(cx.portion)
        {
            self.process(0, &mut next, cx);
            *cx.unfinished |= self.rest.is_left();
        }
    }
}

/// Records that are left for later, and the watermark behind them.
pub(crate) struct Rest<K, V> {
    /// The first one is at the end.
    rows: Vec<Record<K, V>>,
    /// `None` if nothing is left.
    watermark: Option<i64>,
}

impl<K, V> Default for Rest<K, V> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            watermark: None,
        }
    }
}

impl<K, V> Rest<K, V> {
    pub(crate) fn is_left(&self) -> bool {
        self.watermark.is_some()
    }

    /// Leaves records behind which the watermark is `watermark`, in front of those that are left already.
    #[cold]
    pub(crate) fn put_back(
        &mut self,
        first: Option<Record<K, V>>,
        rows: impl DoubleEndedIterator<Item = Record<K, V>>,
        watermark: i64,
    ) {
        self.rows.extend(rows.rev());
        self.rows.extend(first);
        self.watermark.get_or_insert(watermark);
    }

    /// Takes the first ones, so many at most, with the watermark that is behind them.
    #[cold]
    pub(crate) fn next(&mut self, most: usize) -> Option<Chunk<K, V>> {
        let end = self.watermark?;
        let mut rows = self.rows.split_off(self.rows.len().saturating_sub(most));
        rows.reverse();
        let watermark = match self.rows.last() {
            Some(behind) => behind.watermark,
            None => {
                self.watermark = None;
                end
            }
        };
        Some(Chunk { rows, watermark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Headers;

    fn rows(timestamps: impl Iterator<Item = i64>) -> Vec<Record<(), ()>> {
        let row = |timestamp| Record {
            key: (),
            value: (),
            timestamp,
            headers: Headers::default(),
            watermark: timestamp - 1,
        };
        timestamps.map(row).collect()
    }

    fn taken(rest: &mut Rest<(), ()>, most: usize) -> Option<(Vec<i64>, i64)> {
        let chunk = rest.next(most)?;
        let timestamps = chunk.rows.iter().map(|row| row.timestamp).collect();
        Some((timestamps, chunk.watermark))
    }

    #[test]
    fn the_rest_comes_in_order_with_the_watermark_behind_each_part() {
        let mut rest = Rest::default();
        let all = rows(1..8);
        let mut all = all.into_iter();
        let first = all.next();
        rest.put_back(first, all, 50);
        assert_eq!(taken(&mut rest, 3), Some((vec![1, 2, 3], 3)));
        // Part of a part goes in front of what is left, and the end stays where it is.
        rest.put_back(None, rows(2..4).into_iter(), 3);
        assert_eq!(taken(&mut rest, 5), Some((vec![2, 3, 4, 5, 6], 6)));
        assert_eq!(taken(&mut rest, 5), Some((vec![7], 50)));
        assert_eq!(taken(&mut rest, 5), None);
        // The watermark alone may be left, too.
        rest.put_back(None, std::iter::empty(), 60);
        assert!(rest.is_left());
        assert_eq!(taken(&mut rest, 5), Some((vec![], 60)));
        assert!(!rest.is_left());
    }
}
