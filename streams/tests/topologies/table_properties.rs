//! Tables against models of the whole input, and whether chunks and restarts show.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::{EventTime, SessionWindows, SlidingWindows, TimeWindows, Windowed};
use tidemark_streams::{
    Consumed, Emit, Fold, Record, StreamsBuilder, Suppress, Table, Topology, WhenFull,
};

use crate::seed::cases;

/// A record of one of two topics: key, value, timestamp.
#[derive(Clone, Debug)]
struct Row {
    left: bool,
    key: u8,
    value: Option<i64>,
    timestamp: i64,
}

fn rows(nulls: bool) -> impl Strategy<Value = Vec<Row>> {
    let value = prop_oneof![4 => (0_i64..6).prop_map(Some), 1 => Just(None)];
    let value = value.prop_map(move |value| value.or((!nulls).then_some(9)));
    let row = (any::<bool>(), 0_u8..4, value, 0_i64..80);
    let row = row.prop_map(|(left, key, value, timestamp)| Row {
        left,
        key,
        value,
        timestamp,
    });
    prop::collection::vec(row, 0..60)
}

fn feed(driver: &mut TestDriver, row: &Row) {
    let topic = if row.left { "left" } else { "right" };
    let record = Record::new(format!("k{}", row.key), row.value, row.timestamp);
    driver.feed(topic, &record).unwrap();
}

/// What a table holds whose changes are these.
fn held(driver: &mut TestDriver, topic: &str) -> BTreeMap<String, i64> {
    let mut held = BTreeMap::new();
    for record in driver.read::<String, Option<i64>>(topic).unwrap() {
        match record.value {
            Some(value) => held.insert(record.key, value),
            None => held.remove(&record.key),
        };
    }
    held
}

/// The last value of each key.
fn latest(rows: &[Row], left: bool) -> BTreeMap<String, i64> {
    let mut latest = BTreeMap::new();
    for row in rows.iter().filter(|row| row.left == left) {
        let key = format!("k{}", row.key);
        match row.value {
            Some(value) => latest.insert(key, value),
            None => latest.remove(&key),
        };
    }
    latest
}

fn sum(group: &str, table: &BTreeMap<String, i64>) -> i64 {
    let of_group = table.values().filter(|value| group_of(**value) == group);
    of_group.sum()
}

fn group_of(value: i64) -> String {
    format!("g{}", value % 3)
}

fn both(left: Option<&i64>, right: Option<&i64>) -> i64 {
    100 * left.copied().unwrap_or(50) + right.copied().unwrap_or(50)
}

fn model_and_join() -> Topology {
    let builder = StreamsBuilder::new();
    let left = builder.table::<String, i64>("left");
    let right = builder.table::<String, i64>("right");
    let grouped = left.group_by(|_, value| (group_of(*value), *value));
    grouped.count().to_stream().to("counts");
    let sums = grouped.aggregate(
        Fold::new(
            || 0_i64,
            |_: &String, value: i64, sum: &mut i64| *sum += value,
        ),
        |_, value, sum| *sum = sum.take().map(|sum| sum - value),
    );
    sums.to_stream().to("sums");
    let reduced = grouped.reduce(|a, b| a + b, |a, b| a - b);
    reduced.to_stream().to("reduced");
    left.join(&right, |l, r| both(Some(l), Some(r)))
        .to_stream()
        .to("inner");
    left.left_join(&right, |l, r| both(Some(l), r))
        .to_stream()
        .to("left_join");
    left.outer_join(&right, both).to_stream().to("outer");
    builder.build().unwrap()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn aggregates_and_joins_are_those_of_the_last_values(rows in rows(true), each in any::<bool>()) {
        let mut driver = TestDriver::new(&model_and_join());
        driver.partitions("left", 2).partitions("right", 2);
        for row in &rows {
            feed(&mut driver, row);
            if each {
                driver.run().unwrap();
            }
        }
        driver.run().unwrap();
        let (left, right) = (latest(&rows, true), latest(&rows, false));
        let counts = held(&mut driver, "counts");
        let (sums, reduced) = (held(&mut driver, "sums"), held(&mut driver, "reduced"));
        for (group, count) in &counts {
            let expected = left.values().filter(|value| group_of(**value) == *group).count();
            prop_assert_eq!(*count, expected as i64);
            prop_assert_eq!(sums[group], sum(group, &left));
            prop_assert_eq!(reduced[group], sum(group, &left));
        }
        prop_assert!(left.values().all(|value| counts.contains_key(&group_of(*value))));
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        let mut expected = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for key in keys {
            let (l, r) = (left.get(key), right.get(key));
            let value = both(l, r);
            expected[2].insert(key.clone(), value);
            if l.is_some() {
                expected[1].insert(key.clone(), value);
                if r.is_some() {
                    expected[0].insert(key.clone(), value);
                }
            }
        }
        for (topic, expected) in ["inner", "left_join", "outer"].iter().zip(expected) {
            prop_assert_eq!(held(&mut driver, topic), expected);
        }
    }

    #[test]
    fn results_held_until_windows_close_come_out_once_and_are_final(
        rows in rows(false), stream_time in any::<bool>(), grace in 0_u64..15, kind in 0_u8..3,
    ) {
        let (ms, builder) = (Duration::from_millis, StreamsBuilder::new());
        let time = if stream_time { EventTime::StreamTime } else { EventTime::Watermark };
        let grouped = builder
            .stream_with(["left", "right"], Consumed::<String, i64>::new().watermark_delay(ms(3)))
            .group_by_key();
        let table = match kind {
            0 => {
                let windows = TimeWindows::hopping(ms(10), ms(5));
                let windows = windows.allowed_lateness(ms(grace)).event_time(time);
                grouped.windowed_by(windows).emit(Emit::Update).count()
            }
            1 => {
                let windows = SlidingWindows::of(ms(10));
                let windows = windows.allowed_lateness(ms(grace)).event_time(time);
                grouped.windowed_by_sliding(windows).emit(Emit::Update).count()
            }
            _ => {
                let windows = SessionWindows::with_gap(ms(6));
                let windows = windows.allowed_lateness(ms(grace)).event_time(time);
                grouped.windowed_by_session(windows).emit(Emit::Update).count()
            }
        };
        table.to_stream().to("updates");
        table.suppress_until_window_closes(Suppress::new()).values().to("final");
        let mut driver = TestDriver::new(&builder.build().unwrap());
        let mut last = BTreeMap::new();
        let mut done: BTreeMap<(String, i64, i64), i64> = BTreeMap::new();
        let mut read = |driver: &mut TestDriver| {
            let updates = driver.read::<Windowed<String>, Option<i64>>("updates").unwrap();
            let finals = driver.read::<Windowed<String>, i64>("final").unwrap();
            let of = |key: Windowed<String>| (key.key, key.window.start, key.window.end);
            for update in updates {
                let key = of(update.key);
                match update.value {
                    Some(value) => last.insert(key, value),
                    // A session that has become part of another one.
                    None => last.remove(&key),
                };
            }
            for result in finals {
                let key = of(result.key);
                assert_eq!(last.remove(&key), Some(result.value));
                assert_eq!(done.insert(key, result.value), None);
            }
            last.keys().all(|key| !done.contains_key(key))
        };
        for row in &rows {
            feed(&mut driver, row);
            driver.run().unwrap();
            // No window is updated after its result has come out.
            prop_assert!(read(&mut driver));
        }
        if !stream_time {
            driver.advance_watermark(1000).unwrap();
            read(&mut driver);
            prop_assert!(last.is_empty(), "{last:?}");
        }
    }

    #[test]
    fn neither_chunks_nor_restarts_show(
        shape in shape(3, true, true), rows in rows(true), cuts in prop::collection::vec(0_usize..6, 0..3),
    ) {
        let clean = run(&shape, &rows, 1024, &cuts, false);
        prop_assert_eq!(&run(&shape, &rows, 1, &cuts, true), &clean);
        prop_assert_eq!(&run(&shape, &rows, 7, &cuts, true), &clean);
    }

    #[test]
    fn crashes_repeat_and_lose_nothing(
        // What a task makes of several topics with state is not the same when it is made again, so
        // what goes through repartition topics behind it can be there twice.
        shape in prop_oneof![shape(3, false, true), shape(3, true, false)],
        rows in rows(true), commit in 0_usize..60, crash in 0_usize..60,
    ) {
        let topology = topology(&shape);
        let mut clean = TestDriver::new(&topology);
        let mut driver = TestDriver::new(&topology);
        driver.commit().unwrap();
        for (at, row) in rows.iter().enumerate() {
            // What is processed again is so in the order of time, which has to be the one in which it
            // came.
            let row = Row { timestamp: at as i64, ..row.clone() };
            feed(&mut clean, &row);
            clean.run().unwrap();
            feed(&mut driver, &row);
            driver.run().unwrap();
            if at == commit {
                driver.commit().unwrap();
            }
            if at == crash {
                driver.crash().unwrap();
            }
        }
        for topic in ["out", "changes"] {
            let (mut all, repeated) = (clean.bytes(topic).concat(), driver.bytes(topic).concat());
            prop_assert_eq!(all.last(), repeated.last());
            all.retain(|record| !repeated.contains(record));
            prop_assert_eq!(all, Vec::new());
        }
        clean.commit().unwrap();
        driver.commit().unwrap();
        for store in clean.topics().iter().filter_map(|name| name.strip_suffix("-changelog")) {
            let name = store.strip_prefix("test-").unwrap();
            prop_assert_eq!(clean.store_entries(name).unwrap(), driver.store_entries(name).unwrap());
        }
    }
}

/// How a table is made.
#[derive(Clone, Debug)]
enum Shape {
    Left,
    Right,
    Filter(Box<Shape>),
    Map(Box<Shape>),
    Kept(Box<Shape>),
    Versioned(Box<Shape>),
    Sorted(Box<Shape>),
    Hold(Box<Shape>, u64, bool),
    Bound(Box<Shape>, usize),
    Group(Box<Shape>),
    Join(u8, Box<Shape>, Box<Shape>),
}

/// Shapes of that depth, with these; groups go through repartition topics.
fn shape(depth: u32, groups: bool, joins: bool) -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![Just(Shape::Left), Just(Shape::Right)];
    leaf.prop_recursive(depth, 8, 2, move |inner| {
        let one = || inner.clone().prop_map(Box::new);
        prop_oneof![
            one().prop_map(Shape::Filter),
            one().prop_map(Shape::Map),
            one().prop_map(Shape::Kept),
            one().prop_map(move |s| if joins {
                Shape::Versioned(s)
            } else {
                Shape::Kept(s)
            }),
            one().prop_map(Shape::Sorted),
            (one(), 0_u64..40, any::<bool>()).prop_map(|(s, limit, st)| Shape::Hold(s, limit, st)),
            (one(), 0_usize..3).prop_map(|(s, most)| Shape::Bound(s, most)),
            one().prop_map(move |s| if groups {
                Shape::Group(s)
            } else {
                Shape::Map(s)
            }),
            (0_u8..3, one(), one()).prop_map(move |(kind, a, b)| if joins {
                Shape::Join(kind, a, b)
            } else {
                Shape::Filter(a)
            }),
        ]
    })
}

fn topology(shape: &Shape) -> Topology {
    let builder = StreamsBuilder::new();
    let consumed = || Consumed::new().watermark_delay(Duration::from_millis(2));
    let left = builder.table_with::<String, i64>("left", consumed());
    let right = builder.table_with::<String, i64>("right", consumed());
    let times = [EventTime::Watermark, EventTime::StreamTime];
    let table = build(shape, &[left, right], times, &mut 0);
    table.to_stream().to("out");
    table.changes(true).to("changes");
    builder.build().unwrap()
}

fn build(
    shape: &Shape,
    sources: &[Table<String, i64>; 2],
    times: [EventTime; 2],
    kept: &mut u32,
) -> Table<String, i64> {
    let mut inner = |shape| build(shape, sources, times, kept);
    match shape {
        Shape::Left => sources[0].clone(),
        Shape::Right => sources[1].clone(),
        Shape::Filter(s) => inner(s).filter(|_, value| value % 2 == 0),
        Shape::Map(s) => inner(s).map_values(|value| (value * 3 + 1) % 1000),
        Shape::Kept(s) => {
            let table = inner(s);
            *kept += 1;
            // Renames the store if there is one already.
            table.materialized(&format!("kept-{kept}"))
        }
        // What has a history cannot be held back; a join has none.
        Shape::Versioned(s) => {
            let table = inner(s).versioned(Duration::from_millis(15));
            let odd = table.filter(|_, value| value % 2 == 1);
            odd.left_join(&sources[0], |a, b| both(Some(a), b) % 1000)
        }
        Shape::Sorted(s) => {
            let stream = inner(s).to_stream();
            stream
                .in_order(Duration::from_millis(4), times[0])
                .to_table_of_some()
        }
        Shape::Hold(s, limit, stream_time) => {
            let time = times[usize::from(*stream_time)];
            let limit = Duration::from_millis(*limit);
            inner(s).suppress_until_time_limit(limit, Suppress::new().event_time(time))
        }
        Shape::Bound(s, most) => {
            let bounds = Suppress::new().max_records(*most).max_bytes(most * 60);
            let bounds = bounds.when_full(WhenFull::EmitEarly);
            inner(s).suppress_until_time_limit(Duration::MAX, bounds)
        }
        Shape::Group(s) => inner(s)
            .group_by(|_, value| (group_of(*value), *value))
            .reduce(|a, b| (a + b) % 1000, |a, b| (a - b) % 1000),
        Shape::Join(kind, a, b) => {
            let (a, b) = (inner(a), inner(b));
            let join = |a: Option<&i64>, b: Option<&i64>| both(a, b) % 1000;
            match kind {
                0 => a.join(&b, move |a, b| join(Some(a), Some(b))),
                1 => a.left_join(&b, move |a, b| join(Some(a), b)),
                _ => a.outer_join(&b, join),
            }
        }
    }
}

type Bytes = Vec<Vec<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>>;

/// Everything that lies in topics in the end, changelogs included, with commits behind these runs, or with
/// restarts.
fn run(
    shape: &Shape,
    rows: &[Row],
    chunk: usize,
    cuts: &[usize],
    restarts: bool,
) -> BTreeMap<String, Bytes> {
    let config = DriverConfig {
        chunk,
        ..DriverConfig::default()
    };
    let mut driver = TestDriver::with_config(&topology(shape), config);
    driver.partitions("left", 2).partitions("right", 2);
    for (at, row) in rows.iter().enumerate() {
        feed(&mut driver, row);
        // In runs of ten, so that there is something to go through together.
        if at % 10 == 9 {
            driver.run().unwrap();
            match cuts.contains(&(at / 10)) {
                true if restarts => driver.restart().unwrap(),
                true => driver.commit().unwrap(),
                false => {}
            }
        }
    }
    driver.run().unwrap();
    driver.advance_watermark(1000).unwrap();
    driver.commit().unwrap();
    // With a restart a task forgets whom it has told of its watermark, and tells it again: that shows in
    // repartition topics, and in what their readers note of it.
    let tells = ["-repartition", "-repartition-read-changelog"];
    let topics = driver.topics().into_iter();
    topics
        .filter(|topic| !tells.iter().any(|end| topic.ends_with(end)))
        .map(|topic| {
            let bytes = driver.bytes(&topic);
            (topic, bytes)
        })
        .collect()
}
