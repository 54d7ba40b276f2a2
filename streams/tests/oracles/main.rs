//! Cases that other projects publish, from `data`: see the README there. One test for each file.
#![allow(clippy::unwrap_used, reason = "tests")]

mod arithmetic;
mod build;
mod case;
mod clocks;
mod compare;
mod departures;
mod functions;
mod kafka;
mod observe;
mod ops;
mod run;
mod value;

use std::collections::BTreeMap;

use serde::Deserialize as _;

use crate::case::Case;

macro_rules! files {
    ($($folder:ident: $($file:ident),+;)+) => {
        $(mod $folder {
            $(#[test]
            fn $file() {
                crate::run::file(concat!(stringify!($folder), "/", stringify!($file)));
            })+
        })+

        const FILES: &[&str] = &[$($(concat!(stringify!($folder), "/", stringify!($file))),+),+];
    };
}

files! {
    stream_joins: relaxed_null_key, stream_global_table_inner, stream_global_table_left,
        stream_stream_docs, stream_stream_eager, stream_stream_inner,
        stream_stream_inner_windowing, stream_stream_integration, stream_stream_left,
        stream_stream_outer, stream_stream_self, stream_table_inner, stream_table_integration,
        stream_table_left;
    tables: cogroup, cogroup_windowed, grouped_stream, stream_ops, suppress, suppress_processor,
        table_aggregate, table_join_unit, table_stateless, table_table_join,
        table_table_multi_join;
    watermarks: beam_runner, beam_windows, flink_generators, flink_multiplexer, flink_sessions,
        flink_time_windows, flink_triggers, flink_valve, flink_windows;
    windows: arithmetic, integration_aggregation, integration_windowed, session_processor,
        session_windowed, sliding_large, sliding_small, sliding_variants, sliding_windowed,
        time_windowed, window_aggregate;
}

#[test]
fn every_file_has_a_test() {
    let mut found = run::files();
    let mut known: Vec<String> = FILES.iter().map(|file| (*file).to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

/// The library stands on so many published cases: none is lost by accident, and none comes out otherwise
/// without a word here.
#[test]
fn there_are_as_many_cases_as_there_were() {
    // As published, and otherwise on purpose.
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for value in FILES.iter().flat_map(|file| run::cases(file)) {
        let case = Case::deserialize(&value).unwrap();
        let (project, _) = case.source.split_once(' ').unwrap();
        let (as_published, otherwise) = counts.entry(project.to_owned()).or_default();
        match case.here {
            None => *as_published += 1,
            Some(_) => *otherwise += 1,
        }
    }
    let expected = [
        ("apache/beam", (22, 3)),
        ("apache/flink", (100, 30)),
        ("apache/kafka", (371, 28)),
    ];
    let expected = expected.map(|(project, counts)| (project.to_owned(), counts));
    assert_eq!(counts, expected.into());
}
