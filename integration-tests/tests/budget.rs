//! What stores say they take is about what they take, measured with a counting allocator.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::time::Duration;

use integration_tests::allocations::{Counting, held};
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{EventTime, JoinWindows, SessionWindows, SlidingWindows, TimeWindows};
use tidemark_streams::{Stream, StreamsBuilder, Suppress};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Build = fn(&StreamsBuilder, &Stream<String, String>, &Stream<String, String>);

fn concatenate(before: String, value: String) -> String {
    format!("{before}{value}")
}

/// Each kind of store, filled through its operator.
const KINDS: [(&str, Build); 10] = [
    ("table", |_, left, _| {
        let _ = left.group_by_key().reduce(concatenate);
    }),
    ("windows", |_, left, _| {
        let windows = TimeWindows::tumbling(s(3600));
        let _ = left.group_by_key().windowed_by(windows).reduce(concatenate);
    }),
    // Some have closed, and what they have in common is kept.
    ("hopping", |_, left, _| {
        let windows = TimeWindows::hopping(s(10), s(3));
        let _ = left.group_by_key().windowed_by(windows).reduce(concatenate);
    }),
    ("sessions", |_, left, _| {
        let windows = SessionWindows::with_gap(s(3600));
        let grouped = left.group_by_key();
        let _ = grouped.windowed_by_session(windows).reduce(concatenate);
    }),
    ("sliding", |_, left, _| {
        let windows = SlidingWindows::of(s(3600));
        let grouped = left.group_by_key();
        let _ = grouped.windowed_by_sliding(windows).reduce(concatenate);
    }),
    ("inner join", |_, left, right| {
        let show = |left: &String, right: &String| format!("{left}{right}");
        let _ = left.join(right, show, JoinWindows::within(s(3600)));
    }),
    ("outer join", |_, left, right| {
        let show = |_: Option<&String>, _: Option<&String>| String::new();
        let _ = left.outer_join(right, show, JoinWindows::within(s(3600)));
    }),
    ("suppression", |_, left, _| {
        let table = left.group_by_key().reduce(concatenate);
        let _ = table.suppress_until_time_limit(s(3600), Suppress::new());
    }),
    ("in order", |_, left, _| {
        let _ = left.in_order(s(3600), EventTime::Watermark);
    }),
    ("global", |builder, left, _| {
        let table = builder.global_table::<String, String>("global");
        let _ = left.left_join_global(&table, |key, _| key.clone(), |_, _| String::new());
    }),
];

/// With short and long keys and values, after a commit and after a restart.
#[test]
fn what_is_counted_is_about_what_is_taken() {
    for (name, build) in KINDS {
        for (key, value) in [(0, 5), (0, 300), (40, 5), (40, 300)] {
            let builder = StreamsBuilder::new();
            let left = builder.stream::<String, String>("left");
            let right = builder.stream::<String, String>("right");
            build(&builder, &left, &right);
            let mut driver = TestDriver::new(&builder.build().unwrap());
            for at in 0..20_000_i64 {
                let topic = match at % 2 {
                    _ if name == "global" => "global",
                    0 => "left",
                    _ => "right",
                };
                // Some keys come again.
                let own = format!("{}{}", "k".repeat(key), at % 15_000);
                let value = "v".repeat(value);
                let record = tidemark_streams::Record::new(own, value, at);
                driver.feed(topic, &record).unwrap();
            }
            driver.run().unwrap();
            driver.commit().unwrap();
            for when in ["filled", "restored"] {
                let counted = driver.state_bytes();
                let before = held();
                driver.stop();
                let taken = (before - held()) as usize;
                println!("{name} {key} {value} {when}: {counted} of {taken}");
                // Half of the records, where one of two topics is looked at, less those that come again.
                assert!(counted > 5_000 * value.max(30), "{name}: {counted}");
                assert!(
                    counted * 2 >= taken && counted <= taken * 2,
                    "{name}, keys of {key}, values of {value}, {when}: {counted} of {taken}"
                );
                driver.run().unwrap();
            }
        }
    }
}
