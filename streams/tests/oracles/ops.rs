//! The nodes of cases, by family: each gives [`Outcome::NotMine`] for ops of others.

mod aggregates;
mod cogroup;
mod joins;
mod processors;
mod stateless;
mod suppress;
mod tables;
mod windows;

pub(crate) use aggregates::Aggregates;
pub(crate) use joins::join_windows;
pub(crate) use windows::{session_windows, sliding_windows, time_windows};

use crate::build::{Built, Handle};
use crate::case::Node;

/// What has become of a node.
pub(crate) enum Outcome {
    Made(Handle),
    /// It gives nothing to others, or has put several handles in by itself.
    Done,
    NotMine,
}

type Family = fn(&mut Built, &Node) -> Result<Outcome, String>;

const FAMILIES: &[Family] = &[
    stateless::build,
    windows::build,
    aggregates::build,
    cogroup::build,
    suppress::build,
    tables::build,
    joins::build,
    processors::build,
];

pub(crate) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    for family in FAMILIES {
        match family(built, node)? {
            Outcome::NotMine => {}
            outcome => return Ok(outcome),
        }
    }
    Ok(Outcome::NotMine)
}
