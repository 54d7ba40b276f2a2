//! Whether what came out is what was published.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{Case, Compare, Row, Sorted};
use crate::value::Dyn;

/// Compares what came out of one step.
pub(crate) fn step(case: &Case, wanted: &[Row], got: &[Row]) -> Result<(), String> {
    let any_order = matches!(case.sorted, Some(Sorted::All(true)));
    rows(wanted, got, |rows| {
        if any_order {
            rows.sort_by(|a, b| (a.2, &a.0, &a.1).cmp(&(b.2, &b.0, &b.1)));
        }
    })
}

/// Compares everything that came out of a node.
pub(crate) fn whole(case: &Case, id: &str, wanted: &[Row], got: &[Row]) -> Result<(), String> {
    let sorted = match &case.sorted {
        Some(Sorted::Ids(ids)) => ids.iter().any(|sorted| sorted == id),
        _ => false,
    };
    if let Some(Sorted::All(true)) = case.sorted {
        return step(case, wanted, got);
    }
    match case.compare {
        Some(Compare::Set) => {
            let set = |rows: &[Row]| rows.iter().cloned().collect::<BTreeSet<_>>();
            let (wanted, got) = (set(wanted), set(got));
            rows(
                &wanted.into_iter().collect::<Vec<_>>(),
                &got.into_iter().collect::<Vec<_>>(),
                |_| {},
            )
        }
        Some(Compare::Last) => rows(wanted, &last(got), |rows| rows.sort()),
        Some(Compare::SortedValue) => rows(wanted, got, |rows| {
            rows.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        }),
        Some(Compare::Sorted) => rows(wanted, got, |rows| rows.sort_by_key(window)),
        None => rows(wanted, got, |rows| {
            if sorted {
                rows.sort_by_key(window);
            }
        }),
    }
}

/// Compares whatever has no order.
pub(crate) fn any_order(wanted: &[Row], got: &[Row]) -> Result<(), String> {
    rows(wanted, got, |rows| rows.sort())
}

/// The last record of each key, without keys that are gone.
pub(crate) fn last(rows: &[Row]) -> Vec<Row> {
    let mut last: BTreeMap<&Dyn, &Row> = BTreeMap::new();
    for row in rows {
        last.insert(&row.0, row);
    }
    let last = last.into_values().filter(|row| row.1 != Dyn::Null);
    last.cloned().collect()
}

fn window(row: &Row) -> (Dyn, i64) {
    match &row.0 {
        Dyn::Windowed(key, start, _) => ((**key).clone(), *start),
        key => (key.clone(), 0),
    }
}

fn rows(wanted: &[Row], got: &[Row], sort: impl Fn(&mut Vec<Row>)) -> Result<(), String> {
    let (mut wanted, mut got) = (wanted.to_vec(), got.to_vec());
    sort(&mut wanted);
    sort(&mut got);
    // Where the case has no timestamp, none is compared.
    let same = wanted.len() == got.len()
        && wanted.iter().zip(&got).all(|(wanted, got)| {
            let timed = wanted.2.is_none() || got.2.is_none() || wanted.2 == got.2;
            wanted.0 == got.0 && wanted.1 == got.1 && timed
        });
    if same {
        return Ok(());
    }
    let print = |rows: &[Row]| {
        let rows = rows.iter().map(|(key, value, timestamp)| match timestamp {
            Some(timestamp) => format!("[{key:?}, {value:?}, {timestamp}]"),
            None => format!("[{key:?}, {value:?}]"),
        });
        rows.collect::<Vec<_>>().join(" ")
    };
    Err(format!(
        "\n        wanted {}\n        got    {}",
        print(&wanted),
        print(&got)
    ))
}
