//! What a request names more than once. An answer for each time could be many times larger than
//! the request, so most APIs answer for each thing once.

use std::collections::HashSet;
use std::hash::Hash;

/// Each item once, where it first comes.
pub(super) fn each_once<T: Clone + Eq + Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    let items = items.into_iter();
    items.filter(|item| seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_stays_in_its_place() {
        assert_eq!(each_once([3, 1, 3, 2, 1]), [3, 1, 2]);
        assert!(each_once::<i32>([]).is_empty());
    }
}
