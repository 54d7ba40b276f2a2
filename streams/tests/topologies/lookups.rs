use std::collections::HashMap;

use proptest::prelude::*;
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::{Record, StreamsBuilder, StreamsError, Topology};

use crate::seed::cases;

fn show(left: &i64, right: Option<&i64>) -> String {
    let right = right.map_or("-".to_owned(), i64::to_string);
    format!("{left}:{right}")
}

/// Joins `in` with the table `table` to `inner` and `left`, and with a table of itself to `own`.
fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, i64>("in");
    let table = builder.table::<String, i64>("table");
    stream
        .join_table(&table, |left, right| show(left, Some(right)))
        .to("inner");
    stream.left_join_table(&table, show).to("left");
    stream.left_join_table(&stream.to_table(), show).to("own");
    builder.build().unwrap()
}

type Read = Vec<(String, String, i64)>;

fn read(driver: &mut TestDriver, topic: &str) -> Result<Read, StreamsError> {
    let rows = driver.read::<String, String>(topic)?;
    let rows = rows.into_iter().map(|r| (r.key, r.value, r.timestamp));
    Ok(rows.collect())
}

#[test]
fn null_keys_only_join_to_the_left() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<Option<String>, Option<i64>>("in");
    let table = builder.table::<Option<String>, i64>("table");
    let global = builder.global_table::<i64, i64>("global");
    let value = |value: &Option<i64>| value.unwrap_or_default();
    stream
        .join_table(&table, move |left, right| show(&value(left), Some(right)))
        .to("inner");
    stream
        .left_join_table(&table, move |left, right| show(&value(left), right))
        .to("left");
    stream
        .left_join_global(
            &global,
            move |_, left| value(left) / 10,
            move |left, right| show(&value(left), right),
        )
        .to("global_left");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("table", Some("a".to_owned()), 1_i64, 9)?;
    driver.pipe("global", 2_i64, 200_i64, 9)?;
    driver.pipe("in", None::<String>, Some(20_i64), 5)?;
    driver.pipe("in", Some("a".to_owned()), Some(30_i64), 6)?;
    driver.pipe("in", Some("a".to_owned()), None::<i64>, 7)?;
    let mut values = |topic: &str| -> Result<Vec<_>, StreamsError> {
        let rows = driver.read::<Option<String>, String>(topic)?;
        Ok(rows.into_iter().map(|r| (r.value, r.timestamp)).collect())
    };
    let row = |text: &str, time: i64| (text.to_owned(), time);
    assert_eq!(values("inner")?, [row("30:1", 6)]);
    assert_eq!(values("left")?, [row("20:-", 5), row("30:1", 6)]);
    assert_eq!(values("global_left")?, [row("20:200", 5), row("30:-", 6)]);
    let counts = driver.counts();
    assert_eq!((counts.null_key, counts.null_value), (1, 3));
    Ok(())
}

#[test]
fn outputs_of_one_operator_have_repartition_topics_of_their_own() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, i64>("in");
    let keyed = stream.select_key(|_, value| value.to_string());
    let mut branches = keyed.split();
    let even = branches.branch(|_, value| value % 2 == 0);
    let odd = branches.otherwise();
    even.group_by_key()
        .count()
        .named("even")
        .values()
        .to("even");
    odd.group_by_key().count().named("odd").values().to("odd");
    let mut driver = TestDriver::new(&builder.build()?);
    for value in [1_i64, 2, 3, 2] {
        driver.pipe("in", String::new(), value, 0)?;
    }
    driver.commit()?;
    let topics = driver.topics();
    assert!(
        topics.contains(&"test-even-changelog".to_owned()),
        "{topics:?}"
    );
    let mut counts = |topic: &str| -> Result<Vec<_>, StreamsError> {
        let rows = driver.read::<String, i64>(topic)?;
        Ok(rows.into_iter().map(|r| (r.key, r.value)).collect())
    };
    let row = |key: &str, count: i64| (key.to_owned(), count);
    assert_eq!(counts("even")?, [row("2", 1), row("2", 2)]);
    assert_eq!(counts("odd")?, [row("1", 1), row("3", 1)]);
    Ok(())
}

/// Whether it is for the table, key, and the value; a table's value below 0 takes the key out.
type Input = (bool, u8, i64, i64);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    prop::collection::vec((any::<bool>(), 0..3_u8, -2..9_i64, 0..50_i64), 1..60)
}

fn feed(driver: &mut TestDriver, input: &Input) -> Result<(), StreamsError> {
    let (table, key, value, time) = *input;
    let key = format!("k{key}");
    if table {
        let value = (value >= 0).then_some(value);
        driver.feed("table", &Record::new(key, value, time))
    } else {
        driver.feed("in", &Record::new(key, value, time))
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn streams_find_what_the_table_has(
        inputs in inputs(),
        restarts in prop::collection::vec(any::<bool>(), 60),
    ) {
        let mut driver = TestDriver::new(&topology());
        let mut table = HashMap::new();
        let (mut inner, mut left, mut itself) = (Read::new(), Read::new(), Read::new());
        for (at, input) in inputs.iter().enumerate() {
            feed(&mut driver, input)?;
            driver.run()?;
            if restarts[at] {
                driver.restart()?;
            }
            let (to_table, key, value, time) = *input;
            if to_table {
                if value < 0 {
                    table.remove(&key);
                } else {
                    table.insert(key, value);
                }
                continue;
            }
            let found = table.get(&key);
            let result = |found| (format!("k{key}"), show(&value, found), time);
            inner.extend(found.map(|_| result(found)));
            left.push(result(found));
            // The table was made before the join, so a record finds itself.
            itself.push(result(Some(&value)));
        }
        prop_assert_eq!(read(&mut driver, "inner")?, inner);
        prop_assert_eq!(read(&mut driver, "left")?, left);
        prop_assert_eq!(read(&mut driver, "own")?, itself);
    }

    #[test]
    fn chunks_change_nothing(inputs in inputs()) {
        let topology = topology();
        let mut all = Vec::new();
        for chunk in [1, 7, 1024] {
            let config = DriverConfig { chunk, ..DriverConfig::default() };
            let mut driver = TestDriver::with_config(&topology, config);
            for input in &inputs {
                feed(&mut driver, input)?;
            }
            driver.run()?;
            all.push(["inner", "left", "own"].map(|topic| driver.bytes(topic)));
        }
        prop_assert_eq!(&all[0], &all[1]);
        prop_assert_eq!(&all[0], &all[2]);
    }
}
