//! Hours, days, weeks and months of time zones.

use proptest::prelude::*;
use tidemark_streams::time::{CalendarUnit, CalendarWindows};

use crate::seed::cases;

const HOUR: i64 = 60 * 60 * 1000;

const UNITS: [CalendarUnit; 4] = [
    CalendarUnit::Hour,
    CalendarUnit::Day,
    CalendarUnit::Week,
    CalendarUnit::Month,
];

/// Zones with what is hard: clocks changed at midnight, by half an hour, over the date line.
const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Asia/Manila",
    "America/Juneau",
    "Africa/Monrovia",
];

fn windows(unit: CalendarUnit, zone: &str) -> CalendarWindows {
    CalendarWindows::new(unit, zone).unwrap()
}

fn length(unit: CalendarUnit, zone: &str, timestamp: i64) -> (i64, i64) {
    let window = windows(unit, zone).window(timestamp);
    (window.start, window.end - window.start)
}

#[test]
fn days_are_as_long_as_they_are() {
    let day = CalendarUnit::Day;
    // 2024-03-31, 2024-10-27 and 2024-06-01 in Berlin.
    assert_eq!(
        length(day, "Europe/Berlin", 1_711_879_200_000),
        (1_711_839_600_000, 23 * HOUR)
    );
    assert_eq!(
        length(day, "Europe/Berlin", 1_730_023_200_000),
        (1_729_980_000_000, 25 * HOUR)
    );
    assert_eq!(
        length(day, "Europe/Berlin", 1_717_236_000_000),
        (1_717_192_800_000, 24 * HOUR)
    );
    // 2018-11-04 in Sao Paulo begins at one o'clock.
    assert_eq!(
        length(day, "America/Sao_Paulo", 1_541_340_000_000),
        (1_541_300_400_000, 23 * HOUR)
    );
    // Samoa had no 2011-12-30: the day before it ends where the day after it begins.
    let samoa = windows(day, "Pacific/Apia");
    let (before, after) = (
        samoa.window(1_325_239_199_999),
        samoa.window(1_325_239_200_000),
    );
    assert_eq!(
        (before.end, after.start),
        (1_325_239_200_000, 1_325_239_200_000)
    );
    assert_eq!(
        (before.end - before.start, after.end - after.start),
        (24 * HOUR, 24 * HOUR)
    );
}

#[test]
fn hours_weeks_and_months() {
    // 2024-06-01 12:00 UTC is 17:45 in Kathmandu, where hours begin a quarter past those of UTC.
    assert_eq!(
        length(CalendarUnit::Hour, "Asia/Kathmandu", 1_717_243_200_000),
        (1_717_243_200_000 - 45 * 60_000, HOUR)
    );
    // The clock of Lord Howe goes back by half an hour at 2024-04-06 15:00 UTC: an hour is cut.
    assert_eq!(
        length(CalendarUnit::Hour, "Australia/Lord_Howe", 1_712_415_600_000),
        (1_712_415_600_000, HOUR / 2)
    );
    // The week of Monday 2024-03-25, and March of 2024, have a day of 23 hours in Berlin.
    assert_eq!(
        length(CalendarUnit::Week, "Europe/Berlin", 1_711_879_200_000),
        (1_711_321_200_000, 7 * 24 * HOUR - HOUR)
    );
    assert_eq!(
        length(CalendarUnit::Month, "Europe/Berlin", 1_711_879_200_000),
        (1_709_247_600_000, 31 * 24 * HOUR - HOUR)
    );
    assert!(CalendarWindows::new(CalendarUnit::Day, "Europe/Atlantis").is_err());
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn windows_follow_one_another(
        unit in prop::sample::select(&UNITS[..]),
        zone in prop::sample::select(&ZONES[..]),
        timestamp in prop_oneof![
            -5_000_000_000_000..5_000_000_000_000_i64,
            -400_000_000_000_000..400_000_000_000_000_i64,
            any::<i64>(),
            Just(i64::MIN), Just(i64::MAX),
            (0..100_i64).prop_map(|days| -377_705_116_800_000 + days * 24 * HOUR),
            (0..100_i64).prop_map(|days| 253_402_300_799_999 - days * 24 * HOUR),
        ],
        inside in 0.0..1.0_f64,
    ) {
        let windows = windows(unit, zone);
        let window = windows.window(timestamp);
        prop_assert!(window.start <= timestamp);
        prop_assert!(timestamp < window.end || window.end == i64::MAX);
        prop_assert_eq!(windows.window(window.start), window);
        let length = (i128::from(window.end) - i128::from(window.start)) as f64;
        let other = window.start.saturating_add((length * inside) as i64).min(window.end - 1);
        prop_assert_eq!(windows.window(other), window);
        if window.end < i64::MAX {
            prop_assert_eq!(windows.window(window.end - 1), window);
            prop_assert_eq!(windows.window(window.end).start, window.end);
        }
        if window.start > i64::MIN {
            prop_assert_eq!(windows.window(window.start - 1).end, window.start);
        }
    }
}
