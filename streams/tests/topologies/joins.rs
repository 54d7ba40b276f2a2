use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::{EventTime, JoinWindows, TimeWindows, Windowed};
use tidemark_streams::{
    Consumed, Emit, JoinedStream, Late, Record, Stream, StreamsBuilder, StreamsError, Topology,
};

use crate::seed::cases;

type Joined = JoinedStream<String, i64, i64, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Outer,
}

fn show(left: Option<&i64>, right: Option<&i64>) -> String {
    let show = |value: Option<&i64>| value.map_or("-".to_owned(), i64::to_string);
    format!("{}:{}", show(left), show(right))
}

fn join(
    kind: Kind,
    left: &Stream<String, i64>,
    right: &Stream<String, i64>,
    windows: JoinWindows,
) -> Joined {
    match kind {
        Kind::Inner => left.join(right, |l, r| show(Some(l), Some(r)), windows),
        Kind::Left => left.left_join(right, |l, r| show(Some(l), r), windows),
        Kind::Outer => left.outer_join(right, show, windows),
    }
}

/// Joins `left` and `right` to `out`; late records go to `late_left` and `late_right`.
fn topology(kind: Kind, windows: JoinWindows, delay: u64) -> Topology {
    let builder = StreamsBuilder::new();
    let consumed = || Consumed::new().watermark_delay(Duration::from_millis(delay));
    let left = builder.stream_with(["left"], consumed());
    let right = builder.stream_with(["right"], consumed());
    let joined = join(kind, &left, &right, windows);
    joined.to("out");
    joined.late_left().to("late_left");
    joined.late_right().to("late_right");
    builder.build().unwrap()
}

fn within(ms: u64) -> JoinWindows {
    JoinWindows::within(Duration::from_millis(ms))
}

/// Which results have come out since the last call.
fn results(driver: &mut TestDriver) -> Vec<(String, i64)> {
    let rows = driver.read::<String, String>("out").unwrap();
    rows.into_iter().map(|r| (r.value, r.timestamp)).collect()
}

fn owned(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    let rows = rows.iter().map(|(text, time)| ((*text).to_owned(), *time));
    rows.collect()
}

fn pipe(driver: &mut TestDriver, topic: &str, value: i64, time: i64) {
    driver.pipe(topic, "k".to_owned(), value, time).unwrap();
}

#[test]
fn without_a_partner_comes_out_when_none_can_come() {
    let mut driver = TestDriver::new(&topology(Kind::Outer, within(10), 0));
    pipe(&mut driver, "left", 1, 0);
    pipe(&mut driver, "right", 2, 3);
    assert_eq!(results(&mut driver), owned(&[("1:2", 3)]));
    pipe(&mut driver, "right", 3, 12);
    pipe(&mut driver, "left", 4, 12);
    assert_eq!(results(&mut driver), owned(&[("4:2", 12), ("4:3", 12)]));
    pipe(&mut driver, "left", 5, 30);
    pipe(&mut driver, "right", 6, 41);
    // The watermark is 29, then it is 40: 30 + 10 has been reached.
    driver.restart().unwrap();
    assert_eq!(results(&mut driver), []);
    pipe(&mut driver, "left", 7, 41);
    assert_eq!(results(&mut driver), owned(&[("7:6", 41), ("5:-", 30)]));
    driver.advance_watermark(100).unwrap();
    assert_eq!(results(&mut driver), []);
}

#[test]
fn late_records_do_not_join() {
    let windows = within(10).allowed_lateness(Duration::from_millis(5));
    let mut driver = TestDriver::new(&topology(Kind::Left, windows, 0));
    pipe(&mut driver, "right", 1, 100);
    pipe(&mut driver, "left", 2, 100);
    assert_eq!(results(&mut driver), owned(&[("2:1", 100)]));
    driver.advance_watermark(100).unwrap();
    pipe(&mut driver, "left", 3, 96);
    assert_eq!(results(&mut driver), owned(&[("3:1", 100)]));
    pipe(&mut driver, "left", 4, 95);
    driver.advance_watermark(1000).unwrap();
    assert_eq!(results(&mut driver), []);
    let late = driver.read::<String, Late<i64>>("late_left").unwrap();
    assert_eq!(late.len(), 1);
    let late = &late[0].value;
    assert_eq!((late.value, late.lateness, late.taken), (4, 1, false));
    assert_eq!((late.window.start, late.window.end), (85, 105));
    assert_eq!(driver.counts().late, 1);
}

#[test]
fn by_stream_time_there_is_nothing_before_1970() {
    let windows = within(10).event_time(EventTime::StreamTime);
    let mut driver = TestDriver::new(&topology(Kind::Outer, windows, 0));
    pipe(&mut driver, "left", 1, -3);
    pipe(&mut driver, "right", 2, 3);
    pipe(&mut driver, "left", 3, 3);
    pipe(&mut driver, "left", 4, 30);
    assert_eq!(results(&mut driver), owned(&[("3:2", 3)]));
    assert_eq!(driver.counts().bad_timestamp, 1);
}

#[test]
fn results_are_not_late_for_windows_behind_the_join() {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, i64>("left");
    let right = builder.stream::<String, i64>("right");
    let joined = join(Kind::Left, &left, &right, within(50));
    let counts = joined
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)))
        .emit(Emit::Final)
        .count();
    counts.values().to("counts");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    pipe(&mut driver, "left", 1, 1);
    pipe(&mut driver, "left", 2, 12);
    pipe(&mut driver, "left", 3, 200);
    pipe(&mut driver, "right", 4, 200);
    driver.advance_watermark(1000).unwrap();
    let counts = driver.read::<Windowed<String>, i64>("counts").unwrap();
    let counts: Vec<_> = counts
        .into_iter()
        .map(|r| (r.key.window.start, r.value, r.timestamp))
        .collect();
    assert_eq!(counts, [(0, 1, 9), (10, 1, 19), (200, 1, 209)]);
    assert_eq!(driver.counts().late, 0);
}

#[test]
fn windows_that_no_record_fits_into_are_refused() {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, i64>("left");
    let windows = within(5).before_millis(-6);
    let _ = join(Kind::Inner, &left, &left, windows);
    let error = builder.build().err().unwrap();
    assert_eq!(
        error.to_string(),
        "the topology cannot run: left.join: no record can be from -6 ms before another one to 5 ms \
         after it"
    );
}

#[test]
fn joins_go_through_repartition_topics_where_keys_have_changed() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let left = builder.stream::<String, i64>("left");
    let right = builder.stream::<String, i64>("right");
    let by_value = right.select_key(|_, value| format!("k{value}"));
    join(Kind::Inner, &left, &by_value, within(5)).to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("right", String::new(), 7_i64, 3)?;
    driver.pipe("left", "k7".to_owned(), 8_i64, 4)?;
    assert_eq!(results(&mut driver), owned(&[("8:7", 4)]));
    Ok(())
}

/// Side, key, timestamp, and how far event time moves behind it.
type Input = (bool, u8, i64, i64);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = (any::<bool>(), 0..3_u8, 0..60_i64, 0..12_i64);
    prop::collection::vec(input, 1..60)
}

fn windows() -> impl Strategy<Value = JoinWindows> {
    (-5..15_i64, 0..15_i64, 0..8_u64).prop_map(|(before, after, grace)| {
        JoinWindows::within(Duration::ZERO)
            .before_millis(before)
            .after_millis(after.max(-before))
            .allowed_lateness(Duration::from_millis(grace))
    })
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Inner), Just(Kind::Left), Just(Kind::Outer)]
}

/// What has to come out, and what is late, over the whole input.
struct Model {
    results: Vec<(String, String, i64)>,
    late: [Vec<i64>; 2],
}

/// `span` is before, after and allowed lateness.
fn model(kind: Kind, span: (i64, i64, i64), inputs: &[(Input, i64)]) -> Model {
    let (before, after, grace) = span;
    let mut kept: [Vec<(u8, i64, i64)>; 2] = Default::default();
    let mut late: [Vec<i64>; 2] = Default::default();
    for (value, ((right, key, time, _), watermark)) in inputs.iter().enumerate() {
        let side = usize::from(*right);
        if time + grace <= *watermark {
            late[side].push(value as i64);
        } else {
            kept[side].push((*key, *time, value as i64));
        }
    }
    let name = |key: u8| format!("k{key}");
    let mut results = Vec::new();
    let mut met = HashSet::new();
    for (key, left, l) in &kept[0] {
        for (other, right, r) in &kept[1] {
            if key == other && (left - before..=left + after).contains(right) {
                met.extend([*l, *r]);
                results.push((name(*key), show(Some(l), Some(r)), *left.max(right)));
            }
        }
    }
    for (side, rows) in kept.iter().enumerate() {
        let comes_out = [kind != Kind::Inner, kind == Kind::Outer][side];
        for (key, time, value) in rows {
            if comes_out && !met.contains(value) {
                let alone = [Some(value), None];
                let (left, right) = (alone[side], alone[1 - side]);
                results.push((name(*key), show(left, right), *time));
            }
        }
    }
    results.sort();
    Model { results, late }
}

fn driver(topology: &Topology, chunk: usize) -> TestDriver {
    let config = DriverConfig {
        chunk,
        ..DriverConfig::default()
    };
    TestDriver::with_config(topology, config)
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn joins_are_those_of_the_whole_input(
        kind in kinds(),
        windows in windows(),
        inputs in inputs(),
        restarts in prop::collection::vec(any::<bool>(), 60),
    ) {
        let topology = topology(kind, windows, 1_000_000);
        let mut driver = driver(&topology, 1024);
        let mut watermark = i64::MIN;
        let mut stamped = Vec::new();
        for (value, input) in inputs.iter().enumerate() {
            let (right, key, time, moves) = *input;
            stamped.push((*input, watermark));
            let topic = if right { "right" } else { "left" };
            driver.pipe(topic, format!("k{key}"), value as i64, time)?;
            if moves > 4 {
                watermark = watermark.max(-20) + moves;
                driver.advance_watermark(watermark)?;
            }
            if restarts[value] {
                driver.restart()?;
            }
        }
        driver.advance_watermark(10_000)?;
        let span = bounds(windows);
        let expected = model(kind, span, &stamped);
        let rows = driver.read::<String, String>("out")?;
        let mut results: Vec<_> =
            rows.into_iter().map(|r| (r.key, r.value, r.timestamp)).collect();
        results.sort();
        prop_assert_eq!(results, expected.results);
        for (side, topic) in ["late_left", "late_right"].into_iter().enumerate() {
            let rows = driver.read::<String, Late<i64>>(topic)?;
            let late: Vec<_> = rows.into_iter().map(|r| r.value.value).collect();
            prop_assert_eq!(&late, &expected.late[side]);
        }
    }

    #[test]
    fn chunks_and_restarts_change_nothing(
        kind in kinds(),
        windows in windows(),
        inputs in inputs(),
        delay in 0..20_u64,
        cuts in prop::collection::vec(any::<bool>(), 60),
        self_join in any::<bool>(),
    ) {
        let topology = if self_join {
            let builder = StreamsBuilder::new();
            let consumed = Consumed::new().watermark_delay(Duration::from_millis(delay));
            let left = builder.stream_with(["left"], consumed);
            join(kind, &left, &left, windows).to("out");
            builder.build()?
        } else {
            topology(kind, windows, delay)
        };
        let feed = |driver: &mut TestDriver, value: usize, input: &Input| {
            let (right, key, time, _) = *input;
            let topic = if right && !self_join { "right" } else { "left" };
            let record = Record::new(format!("k{key}"), value as i64, time);
            driver.feed(topic, &record)
        };
        let mut whole = Vec::new();
        for chunk in [1, 7, 1024] {
            let mut driver = driver(&topology, chunk);
            for (value, input) in inputs.iter().enumerate() {
                feed(&mut driver, value, input)?;
            }
            driver.run()?;
            whole.push(["out", "late_left", "late_right"].map(|topic| driver.bytes(topic)));
        }
        prop_assert_eq!(&whole[0], &whole[1]);
        prop_assert_eq!(&whole[0], &whole[2]);
        // The order of records has to stay as it was: the same runs with a restart or without.
        let mut cut = Vec::new();
        for restart in [false, true] {
            let mut driver = driver(&topology, if restart { 7 } else { 1024 });
            for (value, input) in inputs.iter().enumerate() {
                feed(&mut driver, value, input)?;
                if cuts[value] {
                    driver.run()?;
                    if restart {
                        driver.restart()?;
                    }
                }
            }
            driver.run()?;
            cut.push(["out", "late_left", "late_right"].map(|topic| driver.bytes(topic)));
        }
        prop_assert_eq!(&cut[0], &cut[1]);
    }
}

/// Before, after and allowed lateness, as their description has them.
fn bounds(windows: JoinWindows) -> (i64, i64, i64) {
    let text = windows.to_string();
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit() && c != '-')
        .filter_map(|number| number.parse::<i64>().ok());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next(), next())
}
