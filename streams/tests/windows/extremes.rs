//! Records of the first and the last milliseconds that there are.

use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{
    EventTime, JoinWindows, SessionWindows, SlidingWindows, TimeWindows, Windowed,
};
use tidemark_streams::{Emit, Fold, GroupedStream, StreamsBuilder, WindowedTable};

use crate::harness::ms;

const TIMES: [i64; 8] = [
    i64::MIN,
    i64::MIN + 1,
    i64::MIN + 25,
    0,
    i64::MAX - 35,
    i64::MAX - 12,
    i64::MAX - 1,
    i64::MAX,
];

type Result = (Windowed<i64>, Option<i64>, i64);

/// Runs to the end of time; what has come out.
fn run(
    make: impl Fn(&GroupedStream<i64, i64>) -> WindowedTable<i64, i64, i64>,
    what: &str,
) -> Vec<Result> {
    let builder = StreamsBuilder::new();
    let table = make(&builder.stream::<i64, i64>("in").group_by_key());
    table.to_stream().to("out");
    table.late().to("late");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    for time in TIMES.iter().chain(TIMES.iter().rev()) {
        driver.pipe("in", 1_i64, 1_i64, *time).unwrap();
    }
    driver.advance_watermark(i64::MAX - 1).unwrap();
    driver.advance_watermark(i64::MAX).unwrap();
    driver.restart().unwrap();
    let rows = driver.read::<Windowed<i64>, Option<i64>>("out").unwrap();
    assert!(!rows.is_empty(), "{what}");
    let rows = rows.into_iter();
    rows.map(|row| (row.key, row.value, row.timestamp))
        .collect()
}

#[test]
fn windows_of_all_kinds_end() {
    for time in [EventTime::Watermark, EventTime::StreamTime] {
        for emit in [Emit::Update, Emit::Close, Emit::Final] {
            for grace in [0, 7] {
                let what = format!("{time:?}, {emit:?}, grace {grace}");
                for (size, advance) in [(10, 10), (1, 1), (30, 10), (9, 6), (10, 1)] {
                    let windows = TimeWindows::hopping(ms(size), ms(advance));
                    let windows = windows.allowed_lateness(ms(grace)).event_time(time);
                    // By slices, and one by one: what cannot be merged has none.
                    let what = format!("{what}, {size} by {advance}");
                    let merged = run(|g| g.windowed_by(windows).emit(emit).count(), &what);
                    let single = |g: &GroupedStream<i64, i64>| {
                        let add = |_: &i64, _: i64, count: &mut i64| *count += 1;
                        let count = Fold::new(|| 0, add);
                        g.windowed_by(windows).emit(emit).aggregate(count)
                    };
                    assert_eq!(merged, run(single, &what), "{what}");
                }
                let windows = SessionWindows::with_gap(ms(10));
                let windows = windows.allowed_lateness(ms(grace)).event_time(time);
                run(|g| g.windowed_by_session(windows).emit(emit).count(), &what);
                let windows = SlidingWindows::of(ms(10));
                let windows = windows.allowed_lateness(ms(grace)).event_time(time);
                run(|g| g.windowed_by_sliding(windows).emit(emit).count(), &what);
            }
        }
    }
}

#[test]
fn windows_that_saturate_come_out_once() {
    let builder = StreamsBuilder::new();
    builder
        .stream::<i64, i64>("in")
        .group_by_key()
        .windowed_by(TimeWindows::hopping(ms(30), ms(10)))
        .count()
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    driver.pipe("in", 1_i64, 1_i64, i64::MAX - 5).unwrap();
    driver.advance_watermark(i64::MAX - 1).unwrap();
    driver.advance_watermark(i64::MAX).unwrap();
    let rows = driver.read::<Windowed<i64>, i64>("out").unwrap();
    let starts: Vec<_> = rows.iter().map(|r| r.key.window.start).collect();
    let last = (i64::MAX - 5).div_euclid(10) * 10;
    assert_eq!(starts, [last - 20, last - 10, last]);
}

#[test]
fn joins_of_streams_end() {
    for time in [EventTime::Watermark, EventTime::StreamTime] {
        for windows in [
            JoinWindows::within(ms(10)),
            JoinWindows::within(ms(0)).allowed_lateness(ms(5)),
        ] {
            let builder = StreamsBuilder::new();
            let left = builder.stream::<i64, i64>("left");
            let right = builder.stream::<i64, i64>("right");
            let both = |l: Option<&i64>, r: Option<&i64>| l.into_iter().chain(r).sum::<i64>();
            let joined = left.outer_join(&right, both, windows.event_time(time));
            joined.to("out");
            joined.late_left().to("late");
            joined.late_right().to("late");
            let mut driver = TestDriver::new(&builder.build().unwrap());
            for at in TIMES.iter().chain(TIMES.iter().rev()) {
                driver.pipe("left", 1_i64, 1_i64, *at).unwrap();
                driver.pipe("right", 1_i64, 1_i64, *at).unwrap();
            }
            driver.advance_watermark(i64::MAX).unwrap();
            driver.restart().unwrap();
            assert!(!driver.read::<i64, i64>("out").unwrap().is_empty());
        }
    }
}
