//! What is done to one record at a time.

use std::time::Duration;

use bytes::Bytes;
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{JoinWindows, TimeWindows, Windowed};
use tidemark_streams::{Consumed, Data, DataError, Payload, StreamsBuilder, StreamsError};

#[test]
fn values_can_be_made_of_their_keys() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, i64>("in");
    stream
        .filter_not(|key, value| key == "no" || *value < 0)
        .map_values_with_key(|key, value| format!("{key}={value}"))
        .flat_map_values_with_key(|key, value| [value, key.to_uppercase()])
        .to("out");
    let topology = builder.build()?;
    // The key is what it was: nothing goes through a topic of its own.
    assert!(!topology.describe().contains("repartition"));
    let mut driver = TestDriver::new(&topology);
    for (key, value) in [("a", 1_i64), ("no", 2), ("b", -3), ("c", 4)] {
        driver.pipe("in", key.to_owned(), value, 5)?;
    }
    let out = driver.read::<String, String>("out")?.into_iter();
    let out: Vec<_> = out.map(|record| (record.key, record.value)).collect();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [
        pair("a", "a=1"),
        pair("a", "A"),
        pair("c", "c=4"),
        pair("c", "C"),
    ];
    assert_eq!(out, expected);
    Ok(())
}

/// Two bytes that serde knows nothing of.
#[derive(Clone, Debug, PartialEq)]
struct Raw([u8; 2]);

impl Data for Raw {
    fn encode<'a>(&'a self, _: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Ok(Some(&self.0))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let bytes = payload.require("two bytes")?;
        let bytes = bytes.try_into();
        bytes.map(Self).map_err(|_| DataError::new("not two bytes"))
    }
}

/// Late records of any type can be written: as they came, and what is said of them beside it.
#[test]
fn late_records_of_any_type_are_written() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let counts = builder
        .stream::<String, Raw>("in")
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)))
        .count()
        .named("tens");
    counts.values().to("counts");
    counts.late().in_headers().to("late");
    let topology = builder.build()?;
    assert!(
        topology.describe().contains("tens"),
        "{}",
        topology.describe()
    );
    let mut driver = TestDriver::new(&topology);
    for (time, last) in [(5, 0), (25, 1), (7, 2)] {
        driver.pipe("in", "a".to_owned(), Raw([9, last]), time)?;
    }
    let late = driver.read::<String, Raw>("late")?;
    assert_eq!(late.len(), 1);
    assert_eq!((&late[0].value, late[0].timestamp), (&Raw([9, 2]), 7));
    let headers = late[0].headers.iter();
    let told: Vec<String> = headers
        .map(|(key, value)| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            format!("{}: {}", text(key), text(value.unwrap_or_default()))
        })
        .collect();
    assert_eq!(
        told,
        [
            "tidemark.late.window.start: 0",
            "tidemark.late.window.end: 10",
            "tidemark.late.windows: 1",
            "tidemark.late.watermark: 24",
            "tidemark.late.by: 16",
            "tidemark.late.reason: window_closed",
            "tidemark.late.taken: false",
        ]
    );
    assert_eq!(driver.read::<Windowed<String>, i64>("counts")?.len(), 1);
    Ok(())
}

/// Records that tell the watermark, and no others, close windows.
#[test]
fn certain_records_tell_the_watermark() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<String, String>::new()
        .punctuated(|record| record.value.strip_prefix("upto ")?.parse().ok());
    builder
        .stream_with(["in"], consumed)
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)))
        .count()
        .values()
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    let mut out = |value: &str, time: i64| -> Result<Vec<i64>, StreamsError> {
        driver.pipe("in", "a".to_owned(), value.to_owned(), time)?;
        let rows = driver.read::<Windowed<String>, i64>("out")?.into_iter();
        Ok(rows.map(|row| row.value).collect())
    };
    assert_eq!(out("x", 5)?, [0; 0]);
    assert_eq!(out("x", 500)?, [0; 0]);
    assert_eq!(out("x", 6)?, [0; 0]);
    assert_eq!(out("upto 9", 501)?, [2]);
    // One that goes back changes nothing.
    assert_eq!(out("upto 3", 502)?, [0; 0]);
    Ok(())
}

#[test]
fn global_tables_can_be_looked_at_in_another_way() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let global = builder.global_table::<String, i64>("global");
    let shown = global
        .filter(|_, value| *value > 10)
        .map_values_with_key(|key, value| format!("{key}{value}"))
        .map_values(|text| format!("{text}!"));
    builder
        .stream::<String, i64>("in")
        .left_join_global(
            &shown,
            |key, _| key.clone(),
            |_, found| found.cloned().unwrap_or_default(),
        )
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("global", "a".to_owned(), 5_i64, 0)?;
    driver.pipe("global", "b".to_owned(), 50_i64, 0)?;
    for key in ["a", "b", "c"] {
        driver.pipe("in", key.to_owned(), 1_i64, 0)?;
    }
    let out = driver.read::<String, String>("out")?.into_iter();
    let out: Vec<_> = out.map(|record| record.value).collect();
    assert_eq!(out, ["", "b50!", ""]);
    Ok(())
}

#[test]
fn joins_have_names() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let [a, b] = ["a", "b"].map(|topic| builder.stream::<String, Bytes>(topic));
    let within = JoinWindows::within(Duration::from_millis(10));
    let joined = a.join(&b, |a, _| a.clone(), within).named("both");
    joined.clone().late_left().in_headers().to("late");
    joined.to("out");
    assert!(builder.build()?.describe().contains("both"));
    Ok(())
}
