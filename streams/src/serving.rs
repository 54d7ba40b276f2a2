//! The Lambda side: views of topics that are computed twice, by a batch job over the whole log and by a
//! topology over what is newer, and merged into one answer that is exact by Kafka's offsets.

pub mod aggregate;
mod batch;
mod coverage;
mod http;
mod kept;
mod lambda;
mod merged;
mod place;
#[cfg(test)]
mod simulation;
mod snapshot;
mod speed;
mod verify;
mod view;
pub mod views;

pub use aggregate::Aggregate;
pub use batch::{
    BadCut, Batch, BatchConfig, BatchError, BatchOutcome, BatchProgress, LeftOut, PlanError,
    Published,
};
pub use coverage::{BadCoverage, Coverage, Missing};
pub use http::{ServedView, Server};
pub use lambda::{Lambda, LambdaConfig, LambdaError, announced_cuts};
pub use merged::{Answer, Answered, Next, QueryError, Reader, Row, Rows, Unfit};
pub use place::Place;
pub use snapshot::{
    BadManifest, EventsFile, Manifest, SnapshotError, Snapshots, Source, SourcePartition, StateFile,
};
pub use speed::Tally;
pub use verify::{
    Difference, OtherRecords, RecordPlace, ServedPage, Verdict, VerifyError, VerifyServed, verify,
};
pub use view::{BadView, Keyed, View};
