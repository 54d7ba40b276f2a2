//! Compares rows.

use std::cmp::Ordering;

/// What is in one of two sorted lists and not in the other, in words; empty if they are equal.
pub(crate) fn differences(rows: &[String], expected: &[String]) -> String {
    /// How many rows are told of each kind.
    const TOLD: usize = 5;
    let (mut surplus, mut missing) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (rows.iter().peekable(), expected.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some(expected)) => row.cmp(expected),
        };
        if order != Ordering::Greater {
            surplus.extend(left.next().filter(|_| order.is_lt()));
        }
        if order != Ordering::Less {
            missing.extend(right.next().filter(|_| order.is_gt()));
        }
    }
    let mut told = String::new();
    for (what, rows) in [("not expected", surplus), ("missing", missing)] {
        if rows.is_empty() {
            continue;
        }
        told += &format!("{} rows are {what}:\n", rows.len());
        for row in rows.iter().take(TOLD) {
            told += &format!("  {row}\n");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(differences(&list("a b b"), &list("a b b")), "");
        assert_eq!(
            differences(&list("a b b c"), &list("a b d")),
            "2 rows are not expected:\n  b\n  c\n1 rows are missing:\n  d\n"
        );
    }
}
