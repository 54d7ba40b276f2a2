//! What a handler may ask for.

use std::sync::Arc;

use super::context::Response;
use super::view::View;
use crate::catalog::command::{Command, Reply};
use crate::coordinator::group;
use crate::coordinator::runtime::Failure;
use crate::partition::{Acks, Appended, Isolation, Partition, PartitionError, ValidBatch};
use crate::storage::TimestampOffset;
use crate::types::{Offset, Timestamp};

/// What comes next, given what the step before has brought.
pub(super) type Then<T> = Box<dyn FnOnce(&View, T) -> Step + Send>;

/// What a handler wants to happen.
pub enum Step {
    /// Send this answer.
    Reply(Response),
    /// Send nothing (acks=0).
    Silent,
    /// Close the connection; the text says why, for the log.
    Close(String),
    /// Append batches, then go on.
    Append(AppendStep),
    /// Look records up by time, which may wait for the disk, then go on with what was found, in
    /// order.
    LookUp(Vec<LookUp>, Then<Vec<Found>>),
    /// Read, perhaps after waiting.
    Fetch(Box<super::fetch::FetchStep>),
    /// Ask the coordinators of groups, all at once, then go on with their answers, in order.
    Groups(Vec<GroupCall>, Then<Vec<Result<group::Reply, Failure>>>),
    /// Ask every group coordinator the same.
    AllGroups(
        Box<dyn Fn() -> group::Command + Send>,
        Then<Vec<Result<group::Reply, Failure>>>,
    ),
    /// Ask the catalog.
    Catalog(Command, Then<Result<Reply, Failure>>),
    /// Ask the catalog and wait for its answer for at most this many milliseconds; then `None`. If
    /// that is none at all, nothing is asked: Kafka's controller drops what is late on arrival.
    CatalogInTime(Command, i64, Then<Option<Result<Reply, Failure>>>),
    /// Take the next free producer id.
    ProducerId(Then<Result<i64, Failure>>),
    /// Move the starts of logs, durably, then go on.
    DeleteRecords(
        Vec<(Arc<Partition>, i64)>,
        Then<Vec<Result<Offset, PartitionError>>>,
    ),
}

/// What a look-up has found: nothing, if no record fits.
pub(super) type Found = Result<Option<TimestampOffset>, PartitionError>;

/// A record to be looked up by time.
pub struct LookUp {
    /// Where.
    pub partition: Arc<Partition>,
    /// Which.
    pub what: ByTime,
}

/// Which record is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByTime {
    /// The first one with this timestamp or a later one.
    From(Timestamp, Isolation),
    /// The first one with the largest timestamp.
    Largest,
}

impl LookUp {
    /// Looks. May wait for the disk.
    pub(super) fn run(self) -> Found {
        match self.what {
            ByTime::From(target, isolation) => {
                self.partition.offset_for_timestamp(target, isolation)
            }
            ByTime::Largest => self.partition.max_timestamp(),
        }
    }
}

/// A command for the coordinator of one group.
pub struct GroupCall {
    /// Which group.
    pub group: String,
    /// What is asked.
    pub command: group::Command,
}

/// Batches to append.
pub struct AppendStep {
    /// What to append where, in the request's order.
    pub batches: Vec<(Arc<Partition>, ValidBatch)>,
    /// How long to wait for what.
    pub acks: Acks,
    /// How long an acks=all request may wait for the disk, in milliseconds.
    pub timeout_ms: i64,
    /// What to do with the outcome: one per batch.
    pub then: Then<Vec<Result<Appended, PartitionError>>>,
}
