//! Why a snapshot is not read with.

use super::Misfit;

/// Why a snapshot cannot be read with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The records between are in neither.
    #[error(
        "{topic}-{partition}: the snapshot ends at offset {end}, and the speed layer begins at {begin} only: \
         the records between are in neither. A newer snapshot closes the gap; if batch runs say that records \
         are lost, one that is computed from scratch"
    )]
    Hole {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the snapshot ends.
        end: i64,
        /// Where the speed layer begins.
        begin: i64,
    },
    /// It does not end at a cut.
    #[error(
        "{topic}-{partition}: the snapshot ends at offset {end}, amid the segment that begins at {from}: it \
         was not made at a cut that this speed layer has announced"
    )]
    Amid {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the snapshot ends.
        end: i64,
        /// Where the segment begins.
        from: i64,
    },
    /// It is older than the one that is used.
    #[error("snapshot {snapshot} is not newer than snapshot {current}, which is used already")]
    NotNewer {
        /// The snapshot.
        snapshot: u64,
        /// The one that is used.
        current: u64,
    },
    /// It is of a topic that is not there any more.
    #[error(
        "topic {topic} has been made again since: the snapshot's offsets mean records of the one before it"
    )]
    OtherTopic {
        /// The topic.
        topic: String,
    },
    /// Segments that it is ahead of are held all the time, by whoever asks or a task that writes its state to
    /// disk. It fits later on, if it fits.
    #[error("the speed layer's segments that it is ahead of are busy: it is tried again")]
    Busy,
    /// Another view's.
    #[error("it is a snapshot of {found}, and the view is {wanted}")]
    OtherView {
        /// What it is a snapshot of.
        found: String,
        /// What the view is.
        wanted: String,
    },
}

/// What has been found out of a partition.
pub(super) fn unfit(topic: &str, partition: i32, end: i64, misfit: Misfit, begin: i64) -> Unfit {
    let topic = topic.to_owned();
    match misfit {
        Misfit::Amid { from } => Unfit::Amid {
            topic,
            partition,
            end,
            from,
        },
        Misfit::Hole => Unfit::Hole {
            topic,
            partition,
            end,
            begin,
        },
    }
}
