//! Streams that are brought into the order of event time.

use proptest::prelude::*;
use tidemark_streams::StreamsBuilder;
use tidemark_streams::time::EventTime;

use crate::harness::{ByKey, Event, TOPICS, Taken, event_time, inputs, ms, push, read, run};
use crate::seed::cases;
use crate::windows_behind::{add_windows, check_windows};

/// What comes out of one partition, in order.
fn model(partition: &[Taken], wait: i64, time: EventTime) -> Vec<Event> {
    let (mut held, mut out): (Vec<Event>, Vec<Event>) = Default::default();
    let mut give = |held: &mut Vec<Event>, now: i64| {
        // The sort is stable: of equal times the one that came first is first.
        held.sort_by_key(|event| event.timestamp);
        let due = held.partition_point(|event| event.timestamp <= now.saturating_sub(wait));
        out.extend(held.drain(..due));
    };
    for taken in partition {
        if time == EventTime::Watermark {
            give(&mut held, taken.front);
        }
        held.push(taken.event);
        give(&mut held, taken.now(time));
    }
    if time == EventTime::Watermark {
        give(&mut held, i64::MAX);
    }
    out
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn come_out_by_time(input in inputs(), time in event_time(), wait in 0..20_i64) {
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(TOPICS, input.consumed::<Option<i64>>());
        // All of a partition under one key, so that its whole order is seen.
        let sorted = stream.in_order(ms(wait), time);
        sorted.map(|key, value| (key % 2, value)).to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let mut wanted = ByKey::new();
        for partition in input.taken(2) {
            for event in model(&partition, wait, time) {
                push(&mut wanted, event.key % 2, event.value, event.timestamp);
            }
        }
        prop_assert_eq!(read(&mut driver, "out"), wanted);
    }

    /// Without records that are late, the watermark makes one order of all, whatever they come in.
    #[test]
    fn all_are_in_order_if_none_is_late(mut input in inputs()) {
        input.delay = 100_000;
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(TOPICS, input.consumed::<Option<i64>>());
        let sorted = stream.in_order(ms(0), EventTime::Watermark);
        sorted.map(|key, value| (key % 2, value)).to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let out = read::<Option<i64>>(&mut driver, "out");
        prop_assert_eq!(out.values().map(Vec::len).sum::<usize>(), input.events.len());
        for rows in out.values() {
            prop_assert!(rows.is_sorted_by_key(|(_, timestamp)| *timestamp));
        }
    }

    /// What waits is not late for that.
    #[test]
    fn windows_behind_miss_nothing_that_came_in_time(
        input in inputs(),
        wait in 0..20_i64,
        size in 1..30_i64,
        grace in 0..20_i64,
    ) {
        let input = input.without_nulls();
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(TOPICS, input.consumed::<i64>());
        add_windows(&stream.in_order(ms(wait), EventTime::Watermark), size, grace);
        let mut driver = run(&builder.build()?, &input)?;
        check_windows(&mut driver, &input, (size, grace), |event| event.key)?;
    }
}
