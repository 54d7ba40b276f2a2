//! What can go wrong.

use crate::data::DataError;

/// Why an application does not start, or does not go on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamsError {
    /// The topology makes no sense. Each problem names its operator.
    #[error("the topology cannot run: {}", .0.join("; "))]
    Topology(Vec<String>),
    /// A record of a topic is not what its source expects, and the source is to fail then.
    #[error("{topic}-{partition}: the record at offset {offset} does not decode: {reason}")]
    Decode {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// A key or value cannot be written.
    #[error("topic {topic:?}: {error}")]
    Encode {
        /// Where it was to go.
        topic: String,
        /// What is wrong with it.
        error: DataError,
    },
    /// The application's own code refused a record, and the application is to stop then.
    #[error("{operator}: {reason}")]
    Processing {
        /// The operator.
        operator: String,
        /// What it said.
        reason: String,
    },
    /// A key cannot be written, so it cannot be grouped or joined by.
    #[error("a key to group or join by: {0}")]
    Key(DataError),
    /// A suppression has to hold more than it may, and is to fail then.
    #[error(
        "store {store:?} may not hold more updates back: it has {records} records, {bytes} bytes"
    )]
    Full {
        /// The suppression's store.
        store: String,
        /// How many updates it holds.
        records: usize,
        /// How many bytes these have, if they are bounded.
        bytes: usize,
    },
    /// A store holds, or is to hold, what cannot be read or written.
    #[error("store {store:?}: {error}")]
    State {
        /// The store.
        store: String,
        /// What is wrong.
        error: DataError,
    },
}
