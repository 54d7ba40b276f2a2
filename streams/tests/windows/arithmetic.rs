//! Where windows begin and end.

use proptest::prelude::*;
use tidemark_streams::time::{EventTime, TimeWindows};

use crate::harness::ms;
use crate::seed::cases;

fn timestamps() -> impl Strategy<Value = i64> {
    prop_oneof![
        -1000..1000_i64,
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        (0..100_i64).prop_map(|below| i64::MAX - below),
        (0..100_i64).prop_map(|above| i64::MIN + above),
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn starts_are_all_there_are(
        timestamp in -100_000..100_000_i64,
        size in 1..50_i64,
        advance in 1..60_i64,
        offset in -200..200_i64,
    ) {
        let windows = TimeWindows::hopping(ms(size), ms(advance)).offset_millis(offset);
        let aligned = |start: &i64| (start - offset).rem_euclid(advance) == 0;
        let wanted: Vec<i64> = (timestamp - size + 1..=timestamp).filter(aligned).collect();
        prop_assert_eq!(windows.starts(timestamp).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn kafka_has_no_windows_before_1970(
        timestamp in -100..1000_i64,
        size in 1..50_i64,
        advance in 1..50_i64,
    ) {
        prop_assume!(advance <= size);
        let windows = TimeWindows::hopping(ms(size), ms(advance)).event_time(EventTime::StreamTime);
        // As its documentation has it.
        let mut start = (timestamp - size + advance).max(0) / advance * advance;
        let mut wanted = Vec::new();
        // What is earlier is dropped before it comes to windows.
        while start <= timestamp {
            wanted.push(start);
            start += advance;
        }
        prop_assert_eq!(windows.starts(timestamp).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn the_ends_of_time_are_times(
        timestamp in timestamps(),
        size in prop_oneof![1..100_i64, Just(i64::MAX), 1..i64::MAX],
        offset in prop_oneof![-100..100_i64, any::<i64>()],
        kafka in any::<bool>(),
    ) {
        let time = if kafka { EventTime::StreamTime } else { EventTime::Watermark };
        let windows = TimeWindows::tumbling(ms(size)).offset_millis(offset).event_time(time);
        let starts: Vec<i64> = windows.starts(timestamp).collect();
        for start in &starts {
            let window = windows.window(*start);
            prop_assert!(window.start <= timestamp);
            prop_assert!(timestamp < window.end || window.end == i64::MAX);
        }
        prop_assert!(starts.len() <= 1);
        prop_assert!(kafka || !starts.is_empty());
    }
}
