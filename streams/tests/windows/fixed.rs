//! Tumbling and hopping windows, as panes and as slices.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::time::{CalendarUnit, CalendarWindows, EventTime, TimeWindows, Window};
use tidemark_streams::{Emit, Fold};

use crate::harness::{
    Event, Input, LateRow, Row, end_of, event_time, input, ms, partitions, run, sorted, topology,
};
use crate::seed::cases;

/// What the model has to know of windows.
struct Rules {
    time: EventTime,
    grace: i64,
    emit: Emit,
}

#[derive(Default)]
struct InWindow {
    sum: i64,
    timestamp: i64,
    fired: bool,
}

/// Goes through the records of each partition, and puts each into all windows that it is in.
fn model(
    input: &Input,
    rules: &Rules,
    windows_of: &dyn Fn(i64) -> Vec<Window>,
) -> (Vec<Row>, Vec<LateRow>) {
    let (mut rows, mut late) = (Vec::new(), Vec::new());
    let by_watermark = rules.time == EventTime::Watermark;
    let behind = i64::from(by_watermark);
    for partition in partitions(input, rules.time) {
        let mut state: BTreeMap<(i64, Window), InWindow> = BTreeMap::new();
        let final_at = |window: &Window| window.end + rules.grace - behind;
        let fires_at = |window: &Window| match rules.emit {
            Emit::Close if by_watermark => window.end - behind,
            _ => final_at(window),
        };
        for (event, now) in &partition {
            let Event {
                key,
                timestamp,
                value,
            } = *event;
            let windows = windows_of(timestamp);
            let taken = windows.iter().any(|window| final_at(window) > *now);
            let mut missed = windows.iter().filter(|window| final_at(window) <= *now);
            let count = missed.clone().count() as u32;
            if let Some(first) = missed.next() {
                late.push((key, value, (first.start, first.end), taken, count));
            }
            for window in windows {
                if final_at(&window) <= *now {
                    continue;
                }
                let here = state.entry((key, window)).or_insert_with(|| InWindow {
                    timestamp: i64::MIN,
                    ..InWindow::default()
                });
                // What has been there in time comes out in time, whatever comes later.
                if !here.fired && rules.emit == Emit::Close && fires_at(&window) <= *now {
                    if here.sum > 0 {
                        rows.push((key, window, Some(here.sum), window.end - 1));
                    }
                    here.fired = true;
                }
                here.sum += value;
                here.timestamp = here.timestamp.max(timestamp);
                if rules.emit == Emit::Update {
                    rows.push((key, window, Some(here.sum), here.timestamp));
                } else if here.fired {
                    rows.push((key, window, Some(here.sum), window.end - 1));
                }
            }
        }
        let end = end_of(&partition, rules.time);
        for ((key, window), here) in state {
            if rules.emit != Emit::Update && !here.fired && fires_at(&window) <= end {
                let timestamp = if by_watermark {
                    window.end - 1
                } else {
                    here.timestamp
                };
                rows.push((key, window, Some(here.sum), timestamp));
            }
        }
    }
    (rows, late)
}

fn emits() -> impl Strategy<Value = Emit> {
    prop_oneof![Just(Emit::Update), Just(Emit::Close), Just(Emit::Final)]
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn tumbling_and_hopping(
        input in input(-60),
        time in event_time(),
        emit in emits(),
        (size, advance) in prop_oneof![
            Just((10, 10)), Just((1, 1)), Just((12, 4)), Just((10, 4)), Just((7, 3)), Just((20, 1))
        ],
        offset in prop_oneof![Just(0), -15..15_i64],
        grace in 0..20_i64,
        merges in any::<bool>(),
    ) {
        let windows = TimeWindows::hopping(ms(size), ms(advance))
            .offset_millis(offset)
            .allowed_lateness(ms(grace))
            .event_time(time);
        let made = topology(&input, |grouped| {
            let grouped = grouped.windowed_by(windows).emit(emit);
            if merges {
                grouped.reduce(|a, b| a + b)
            } else {
                let add = |_: &i64, value: i64, sum: &mut i64| *sum += value;
                grouped.aggregate(Fold::new(|| 0, add))
            }
        });
        let output = run(&made, &input)?;
        let clip = time == EventTime::StreamTime && offset % advance == 0;
        let windows_of = |timestamp: i64| {
            let aligned = |start: &i64| (start - offset).rem_euclid(advance) == 0;
            let starts = (timestamp - size + 1..=timestamp).filter(aligned);
            let starts = starts.filter(|start| !clip || *start >= 0);
            starts.map(|start| Window { start, end: start + size }).collect()
        };
        let (rows, late) = model(&input, &Rules { time, grace, emit }, &windows_of);
        prop_assert_eq!(sorted(output.rows), sorted(rows));
        prop_assert_eq!(sorted(output.late), sorted(late));
    }

    #[test]
    fn calendar_hours(
        input in input(1_711_846_800_000),
        time in event_time(),
        emit in emits(),
        grace in 0..20_i64,
    ) {
        let windows = CalendarWindows::new(CalendarUnit::Hour, "Europe/Berlin")
            .unwrap()
            .allowed_lateness(ms(grace))
            .event_time(time);
        let made = topology(&input, |grouped| {
            grouped.windowed_by(windows.clone()).emit(emit).reduce(|a, b| a + b)
        });
        let output = run(&made, &input)?;
        let windows_of = |timestamp: i64| vec![windows.window(timestamp)];
        let (rows, late) = model(&input, &Rules { time, grace, emit }, &windows_of);
        prop_assert_eq!(sorted(output.rows), sorted(rows));
        prop_assert_eq!(sorted(output.late), sorted(late));
    }
}
