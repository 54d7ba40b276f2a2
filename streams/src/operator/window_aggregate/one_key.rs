//! What one key has in windows that follow one another: its slices are looked up once, and merged in the
//! order of [`super::rolling`].

use std::mem::needs_drop;

use super::slices::Across;
use crate::data::Data;
use crate::dsl::aggregator::{Merged, merge_all};
use crate::state::WindowStore;
use crate::state::table::Hash;

pub(crate) struct OneKey<S> {
    /// What the key has by slice, in order.
    slices: Vec<(i64, Merged<S>)>,
    edge: Option<i64>,
    /// What begins with each slice and goes up to the edge; the first one is at the end.
    fronts: Vec<(i64, Merged<S>)>,
    /// What lies behind the edge, up to the slice of that number.
    behind: Option<Merged<S>>,
    next: usize,
}

impl<S: Data> OneKey<S> {
    /// For windows from `from` on that end at `end` at the latest, or `beyond` the last number there is.
    pub(crate) fn new(
        store: &WindowStore<S>,
        hash: Hash,
        key: &[u8],
        from: i64,
        (end, beyond): (i64, bool),
    ) -> Self {
        let slices = store.upto(from, end, beyond).filter_map(|(start, slice)| {
            let (state, timestamp) = slice.get(hash, key)?;
            Some((start, (Some(state.clone()), timestamp)))
        });
        Self {
            slices: slices.collect(),
            edge: None,
            fronts: Vec::new(),
            behind: None,
            next: 0,
        }
    }

    /// Whether it has nothing in any of them.
    pub(crate) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// What it has in a window, which lies behind the last one that was asked for.
    pub(crate) fn window(
        &mut self,
        window: &Across,
        merge: impl Fn(&mut Option<S>, S),
    ) -> Option<Merged<S>> {
        let is_new = self.edge.replace(window.edge) != Some(window.edge);
        if is_new {
            self.behind = None;
            self.next = self
                .slices
                .partition_point(|(slice, _)| *slice < window.edge);
        }
        // Those that grow by being merged are not kept.
        let grows = needs_drop::<S>();
        if is_new || grows {
            self.fronts.clear();
            let in_front = self.slices.iter().rev();
            let in_front = in_front.skip_while(|(slice, _)| *slice >= window.edge);
            for (slice, own) in in_front.take_while(|(slice, _)| *slice >= window.start) {
                let later = match grows {
                    true => self.fronts.pop(),
                    false => self.fronts.last().cloned(),
                };
                let merged = merge_all(own.clone(), later.map(|(_, later)| later), &merge);
                self.fronts.push((*slice, merged));
            }
        }
        while self
            .fronts
            .last()
            .is_some_and(|(slice, _)| *slice < window.start)
        {
            self.fronts.pop();
        }
        while let Some((slice, own)) = self.slices.get(self.next)
            && (*slice < window.end || window.beyond)
        {
            self.behind = Some(match self.behind.take() {
                Some(behind) => merge_all(behind, [own.clone()], &merge),
                None => own.clone(),
            });
            self.next += 1;
        }
        match (self.fronts.last(), &self.behind) {
            (Some((_, front)), behind) => Some(merge_all(front.clone(), behind.clone(), &merge)),
            (None, behind) => behind.clone(),
        }
    }
}
