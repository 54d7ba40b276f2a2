//! Windows of all kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use tidemark_streams::time::{SessionWindows, SlidingWindows, TimeWindows, Windowed};
use tidemark_streams::{
    Consumed, Emit, Fold, GroupedStream, Stream, StreamsBuilder, Suppress, Topology,
};

use super::{Application, DISORDER, Expected, Input, Outputs, PARTITIONS, as_it_is, by, records};

/// Milliseconds of a window.
pub const SIZE: i64 = 1000;
/// Milliseconds from one hopping window to the next one.
const ADVANCE: i64 = 250;
/// Milliseconds that end a session. Timestamps are even: none is as far as just that from another one.
pub const GAP: i64 = 151;
/// Milliseconds that records in a sliding window may be apart.
pub const DIFFERENCE: i64 = 301;

fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

fn events(builder: &StreamsBuilder, topic: &str) -> Stream<String, String> {
    let consumed = Consumed::<String, String>::new().watermark_delay(ms(DISORDER));
    builder.stream_with([topic], consumed)
}

/// A window's key as it is written.
fn text(key: &Windowed<String>) -> String {
    named(&key.key, key.window.start, key.window.end)
}

fn named(key: &str, start: i64, end: i64) -> String {
    format!("{key}@{start}..{end}")
}

fn rows(stream: &Stream<Windowed<String>, i64>, topic: &str) {
    let rows = stream.map(|key, value| (text(&key), value.to_string()));
    rows.to(topic);
}

/// A topology with one table of windows, of the records of "in" by their keys, whose results go to "counts".
fn counting(
    topic: &dyn Fn(&str) -> String,
    counts: impl FnOnce(GroupedStream<String, String>) -> Stream<Windowed<String>, i64>,
) -> Topology {
    let builder = StreamsBuilder::new();
    let grouped = events(&builder, &topic("in")).group_by_key();
    rows(&counts(grouped), &topic("counts"));
    builder.build().expect("a good topology")
}

/// Counts in tumbling windows, and the records that come too late for theirs.
pub const LATE: Application = Application {
    name: "late",
    inputs: &["in"],
    outputs: &["counts", "late"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        let windows = TimeWindows::tumbling(ms(SIZE));
        let grouped = events(&builder, &topic("in")).group_by_key();
        let counts = grouped.windowed_by(windows).count();
        rows(&counts.values(), &topic("counts"));
        counts
            .late()
            .map_values(|late| format!("{} {} {}", late.value, late.window.start, late.lateness))
            .to(&topic("late"));
        builder.build().expect("a good topology")
    },
    record: |random, input| {
        let behind = if random.random_bool(0.1) { 2500 } else { 0 };
        Input {
            timestamp: input.timestamp - behind,
            ..input
        }
    },
    expected: |all| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        let mut late = BTreeSet::new();
        for partition in 0..PARTITIONS {
            let mut watermark = i64::MIN;
            for input in all.iter().filter(|input| input.partition() == partition) {
                let start = input.timestamp.div_euclid(SIZE) * SIZE;
                let last = start + SIZE - 1;
                if watermark < last {
                    let window = named(&input.text(), start, start + SIZE);
                    *counts.entry(window).or_default() += 1;
                } else {
                    let value = input.value.clone().unwrap_or_default();
                    let by = watermark - last + 1;
                    late.insert((input.text(), format!("{value} {start} {by}")));
                }
                watermark = watermark.max(input.timestamp - DISORDER - 1);
            }
        }
        let counts = counts.into_iter();
        let counts = counts.map(|(window, count)| (window, count.to_string()));
        [("counts", records(counts)), ("late", records(late))].into()
    },
};

/// Sums in hopping windows, behind a repartition topic.
pub const HOPPING: Application = Application {
    name: "hopping",
    inputs: &["in"],
    outputs: &["sums", "late"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        let sum = Fold::new(
            || 0,
            |_: &String, value: String, sum: &mut i64| *sum += number(&value),
        )
        .merging(|_: &String, sum: &mut i64, other: i64| *sum += other);
        let windows = TimeWindows::hopping(ms(SIZE), ms(ADVANCE));
        let sums = events(&builder, &topic("in"))
            .group_by(|_, value| group(number(value)))
            .windowed_by(windows)
            .aggregate(sum);
        rows(&sums.values(), &topic("sums"));
        let late = sums.late().map_values(|late| late.value);
        late.to(&topic("late"));
        builder.build().expect("a good topology")
    },
    record: as_it_is,
    expected: |all| {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for input in all {
            let mut start = input.timestamp.div_euclid(ADVANCE) * ADVANCE;
            while start > input.timestamp - SIZE {
                let window = named(&group(input.number), start, start + SIZE);
                *sums.entry(window).or_default() += input.number;
                start -= ADVANCE;
            }
        }
        let sums = sums.into_iter();
        let sums = sums.map(|(window, sum)| (window, sum.to_string()));
        [("sums", records(sums)), ("late", records([]))].into()
    },
};

fn number(value: &str) -> i64 {
    let digits = value.trim_start_matches('v');
    digits.parse().expect("a number")
}

fn group(number: i64) -> String {
    format!("g{}", number % 7)
}

/// Counts in sliding windows.
pub const SLIDING: Application = Application {
    name: "sliding",
    inputs: &["in"],
    outputs: &["counts"],
    topology: |topic| {
        let windows = SlidingWindows::of(ms(DIFFERENCE));
        counting(topic, |grouped| {
            grouped.windowed_by_sliding(windows).count().values()
        })
    },
    record: as_it_is,
    expected: |all| {
        let mut counts = BTreeSet::new();
        for (_, all) in by(all, |input| input.key) {
            let times: Vec<i64> = all.iter().map(|input| input.timestamp).collect();
            // A window ends with each record, and one begins right behind each that has others in it.
            let ends = times.iter().map(|time| time - DIFFERENCE);
            let begins = times.iter().map(|time| time + 1);
            for start in ends.chain(begins) {
                let window = start..=start + DIFFERENCE;
                let count = times.iter().filter(|time| window.contains(time)).count();
                if count > 0 {
                    let window = named(&all[0].text(), start, start + DIFFERENCE);
                    counts.insert((window, count.to_string()));
                }
            }
        }
        [("counts", records(counts))].into()
    },
};

/// Counts in sessions.
pub const SESSIONS: Application = Application {
    name: "sessions",
    inputs: &["in"],
    outputs: &["counts"],
    topology: |topic| {
        let windows = SessionWindows::with_gap(ms(GAP));
        counting(topic, |grouped| {
            grouped.windowed_by_session(windows).count().values()
        })
    },
    record: as_it_is,
    expected: |all| [("counts", records(sessions(all)))].into(),
};

/// Counts in sessions with each record; what has become part of another session goes.
pub const SESSION_UPDATES: Application = Application {
    name: "session-updates",
    inputs: &["in"],
    outputs: &["counts"],
    topology: |topic| {
        let builder = StreamsBuilder::new();
        let windows = SessionWindows::with_gap(ms(GAP));
        let grouped = events(&builder, &topic("in")).group_by_key();
        let counts = grouped
            .windowed_by_session(windows)
            .emit(Emit::Update)
            .count();
        let show = |count: Option<i64>| count.map(|count| count.to_string());
        counts
            .to_stream()
            .map(move |key, count| (text(&key), show(count)))
            .to(&topic("counts"));
        builder.build().expect("a good topology")
    },
    record: as_it_is,
    expected: |all| [("counts", Expected::Latest(sessions(all)))].into(),
};

fn sessions(all: &[Input]) -> BTreeMap<String, String> {
    let mut sessions = BTreeMap::new();
    for (_, all) in by(all, |input| input.key) {
        let mut times: Vec<i64> = all.iter().map(|input| input.timestamp).collect();
        times.sort_unstable();
        for session in times.chunk_by(|a, b| b - a <= GAP) {
            let (start, end) = (session[0], session[session.len() - 1]);
            let window = named(&all[0].text(), start, end);
            sessions.insert(window, session.len().to_string());
        }
    }
    sessions
}

/// Counts in tumbling windows, held back until they are final.
pub const SUPPRESSED: Application = Application {
    name: "suppressed",
    inputs: &["in"],
    outputs: &["counts"],
    topology: |topic| {
        let windows = TimeWindows::tumbling(ms(SIZE));
        counting(topic, |grouped| {
            let counts = grouped.windowed_by(windows).emit(Emit::Update).count();
            let last = counts.suppress_until_window_closes(Suppress::new());
            last.values()
        })
    },
    record: as_it_is,
    expected: |all| {
        let windows = by(all, |input| {
            let start = input.timestamp.div_euclid(SIZE) * SIZE;
            named(&input.text(), start, start + SIZE)
        });
        let counts = windows.into_iter();
        let counts = counts.map(|(window, all)| (window, all.len().to_string()));
        Outputs::from([("counts", records(counts))])
    },
};
