//! Snapshots: what a batch run has made, in immutable files.
//!
//! Of each view, below the snapshots' folder:
//!
//! | path | what it is |
//! |---|---|
//! | `VIEW/manifests/ID.json` | a snapshot: it is one when this is there, and this is written last |
//! | `VIEW/state/ID-RUN/TOPIC-PARTITION-PART.parquet` | its states, in the order of their keys |
//! | `VIEW/events/topic=../year=../month=../day=../part-P-FROM-TO-RUN.parquet` | raw events, by the day (UTC) of their time |
//! | `VIEW/unfinished/RUN/` | what a run has done that has not ended |
//! | `VIEW/.lock` | on the local disk, for whoever makes snapshots |
//!
//! The folder of events has all that has ever been written there; which files count the manifests say.

mod columns;
mod events_file;
pub(crate) mod folder;
mod loaded;
mod manifest;
pub(crate) mod paths;
mod states_file;
mod store;
mod waiting;

pub(crate) use events_file::{Day, EventRows, EventsWriter};
pub(crate) use loaded::{Loaded, Part};
pub(crate) use states_file::{Pieces, Row, States, StatesReader, StatesWriter};
pub(crate) use store::{MOST_MANIFEST, is_name};
pub(crate) use waiting::{Spare, Waiting};

pub use manifest::{BadManifest, EventsFile, Manifest, Source, SourcePartition, StateFile};
pub use store::{SnapshotError, Snapshots};
