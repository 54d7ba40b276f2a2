use std::time::Duration;

use tidemark_protocol::records::BatchBuilder;

use super::*;
use crate::time::{EventTime, JoinWindows, SessionWindows, SlidingWindows, TimeWindows};
use crate::{Emit, Stream, StreamsBuilder, Suppress};

const KEYS: i64 = 20_000;
const LIMIT: usize = 64 << 10;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Build = fn(&StreamsBuilder, &Stream<String, i64>);

/// Whatever gives much out because time goes on.
const BURSTS: [(&str, Build); 9] = [
    ("tumbling", |_, stream| {
        let windows = TimeWindows::tumbling(s(3600));
        let windows = stream.group_by_key().windowed_by(windows);
        windows.count().to_stream().to("out");
    }),
    ("tumbling, final", |_, stream| {
        let windows = TimeWindows::tumbling(s(3600)).allowed_lateness(s(60));
        let windows = stream.group_by_key().windowed_by(windows);
        windows.emit(Emit::Final).count().to_stream().to("out");
    }),
    ("hopping", |_, stream| {
        let windows = TimeWindows::hopping(s(3600), s(1800));
        let windows = stream.group_by_key().windowed_by(windows);
        windows.count().to_stream().to("out");
    }),
    ("sessions", |_, stream| {
        let windows = SessionWindows::with_gap(s(3600));
        let windows = stream.group_by_key().windowed_by_session(windows);
        windows.count().to_stream().to("out");
    }),
    ("sliding", |_, stream| {
        let windows = SlidingWindows::of(s(3600));
        let windows = stream.group_by_key().windowed_by_sliding(windows);
        windows.count().to_stream().to("out");
    }),
    ("suppression", |_, stream| {
        let table = stream.group_by_key().count();
        let table = table.suppress_until_time_limit(s(3600), Suppress::new());
        table.to_stream().to("out");
    }),
    ("in order", |_, stream| {
        stream.in_order(s(3600), EventTime::Watermark).to("out");
    }),
    ("a join", |builder, stream| {
        let other = builder.stream::<String, i64>("other");
        let show = |left: &i64, _: Option<&i64>| *left;
        let joined = stream.left_join(&other, show, JoinWindows::within(s(3600)));
        joined.to("out");
    }),
    ("one behind the other", |_, stream| {
        let windows = TimeWindows::tumbling(s(3600));
        let windows = stream.group_by_key().windowed_by(windows);
        let counts = windows.count().to_stream();
        counts.in_order(s(60), EventTime::Watermark).to("out");
    }),
];

/// Records of one time, one for each key.
fn records_of_all_keys(timestamp: i64) -> Batch {
    let mut batch = BatchBuilder::new();
    for number in 0..KEYS {
        let key = format!("key{number}");
        let value = crate::data::encode_vec(&number).unwrap();
        batch
            .append(timestamp, Some(key.as_bytes()), value.as_deref(), &[])
            .unwrap();
    }
    Batch::parse(batch.build().unwrap()).unwrap()
}

fn one_record(offset: i64, timestamp: i64) -> Batch {
    let mut batch = BatchBuilder::new().base_offset(offset);
    let value = 1_i64.to_be_bytes();
    batch
        .append(timestamp, Some(b"key"), Some(&value), &[])
        .unwrap();
    Batch::parse(batch.build().unwrap()).unwrap()
}

fn task(build: Build) -> Task {
    let builder = StreamsBuilder::new();
    build(&builder, &builder.stream("in"));
    let topology = builder.build().unwrap();
    Task::alone(&topology, 100, LIMIT)
}

/// However much closes at once, not much more waits to be written than may, and all of it comes.
#[test]
fn what_closes_at_once_comes_out_in_portions() {
    for (name, build) in BURSTS {
        let mut task = task(build);
        task.push(0, vec![records_of_all_keys(5)], KEYS, true);
        for other in 1..task.inputs().count() {
            task.push(other, Vec::new(), 0, true);
        }
        let (mut most, mut records, mut portions) = (0, 0, 0);
        let mut take = |task: &mut Task| {
            most = task.outbox().bytes().max(most);
            records += task.outbox().len() as i64;
            task.outbox().clear();
        };
        while task.step().unwrap() {
            take(&mut task);
        }
        task.set_watermark(i64::MAX / 2).unwrap();
        take(&mut task);
        while task.go_on().unwrap() {
            portions += 1;
            take(&mut task);
        }
        let ways = match name {
            "hopping" => 2,
            _ => 1,
        };
        assert_eq!(records, KEYS * ways, "{name}");
        assert!(portions > 3, "{name}: {portions}");
        assert!(most < LIMIT * 2, "{name}: {most}");
    }
}

/// A record of the other partition may be earlier: as long as it is awaited nothing goes on.
#[test]
fn a_task_waits_for_a_dry_partition_only_while_it_is_told_to() {
    let mut task = task(|builder, stream| {
        let other = builder.stream::<String, i64>("other");
        stream.merge(&other).to("out");
    });
    let feed = |task: &mut Task, input: usize, offset: i64, timestamp: i64| {
        let batch = one_record(offset, timestamp);
        task.push(input, vec![batch], offset + 1, true);
    };
    task.push(1, Vec::new(), 0, true);
    assert!(task.is_dry(1));
    task.set_awaited(1, true);
    feed(&mut task, 0, 0, 20);
    assert!(
        !task.step().unwrap(),
        "nothing goes on without the other one"
    );
    feed(&mut task, 1, 0, 10);
    assert!(!task.is_dry(1));
    // The earlier record, and then it is dry again.
    assert!(task.step().unwrap());
    assert!(!task.step().unwrap());
    assert_eq!((task.waiting(0).0, task.waiting(1).0), (1, 0));
    task.set_awaited(1, false);
    assert!(task.step().unwrap());
    // It is not waited for once more with each record.
    feed(&mut task, 0, 1, 30);
    assert!(task.step().unwrap());
    assert_eq!(task.waiting(0).0, 0);
}

/// Two ways on from the records of two topics, of which the other one holds the watermark.
fn two_branches(builder: &StreamsBuilder, stream: &Stream<String, i64>) {
    let both = stream.merge(&builder.stream::<String, i64>("other"));
    for (hours, to) in [(1, "out"), (2, "out2")] {
        let windows = TimeWindows::tumbling(s(hours * 3600));
        let windows = both.group_by_key().windowed_by(windows);
        windows.emit(Emit::Final).count().to_stream().to(to);
    }
}

/// Idleness moves the watermark, too: all ways on are told of it, however much comes out of the first
/// one, and the clock behind that.
#[test]
fn idleness_closes_windows_of_all_branches_in_portions() {
    let mut task = task(two_branches);
    task.idleness = Some(Idleness {
        after: 100,
        step: 100,
    });
    let batches = vec![records_of_all_keys(5), one_record(KEYS, 3 * 3_600_000)];
    task.push(0, batches, KEYS + 1, true);
    task.push(1, Vec::new(), 0, true);
    while task.step().unwrap() {}
    assert_eq!((task.outbox().len(), task.watermark()), (0, i64::MIN));
    for now in [0, 100, 200] {
        for input in 0..2 {
            task.set_heard(input, now);
        }
        task.advance(now, false).unwrap();
    }
    assert_eq!(task.watermark(), 3 * 3_600_000 - 1);
    let (mut most, mut records, mut portions) = (0, 0, 0);
    loop {
        most = task.outbox().bytes().max(most);
        records += task.outbox().len() as i64;
        task.outbox().clear();
        if !task.go_on().unwrap() {
            break;
        }
        portions += 1;
    }
    assert_eq!(records, 2 * KEYS);
    assert!(portions > 3, "{portions}");
    assert!(most < LIMIT * 2, "{most}");
}

/// A partition of which nobody says that there is nothing is not idle.
#[test]
fn time_in_which_the_broker_is_away_makes_nothing_idle() {
    let mut task = task(two_branches);
    task.idleness = Some(Idleness {
        after: 1000,
        step: 600,
    });
    task.push(0, vec![one_record(0, 50)], 1, true);
    task.push(1, Vec::new(), 0, true);
    while task.step().unwrap() {}
    let mut look = |heard: Option<i64>, now: i64| {
        if let Some(heard) = heard {
            (0..2).for_each(|input| task.set_heard(input, heard));
        }
        task.advance(now, false).unwrap();
        task.watermark()
    };
    let hour = 3_600_000;
    // Not heard of at all, then heard of once, and then no more.
    assert_eq!(look(None, 0), i64::MIN);
    assert_eq!(look(None, hour), i64::MIN);
    assert_eq!(look(Some(hour), hour), i64::MIN);
    for minute in 1..60 {
        assert_eq!(look(None, hour + minute * 60_000), i64::MIN);
    }
    // It is back, and has nothing.
    assert_eq!(look(Some(2 * hour), 2 * hour), i64::MIN);
    assert_eq!(look(Some(2 * hour + 400), 2 * hour + 450), i64::MIN);
    assert_eq!(look(Some(2 * hour + 401), 2 * hour + 500), 49);
}
