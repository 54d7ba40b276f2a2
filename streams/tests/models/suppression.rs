//! Updates of tables that are held back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::time::EventTime;
use tidemark_streams::{StreamsBuilder, Suppress, WhenFull};

use crate::harness::{ByKey, Taken, event_time, input, ms, push, read, run};
use crate::seed::cases;

/// The last update of a key that is held: since when it is, its value and timestamp.
type Held = BTreeMap<i64, (i64, Option<i64>, i64)>;

/// What comes out of one partition: in the order in which keys began to be held, of equal ones by key.
fn model(
    partition: &[Taken],
    limit: i64,
    most: usize,
    time: EventTime,
    rows: &mut ByKey<Option<i64>>,
) {
    let mut held = Held::new();
    let first = |held: &Held| held.iter().map(|(key, (since, ..))| (*since, *key)).min();
    let mut give = |held: &mut Held, key: i64| {
        if let Some((since, value, timestamp)) = held.remove(&key) {
            // By the watermark nothing is older than what it waited for.
            let timestamp = match time {
                EventTime::Watermark => timestamp.max(since),
                EventTime::StreamTime => timestamp,
            };
            push(rows, key % 2, value, timestamp);
        }
    };
    let mut pass = |held: &mut Held, now: i64, most: usize| {
        while let Some((since, key)) = first(held) {
            if since > now.saturating_sub(limit) && held.len() <= most {
                return;
            }
            give(held, key);
        }
    };
    for taken in partition {
        let event = taken.event;
        if time == EventTime::Watermark {
            pass(&mut held, taken.front, most);
        }
        let since = held.get(&event.key).map_or(event.timestamp, |held| held.0);
        held.insert(event.key, (since, event.value, event.timestamp));
        pass(&mut held, taken.now(time), most);
    }
    if time == EventTime::Watermark {
        pass(&mut held, i64::MAX, most);
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn come_out_when_their_time_or_the_room_is_over(
        input in prop_oneof![input(1, 1000), input(1, -60)],
        time in event_time(),
        limit in 0..40_i64,
        most in prop_oneof![Just(usize::MAX), 0..3_usize],
    ) {
        let builder = StreamsBuilder::new();
        let table = builder.table_with::<i64, i64>("a", input.consumed());
        let bounds = Suppress::new()
            .event_time(time)
            .max_records(most)
            .when_full(WhenFull::EmitEarly);
        let held = table.suppress_until_time_limit(ms(limit), bounds);
        // All of a partition under one key, so that its whole order is seen.
        held.to_stream().map(|key, value| (key % 2, value)).to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let mut wanted = ByKey::new();
        for partition in input.taken(1) {
            model(&partition, limit, most, time, &mut wanted);
        }
        prop_assert_eq!(read(&mut driver, "out"), wanted);
    }
}
