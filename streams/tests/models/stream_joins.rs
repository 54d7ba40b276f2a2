//! Joins of two streams, over several partitions, by the watermark and by stream time.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use tidemark_streams::time::{EventTime, JoinWindows, TimeWindows, Windowed};
use tidemark_streams::{Emit, JoinedStream, Late, StreamsBuilder};

use crate::harness::{
    ByKey, Event, Input, TOPICS, Taken, event_time, inputs, ms, push, read, run, run_with_crashes,
};
use crate::seed::cases;

/// Whether results come out without a partner, by side.
type Outer = [bool; 2];

/// How far apart partners may be, and for how long they are waited for.
#[derive(Clone, Copy, Debug)]
struct Rules {
    before: i64,
    after: i64,
    grace: i64,
    outer: Outer,
}

impl Rules {
    /// How much earlier and later a partner may be than a record of that side.
    fn reach(&self, side: usize) -> (i64, i64) {
        [(self.before, self.after), (self.after, self.before)][side]
    }

    fn near(&self, left: i64, right: i64) -> bool {
        (left - self.before..=left + self.after).contains(&right)
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let outer = prop_oneof![
        Just([false, false]),
        Just([true, false]),
        Just([true, true])
    ];
    (-5..15_i64, 0..15_i64, 0..12_i64, outer).prop_map(|(before, after, grace, outer)| Rules {
        before,
        after: after.max(-before),
        grace,
        outer,
    })
}

fn show(left: Option<i64>, right: Option<i64>) -> String {
    let show = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    format!("{}:{}", show(left), show(right))
}

/// A result of a record of that side with a partner or without one.
fn pair(side: usize, own: i64, other: Option<i64>) -> String {
    match side {
        0 => show(Some(own), other),
        _ => show(other, Some(own)),
    }
}

/// What comes out, and what is late by side.
#[derive(Default)]
struct Output {
    rows: ByKey<String>,
    late: [ByKey<i64>; 2],
}

/// All pairs of records that are not late, and all of them that have no partner.
fn by_watermark(partition: &[Taken], rules: &Rules, output: &mut Output) {
    let mut sides: [Vec<Event>; 2] = Default::default();
    for Taken { event, front, .. } in partition {
        let Some(value) = event.value else { continue };
        if event.timestamp + rules.grace <= *front {
            push(
                &mut output.late[event.topic],
                event.key,
                value,
                event.timestamp,
            );
        } else {
            sides[event.topic].push(*event);
        }
    }
    let mut met = HashSet::new();
    for left in &sides[0] {
        for right in &sides[1] {
            if left.key == right.key && rules.near(left.timestamp, right.timestamp) {
                met.extend([left.value, right.value]);
                let at = left.timestamp.max(right.timestamp);
                push(
                    &mut output.rows,
                    left.key,
                    show(left.value, right.value),
                    at,
                );
            }
        }
    }
    for (side, events) in sides
        .iter()
        .enumerate()
        .filter(|(side, _)| rules.outer[*side])
    {
        for event in events.iter().filter(|event| !met.contains(&event.value)) {
            let result = pair(side, event.value.unwrap(), None);
            push(&mut output.rows, event.key, result, event.timestamp);
        }
    }
}

/// What waits for a partner, by time and key.
type Waiting = BTreeMap<(i64, i64), Vec<i64>>;

/// Kafka's rules one by one, over lists that keep everything.
fn by_stream_time(partition: &[Taken], rules: &Rules, output: &mut Output) {
    let kept_for = rules.before + rules.after + rules.grace;
    let mut sides: [Vec<Event>; 2] = Default::default();
    // The time of each side's store is that of its own records.
    let mut times = [i64::MIN; 2];
    let mut waiting: [Waiting; 2] = Default::default();
    for Taken {
        event,
        stream_time: now,
        ..
    } in partition.iter().filter(|taken| taken.event.timestamp >= 0)
    {
        let (side, time, now) = (event.topic, event.timestamp, *now);
        let Some(value) = event.value else {
            times[side] = times[side].max(time);
            continue;
        };
        let due = |side: usize, time: i64| time + rules.reach(side).1 + rules.grace < now;
        // Only a record that moves time on has others come out: the earliest first, of equal ones those of
        // the right side.
        let first = |waiting: &[Waiting; 2], side: usize| {
            let (time, key) = *waiting[side].first_key_value()?.0;
            due(side, time).then_some((time, 1 - side, key))
        };
        let next = |waiting: &[Waiting; 2]| {
            let both = [first(waiting, 0), first(waiting, 1)];
            both.into_iter().flatten().min().filter(|_| time == now)
        };
        while let Some((_, other, _)) = next(&waiting) {
            let ((time, key), values) = waiting[1 - other].pop_first().unwrap();
            for value in values {
                let result = pair(1 - other, value, None);
                push(&mut output.rows, key, result, time);
            }
        }
        let (earlier, later) = rules.reach(side);
        // It looks for nothing before 1970, where there is nothing, but always for something.
        let (from, to) = ((time - earlier).max(0), (time + later).max(0));
        let is_partner = |other: &&Event| {
            other.key == event.key
                && (from..=to).contains(&other.timestamp)
                && other.timestamp > times[1 - side].saturating_sub(kept_for)
        };
        let found = sides[1 - side].iter().filter(is_partner);
        let mut found: Vec<Event> = found.copied().collect();
        found.sort_by_key(|other| other.timestamp);
        for other in &found {
            let at = time.max(other.timestamp);
            push(
                &mut output.rows,
                event.key,
                pair(side, value, other.value),
                at,
            );
            waiting[1 - side].remove(&(other.timestamp, event.key));
        }
        if found.is_empty() && rules.outer[side] {
            if to < now {
                push(&mut output.rows, event.key, pair(side, value, None), time);
            } else {
                waiting[side]
                    .entry((time, event.key))
                    .or_default()
                    .push(value);
            }
        }
        times[side] = times[side].max(time);
        if time > times[side] - kept_for {
            sides[side].push(*event);
        } else {
            push(&mut output.late[side], event.key, value, time);
        }
    }
}

fn model(input: &Input, rules: &Rules, time: EventTime) -> Output {
    let mut output = Output::default();
    for partition in input.taken(2) {
        match time {
            EventTime::Watermark => by_watermark(&partition, rules, &mut output),
            EventTime::StreamTime => by_stream_time(&partition, rules, &mut output),
        }
    }
    if time == EventTime::Watermark {
        // In which order they come out is for another test.
        output.rows.values_mut().for_each(|rows| rows.sort());
    }
    output
}

type Joined = JoinedStream<i64, Option<i64>, Option<i64>, String>;

/// The input's topics, joined.
fn joined(builder: &StreamsBuilder, input: &Input, rules: &Rules, time: EventTime) -> Joined {
    let windows = JoinWindows::within(ms(0))
        .before_millis(rules.before)
        .after_millis(rules.after)
        .allowed_lateness(ms(rules.grace))
        .event_time(time);
    let [a, b] = TOPICS.map(|topic| builder.stream_with([topic], input.consumed::<Option<i64>>()));
    match rules.outer {
        [false, _] => a.join(&b, |l, r| show(*l, *r), windows),
        [true, false] => a.left_join(&b, |l, r| show(*l, r.copied().flatten()), windows),
        [true, true] => {
            let show = |l: Option<&Option<i64>>, r: Option<&Option<i64>>| {
                show(l.copied().flatten(), r.copied().flatten())
            };
            a.outer_join(&b, show, windows)
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn give_what_they_should(input in inputs(), rules in rules(), time in event_time()) {
        let builder = StreamsBuilder::new();
        let joined = joined(&builder, &input, &rules, time);
        joined.to("out");
        joined.late_left().to("late_a");
        joined.late_right().to("late_b");
        // By the watermark results are never late for what is behind, as short as windows may be.
        let windowed = joined.group_by_key().windowed_by(TimeWindows::tumbling(ms(1)));
        let counts = windowed.emit(Emit::Final).count();
        counts.values().to("counts");
        counts.late().in_headers().to("late");
        let mut driver = run(&builder.build()?, &input)?;
        let wanted = model(&input, &rules, time);
        let mut rows = read::<String>(&mut driver, "out");
        if time == EventTime::Watermark {
            rows.values_mut().for_each(|rows| rows.sort());
        }
        if time == EventTime::Watermark {
            prop_assert!(driver.read::<i64, String>("late")?.is_empty());
            let counts = driver.read::<Windowed<i64>, i64>("counts")?.into_iter();
            let results = rows.values().map(Vec::len).sum::<usize>();
            prop_assert_eq!(counts.map(|row| row.value).sum::<i64>(), results as i64);
        }
        prop_assert_eq!(rows, wanted.rows);
        for (topic, wanted) in ["late_a", "late_b"].into_iter().zip(wanted.late) {
            let mut late = ByKey::new();
            for (key, rows) in read::<Late<Option<i64>>>(&mut driver, topic) {
                for (row, timestamp) in rows {
                    prop_assert_eq!(row.taken, time == EventTime::StreamTime);
                    push(&mut late, key, row.value.unwrap(), timestamp);
                }
            }
            prop_assert_eq!(late, wanted);
        }
    }

    /// Crashes lose nothing, and what goes on to other tasks is counted once: in which order two topics are
    /// taken again does not show.
    #[test]
    fn results_are_counted_once_after_crashes(mut input in inputs(), rules in rules()) {
        input.delay = 100_000;
        let builder = StreamsBuilder::new();
        let joined = joined(&builder, &input, &rules, EventTime::Watermark);
        joined.to("out");
        let group = |value: &String| value.len() as i64 % 3;
        let grouped = joined.group_by(move |_, value| group(value));
        grouped.count().values().to("counts");
        let topology = builder.build()?;
        let wanted = model(&input, &rules, EventTime::Watermark).rows;
        let mut driver = run_with_crashes(&topology, &input);
        let mut rows = read::<String>(&mut driver, "out");
        for rows in rows.values_mut() {
            rows.sort();
            rows.dedup();
        }
        prop_assert_eq!(&rows, &wanted);
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for (value, _) in wanted.values().flatten() {
            *counts.entry(group(value)).or_default() += 1;
        }
        let got = read::<i64>(&mut driver, "counts").into_iter();
        let got = got.map(|(key, rows)| (key, rows[rows.len() - 1].0));
        prop_assert_eq!(got.collect::<BTreeMap<_, _>>(), counts);
    }
}
