//! The states of a classic group.
//!
//! ```text
//!                  first member joins
//!     Empty ──────────────────────────────▶ PreparingRebalance ◀─────────────┐
//!       ▲                                     │  │        ▲                  │
//!       │ nobody is left                      │  │        │ a member joins   │ a member joins
//!       └─────────────────────────────────────┘  │        │ anew, leaves     │ anew, leaves
//!                                all have joined │        │ or is silent     │ or is silent
//!                                                ▼        │                  │
//!                                           CompletingRebalance ─────────▶ Stable
//!                                                   the leader has assigned
//!
//!     any state ──▶ Dead: the group is removed. No group rests there; it is what describing a
//!     group that does not exist tells.
//! ```

use std::fmt;

/// A state of a classic group (Kafka's `ClassicGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; may hold offsets.
    Empty,
    /// Waits for its members to join.
    PreparingRebalance,
    /// Members have joined; waits for the leader's assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
    /// Does not exist (any more).
    Dead,
}

impl GroupState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Empty,
        Self::PreparingRebalance,
        Self::CompletingRebalance,
        Self::Stable,
        Self::Dead,
    ];

    /// The states from which a group may come into this one.
    pub fn legal_predecessors(self) -> &'static [Self] {
        match self {
            Self::Empty | Self::CompletingRebalance => &[Self::PreparingRebalance],
            Self::PreparingRebalance => &[Self::Stable, Self::CompletingRebalance, Self::Empty],
            Self::Stable => &[Self::CompletingRebalance],
            Self::Dead => &Self::ALL,
        }
    }

    /// The state of this name, in any case and with blanks around it; `None` for a name that is none.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        Self::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(name))
    }

    /// The name that clients and tools see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kinds of groups that Kafka's protocol knows. This coordinator holds classic ones; the
/// others can be named in a filter and match nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// Members agree among themselves through JoinGroup and SyncGroup.
    Classic,
    /// The coordinator assigns partitions (KIP-848).
    Consumer,
    /// Members share partitions (KIP-932).
    Share,
    /// Kafka Streams groups (KIP-1071).
    Streams,
}

impl GroupType {
    /// The name that clients and tools see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
        }
    }

    /// The type of this name, in any case; `None` for a name that is none.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Classic, Self::Consumer, Self::Share, Self::Streams]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
