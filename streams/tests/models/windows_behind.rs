//! What windows have of records that come to them by way of something.

use proptest::prelude::*;
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{Emit, Stream};

use crate::harness::{Event, Input, TOPICS, Taken, ms};

/// Tumbling windows of that size behind a stream of the input's values: each value in the sum of its window,
/// or late.
pub(crate) fn add_windows(stream: &Stream<i64, i64>, size: i64, grace: i64) {
    let windows = TimeWindows::tumbling(ms(size)).allowed_lateness(ms(grace));
    let windowed = stream.group_by_key().windowed_by(windows);
    let sums = windowed.emit(Emit::Final).reduce(|a, b| a + b);
    sums.values().to("windows");
    sums.late().in_headers().to("late");
}

/// Checks that they have all values once, and that none is late that was not so for the task that took it
/// first. `key` is what its key is there.
pub(crate) fn check_windows(
    driver: &mut TestDriver,
    input: &Input,
    (size, grace): (i64, i64),
    key: impl Fn(&Event) -> i64,
) -> Result<(), TestCaseError> {
    let taken = input.taken(TOPICS.len());
    let start = |event: &Event| event.timestamp.div_euclid(size) * size;
    let mut in_windows = 0;
    for row in driver.read::<Windowed<i64>, i64>("windows")? {
        prop_assert_eq!(in_windows & row.value, 0);
        in_windows |= row.value;
        for event in taken.iter().flatten().map(|taken| taken.event) {
            if row.value & event.value.unwrap() != 0 {
                let place = (row.key.key, row.key.window.start);
                prop_assert_eq!(place, (key(&event), start(&event)));
            }
        }
    }
    let mut late = 0;
    for row in driver.read::<i64, i64>("late")? {
        prop_assert_eq!((in_windows | late) & row.value, 0);
        late |= row.value;
    }
    let all = taken
        .iter()
        .flatten()
        .map(|taken| taken.event.value.unwrap());
    prop_assert_eq!(in_windows | late, all.sum::<i64>());
    for Taken { event, front, .. } in taken.iter().flatten() {
        let in_time = start(event) + size - 1 + grace > *front;
        let is_there = in_windows & event.value.unwrap() != 0;
        prop_assert!(!in_time || is_there, "{:?} is late", event);
    }
    Ok(())
}
