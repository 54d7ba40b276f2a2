//! Tasks that read several partitions: they take turns by time, and the smallest watermark counts. What
//! comes out does not depend on chunks and restarts.

use proptest::prelude::*;
use tidemark_streams::Emit;
use tidemark_streams::time::{SessionWindows, SlidingWindows, TimeWindows};

use crate::harness::{event_time, input, ms, run_of, topology_of};
use crate::seed::cases;

const TOPICS: [&str; 3] = ["in", "more", "most"];

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn give_the_same(
        input in input(-60),
        time in event_time(),
        emit in prop_oneof![Just(Emit::Update), Just(Emit::Close), Just(Emit::Final)],
        length in 1..15_i64,
        grace in 0..30_i64,
    ) {
        let windows = TimeWindows::hopping(ms(3 * length), ms(length))
            .allowed_lateness(ms(grace))
            .event_time(time);
        let made = topology_of(&input, &TOPICS, |grouped| {
            grouped.windowed_by(windows).emit(emit).reduce(|a, b| a + b)
        });
        run_of(&made, &input, &TOPICS)?;
        let windows = SessionWindows::with_gap(ms(length))
            .allowed_lateness(ms(grace))
            .event_time(time);
        let made = topology_of(&input, &TOPICS, |grouped| {
            grouped.windowed_by_session(windows).emit(emit).reduce(|a, b| a + b)
        });
        run_of(&made, &input, &TOPICS)?;
        let windows = SlidingWindows::of(ms(length))
            .allowed_lateness(ms(grace))
            .event_time(time);
        let made = topology_of(&input, &TOPICS, |grouped| {
            grouped.windowed_by_sliding(windows).emit(emit).reduce(|a, b| a + b)
        });
        run_of(&made, &input, &TOPICS)?;
    }
}
