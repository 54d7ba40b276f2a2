//! Rounds of something that fails at moments which a seed chooses: the seed and their number.

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemark_broker::environment::{Entropy, SystemEntropy};

/// A run. Dropped by a panic it says how to repeat it.
pub struct Rounds {
    /// What repeats the choices.
    pub seed: u64,
    /// How many rounds there are.
    pub count: usize,
    /// The name of the test's target, and of the test if that has others.
    test: &'static str,
}

impl Rounds {
    /// A new seed each time, and so many rounds, unless `TIDEMARK_CRASH_SEED` and
    /// `TIDEMARK_CRASH_ROUNDS` say otherwise.
    pub fn from_environment(test: &'static str, count: usize) -> Self {
        let seed = number("TIDEMARK_CRASH_SEED").unwrap_or_else(|| {
            let mut bytes = [0; 8];
            SystemEntropy.fill(&mut bytes);
            u64::from_be_bytes(bytes)
        });
        let count = number("TIDEMARK_CRASH_ROUNDS").map_or(count, |count| count as usize);
        Self { seed, count, test }
    }

    /// The command that repeats the choices.
    pub fn replay(&self) -> String {
        let Self { seed, count, test } = self;
        format!(
            "TIDEMARK_CRASH_SEED={seed} TIDEMARK_CRASH_ROUNDS={count} \
             cargo test -p integration-tests --test {test}"
        )
    }

    /// What chooses.
    pub fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat: {}", self.replay());
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
