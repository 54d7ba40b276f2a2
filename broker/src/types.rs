//! Newtypes for every number that could be swapped for another.
//!
//! The inner value is public: a newtype here says what a number *is*, it does not hide it. Wire
//! messages carry plain integers; they are wrapped at the API's edge.

pub mod uuid_text;

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number! {
    /// A record's place in its partition's log, counted in records from 0.
    Offset(i64)
}
number! {
    /// A byte position inside one segment file. Segments stay below 2 GiB, as in Kafka.
    Position(u32)
}
number! {
    /// How often the leadership of a partition has moved; stamped into every batch.
    LeaderEpoch(i32)
}
number! {
    /// Identifies one idempotent producer session (KIP-98); -1 means "no producer".
    ProducerId(i64)
}
number! {
    /// Fences older incarnations of a producer id; -1 means "no producer".
    ProducerEpoch(i16)
}
number! {
    /// The sequence number of a record of an idempotent producer; wraps from `i32::MAX` to 0.
    Sequence(i32)
}
number! {
    /// The number of a partition in its topic, from 0.
    PartitionIndex(i32)
}
number! {
    /// Wall-clock time in milliseconds since the Unix epoch, as Kafka's records carry it.
    Timestamp(i64)
}
number! {
    /// Time of the monotonic clock in milliseconds since an arbitrary start; deadlines use it.
    Monotonic(u64)
}

impl Offset {
    /// The first offset of an empty log.
    pub const ZERO: Self = Self(0);

    /// The offset `count` records further on, saturating at the largest offset.
    pub fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Monotonic {
    /// The moment `ms` milliseconds later; a negative duration counts as none.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(u64::try_from(ms).unwrap_or(0)))
    }
}

impl ProducerId {
    /// The value that says "not an idempotent producer".
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    /// The sequence `count` records further on; after `i32::MAX` comes 0 (never a negative
    /// number: Kafka's `DefaultRecordBatch.incrementSequence`).
    pub fn plus(self, count: i32) -> Self {
        let space = i64::from(i32::MAX) + 1;
        let next = (i64::from(self.0) + i64::from(count)).rem_euclid(space);
        Self(i32::try_from(next).unwrap_or(0))
    }
}

/// The two clocks at one moment. Records and retention look at the wall clock; deadlines look at
/// the monotonic one, so that a clock that is set back never freezes a session timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch.
    pub wall: Timestamp,
    /// Milliseconds on the monotonic clock.
    pub monotonic: Monotonic,
}

/// A partition of a topic, by name: the key of the broker's tables and directories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name; cheap to clone.
    pub topic: std::sync::Arc<str>,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<std::sync::Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition: PartitionIndex(partition),
        }
    }
}

/// `topic-0`: the form of Kafka's directory names and log lines.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_02_sequences_wrap_to_zero() {
        let check = |from: i32, count: i32, expected: i32| {
            assert_eq!(
                Sequence(from).plus(count),
                Sequence(expected),
                "{from} + {count}"
            );
        };
        check(0, 1, 1);
        check(i32::MAX, 1, 0);
        check(i32::MAX - 1, 3, 1);
        check(i32::MAX, i32::MAX, i32::MAX - 1);
    }
}
