//! The only doors to the outside: the clock, the disk and randomness.
//!
//! Every component is handed an [`Environment`] (or one door of it); nothing else in the broker
//! touches `std::time`, `std::fs` or a random source. The real set is [`Environment::real`]; tests
//! use [`clock::ManualClock`], [`disk::MemoryDisk`] and [`entropy::SeededEntropy`] and so decide
//! what time it is, which write fails and which random number comes next.

pub mod clock;
pub mod disk;
pub mod entropy;

use std::sync::Arc;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, DiskFile, MemoryDisk, RealDisk};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};

/// Everything the broker needs from the machine it runs on. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// What time it is, and waiting for a moment.
    pub clock: Arc<dyn Clock>,
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Random numbers: ids and jitter.
    pub entropy: Arc<dyn Entropy>,
}

impl Environment {
    /// The machine's own clock, file system and random source.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock::start()),
            disk: Arc::new(RealDisk),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// The machine's own clock and random source over an in-memory disk: for embedders that want
    /// a broker that leaves nothing behind.
    pub fn in_memory() -> Self {
        Self {
            disk: Arc::new(MemoryDisk::new()),
            ..Self::real()
        }
    }
}
