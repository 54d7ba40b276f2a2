//! Why a store cannot be read.

use super::Kind;
use crate::data::DataError;
use crate::runtime::{Progress, TaskId};

/// Why a store cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The topology has no store of that name.
    #[error("there is no store {store:?}; there are: {}", .known.join(", "))]
    UnknownStore {
        /// The name.
        store: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The store is of another kind.
    #[error("store {store:?} is {is}, not {asked}")]
    WrongKind {
        /// The store.
        store: String,
        /// What it is.
        is: Kind,
        /// What it was asked for.
        asked: Kind,
    },
    /// The store has other types of keys or values.
    #[error("store {store:?} holds {is}, not {asked}")]
    WrongTypes {
        /// The store.
        store: String,
        /// What it holds.
        is: String,
        /// What it was asked for.
        asked: String,
    },
    /// The key's task runs in another instance, or nowhere.
    #[error(
        "store {store:?}: the key belongs to task {task}, which does not run here: ask another \
         instance"
    )]
    Elsewhere {
        /// The store.
        store: String,
        /// The task.
        task: TaskId,
    },
    /// No task that has the store runs here.
    #[error("store {store:?}: none of its tasks runs here: ask another instance")]
    NoTask {
        /// The store.
        store: String,
    },
    /// The task is being restored.
    #[error(
        "store {store:?}: task {task} is being restored, {} of {} records are there: ask again \
         later",
        .progress.restored, .progress.total
    )]
    Restoring {
        /// The store.
        store: String,
        /// The task.
        task: TaskId,
        /// How far it is.
        progress: Progress,
    },
    /// The key has no bytes, or the text is no key, or what the store holds does not decode.
    #[error("store {store:?}: {error}")]
    Data {
        /// The store.
        store: String,
        /// What is wrong.
        error: DataError,
    },
}
