//! Runs a topology over an input in several ways, which all have to give the same.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::{EventTime, Window, Windowed};
use tidemark_streams::{
    Consumed, GroupedStream, Late, Record, StreamsBuilder, Topology, WindowedTable,
};

/// The partitions of the input: keys go to them in turn.
const PARTITIONS: i64 = 2;

/// A record of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) key: i64,
    pub(crate) timestamp: i64,
    /// No two are equal, and no two sums of some are: each is a power of two.
    pub(crate) value: i64,
}

/// An input and how it is cut.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) events: Vec<Event>,
    /// How far the watermark is behind.
    pub(crate) delay: i64,
    /// Where commits are.
    cuts: Vec<usize>,
}

/// A result: key, window, value if it is not gone, timestamp.
pub(crate) type Row = (i64, Window, Option<i64>, i64);
/// A late record: key, value, first window, whether another window took it, how many did not.
pub(crate) type LateRow = (i64, i64, (i64, i64), bool, u32);

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) rows: Vec<Row>,
    pub(crate) late: Vec<LateRow>,
    /// Every topic there is, byte by byte.
    bytes: BTreeMap<String, Bytes>,
}

type Bytes = Vec<Vec<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>>;

pub(crate) fn ms(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap())
}

pub(crate) fn event_time() -> impl Strategy<Value = EventTime> {
    prop_oneof![Just(EventTime::Watermark), Just(EventTime::StreamTime)]
}

/// Up to 40 records around `from`, more or less in order.
pub(crate) fn input(from: i64) -> impl Strategy<Value = Input> {
    let steps = (0..3_i64, -25..30_i64, any::<bool>());
    let events = prop::collection::vec(steps, 1..40);
    let cuts = prop::collection::vec(0..40_usize, 0..4);
    (events, cuts, 0..20_i64).prop_map(move |(steps, mut cuts, delay)| {
        let mut time = from;
        let mut events = Vec::new();
        for (at, (key, step, stays)) in steps.into_iter().enumerate() {
            // A record of the last millisecond of 1969 has no timestamp, as Kafka has it.
            let timestamp = if time + step == -1 { -2 } else { time + step };
            // Time goes on with about every second record.
            time = if stays { time } else { time.max(timestamp) };
            events.push(Event {
                key,
                timestamp,
                value: 1 << at,
            });
        }
        cuts.sort_unstable();
        Input {
            events,
            delay,
            cuts,
        }
    })
}

/// How the input is cut, and what is done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Commit,
    Restart,
    Crash,
    /// A restart, and in the end all that is open is closed.
    Finish,
}

/// A topology with `make` between the topics `in`, `out` and `late`.
pub(crate) fn topology(
    input: &Input,
    make: impl Fn(&GroupedStream<i64, i64>) -> WindowedTable<i64, i64, i64>,
) -> Topology {
    topology_of(input, &["in"], make)
}

/// The same with several topics in place of `in`.
pub(crate) fn topology_of(
    input: &Input,
    topics: &[&str],
    make: impl Fn(&GroupedStream<i64, i64>) -> WindowedTable<i64, i64, i64>,
) -> Topology {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<i64, i64>::new().watermark_delay(ms(input.delay));
    let table = make(
        &builder
            .stream_with(topics.iter().copied(), consumed)
            .group_by_key(),
    );
    table.to_stream().to("out");
    table.late().to("late");
    builder.build().unwrap()
}

/// Runs it in several ways, and gives what came out of all of them.
pub(crate) fn run(topology: &Topology, input: &Input) -> Result<Output, TestCaseError> {
    run_of(topology, input, &["in"])
}

/// The same with several topics, to which records go in turn.
pub(crate) fn run_of(
    topology: &Topology,
    input: &Input,
    topics: &[&str],
) -> Result<Output, TestCaseError> {
    let first = once(topology, input, topics, 1024, Stop::Commit);
    let finished = once(topology, input, topics, 7, Stop::Finish);
    prop_assert_eq!(sorted(first.rows.clone()), sorted(finished.rows));
    prop_assert_eq!(sorted(first.late.clone()), sorted(finished.late));
    for (chunk, stop) in [
        (1, Stop::Commit),
        (7, Stop::Commit),
        (7, Stop::Restart),
        (1024, Stop::Restart),
    ] {
        let other = once(topology, input, topics, chunk, stop);
        prop_assert_eq!(&first, &other, "chunks of {}, {:?}", chunk, stop);
    }
    if topics.len() > 1 {
        // After a crash there is more to take turns with at once than there was when it came.
        return Ok(first);
    }
    // What comes out twice because of a crash is the same both times.
    let crashed = once(topology, input, topics, 7, Stop::Crash);
    prop_assert_eq!(distinct(&first.rows), distinct(&crashed.rows));
    prop_assert_eq!(distinct(&first.late), distinct(&crashed.late));
    Ok(first)
}

fn distinct<T: Ord + Clone>(rows: &[T]) -> Vec<T> {
    let mut rows = rows.to_vec();
    rows.sort();
    rows.dedup();
    rows
}

fn once(topology: &Topology, input: &Input, topics: &[&str], chunk: usize, stop: Stop) -> Output {
    let config = DriverConfig {
        chunk,
        ..DriverConfig::default()
    };
    let mut driver = TestDriver::with_config(topology, config);
    for topic in topics {
        driver.partitions(topic, PARTITIONS as u32);
    }
    let mut cuts = input.cuts.iter().copied().peekable();
    for (at, event) in input.events.iter().enumerate() {
        let record = Record::new(event.key, event.value, event.timestamp);
        let partition = (event.key % PARTITIONS) as u32;
        driver
            .feed_to(topics[at % topics.len()], Some(partition), &record)
            .unwrap();
        // A crash comes a little later than the commit before it.
        while cuts.next_if(|cut| *cut <= at).is_some() {
            driver.run().unwrap();
            match stop {
                Stop::Commit => driver.commit().unwrap(),
                Stop::Restart | Stop::Finish => driver.restart().unwrap(),
                Stop::Crash if at % 2 == 0 => driver.commit().unwrap(),
                Stop::Crash => driver.crash().unwrap(),
            }
        }
    }
    driver.run().unwrap();
    match stop {
        Stop::Finish => driver.finish().unwrap(),
        _ => driver.advance_watermark(i64::MAX).unwrap(),
    }
    driver.commit().unwrap();
    let rows = driver.read::<Windowed<i64>, Option<i64>>("out").unwrap();
    let late = driver.read::<i64, Late<i64>>("late").unwrap();
    let rows = rows.into_iter();
    let late = late.into_iter().map(|r| {
        let window = r.value.window;
        let window = (window.start, window.end);
        let Late {
            value,
            taken,
            windows,
            ..
        } = r.value;
        (r.key, value, window, taken, windows)
    });
    let topics = driver.topics().into_iter();
    Output {
        rows: rows
            .map(|r| (r.key.key, r.key.window, r.value, r.timestamp))
            .collect(),
        late: late.collect(),
        bytes: topics
            .map(|topic| (topic.clone(), driver.bytes(&topic)))
            .collect(),
    }
}

/// The events of each partition in order, each with event time when it comes: the watermark in front
/// of it, or stream time with it. By stream time there are none from before 1970.
pub(crate) fn partitions(input: &Input, time: EventTime) -> Vec<Vec<(Event, i64)>> {
    let partition = |of: i64| {
        let events = input
            .events
            .iter()
            .filter(move |e| e.key % PARTITIONS == of)
            .filter(move |e| time == EventTime::Watermark || e.timestamp >= 0);
        let (mut watermark, mut stream_time) = (i64::MIN, i64::MIN);
        let clocked = events.map(move |event| {
            let before = watermark;
            watermark = watermark.max(event.timestamp - input.delay - 1);
            stream_time = stream_time.max(event.timestamp);
            let now = match time {
                EventTime::Watermark => before,
                EventTime::StreamTime => stream_time,
            };
            (*event, now)
        });
        clocked.collect()
    };
    (0..PARTITIONS).map(partition).collect()
}

/// The events that there are by that time.
pub(crate) fn events(input: &Input, time: EventTime) -> Vec<Event> {
    let all = partitions(input, time).into_iter().flatten();
    all.map(|(event, _)| event).collect()
}

/// Where event time of a partition comes to in the end.
pub(crate) fn end_of(partition: &[(Event, i64)], time: EventTime) -> i64 {
    match time {
        EventTime::Watermark => i64::MAX,
        EventTime::StreamTime => partition.last().map_or(i64::MIN, |(_, now)| *now),
    }
}

pub(crate) fn sorted<T: Ord>(rows: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<T> = rows.into_iter().collect();
    rows.sort();
    rows
}
