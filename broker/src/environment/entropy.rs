//! Randomness: from the operating system, or from a seed.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Gives random numbers.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// A random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random (version 4) UUID: member ids, and, through [`Entropy::kafka_uuid`], topic ids.
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A UUID for a topic, cluster or directory: never one of the values that Kafka reserves, and
    /// never one whose text form starts with a dash (Kafka's `Uuid.randomUuid`), which command
    /// line tools would read as an option.
    fn kafka_uuid(&self) -> Uuid {
        loop {
            let id = self.uuid();
            // The first character of the base64 form comes from the first 6 bits; 62 is '-'.
            let starts_with_dash = id.as_bytes()[0] >> 2 == 62;
            if !starts_with_dash && id.as_u128() > 100 {
                return id;
            }
        }
    }
}

/// The operating system's random source.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one door to randomness"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

/// Numbers that follow from a seed, so that a run can be repeated.
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_uuids_never_start_with_a_dash() {
        let (one, two) = (SeededEntropy::new(7), SeededEntropy::new(7));
        for _ in 0..2_000 {
            let id = one.kafka_uuid();
            assert_eq!(id, two.kafka_uuid());
            assert_ne!(id.as_bytes()[0] >> 2, 62);
        }
    }
}
