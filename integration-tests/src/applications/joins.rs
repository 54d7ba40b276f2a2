//! A join of two streams.

use std::collections::BTreeSet;
use std::time::Duration;

use tidemark_streams::time::JoinWindows;
use tidemark_streams::{Consumed, StreamsBuilder};

use super::{Application, DISORDER, as_it_is, by, records};

/// How far apart what is joined may be, in milliseconds.
pub const WITHIN: i64 = 401;

/// Each record of either topic with all of the other one that are near, or alone.
pub const STREAM_JOIN: Application = Application {
    name: "stream-join",
    inputs: &["left", "right"],
    outputs: &["joined", "late"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        let stream = |name: &str| {
            let delay = Duration::from_millis(DISORDER as u64);
            let consumed = Consumed::<String, String>::new().watermark_delay(delay);
            builder.stream_with([&*topic(name)], consumed)
        };
        let show = |left: Option<&String>, right: Option<&String>| {
            let side = |value: Option<&String>| value.cloned().unwrap_or_default();
            format!("{}+{}", side(left), side(right))
        };
        let windows = JoinWindows::within(Duration::from_millis(WITHIN as u64));
        let joined = stream("left").outer_join(&stream("right"), show, windows);
        joined.to(&topic("joined"));
        for late in [joined.late_left(), joined.late_right()] {
            late.map_values(|late| late.value).to(&topic("late"));
        }
        builder.build().expect("a good topology")
    },
    record: as_it_is,
    expected: |all| {
        let mut joined = BTreeSet::new();
        for (_, all) in by(all, |input| input.key) {
            for one in &all {
                let others = all.iter().filter(|other| {
                    other.topic != one.topic && (other.timestamp - one.timestamp).abs() <= WITHIN
                });
                let mut values: Vec<String> = others
                    .map(|other| other.value.clone().unwrap_or_default())
                    .collect();
                if values.is_empty() {
                    values.push(String::new());
                }
                let own = one.value.clone().unwrap_or_default();
                joined.extend(values.into_iter().map(|other| {
                    let both = match one.topic {
                        "left" => format!("{own}+{other}"),
                        _ => format!("{other}+{own}"),
                    };
                    (one.text(), both)
                }));
            }
        }
        [("joined", records(joined)), ("late", records([]))].into()
    },
};
