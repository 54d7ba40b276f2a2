//! What the seed decides.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tidemark_broker::environment::{Entropy, SystemEntropy};

use super::trigger::Moment;

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A run.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) rounds: usize,
}

impl Plan {
    /// A new seed each time, unless the environment names one.
    pub(crate) fn from_environment(rounds: usize) -> Self {
        Self {
            seed: number("TIDEMARK_CRASH_SEED").unwrap_or_else(|| {
                let mut bytes = [0; 8];
                SystemEntropy.fill(&mut bytes);
                u64::from_be_bytes(bytes)
            }),
            rounds: number("TIDEMARK_CRASH_ROUNDS").map_or(rounds, |rounds| rounds as usize),
        }
    }

    pub(crate) fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
    )
}

/// One round.
#[derive(Debug)]
pub(crate) struct Round {
    /// When the broker is killed.
    pub(crate) moment: Moment,
    /// Which producers are replaced by new ones; the others have got over the restart.
    pub(crate) new_producers: [bool; 2],
    /// What the new ones compress with.
    pub(crate) codecs: [&'static str; 2],
    /// How many records the new ones put in a batch at most.
    pub(crate) batch_sizes: [usize; 2],
    /// How many records each producer has under way.
    pub(crate) ahead: usize,
    /// Whether the group's member is replaced by a new one.
    pub(crate) new_member: bool,
}

impl Round {
    pub(crate) fn choose(random: &mut StdRng) -> Self {
        let moment = if random.random_bool(0.6) {
            Moment::Delivered(random.random_range(0..600))
        } else {
            Moment::Committed(random.random_range(1..=4))
        };
        let mut codec = || *CODECS.choose(random).expect("there are codecs");
        let codecs = [codec(), codec()];
        Self {
            moment,
            new_producers: [random.random_bool(0.5), random.random_bool(0.5)],
            codecs,
            batch_sizes: [random.random_range(1..40), random.random_range(1..40)],
            ahead: random.random_range(20..400),
            new_member: random.random_bool(0.5),
        }
    }
}
