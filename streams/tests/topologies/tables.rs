use tidemark_streams::testing::TestDriver;
use tidemark_streams::{Change, StreamsBuilder, StreamsError};

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
