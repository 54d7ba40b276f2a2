//! Days and months in Berlin, by the rule of summer time that the European Union has had since 1996.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::time::{CalendarUnit, CalendarWindows, Windowed};
use tidemark_streams::{Emit, StreamsBuilder};

use crate::harness::{Input, input, ms, run};
use crate::seed::cases;

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// The days since 1970 of the first of a month, counted from January 1970 on.
fn first_of(month: i64) -> i64 {
    let (year, month) = (1970 + month.div_euclid(12), month.rem_euclid(12));
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years = (1970..year).map(|year| if leap(year) { 366 } else { 365 });
    years.sum::<i64>() + lengths[..month as usize].iter().sum::<i64>()
}

/// One o'clock UTC on the last Sunday of a month with 31 days: then the clock is changed.
fn change(month: i64) -> i64 {
    let last = first_of(month) + 30;
    // 1970-01-01 was a Thursday.
    let since_sunday = (last + 4).rem_euclid(7);
    (last - since_sunday) * DAY + HOUR
}

/// What is to be added to UTC.
fn offset(utc: i64, year: i64) -> i64 {
    let (march, october) = (
        change((year - 1970) * 12 + 2),
        change((year - 1970) * 12 + 9),
    );
    if (march..october).contains(&utc) {
        2 * HOUR
    } else {
        HOUR
    }
}

/// When a day begins. The clock is changed at night, behind midnight.
fn midnight(day: i64, year: i64) -> i64 {
    let winter = day * DAY - HOUR;
    winter + HOUR - offset(winter, year)
}

/// The days of Berlin, or its months, that begin in these years.
fn windows(unit: CalendarUnit, years: std::ops::Range<i64>) -> BTreeMap<i64, i64> {
    let mut starts = Vec::new();
    for year in years {
        let months = (year - 1970) * 12..=(year - 1970) * 12 + 12;
        let firsts: Vec<i64> = months.map(first_of).collect();
        match unit {
            CalendarUnit::Month => starts.extend(firsts.iter().map(|day| midnight(*day, year))),
            _ => starts.extend((firsts[0]..=firsts[12]).map(|day| midnight(day, year))),
        }
    }
    starts.dedup();
    starts.windows(2).map(|two| (two[0], two[1])).collect()
}

/// The input with times that go on by up to so many hours for each millisecond.
fn stretched(mut input: Input, from: i64, hours: i64) -> Input {
    for event in &mut input.events {
        event.timestamp = from + event.timestamp * hours * HOUR;
    }
    input.delay *= hours * HOUR;
    input
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn have_what_came_in_time(
        input in input(2, 0),
        // 2023-03-20, 2023-10-20 and 2024-02-10.
        from in prop_oneof![
            Just(1_679_266_800_000_i64), Just(1_697_752_800_000_i64), Just(1_707_519_600_000_i64),
        ],
        (unit, hours) in prop_oneof![Just((CalendarUnit::Day, 5)), Just((CalendarUnit::Month, 60))],
        grace in prop_oneof![Just(0), Just(7 * HOUR)],
    ) {
        let input = stretched(input.without_nulls(), from, hours);
        let calendar = CalendarWindows::new(unit, "Europe/Berlin").unwrap();
        let builder = StreamsBuilder::new();
        let stream = builder.stream_with(["a", "b"], input.consumed::<i64>());
        let windowed = stream.group_by_key().windowed_by(calendar.allowed_lateness(ms(grace)));
        windowed.emit(Emit::Final).reduce(|a, b| a + b).values().to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let known = windows(unit, 2021..2027);
        let mut wanted: BTreeMap<(i64, i64, i64), i64> = BTreeMap::new();
        for taken in input.taken(2).iter().flatten() {
            let (start, end) = known.range(..=taken.event.timestamp).next_back().unwrap();
            if end - 1 + grace > taken.front {
                let sum = wanted.entry((taken.event.key, *start, *end)).or_default();
                *sum += taken.event.value.unwrap();
            }
        }
        let rows = driver.read::<Windowed<i64>, i64>("out")?.into_iter();
        let got: Vec<_> = rows
            .map(|row| ((row.key.key, row.key.window.start, row.key.window.end), row.value))
            .collect();
        prop_assert_eq!(got.len(), wanted.len());
        prop_assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), wanted);
    }
}
