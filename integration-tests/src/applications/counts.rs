//! Counts, on the way through topics of the application's own.

use std::collections::BTreeMap;

use tidemark_streams::StreamsBuilder;

use super::{Application, Expected, Input, as_it_is, by};

/// Counts by value, through a repartition topic.
pub const COUNTS: Application = Application {
    name: "counts",
    inputs: &["in"],
    outputs: &["counts"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        builder
            .stream::<String, String>(&topic("in"))
            .group_by(|_, value| value.clone())
            .count()
            .values()
            .map_values(|count| count.to_string())
            .to(&topic("counts"));
        builder.build().expect("a good topology")
    },
    record: |_, input| Input {
        value: Some(format!("g{}", input.number % 13)),
        ..input
    },
    expected: |all| {
        let counts = by(all, |input| input.value.clone().unwrap_or_default());
        let counts = counts.into_iter();
        let counts = counts.map(|(value, all)| (value, all.len().to_string()));
        [("counts", Expected::Latest(counts.collect()))].into()
    },
};

/// Counts what several topics have of each key, and how many keys have come to each count. What the
/// topics make of state comes in another order after a crash; on the way to the next task it is counted
/// once all the same, as every key says each of its counts once.
pub const MERGED_COUNTS: Application = Application {
    name: "merged-counts",
    inputs: &["a", "b"],
    outputs: &["keys"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        let a = builder.stream::<String, String>(&topic("a"));
        let b = builder.stream::<String, String>(&topic("b"));
        let counts = a.merge(&b).group_by_key().count().values();
        counts
            .group_by(|_, count| *count)
            .count()
            .values()
            .map(|count, keys| (count.to_string(), keys.to_string()))
            .to(&topic("keys"));
        builder.build().expect("a good topology")
    },
    record: as_it_is,
    expected: |all| {
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        for (_, all) in by(all, |input| input.key) {
            for count in 1..=all.len() {
                *keys.entry(count.to_string()).or_default() += 1;
            }
        }
        let keys = keys.into_iter();
        let keys = keys.map(|(count, keys)| (count, keys.to_string()));
        [("keys", Expected::Latest(keys.collect()))].into()
    },
};
