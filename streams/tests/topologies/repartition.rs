//! What goes through repartition topics: idle tasks, and records that are written again after a crash.

use std::time::Duration;

use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{Consumed, Record, StreamsBuilder, Topology};

const SECOND: Duration = Duration::from_secs(1);

/// Counts by value, in windows of ten milliseconds.
fn counted() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, i64>("in")
        .group_by(|_, value| *value)
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)))
        .count()
        .to_stream()
        .to("out");
    builder.build().unwrap()
}

fn driver(topology: &Topology) -> TestDriver {
    let config = DriverConfig {
        idle_after: Some(SECOND),
        ..DriverConfig::default()
    };
    let mut driver = TestDriver::with_config(topology, config);
    driver.partitions("in", 2);
    driver
}

fn feed(driver: &mut TestDriver, partition: u32, value: i64, time: i64) {
    let record = Record::new(String::new(), value, time);
    driver.feed_to("in", Some(partition), &record).unwrap();
    driver.run().unwrap();
}

/// Value, window's start and count of what has come out since the last call.
fn out(driver: &mut TestDriver) -> Vec<(i64, i64, i64)> {
    let rows = driver.read::<Windowed<i64>, i64>("out").unwrap();
    let rows = rows.into_iter();
    let mut rows: Vec<_> = rows
        .map(|r| (r.key.key, r.key.window.start, r.value))
        .collect();
    rows.sort_unstable();
    rows
}

/// Time passes; the first partition has something now and then.
fn pass(driver: &mut TestDriver, times: std::ops::Range<i64>) {
    for time in times {
        feed(driver, 0, 7, time * 10);
        driver.advance_wall(SECOND).unwrap();
    }
}

#[test]
fn a_task_that_never_had_a_record_holds_nobody_back() {
    for restarts in [false, true] {
        let mut driver = driver(&counted());
        feed(&mut driver, 0, 7, 5);
        assert_eq!(out(&mut driver), []);
        pass(&mut driver, 1..8);
        let rows = out(&mut driver);
        assert_eq!(rows[..2], [(7, 0, 1), (7, 10, 1)], "{rows:?}");
        let last = rows.last().unwrap().1;
        if restarts {
            // What was told before is known, without that anybody says so again.
            driver.restart().unwrap();
        }
        feed(&mut driver, 0, 7, 200);
        let rows = out(&mut driver);
        assert_eq!(rows[0].1, last + 10, "{rows:?}");
    }
}

#[test]
fn a_task_that_speaks_again_counts_again() {
    let mut driver = driver(&counted());
    feed(&mut driver, 1, 8, 5);
    pass(&mut driver, 1..8);
    let rows = out(&mut driver);
    assert!(rows.contains(&(8, 0, 1)), "{rows:?}");
    // From here on it is the second partition that is behind.
    feed(&mut driver, 1, 8, 100);
    for time in [200, 300] {
        feed(&mut driver, 0, 7, time);
    }
    let rows = out(&mut driver);
    assert!(rows.iter().all(|row| row.1 < 100), "{rows:?}");
    feed(&mut driver, 1, 8, 305);
    let rows = out(&mut driver);
    assert!(rows.contains(&(8, 100, 1)), "{rows:?}");
    assert!(rows.contains(&(7, 200, 1)), "{rows:?}");
    assert_eq!(driver.counts().late, 0);
}

/// What a lookup gives, and what several topics make of state, need not be the same after a crash: it is
/// written with a commit, and once.
#[test]
fn what_need_not_come_again_the_same_is_written_with_a_commit() {
    let builder = StreamsBuilder::new();
    let names = builder.global_table::<i64, String>("names");
    builder
        .stream::<String, i64>("in")
        .join_global(&names, |_, id| *id, |_, name: &String| name.clone())
        .group_by(|_, name| name.clone())
        .count()
        .to_stream()
        .to("out");
    let topology = builder.build().unwrap();
    let text = topology.describe();
    assert!(text.contains(", with each commit"), "{text}");
    let mut driver = TestDriver::new(&topology);
    driver.pipe("names", 2_i64, "two".to_owned(), 0).unwrap();
    driver.pipe("in", String::new(), 1_i64, 1).unwrap();
    driver.pipe("in", String::new(), 2_i64, 2).unwrap();
    driver.pipe("names", 1_i64, "one".to_owned(), 3).unwrap();
    let last = |driver: &mut TestDriver| {
        let counts = driver.read::<String, i64>("out").unwrap();
        let counts = counts.into_iter().map(|record| (record.key, record.value));
        counts.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(last(&mut driver), [("two".to_owned(), 1)].into());
    for _ in 0..2 {
        driver.crash().unwrap();
        // It has been written before it was known that it had been: it comes again, and is left out.
        assert!(driver.counts().repeated > 0);
        assert_eq!(last(&mut driver), [("two".to_owned(), 1)].into());
    }
    driver.pipe("in", String::new(), 1_i64, 4).unwrap();
    driver.pipe("in", String::new(), 2_i64, 5).unwrap();
    let expected = [("one".to_owned(), 1), ("two".to_owned(), 2)];
    assert_eq!(last(&mut driver), expected.into());
}

#[test]
fn descriptions_say_what_waits_for_commits() {
    let describe = |make: &dyn Fn(&StreamsBuilder)| {
        let builder = StreamsBuilder::new();
        make(&builder);
        let text = builder.build().unwrap().describe();
        text.contains("with each commit")
    };
    let by_value = |_: &String, value: &i64| *value;
    assert!(!describe(&|builder| {
        let stream = builder.stream::<String, i64>("a");
        stream.group_by(by_value).count().to_stream().to("out");
    }));
    // Several topics, but no state in front of the repartition topic.
    assert!(!describe(&|builder| {
        let stream = builder.stream_with(["a", "b"], Consumed::<String, i64>::new());
        stream.group_by(by_value).count().to_stream().to("out");
    }));
    assert!(describe(&|builder| {
        let table = builder.table::<String, i64>("b");
        let joined = builder.stream::<String, i64>("a");
        let joined = joined.join_table(&table, |left, right| left + right);
        joined.group_by(by_value).count().to_stream().to("out");
    }));
    assert!(describe(&|builder| {
        let consumed = Consumed::<String, i64>::new().ingestion_time();
        let stream = builder.stream_with(["a"], consumed);
        stream.group_by(by_value).count().to_stream().to("out");
    }));
}

/// Event time goes along as it is: also -1, which is no time in Kafka, and whatever the topic makes of
/// the timestamps of its records.
#[test]
fn event_time_is_not_that_of_the_topic() {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<String, i64>::new().timestamp(|_, value| Some(*value));
    builder
        .stream_with(["in"], consumed)
        .select_key(|key, _| key.clone())
        .repartition()
        .to("out");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    let times = [i64::MIN / 2, -1, 0, 5, i64::MAX / 2];
    for time in times {
        driver.pipe("in", "k".to_owned(), time, 7).unwrap();
    }
    let out = driver.read::<String, i64>("out").unwrap();
    let out: Vec<i64> = out.iter().map(|record| record.timestamp).collect();
    assert_eq!(out, times);
    let topics = driver.topics();
    let own = topics.iter().find(|name| name.ends_with("-repartition"));
    let own = driver.bytes(own.unwrap()).into_iter().flatten();
    // The time at which it is written is for the producer to say.
    assert!(own.map(|(_, _, timestamp)| timestamp).all(|at| at == -1));
}

/// What the end of the input makes come out is counted once.
#[test]
fn what_closes_at_the_end_is_counted_once() {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, i64>("in")
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)))
        .count()
        .values()
        .group_by(|key, _| key.window.start)
        .count()
        .to_stream()
        .to("out");
    let topology = builder.build().unwrap();
    let mut driver = driver(&topology);
    for (at, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let record = Record::new(key.to_owned(), 0_i64, 3);
        driver.feed_to("in", Some(at as u32 % 2), &record).unwrap();
    }
    driver.finish().unwrap();
    let last = |driver: &mut TestDriver| {
        let out = driver.read::<i64, Option<i64>>("out").unwrap();
        out.last().map(|record| (record.key, record.value))
    };
    assert_eq!(last(&mut driver), Some((0, Some(4))));
    for _ in 0..2 {
        driver.crash().unwrap();
        assert_eq!(last(&mut driver), Some((0, Some(4))));
        assert!(driver.counts().repeated > 0);
    }
    driver.restart().unwrap();
    assert_eq!(last(&mut driver), None);
    driver.finish().unwrap();
    assert_eq!(last(&mut driver), None);
}
