//! What a change says that there was is what the change before it said that there is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::{EventTime, SessionWindows, SlidingWindows, TimeWindows, Windowed};
use tidemark_streams::{
    Consumed, Emit, GroupedStream, Json, Record, StreamsBuilder, WindowedTable,
};

use crate::harness::{Input, event_time, input, ms};
use crate::seed::cases;

/// New and old value.
type Told = Json<(Option<i64>, Option<i64>)>;

fn check(
    input: &Input,
    chunk: usize,
    make: impl Fn(&GroupedStream<i64, i64>) -> WindowedTable<i64, i64, i64>,
) -> Result<(), TestCaseError> {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<i64, i64>::new().watermark_delay(ms(input.delay));
    let table = make(&builder.stream_with(["in"], consumed).group_by_key());
    table
        .changes(true)
        .map_values(|change| Json((change.new, change.old)))
        .to("out");
    let config = DriverConfig {
        chunk,
        ..DriverConfig::default()
    };
    let mut driver = TestDriver::with_config(&builder.build().unwrap(), config);
    for event in &input.events {
        let record = Record::new(event.key, event.value, event.timestamp);
        driver.feed("in", &record).unwrap();
    }
    driver.run().unwrap();
    driver.advance_watermark(i64::MAX).unwrap();
    let mut known = BTreeMap::new();
    for record in driver.read::<Windowed<i64>, Told>("out").unwrap() {
        let (new, old) = record.value.0;
        let before = known.insert(record.key.clone(), new).flatten();
        prop_assert_eq!(old, before, "{:?}", record.key);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn are_what_was_said_before(
        input in input(200),
        chunk in prop_oneof![Just(1_usize), Just(7), Just(1024)],
        time in event_time(),
        emit in prop_oneof![Just(Emit::Update), Just(Emit::Close)],
        length in 1..15_i64,
        grace in 0..30_i64,
    ) {
        let (size, advance) = (ms(3 * length), ms(length));
        let windows = TimeWindows::hopping(size, advance)
            .allowed_lateness(ms(grace))
            .event_time(time);
        check(&input, chunk, |grouped| {
            grouped.windowed_by(windows).emit(emit).reduce(|a, b| a + b)
        })?;
        let windows = SessionWindows::with_gap(ms(length))
            .allowed_lateness(ms(grace))
            .event_time(time);
        check(&input, chunk, |grouped| {
            grouped.windowed_by_session(windows).emit(emit).reduce(|a, b| a + b)
        })?;
        let windows = SlidingWindows::of(ms(length))
            .allowed_lateness(ms(grace))
            .event_time(EventTime::Watermark);
        check(&input, chunk, |grouped| {
            grouped.windowed_by_sliding(windows).emit(emit).reduce(|a, b| a + b)
        })?;
    }
}
