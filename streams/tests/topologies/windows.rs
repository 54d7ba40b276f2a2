use std::time::Duration;

use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{
    EventTime, SessionWindows, SlidingWindows, TimeWindows, Window, Windowed,
};
use tidemark_streams::{
    Consumed, Emit, Fold, GroupedStream, Late, Record, StreamsBuilder, StreamsError, Topology,
    WindowedTable,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn counting(windows: TimeWindows, emit: Emit, delay: u64) -> Topology {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<String, i64>::new().watermark_delay(ms(delay));
    let counts = builder
        .stream_with(["in"], consumed)
        .group_by_key()
        .windowed_by(windows)
        .emit(emit)
        .count();
    counts.values().to("out");
    counts.late().to("late");
    builder.build().unwrap()
}

/// A sliding window whose aggregate goes is gone, with a restart and without.
#[test]
fn sliding_windows_without_a_value_are_gone() -> Result<(), StreamsError> {
    let results = |restart: bool| -> Result<Vec<_>, StreamsError> {
        let builder = StreamsBuilder::new();
        let sum = |a: Option<i64>, b: Option<i64>| {
            let sum = a.unwrap_or(0) + b.unwrap_or(0);
            (sum != 0).then_some(sum)
        };
        let consumed = Consumed::<String, Option<i64>>::new().watermark_delay(ms(1000));
        builder
            .stream_with(["in"], consumed)
            .group_by_key()
            .windowed_by_sliding(SlidingWindows::of(ms(10)))
            .emit(Emit::Update)
            .reduce(sum)
            .to_stream()
            .to("out");
        let mut driver = TestDriver::new(&builder.build()?);
        for (time, value) in [(100, 1_i64), (105, -1), (108, 1), (109, 5)] {
            if restart {
                driver.restart()?;
            }
            driver.pipe("in", "k".to_owned(), Some(value), time)?;
        }
        let rows = driver.read::<Windowed<String>, Option<Option<i64>>>("out")?;
        let rows = rows.into_iter();
        let rows = rows.map(|row| (row.key.window.start, row.value.flatten()));
        Ok(rows.collect())
    };
    assert_eq!(results(true)?, results(false)?);
    Ok(())
}

fn run(
    driver: &mut TestDriver,
    timestamps: &[i64],
) -> Result<Vec<(i64, i64, i64, i64)>, StreamsError> {
    for timestamp in timestamps {
        driver.pipe("in", "k".to_owned(), 1_i64, *timestamp)?;
    }
    let out = driver.read::<Windowed<String>, i64>("out")?;
    let rows = out.into_iter().map(|r| {
        let Window { start, end } = r.key.window;
        (start, end, r.value, r.timestamp)
    });
    Ok(rows.collect())
}

#[test]
fn tumbling_windows_close_by_the_watermark() -> Result<(), StreamsError> {
    let topology = counting(TimeWindows::tumbling(ms(10)), Emit::Close, 5);
    let mut driver = TestDriver::new(&topology);
    // 12 - 5 - 1 = 6 closes [-10, 0), 15 - 5 - 1 = 9 closes [0, 10).
    assert_eq!(run(&mut driver, &[-3, 1, 12, 9])?, [(-10, 0, 1, -1)]);
    assert_eq!(run(&mut driver, &[15])?, [(0, 10, 2, 9)]);
    assert_eq!(run(&mut driver, &[9, 10])?, []);
    let late = driver.read::<String, Late<i64>>("late")?;
    assert_eq!(late.len(), 1);
    assert_eq!((late[0].value.window.start, late[0].value.lateness), (0, 1));
    driver.restart()?;
    assert_eq!(run(&mut driver, &[9])?, []);
    assert_eq!(driver.read::<String, Late<i64>>("late")?.len(), 1);
    assert_eq!(run(&mut driver, &[40])?, [(10, 20, 3, 19)]);
    Ok(())
}

#[test]
fn late_records_within_the_allowed_lateness_come_out_again() -> Result<(), StreamsError> {
    let windows = TimeWindows::tumbling(ms(10)).allowed_lateness(ms(5));
    let mut driver = TestDriver::new(&counting(windows, Emit::Close, 0));
    assert_eq!(
        run(&mut driver, &[1, 11, 2])?,
        [(0, 10, 1, 9), (0, 10, 2, 9)]
    );
    assert_eq!(run(&mut driver, &[14, 3, 15, 4])?, [(0, 10, 3, 9)]);
    let mut driver = TestDriver::new(&counting(windows, Emit::Final, 0));
    assert_eq!(
        run(&mut driver, &[1, 11, 2, 14, 3, 15, 4])?,
        [(0, 10, 3, 9)]
    );
    Ok(())
}

#[test]
fn hopping_windows_share_slices() -> Result<(), StreamsError> {
    let windows = TimeWindows::hopping(ms(10), ms(4));
    for emit in [Emit::Close, Emit::Final] {
        let mut driver = TestDriver::new(&counting(windows, emit, 0));
        let out = run(&mut driver, &[1, 5, 9, 10, 30])?;
        // [-8, 2) has 1; [-4, 6) has 1, 5; [0, 10) has 1, 5, 9; [4, 14) has 5, 9, 10; ...
        let expected = [
            (-8, 2, 1, 1),
            (-4, 6, 2, 5),
            (0, 10, 3, 9),
            (4, 14, 3, 13),
            (8, 18, 2, 17),
        ];
        assert_eq!(out, expected);
    }
    Ok(())
}

#[test]
fn stream_time_has_kafkas_grace() -> Result<(), StreamsError> {
    let windows = TimeWindows::tumbling(ms(10))
        .allowed_lateness(ms(5))
        .event_time(EventTime::StreamTime);
    let mut driver = TestDriver::new(&counting(windows, Emit::Update, 0));
    let out = run(&mut driver, &[3, 14, 9, 15, 9])?;
    assert_eq!(
        out,
        [
            (0, 10, 1, 3),
            (10, 20, 1, 14),
            (0, 10, 2, 9),
            (10, 20, 2, 15)
        ]
    );
    assert_eq!(driver.counts().late, 1);
    Ok(())
}

#[test]
fn stream_time_has_nothing_before_1970() -> Result<(), StreamsError> {
    let time = EventTime::StreamTime;
    let hopping = TimeWindows::hopping(ms(10), ms(5)).event_time(time);
    let sliding = SlidingWindows::of(ms(10)).event_time(time);
    let session = SessionWindows::with_gap(ms(10)).event_time(time);
    for (kind, expected) in [(0, (0, 10)), (1, (0, 10)), (2, (3, 3))] {
        let builder = StreamsBuilder::new();
        let grouped = builder.stream::<String, i64>("in").group_by_key();
        let counts = match kind {
            0 => grouped.windowed_by(hopping).emit(Emit::Update).count(),
            1 => grouped
                .windowed_by_sliding(sliding)
                .emit(Emit::Update)
                .count(),
            _ => grouped
                .windowed_by_session(session)
                .emit(Emit::Update)
                .count(),
        };
        counts.values().to("out");
        counts.late().to("late");
        let mut driver = TestDriver::new(&builder.build()?);
        let out = run(&mut driver, &[-5, 3, -2])?;
        assert_eq!(out, [(expected.0, expected.1, 1, 3)]);
        assert_eq!(driver.read::<String, Late<i64>>("late")?, []);
        let counts = driver.counts();
        assert_eq!((counts.bad_timestamp, counts.late), (2, 0));
    }
    Ok(())
}

/// What comes out with a record has its headers; what comes out because a window has closed has none,
/// also when a late record brings it out again.
#[test]
fn headers_are_those_of_the_record_or_none() -> Result<(), StreamsError> {
    type Made = WindowedTable<String, i64, i64>;
    let kinds: [fn(&GroupedStream<String, i64>, Emit) -> Made; 4] = [
        |grouped, emit| {
            let windows = TimeWindows::hopping(ms(10), ms(5)).allowed_lateness(ms(50));
            grouped.windowed_by(windows).emit(emit).reduce(|a, b| a + b)
        },
        |grouped, emit| {
            let windows = TimeWindows::hopping(ms(10), ms(5)).allowed_lateness(ms(50));
            let sum = |_: &String, value: i64, sum: &mut i64| *sum += value;
            let sum = Fold::new(|| 0, sum);
            grouped.windowed_by(windows).emit(emit).aggregate(sum)
        },
        |grouped, emit| {
            let windows = SlidingWindows::of(ms(10)).allowed_lateness(ms(50));
            let windowed = grouped.windowed_by_sliding(windows);
            windowed.emit(emit).reduce(|a, b| a + b)
        },
        |grouped, emit| {
            let windows = SessionWindows::with_gap(ms(10)).allowed_lateness(ms(50));
            let windowed = grouped.windowed_by_session(windows);
            windowed.emit(emit).reduce(|a, b| a + b)
        },
    ];
    for (kind, make) in kinds.iter().enumerate() {
        for emit in [Emit::Update, Emit::Close, Emit::Final] {
            let builder = StreamsBuilder::new();
            let grouped = builder.stream::<String, i64>("in").group_by_key();
            make(&grouped, emit).to_stream().to("out");
            let mut driver = TestDriver::new(&builder.build()?);
            // The last but one is late, and in time.
            for timestamp in [1, 40, 2, 41] {
                let mut record = Record::new("k".to_owned(), 1_i64, timestamp);
                record.headers.add("from", "here");
                driver.feed("in", &record)?;
                driver.run()?;
            }
            let again = driver.read::<Windowed<String>, Option<i64>>("out")?;
            driver.advance_watermark(1000)?;
            let last = driver.read::<Windowed<String>, Option<i64>>("out")?;
            // By session the record at 2 makes [1, 2] of [1, 1].
            let two = again.iter().filter(|row| row.value == Some(2)).count();
            assert_eq!(two > 0, emit != Emit::Final, "{kind} {emit:?}");
            let updates = emit == Emit::Update;
            assert_eq!(last.is_empty(), updates, "{kind} {emit:?}");
            for row in again.iter().chain(&last) {
                assert_eq!(row.headers.is_empty(), !updates, "{kind} {emit:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_record_is_late_once_whatever_windows_have_closed() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let counts = builder
        .stream::<String, i64>("in")
        .group_by_key()
        .windowed_by_sliding(SlidingWindows::of(ms(10)))
        .count();
    counts.late().to("late");
    let mut driver = TestDriver::new(&builder.build()?);
    // [5, 15] and [10, 20] are over when the watermark is 21; [12, 22] and [16, 26] are open.
    run_late(&mut driver, "k", &[15, 20, 22], &[])?;
    // In [5, 15], [10, 20] and its own one too late, in [12, 22] in time.
    run_late(&mut driver, "k", &[12], &[((2, 12), 3, true)])?;
    // In [8, 18] and [10, 20] too late, in [12, 22], [13, 23] and [16, 26] in time.
    run_late(&mut driver, "k", &[18], &[((8, 18), 2, true)])?;
    // There is no other window of this key.
    run_late(&mut driver, "l", &[12], &[((2, 12), 1, false)])?;
    // Its last window would be [11, 21].
    run_late(&mut driver, "k", &[11], &[((11, 21), 1, false)])?;
    assert_eq!(driver.counts().late, 4);
    Ok(())
}

/// Records whose late ones are these: the window, how many did not take it, whether one took it.
fn run_late(
    driver: &mut TestDriver,
    key: &str,
    timestamps: &[i64],
    expected: &[((i64, i64), u32, bool)],
) -> Result<(), StreamsError> {
    for timestamp in timestamps {
        driver.pipe("in", key.to_owned(), 1_i64, *timestamp)?;
    }
    let late = driver.read::<String, Late<i64>>("late")?.into_iter();
    let late = late.map(|row| row.value).map(|late| {
        let window = (late.window.start, late.window.end);
        assert_eq!(late.lateness, late.watermark - late.window.end + 1);
        (window, late.windows, late.taken)
    });
    assert_eq!(late.collect::<Vec<_>>(), expected);
    Ok(())
}

#[test]
fn results_of_windows_are_not_late_for_windows_of_the_same_size() -> Result<(), StreamsError> {
    for (lateness, emit) in [(0, Emit::Close), (7, Emit::Final)] {
        let builder = StreamsBuilder::new();
        let windows = TimeWindows::tumbling(ms(10));
        builder
            .stream::<String, i64>("in")
            .group_by_key()
            .windowed_by(windows.allowed_lateness(ms(lateness)))
            .emit(emit)
            .count()
            .values()
            .group_by_key()
            .windowed_by(windows)
            .count()
            .values()
            .to("out");
        let mut driver = TestDriver::new(&builder.build()?);
        driver.pipe("in", "k".to_owned(), 1_i64, 5)?;
        driver.pipe("in", "k".to_owned(), 1_i64, 45)?;
        let out = driver.read::<Windowed<Windowed<String>>, i64>("out")?;
        assert_eq!(driver.counts().late, 0);
        assert_eq!(out.len(), 1);
    }
    Ok(())
}

#[test]
fn windows_are_looked_up_where_they_are() -> Result<(), StreamsError> {
    for session in [false, true] {
        let builder = StreamsBuilder::new();
        let count = |topic: &str| {
            let consumed = Consumed::<String, i64>::new().watermark_delay(ms(50));
            let grouped = builder.stream_with([topic], consumed).group_by_key();
            let windows = SessionWindows::with_gap(ms(5));
            if session {
                let windowed = grouped.windowed_by_session(windows);
                (*windowed.emit(Emit::Update).count()).clone()
            } else {
                let windowed = grouped.windowed_by(TimeWindows::tumbling(ms(10)));
                (*windowed.emit(Emit::Update).count()).clone()
            }
        };
        let joined = count("in").outer_join(&count("other"), |a, b| {
            10 * a.copied().unwrap_or(0) + b.copied().unwrap_or(0)
        });
        joined.values().to("out");
        let mut driver = TestDriver::new(&builder.build()?);
        run(&mut driver, &[1, 1])?;
        driver.pipe("other", "k".to_owned(), 0_i64, 1)?;
        let out = run(&mut driver, &[1])?;
        let values: Vec<_> = out.into_iter().map(|row| row.2).collect();
        assert_eq!(values, [21, 31]);
        driver.commit()?;
        assert!(!driver.topics().iter().any(|topic| topic.contains("table")));
    }
    Ok(())
}
