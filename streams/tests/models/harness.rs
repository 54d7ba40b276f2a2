//! An input, the order in which tasks take it, and the ways in which a topology runs over it: all have to
//! give the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::time::EventTime;
use tidemark_streams::{Consumed, Data, Record, Topology};

/// The input's topics.
pub(crate) const TOPICS: [&str; 2] = ["a", "b"];

/// The partitions of each: keys go to them in turn.
const PARTITIONS: i64 = 2;

/// So many keys there are.
pub(crate) const KEYS: i64 = 4;

/// A record of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Its place in [`TOPICS`].
    pub(crate) topic: usize,
    pub(crate) key: i64,
    /// No two are equal, and no two sums of some are: each is a power of two.
    pub(crate) value: Option<i64>,
    pub(crate) timestamp: i64,
}

/// An input and how it is cut.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) events: Vec<Event>,
    /// How far the watermark of a partition is behind its latest record.
    pub(crate) delay: i64,
    /// Behind which records everything so far is processed and committed.
    cuts: Vec<usize>,
}

/// A record as it is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) event: Event,
    /// The task's watermark in front of it and behind it.
    pub(crate) front: i64,
    pub(crate) behind: i64,
    /// The largest timestamp so far, its own included.
    pub(crate) stream_time: i64,
}

impl Taken {
    /// Event time for this record.
    pub(crate) fn now(&self, time: EventTime) -> i64 {
        match time {
            EventTime::Watermark => self.front,
            EventTime::StreamTime => self.stream_time,
        }
    }
}

pub(crate) fn ms(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap())
}

pub(crate) fn event_time() -> impl Strategy<Value = EventTime> {
    prop_oneof![Just(EventTime::Watermark), Just(EventTime::StreamTime)]
}

/// Records of one topic or of two, some of them from before 1970.
pub(crate) fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![input(1, 1000), input(2, 1000), input(2, -60)]
}

/// Up to 40 records of so many topics, more or less in order.
pub(crate) fn input(topics: usize, from: i64) -> impl Strategy<Value = Input> {
    let null = prop_oneof![5 => Just(false), 1 => Just(true)];
    let step = (0..topics, 0..KEYS, null, -25..30_i64, any::<bool>());
    let events = prop::collection::vec(step, 1..40);
    let cuts = prop::collection::vec(0..40_usize, 0..4);
    let delay = prop_oneof![0..4_i64, 0..20_i64];
    // Small steps, so that times meet what they are measured by.
    let small = any::<bool>();
    (events, cuts, delay, small).prop_map(move |(steps, mut cuts, delay, small)| {
        let mut time = from;
        let mut events = Vec::new();
        for (at, (topic, key, null, step, stays)) in steps.into_iter().enumerate() {
            let step = if small { step / 5 } else { step };
            // A record of the last millisecond of 1969 has no timestamp, as Kafka has it.
            let timestamp = if time + step == -1 { -2 } else { time + step };
            // Time goes on with about every second record.
            time = if stays { time } else { time.max(timestamp) };
            events.push(Event {
                topic,
                key,
                value: (!null).then_some(1 << at),
                timestamp,
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

impl Input {
    /// The same without nulls.
    pub(crate) fn without_nulls(mut self) -> Self {
        for (at, event) in self.events.iter_mut().enumerate() {
            event.value = Some(1 << at);
        }
        self
    }

    /// How its topics are read.
    pub(crate) fn consumed<V: Data>(&self) -> Consumed<i64, V> {
        Consumed::new().watermark_delay(ms(self.delay))
    }

    /// The records between the cuts.
    pub(crate) fn parts(&self) -> Vec<&[Event]> {
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in &self.cuts {
            let to = (cut + 1).clamp(from, self.events.len());
            parts.push(&self.events[from..to]);
            from = to;
        }
        parts.push(&self.events[from..]);
        parts
    }

    /// The records of each partition of a task that reads the first `topics` topics, in the order in
    /// which it takes them: of what is there, the earliest first, of equal ones that of the first topic.
    pub(crate) fn taken(&self, topics: usize) -> Vec<Vec<Taken>> {
        let partitions = (0..PARTITIONS).map(|partition| {
            let mut taken = Vec::new();
            let mut own = vec![i64::MIN; topics];
            let (mut front, mut stream_time) = (i64::MIN, i64::MIN);
            for part in self.parts() {
                let waiting = part
                    .iter()
                    .filter(|event| event.key % PARTITIONS == partition);
                let mut waiting: Vec<Event> = waiting.copied().collect();
                while !waiting.is_empty() {
                    let head = |topic| waiting.iter().position(|event| event.topic == topic);
                    let heads = (0..topics).filter_map(head);
                    let next = heads.min_by_key(|at| (waiting[*at].timestamp, waiting[*at].topic));
                    let event = waiting.remove(next.unwrap());
                    let watermark = &mut own[event.topic];
                    *watermark = (*watermark).max(event.timestamp - self.delay - 1);
                    let behind = own.iter().copied().fold(i64::MAX, i64::min);
                    stream_time = stream_time.max(event.timestamp);
                    taken.push(Taken {
                        event,
                        front,
                        behind,
                        stream_time,
                    });
                    front = behind;
                }
            }
            taken
        });
        partitions.collect()
    }
}

/// What is done at the cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Commit,
    Restart,
    /// In turn with commits.
    Crash,
}

/// How event time comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The watermark moves there.
    Watermark,
    /// Everything that is open is closed.
    Finish,
}

/// Runs a topology over an input in several ways, and in the end to the end of event time: every topic
/// there is, changelogs included, has to have the same bytes each time. Gives what there is then.
pub(crate) fn run(topology: &Topology, input: &Input) -> Result<TestDriver, TestCaseError> {
    let driver = run_to_the_end(topology, input)?;
    let finished = once(topology, input, 7, Stop::Restart, End::Finish);
    for topic in outputs(&driver, &finished) {
        // In which order tasks come to it is free.
        let records = |driver: &TestDriver| {
            let mut records = driver.bytes(&topic).concat();
            records.sort();
            records
        };
        prop_assert_eq!(
            records(&driver),
            records(&finished),
            "{} when all is closed",
            topic
        );
    }
    Ok(driver)
}

/// The same where something comes out at the end of event time that closes nothing.
pub(crate) fn run_to_the_end(
    topology: &Topology,
    input: &Input,
) -> Result<TestDriver, TestCaseError> {
    let driver = once(topology, input, 1024, Stop::Commit, End::Watermark);
    for (chunk, stop) in [
        (1, Stop::Commit),
        (7, Stop::Commit),
        (7, Stop::Restart),
        (1024, Stop::Restart),
    ] {
        let other = once(topology, input, chunk, stop, End::Watermark);
        for topic in topics(&driver, &other, stop) {
            let (first, other) = (driver.bytes(&topic), other.bytes(&topic));
            prop_assert_eq!(first, other, "{} by chunks of {}, {:?}", topic, chunk, stop);
        }
    }
    if input.events.iter().all(|event| event.topic == 0) {
        // What comes out twice because of a crash is the same both times. With several topics there is
        // more to take turns with at once than there was when it came.
        let crashed = run_with_crashes(topology, input);
        for topic in outputs(&driver, &crashed) {
            let records = |driver: &TestDriver| -> BTreeSet<_> {
                driver.bytes(&topic).concat().into_iter().collect()
            };
            prop_assert_eq!(
                records(&driver),
                records(&crashed),
                "{} with crashes",
                topic
            );
        }
    }
    Ok(driver)
}

/// Runs a topology over an input, with crashes in turn with commits.
pub(crate) fn run_with_crashes(topology: &Topology, input: &Input) -> TestDriver {
    once(topology, input, 7, Stop::Crash, End::Watermark)
}

/// The topics that have to be the same. With a restart a task forgets whom it has told of its watermark,
/// and tells it again: that shows in repartition topics, and in what their readers note of it.
fn topics(one: &TestDriver, other: &TestDriver, stop: Stop) -> BTreeSet<String> {
    let mut topics: BTreeSet<String> = one.topics().into_iter().chain(other.topics()).collect();
    if stop == Stop::Restart {
        let tells = ["-repartition", "-repartition-read-changelog"];
        topics.retain(|topic| !tells.iter().any(|end| topic.ends_with(end)));
    }
    topics
}

/// The topics that are not the application's own.
fn outputs(one: &TestDriver, other: &TestDriver) -> BTreeSet<String> {
    let mut topics = topics(one, other, Stop::Commit);
    topics.retain(|topic| !topic.starts_with("test-"));
    topics
}

fn once(topology: &Topology, input: &Input, chunk: usize, stop: Stop, end: End) -> TestDriver {
    let config = DriverConfig {
        chunk,
        ..DriverConfig::default()
    };
    let mut driver = TestDriver::with_config(topology, config);
    for topic in TOPICS {
        driver.partitions(topic, PARTITIONS as u32);
    }
    for (at, part) in input.parts().into_iter().enumerate() {
        for event in part {
            let record = Record::new(event.key, event.value, event.timestamp);
            let partition = (event.key % PARTITIONS) as u32;
            let fed = driver.feed_to(TOPICS[event.topic], Some(partition), &record);
            fed.unwrap();
        }
        driver.run().unwrap();
        match stop {
            Stop::Commit => driver.commit().unwrap(),
            Stop::Restart => driver.restart().unwrap(),
            Stop::Crash if at % 2 == 0 => driver.commit().unwrap(),
            Stop::Crash => driver.crash().unwrap(),
        }
    }
    match end {
        End::Watermark => driver.advance_watermark(i64::MAX).unwrap(),
        End::Finish => driver.finish().unwrap(),
    }
    driver.commit().unwrap();
    driver
}

/// What came out by key, in order: value and timestamp.
pub(crate) type ByKey<V> = BTreeMap<i64, Vec<(V, i64)>>;

/// What lies in a topic by key.
pub(crate) fn read<V: Data>(driver: &mut TestDriver, topic: &str) -> ByKey<V> {
    let mut rows = ByKey::new();
    for record in driver.read::<i64, V>(topic).unwrap() {
        let row = (record.value, record.timestamp);
        rows.entry(record.key).or_default().push(row);
    }
    rows
}

/// Adds what is to come out.
pub(crate) fn push<V>(rows: &mut ByKey<V>, key: i64, value: V, timestamp: i64) {
    rows.entry(key).or_default().push((value, timestamp));
}
