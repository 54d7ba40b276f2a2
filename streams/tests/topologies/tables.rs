use std::time::Duration;

use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::EventTime;
use tidemark_streams::{
    Change, Consumed, Late, LateReason, Record, StreamsBuilder, StreamsError, Update,
};

/// Feeds values of keys and gives what comes out at a topic.
fn run(
    driver: &mut TestDriver,
    rows: &[(&str, Option<i64>, i64)],
) -> Result<Vec<(String, Option<i64>, i64)>, StreamsError> {
    for (key, value, timestamp) in rows {
        driver.pipe("in", (*key).to_owned(), *value, *timestamp)?;
    }
    let out = driver.read::<String, Option<i64>>("out")?;
    Ok(out
        .into_iter()
        .map(|r| (r.key, r.value, r.timestamp))
        .collect())
}

#[test]
fn a_table_that_nobody_looks_up_is_not_kept() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, i64>("in");
    table
        .filter(|_, value| value % 2 == 0)
        .map_values(|value| value * 10)
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    let out = run(
        &mut driver,
        &[("a", Some(1), 5), ("a", Some(2), 3), ("a", None, 4)],
    )?;
    // What was there before is not known, so the first one takes out what was never there.
    let a = "a".to_owned();
    assert_eq!(
        out,
        [(a.clone(), None, 5), (a.clone(), Some(20), 3), (a, None, 4)]
    );
    driver.restart()?;
    assert_eq!(driver.topics(), ["in", "out"]);
    Ok(())
}

#[test]
fn a_kept_table_survives_restarts_and_tells_old_values() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, i64>("in").materialized("kept");
    let even = table.filter(|_, value| value % 2 == 0);
    even.to_stream().to("out");
    even.changes(true).to("changes");
    let mut driver = TestDriver::new(&builder.build()?);
    assert_eq!(run(&mut driver, &[("a", Some(1), 5)])?, []);
    run(&mut driver, &[("a", Some(2), 3), ("b", Some(4), 1)])?;
    driver.restart()?;
    let out = run(&mut driver, &[("a", Some(3), 6), ("b", Some(6), 7)])?;
    let expected = [("a", None, 6), ("b", Some(6), 7)];
    assert_eq!(out, expected.map(|(k, v, t)| (k.to_owned(), v, t)));
    let changes = driver.read::<String, Change<i64>>("changes")?;
    let changes = changes.into_iter().map(|r| (r.value.new, r.value.old));
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            (Some(2), None),
            (Some(4), None),
            (None, Some(2)),
            (Some(6), Some(4))
        ]
    );
    Ok(())
}

#[test]
fn records_without_a_key_are_counted_and_left_out() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, i64>("in");
    table.to_stream().to("out");
    builder
        .stream::<Option<String>, i64>("stream")
        .to_table()
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("in", (), Some(1_i64), 0)?;
    driver.pipe("stream", None::<String>, Some(1_i64), 0)?;
    assert_eq!(run(&mut driver, &[])?, []);
    assert_eq!(driver.counts().null_key, 2);
    Ok(())
}

#[test]
fn changes_from_before_the_history_are_told() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, i64>("in");
    let table = table.versioned(Duration::from_millis(10));
    table.to_stream().to("out");
    table.late().to("late");
    let mut driver = TestDriver::new(&builder.build()?);
    // 10 is just not too late, 9 is, and the key that goes at 5 is by 5 milliseconds.
    let rows = [
        ("a", Some(1), 20),
        ("b", Some(2), 10),
        ("c", Some(3), 9),
        ("a", None, 5),
    ];
    let taken = run(&mut driver, &rows)?.into_iter();
    let taken: Vec<_> = taken.map(|(key, ..)| key).collect();
    assert_eq!(taken, ["a", "b"]);
    assert_eq!(driver.counts().late, 2);
    driver.restart()?;
    run(&mut driver, &[("d", Some(4), 9)])?;
    let late = driver.read::<String, Late<Option<i64>>>("late")?;
    let told = late.iter().map(|row| {
        let Late { value, window, .. } = row.value;
        let at = (window.start, window.end, row.value.lateness);
        (row.key.as_str(), value, at)
    });
    let told: Vec<_> = told.collect();
    let expected = [
        ("c", Some(3), (9, 19, 1)),
        ("a", None, (5, 15, 5)),
        ("d", Some(4), (9, 19, 1)),
    ];
    assert_eq!(told, expected);
    let of = |row: &Record<String, Late<Option<i64>>>| {
        (row.value.reason, row.value.watermark, row.value.taken)
    };
    assert!(
        late.iter()
            .all(|row| of(row) == (LateReason::HistoryOver, 20, false))
    );
    assert_eq!(driver.counts().late, 1);
    Ok(())
}

#[test]
fn a_join_in_the_order_of_time_finds_what_was_valid_then() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let delay = || Duration::from_millis(5);
    let rates = builder.table_with(
        "rates",
        Consumed::<String, Option<i64>>::new().watermark_delay(delay()),
    );
    let rates = rates.versioned(Duration::from_millis(100));
    let amounts = Consumed::<String, i64>::new().watermark_delay(delay());
    builder
        .stream_with(["in"], amounts)
        .in_order(Duration::ZERO, EventTime::Watermark)
        .left_join_table(&rates, |amount, rate| Some(amount * rate?))
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    let key = || "k".to_owned();
    // Whatever the topics come in: rates change at 10 and 20, amounts are of 25, 15 and 5.
    for (amount, time) in [(3_i64, 25), (2, 15), (1, 5)] {
        driver.pipe("in", key(), amount, time)?;
    }
    driver.pipe("rates", key(), Some(200_i64), 20)?;
    driver.restart()?;
    driver.pipe("rates", key(), Some(100_i64), 10)?;
    driver.advance_watermark(20)?;
    let out = |rows: &[(Option<i64>, i64)]| {
        rows.iter()
            .map(|(v, t)| (key(), *v, *t))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&mut driver, &[])?, out(&[(None, 5), (Some(200), 15)]));
    driver.advance_watermark(30)?;
    assert_eq!(run(&mut driver, &[])?, out(&[(Some(600), 25)]));
    Ok(())
}

/// There is nothing to subtract from where there is no aggregate, as in Kafka.
#[test]
fn nothing_is_subtracted_from_nothing() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, i64>("in").materialized("kept");
    let add = Update::new(|_: &String, value: i64, sum: &mut Option<i64>| {
        *sum = (value != 0).then(|| sum.unwrap_or_default() + value);
    });
    let grouped = table.group_by(|_, value| ("all".to_owned(), *value));
    let sums = grouped.aggregate(add, |_, value, sum: &mut Option<i64>| {
        *sum = Some(sum.unwrap_or(100) - value);
    });
    sums.to_stream().to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    let rows = [("a", Some(0), 9), ("a", Some(5), 7), ("a", Some(6), 8)];
    let out = run(&mut driver, &rows)?;
    // An aggregate that begins anew has the time of the record that it begins with.
    let expected = [(None, 9), (Some(5), 7), (Some(6), 8)];
    assert_eq!(
        out,
        expected.map(|(sum, time)| ("all".to_owned(), sum, time))
    );
    Ok(())
}
