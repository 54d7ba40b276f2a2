//! Where the cases of property tests come from.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use proptest::test_runner::{Config, RngSeed};

/// So many cases, from a seed that every test tells, and that `TIDEMARK_STREAMS_SEED` sets. What fails is
/// printed as small as it gets.
#[allow(clippy::print_stdout, reason = "shown with a test that fails")]
pub(crate) fn cases(cases: u32) -> Config {
    let seed = match std::env::var("TIDEMARK_STREAMS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    let target = env!("CARGO_CRATE_NAME");
    println!("TIDEMARK_STREAMS_SEED={seed} cargo test -p tidemark-streams --test {target}");
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    }
}
