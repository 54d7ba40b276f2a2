//! What can go wrong.

use tidemark_client::ClientError;
use tidemark_client::consumer::ConsumerError;
use tidemark_client::producer::ProduceError;

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
    /// A key cannot be written or read, so nothing can be grouped or joined by it.
    #[error("{operator}: a key: {error}")]
    Key {
        /// The operator. What it keeps by that key is in a store of its name, unless it has been given
        /// another one.
        operator: String,
        /// What is wrong with the key.
        error: DataError,
    },
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
    /// An option has a value that cannot be meant.
    #[error("{option}: {reason}")]
    Config {
        /// The option.
        option: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A topic of the application's own cannot be made, or is not what it should be.
    #[error("the application's topic {topic:?}: {reason}")]
    InternalTopic {
        /// Its name in the cluster.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The state in the cluster is that of another topology.
    #[error(
        "the topology of {application:?} is not the one whose state is there; run it under another \
         id, or accept the change:\n{}",
        .differences.join("\n")
    )]
    ChangedTopology {
        /// The application's id.
        application: String,
        /// What differs, a line each.
        differences: Vec<String>,
    },
    /// Another application runs under the same id.
    #[error(
        "{application:?} runs another topology already, as member {member:?}: two applications \
         cannot have one id"
    )]
    TwoApplications {
        /// The application's id.
        application: String,
        /// The other one's member.
        member: String,
    },
    /// Another instance of the application runs, and this one was to catch up and to end.
    #[error(
        "{application:?} is to run until it has caught up, which is for one instance alone, but member \
         {member:?} of another one has a part of the tasks: stop the others, or let all run on"
    )]
    NotAlone {
        /// The application's id.
        application: String,
        /// The other one's member.
        member: String,
    },
    /// The application's own code has panicked. What was processed since the last commit is processed
    /// again after a restart.
    #[error("the application's code has panicked: {0}")]
    Panic(String),
    /// A source topic is not there any more.
    #[error(
        "topic {topic:?} does not exist any more: make it again, and reset the application if it \
         keeps state"
    )]
    SourceGone {
        /// The topic.
        topic: String,
    },
    /// A source topic is another one than the one that has been read.
    #[error(
        "topic {topic:?} has been deleted and made again while the application was reading it: its offsets \
         mean other records. Reset the application, and start it again"
    )]
    SourceMadeAgain {
        /// The topic.
        topic: String,
    },
    /// The log of a source topic has lost records before they were read.
    #[error(
        "{topic}-{partition}: the log begins at offset {begin}, and reading was to go on at {offset}: the records \
         between are lost (the topic keeps them for a shorter time than nothing was read). Reset the application \
         (\"Resetting\" in the streams guide): it begins anew with what there is"
    )]
    SourceLost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where reading was to go on.
        offset: i64,
        /// Where the log begins.
        begin: i64,
    },
    /// A source topic of operators that keep state has been given more partitions while the application
    /// runs.
    #[error(
        "topic {topic:?} has been given more partitions: it had {before}, and has {now}. Keys have moved \
         to other partitions, and the state that belongs to them cannot follow: run the application \
         under another id, from the beginning of its topics, or make the topic again with {before}"
    )]
    SourceGrew {
        /// The topic.
        topic: String,
        /// How many partitions it had when the application was started.
        before: u32,
        /// How many it has.
        now: u32,
    },
    /// The group's offsets are not this application's, or do not go with its state.
    #[error("{0}; reset the application (\"Resetting\" in the streams guide)")]
    Position(String),
    /// A changelog ends before what was committed: records of it have been lost.
    #[error(
        "{topic}-{partition} ends at offset {end}, but state up to {committed} was committed: \
         records were lost; reset the application (\"Resetting\" in the streams guide)"
    )]
    LostChangelog {
        /// The changelog.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it ends.
        end: i64,
        /// Where it should end at least.
        committed: i64,
    },
    /// Nothing has come of a partition that is not at its end, for longer than a cluster that is well
    /// takes.
    #[error(
        "{topic}-{partition}: nothing has come from offset {offset} on for {waited:?}, although it \
         goes on to {end}: can its broker be reached?"
    )]
    NothingRead {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it was to go on.
        offset: i64,
        /// The end that was to be reached.
        end: i64,
        /// How long it has waited.
        waited: std::time::Duration,
    },
    /// State takes more memory than it may.
    #[error(
        "state takes {bytes} bytes, more than the {budget} that it may; the largest store is \
         {store:?}: give it more, or keep less (shorter windows, more instances)"
    )]
    StateTooLarge {
        /// What it takes.
        bytes: usize,
        /// What it may take.
        budget: usize,
        /// The store that takes most.
        store: String,
    },
    /// A snapshot or its directory cannot be written or read.
    #[error("{path}: {reason}")]
    Disk {
        /// The file or directory.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// The port for HTTP cannot be had.
    #[error("http {address:?}: {reason}")]
    Http {
        /// The address that was asked for.
        address: String,
        /// The system's reason.
        reason: String,
    },
    /// A call to the cluster failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Reading failed.
    #[error(transparent)]
    Consume(#[from] ConsumerError),
    /// Writing failed.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// A part of the application has come to an unexpected end.
    #[error("a part of the application has ended: {0}")]
    Internal(String),
}

impl StreamsError {
    /// Says which operator it comes from, if that is not known yet.
    pub(crate) fn name_operator(&mut self, name: &str) {
        if let Self::Key { operator, .. } = self
            && operator.is_empty()
        {
            name.clone_into(operator);
        }
    }

    /// The error of records that were not written.
    pub(crate) fn produce(last: Option<ProduceError>) -> Self {
        match last {
            Some(error) => Self::Produce(error),
            None => Self::Internal("records were not written".to_owned()),
        }
    }
}
