//! Sliding windows by their definition.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tidemark_streams::Emit;
use tidemark_streams::time::{EventTime, SlidingWindows, Window};

use crate::harness::{
    Event, LateRow, Row, end_of, event_time, events, input, ms, partitions, run, sorted, topology,
};
use crate::seed::cases;

/// The windows that these records have: one that ends at each, one that begins right behind each, if
/// there is a record in it.
fn windows_of(times: &BTreeSet<i64>, difference: i64) -> BTreeSet<i64> {
    let left = times.iter().map(|time| time - difference);
    let right = times.iter().map(|time| time + 1);
    let right = right.filter(|start| times.range(start..=&(start + difference)).next().is_some());
    left.chain(right).collect()
}

/// The result of each window of a key, of all records that are in it.
fn results(key: i64, events: &[Event], difference: i64) -> Vec<(Window, i64, i64)> {
    let own = || events.iter().filter(|event| event.key == key);
    let times: BTreeSet<i64> = own().map(|event| event.timestamp).collect();
    let starts = windows_of(&times, difference).into_iter();
    let windows = starts.map(|start| Window {
        start,
        end: start + difference,
    });
    let results = windows.map(|window| {
        let inside = own().filter(|event| (window.start..=window.end).contains(&event.timestamp));
        let (sum, latest) = inside.fold((0, i64::MIN), |(sum, latest), event| {
            (sum + event.value, latest.max(event.timestamp))
        });
        (window, sum, latest)
    });
    results.collect()
}

proptest! {
    #![proptest_config(cases(192))]

    // From 1000 on there are no windows that Kafka would not have.
    #[test]
    fn by_definition_if_nothing_is_late(
        input in prop_oneof![input(1000), input(-100)],
        time in event_time(),
        difference in 0..15_i64,
        emit in prop_oneof![Just(Emit::Update), Just(Emit::Final)],
    ) {
        let kafka = time == EventTime::StreamTime;
        // What is earlier than the difference has a window of its own: the oracles are for that.
        prop_assume!(!kafka || input.events.iter().all(|event| {
            event.timestamp < 0 || event.timestamp >= difference
        }));
        let events = events(&input, time);
        let windows = SlidingWindows::of(ms(difference))
            .allowed_lateness(ms(100_000))
            .event_time(time);
        let made = topology(&input, |grouped| {
            grouped.windowed_by_sliding(windows).emit(emit).reduce(|a, b| a + b)
        });
        let output = run(&made, &input)?;
        prop_assert!(output.late.is_empty());
        let mut wanted: Vec<Row> = Vec::new();
        for key in 0..3 {
            for (window, sum, latest) in results(key, &events, difference) {
                let at = match (emit, time) {
                    (Emit::Update, _) | (_, EventTime::StreamTime) => latest,
                    _ => window.end,
                };
                wanted.push((key, window, Some(sum), at));
            }
        }
        let got: Vec<Row> = if emit == Emit::Update {
            let rows = output.rows.into_iter().map(|row| ((row.0, row.1), row));
            rows.collect::<std::collections::BTreeMap<_, _>>().into_values().collect()
        } else if kafka {
            // Nothing closes.
            wanted.clear();
            output.rows
        } else {
            output.rows
        };
        prop_assert_eq!(sorted(got), sorted(wanted));
    }

    #[test]
    fn each_window_has_what_came_in_time(
        input in input(-60),
        difference in 0..15_i64,
        grace in 0..20_i64,
    ) {
        let windows = SlidingWindows::of(ms(difference)).allowed_lateness(ms(grace));
        let made = topology(&input, |grouped| {
            grouped.windowed_by_sliding(windows).emit(Emit::Final).reduce(|a, b| a + b)
        });
        let output = run(&made, &input)?;
        let mut wanted: Vec<Row> = Vec::new();
        let mut late: Vec<LateRow> = Vec::new();
        for partition in partitions(&input, EventTime::Watermark) {
            let mut accepted: Vec<(Event, i64)> = Vec::new();
            for (event, now) in &partition {
                let Event { key, timestamp, value } = *event;
                // The last window that it could be in.
                if timestamp + difference + grace <= *now {
                    late.push((key, value, (timestamp, timestamp + difference), false, 1));
                    continue;
                }
                accepted.push((*event, *now));
                let own = accepted.iter().filter(|(other, _)| other.key == key);
                let times = own.map(|(other, _)| other.timestamp).collect();
                let starts = windows_of(&times, difference).into_iter();
                let starts = starts.filter(|s| (*s..=s + difference).contains(&timestamp));
                let (missed, open): (Vec<i64>, Vec<i64>) =
                    starts.partition(|start| start + difference + grace <= *now);
                if let Some(first) = missed.first() {
                    let window = (*first, first + difference);
                    late.push((key, value, window, !open.is_empty(), missed.len() as u32));
                }
            }
            let mut nows: BTreeSet<i64> = partition.iter().map(|(_, now)| *now).collect();
            nows.insert(end_of(&partition, EventTime::Watermark));
            // Each window comes out as it is when time passes its end and the lateness.
            for key in 0..3 {
                let mut done: BTreeSet<Window> = BTreeSet::new();
                for now in &nows {
                    let before: Vec<Event> = accepted
                        .iter()
                        .filter(|(_, at)| at < now)
                        .map(|(event, _)| *event)
                        .collect();
                    for (window, sum, _) in results(key, &before, difference) {
                        let closes = window.end + grace;
                        // Of what came before it closed.
                        if closes <= *now && nows.range(closes..).next() == Some(now) && done.insert(window) {
                            wanted.push((key, window, Some(sum), window.end));
                        }
                    }
                }
            }
        }
        prop_assert_eq!(sorted(output.rows), sorted(wanted));
        prop_assert_eq!(sorted(output.late), sorted(late));
    }
}
