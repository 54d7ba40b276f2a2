//! What the seed decides of a round.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::trigger::Moment;

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

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
    /// What becomes of the group's members.
    pub(crate) members: [Turn; 3],
    /// How a topic is made anew, if one is.
    pub(crate) renewing: Option<Renewing>,
}

/// What becomes of a member at the end of the round before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It gets over the restart.
    Stays,
    /// It is given up while there is no broker: its session goes on without it.
    Vanishes,
    /// It leaves in order once the broker is there.
    Leaves,
}

/// How a topic is deleted and made anew.
#[derive(Debug)]
pub(crate) struct Renewing {
    /// Whether the creation is sent before the deletion was answered.
    pub(crate) at_once: bool,
    /// How many records the new one gets.
    pub(crate) records: usize,
    /// How many of them are under way.
    pub(crate) ahead: usize,
}

impl Round {
    pub(crate) fn choose(random: &mut StdRng) -> Self {
        let moment = match random.random_range(0..100) {
            0..15 => Moment::Starting(random.random_range(0..20)),
            15..40 => Moment::Renewed(random.random_range(1..=14)),
            40..75 => Moment::Delivered(random.random_range(0..600)),
            _ => Moment::Committed(random.random_range(1..=4)),
        };
        let renews = matches!(moment, Moment::Renewed(_)) || random.random_bool(0.2);
        let renewing = renews.then(|| Renewing {
            at_once: random.random_bool(0.5),
            records: random.random_range(4..12),
            ahead: random.random_range(1..6),
        });
        let mut codec = || *CODECS.choose(random).expect("there are codecs");
        let codecs = [codec(), codec()];
        let mut turn = || match random.random_range(0..10) {
            0..7 => Turn::Stays,
            7 => Turn::Vanishes,
            _ => Turn::Leaves,
        };
        Self {
            moment,
            members: [turn(), turn(), turn()],
            new_producers: [random.random_bool(0.5), random.random_bool(0.5)],
            codecs,
            batch_sizes: [random.random_range(1..40), random.random_range(1..40)],
            ahead: random.random_range(20..400),
            renewing,
        }
    }
}
