//! The whole of it by seed: a log, tasks that crash and move, batch runs that die at any step, snapshots that
//! come late, early and twice; and after every step the question whether an answer has every record of its
//! coverage once, and nothing else. The aggregate is the free commutative monoid, so what holds for it holds
//! for every one.
//!
//! `TIDEMARK_SEED=n cargo test -p tidemark-streams --lib serving::simulation` runs one schedule;
//! `TIDEMARK_SCHEDULES=n` so many.

mod chance;
pub(crate) mod log;
pub(crate) mod mortal;
mod readers;
mod world;

use world::World;

/// So many schedules are run if nothing else is said.
const SCHEDULES: u64 = 1_000;
/// Each of so many is run a second time, which has to be the same.
const TWICE: u64 = 10;
/// So many things happen in each.
const STEPS: usize = 120;

#[test]
fn answers_have_every_record_of_their_coverage_once() {
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let seeds = match number("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_SCHEDULES").unwrap_or(SCHEDULES),
    };
    let all = seeds.end - seeds.start;
    let mut seen = world::Seen::default();
    for seed in seeds {
        let replay = format!(
            "TIDEMARK_SEED={seed} cargo test -p tidemark-streams --lib serving::simulation"
        );
        let run = || runtime.block_on(async { World::new(seed).run(STEPS).await });
        let both = std::panic::AssertUnwindSafe(|| {
            let first = run();
            // Or a failure could not be replayed.
            if seed % TWICE == 0 || all == 1 {
                assert_eq!(first, run());
            }
            first.0
        });
        match std::panic::catch_unwind(both) {
            Ok(own) => seen.add(&own),
            Err(panic) => {
                eprintln!("replay: {replay}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{seen:#?}");
    // A schedule in which nothing happens proves nothing.
    if all >= 100 {
        seen.check(all);
    }
}
