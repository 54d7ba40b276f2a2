//! A join of two tables, and what is counted in it.

use std::collections::BTreeMap;

use rand::RngExt;
use tidemark_streams::StreamsBuilder;

use super::{Application, Expected, Input, by};

/// The last value of each key in both topics, and how many keys have each pair of values: old pairs are
/// subtracted, in the task of their own.
pub const TABLE_JOIN: Application = Application {
    name: "table-join",
    inputs: &["left", "right"],
    outputs: &["joined", "groups"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        let left = builder.table::<String, String>(&topic("left"));
        let right = builder.table::<String, String>(&topic("right"));
        let show = |left: Option<&String>, right: Option<&String>| pair(left, right);
        let joined = left.outer_join(&right, show);
        joined.to_stream().to(&topic("joined"));
        joined
            .group_by(|key, pair| (pair.clone(), key.clone()))
            .count()
            .filter(|_, count| *count > 0)
            .map_values(ToString::to_string)
            .to_stream()
            .to(&topic("groups"));
        builder.build().expect("a good topology")
    },
    record: |random, input| {
        let deletes = random.random_bool(0.2);
        let value = format!("v{}", random.random_range(0..3));
        Input {
            value: (!deletes).then_some(value),
            ..input
        }
    },
    expected: |all| {
        let mut joined = BTreeMap::new();
        let mut groups: BTreeMap<String, usize> = BTreeMap::new();
        for (_, all) in by(all, |input| input.key) {
            let last = |topic: &str| {
                let last = all.iter().rfind(|input| input.topic == topic);
                last.and_then(|input| input.value.as_ref())
            };
            let (left, right) = (last("left"), last("right"));
            if left.is_some() || right.is_some() {
                let pair = pair(left, right);
                *groups.entry(pair.clone()).or_default() += 1;
                joined.insert(all[0].text(), pair);
            }
        }
        let groups = groups.into_iter();
        let groups = groups.map(|(pair, count)| (pair, count.to_string()));
        [
            ("joined", Expected::Latest(joined)),
            ("groups", Expected::Latest(groups.collect())),
        ]
        .into()
    },
};

fn pair(left: Option<&String>, right: Option<&String>) -> String {
    let side = |value: Option<&String>| value.cloned().unwrap_or_default();
    format!("{}+{}", side(left), side(right))
}
