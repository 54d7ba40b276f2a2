//! What sources do with records that are not as they should be, and what they make watermarks of.

use std::sync::Arc;
use std::time::Duration;

use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::{EventTime, GenerateWatermarks, TimeWindows, WatermarkStrategy};
use tidemark_streams::{
    Consumed, Headers, Late, LateReason, OnBadRecord, Record, StreamsBuilder, StreamsError,
    Topology,
};

/// Counts by tens of milliseconds what comes from `in`, in `out`; what is late goes to `late`.
fn tens(consumed: Consumed<String, i64>, time: EventTime) -> Topology {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::tumbling(Duration::from_millis(10)).event_time(time);
    let stream = builder.stream_with(["in"], consumed);
    let counts = stream.group_by_key().windowed_by(windows).count();
    counts.values().to("out");
    counts.late().to("late");
    builder.build().unwrap()
}

/// From 2000 to 2001.
const BOUNDS: std::ops::RangeInclusive<i64> = 946_684_800_000..=978_307_200_000;

/// A record that does not decode, one from 1970, one from the far future, and one as it should be.
fn feed(driver: &mut TestDriver) -> Result<(), StreamsError> {
    driver.feed_bytes("in", Some(b"a"), Some(b"seven"), 946_684_800_005);
    for (value, time) in [(1, 0), (2, i64::MAX), (3, 946_684_800_007)] {
        let mut record = Record::new("b".to_owned(), value as i64, time);
        record.headers.add("trace", "7");
        driver.feed("in", &record)?;
    }
    driver.run()
}

#[test]
fn bad_records_are_counted_and_move_no_time_on() -> Result<(), StreamsError> {
    let consumed = Consumed::new().timestamp_bounds(BOUNDS);
    let skip = consumed.on_bad_record(OnBadRecord::Skip);
    let mut driver = TestDriver::new(&tens(skip, EventTime::Watermark));
    feed(&mut driver)?;
    let counts = driver.counts();
    assert_eq!((counts.undecodable, counts.bad_timestamp), (1, 2));
    assert_eq!(driver.watermark(), 946_684_800_006);
    driver.finish()?;
    assert_eq!(driver.bytes("out").concat().len(), 1);
    Ok(())
}

#[test]
fn bad_records_stop_the_application_unless_somebody_says_otherwise() {
    let consumed = || Consumed::new().timestamp_bounds(BOUNDS);
    let mut driver = TestDriver::new(&tens(consumed(), EventTime::Watermark));
    let error = feed(&mut driver).unwrap_err();
    assert_eq!(
        error.to_string(),
        "in-0: the record at offset 0 does not decode: its value is 5 bytes where a number of 8 bytes \
         is expected"
    );
    let mut driver = TestDriver::new(&tens(consumed(), EventTime::Watermark));
    let error = driver.pipe("in", "a".to_owned(), 1_i64, 5).unwrap_err();
    assert_eq!(
        error.to_string(),
        "in-0: the record at offset 0 does not decode: its timestamp 5 is not between 946684800000 \
         and 978307200000"
    );
}

/// The headers as text.
fn told(headers: &Headers) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = headers.iter();
    all.map(|(key, value)| format!("{}: {}", text(key), text(value.unwrap_or_default())))
        .collect()
}

#[test]
fn dead_letters_come_as_they_came_and_say_why() -> Result<(), StreamsError> {
    let dead = OnBadRecord::DeadLetter("dead".into());
    let consumed = Consumed::new().timestamp_bounds(BOUNDS).on_bad_record(dead);
    let mut driver = TestDriver::new(&tens(consumed, EventTime::Watermark));
    driver.advance_wall(Duration::from_millis(1234))?;
    feed(&mut driver)?;
    let dead = driver.read::<String, Vec<u8>>("dead")?;
    let rows: Vec<_> = dead
        .iter()
        .map(|r| (&*r.key, &*r.value, r.timestamp))
        .collect();
    let (one, two) = (1_i64.to_be_bytes(), 2_i64.to_be_bytes());
    assert_eq!(
        rows,
        [
            ("a", &b"seven"[..], 946_684_800_005),
            // Written when the clock said so: with such timestamps brokers would not keep them.
            ("b", &one[..], 1234),
            ("b", &two[..], 1234)
        ]
    );
    assert_eq!(
        told(&dead[0].headers),
        [
            "tidemark.topic: in",
            "tidemark.partition: 0",
            "tidemark.offset: 0",
            "tidemark.reason: its value is 5 bytes where a number of 8 bytes is expected",
        ]
    );
    assert_eq!(
        told(&dead[1].headers),
        [
            "trace: 7",
            "tidemark.topic: in",
            "tidemark.partition: 0",
            "tidemark.offset: 1",
            "tidemark.reason: its timestamp 0 is not between 946684800000 and 978307200000",
            "tidemark.timestamp: 0",
        ]
    );
    let counts = driver.counts();
    assert_eq!((counts.undecodable, counts.bad_timestamp), (1, 2));
    Ok(())
}

#[test]
fn records_without_a_time_are_bad_ones() -> Result<(), StreamsError> {
    let skip = || Consumed::<String, i64>::new().on_bad_record(OnBadRecord::Skip);
    let mut driver = TestDriver::new(&tens(skip(), EventTime::Watermark));
    driver.pipe("in", "a".to_owned(), 1_i64, -1)?;
    assert_eq!(driver.counts().bad_timestamp, 1);
    let field = skip().timestamp(|_, value| (*value > 0).then_some(*value));
    let mut driver = TestDriver::new(&tens(field, EventTime::Watermark));
    driver.pipe("in", "a".to_owned(), 0_i64, 500)?;
    driver.pipe("in", "a".to_owned(), 70_i64, 500)?;
    assert_eq!(driver.counts().bad_timestamp, 1);
    assert_eq!(driver.watermark(), 69);
    Ok(())
}

#[test]
fn what_needs_a_key_counts_records_without_one() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<Option<String>, i64>("in");
    let grouped = stream.group_by_key();
    grouped.count().values().to("counts");
    let windows = TimeWindows::tumbling(Duration::from_millis(10));
    grouped.windowed_by(windows).count().values().to("windows");
    stream.to_table().to_stream().to("table");
    builder
        .table::<Option<String>, i64>("other")
        .to_stream()
        .to("table");
    stream.repartition().to("all");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("in", None::<String>, 1_i64, 5)?;
    driver.pipe("other", None::<String>, 1_i64, 5)?;
    driver.finish()?;
    for topic in ["counts", "windows", "table"] {
        assert_eq!(driver.bytes(topic).concat(), []);
    }
    assert_eq!(driver.read::<Option<String>, i64>("all")?.len(), 1);
    assert_eq!(driver.counts().null_key, 4);
    Ok(())
}

/// What stream time has passed says that, and by how much.
#[test]
fn records_behind_stream_time_say_so() -> Result<(), StreamsError> {
    let mut driver = TestDriver::new(&tens(Consumed::new(), EventTime::StreamTime));
    for time in [5, 25, 7] {
        driver.pipe("in", "a".to_owned(), time, time)?;
    }
    let late = driver.read::<String, Late<i64>>("late")?;
    assert_eq!(late.len(), 1);
    let late = &late[0].value;
    assert_eq!(
        (late.value, late.watermark, late.reason),
        (7, 25, LateReason::GraceOver)
    );
    assert_eq!((late.window.start, late.window.end), (0, 10));
    // At 9 it would still have been taken.
    assert_eq!((late.lateness, late.taken), (16, false));
    Ok(())
}

/// The watermark is what every tenth millisecond begins with; it begins where it was.
struct ByTens(i64);

impl GenerateWatermarks<String, i64> for ByTens {
    fn observe(&mut self, record: &Record<String, i64>) -> i64 {
        self.0 = self.0.max(record.timestamp / 10 * 10 - 1);
        self.0
    }

    fn restore(&mut self, watermark: i64) {
        self.0 = watermark;
    }
}

#[test]
fn generators_of_ones_own_make_watermarks_of_each_partition() -> Result<(), StreamsError> {
    let made = Arc::new(|| Box::new(ByTens(i64::MIN)) as Box<dyn GenerateWatermarks<_, _>>);
    let consumed = Consumed::new().watermarks(WatermarkStrategy::Custom(made));
    let topology = tens(consumed, EventTime::Watermark);
    let mut all = Vec::new();
    for (chunk, restart) in [(1, false), (1024, false), (1024, true)] {
        let config = DriverConfig {
            chunk,
            ..DriverConfig::default()
        };
        let mut driver = TestDriver::with_config(&topology, config);
        for (time, watermark) in [(5, -1), (19, 9), (12, 9), (9, 9), (31, 29)] {
            driver.pipe("in", "a".to_owned(), time, time)?;
            if restart {
                driver.restart()?;
            }
            assert_eq!(driver.watermark(), watermark, "{time}");
        }
        all.push(["out", "late"].map(|topic| driver.bytes(topic)));
    }
    let [out, late] = &all[0];
    assert_eq!((out.concat().len(), late.concat().len()), (2, 1));
    assert_eq!(all[1], all[0]);
    assert_eq!(all[2], all[0]);
    Ok(())
}

/// What goes through a topic is in it, and goes on by its own keys.
#[test]
fn streams_go_through_topics() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, i64>("in");
    let by_value = stream.select_key(|_, value| format!("k{}", value % 2));
    let counts = by_value.through("between").group_by_key().count();
    counts.values().to("out");
    let topology = builder.build()?;
    // A topic of the application's own is not needed any more.
    assert!(!topology.describe().contains("repartition"));
    let mut driver = TestDriver::new(&topology);
    driver.partitions("in", 2).partitions("between", 3);
    for value in 0..5_i64 {
        driver.pipe("in", value.to_string(), value, value)?;
    }
    // Others may write to it, too.
    driver.pipe("between", "k1".to_owned(), 7_i64, 9)?;
    let between = driver.read::<String, i64>("between")?;
    assert_eq!(between.len(), 6);
    let counts = driver.read::<String, i64>("out")?;
    let last = |key: &str| counts.iter().rfind(|row| row.key == key);
    let last = |key: &str| last(key).map(|row| (row.value, row.timestamp));
    assert_eq!((last("k0"), last("k1")), (Some((3, 4)), Some((3, 9))));
    Ok(())
}
