//! The names of files and directories (Kafka's `LogFileUtils` and `LocalLog`).

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::types::{Offset, TopicPartition};

/// A marked file: to be removed after a delay, or at the next start.
pub(crate) const DELETED: &str = ".deleted";
/// A file that an unfinished compaction was writing.
pub(crate) const CLEANED: &str = ".cleaned";
/// A file that a finished compaction was about to put in place.
pub(crate) const SWAP: &str = ".swap";
/// A partition directory that is to be removed.
pub(crate) const DELETE_DIR: &str = "-delete";
/// A partition directory that belongs to no topic and was set aside for a person to look at.
pub(crate) const STRAY_DIR: &str = "-stray";
/// A partition directory that is moving between data directories.
const FUTURE_DIR: &str = "-future";

/// What a file that belongs to an offset holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Record batches.
    Log,
    /// Offset to position.
    Index,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer state.
    Snapshot,
}

impl Kind {
    /// Every kind of file that goes with a segment.
    pub(crate) const ALL: [Self; 5] = [
        Self::Log,
        Self::Index,
        Self::TimeIndex,
        Self::TxnIndex,
        Self::Snapshot,
    ];

    fn suffix(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Index => "index",
            Self::TimeIndex => "timeindex",
            Self::TxnIndex => "txnindex",
            Self::Snapshot => "snapshot",
        }
    }
}

/// The name of a file: the offset with 20 digits, a dot, the suffix.
pub(crate) fn file_name(base: Offset, kind: Kind) -> String {
    format!("{:020}.{}", base.0, kind.suffix())
}

/// The path of a file in a partition's directory.
pub(crate) fn file_path(dir: &Path, base: Offset, kind: Kind) -> PathBuf {
    dir.join(file_name(base, kind))
}

/// The offset and kind a file name stands for; `None` for a name of any other form. Only the
/// form that [`file_name`] writes counts, so that no two names stand for the same file.
pub(crate) fn parse_file_name(name: &str) -> Option<(Offset, Kind)> {
    let (digits, suffix) = name.split_once('.')?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let base = plain.then(|| digits.parse::<i64>().ok())??;
    Some((Offset(base), kind))
}

/// The directory of a partition.
pub(crate) fn partition_dir(root: &Path, partition: &TopicPartition) -> PathBuf {
    root.join(partition.to_string())
}

/// The partition a directory name stands for; `None` if it is none, or one that is being
/// removed or moved.
pub(crate) fn parse_partition_dir(name: &str) -> Option<TopicPartition> {
    let marked = [DELETE_DIR, STRAY_DIR, FUTURE_DIR];
    if marked.into_iter().any(|suffix| name.ends_with(suffix)) {
        return None;
    }
    let (topic, number) = name.rsplit_once('-')?;
    let index = number.parse::<i32>().ok().filter(|index| *index >= 0)?;
    let plain = number == index.to_string() && !topic.is_empty();
    plain.then(|| TopicPartition::new(topic, index))
}

/// The partition that a directory which is to be removed was, by the form of
/// [`marked_dir_name`]. Its topic's name may have been cut short.
pub(crate) fn parse_delete_dir(name: &str) -> Option<TopicPartition> {
    let (partition, _unique) = name.strip_suffix(DELETE_DIR)?.rsplit_once('.')?;
    parse_partition_dir(partition)
}

/// The name of a directory that is to be removed, or has been set aside:
/// `topic-partition.id-suffix`. The topic is cut so that the whole fits the 255 bytes of a file
/// name.
pub(crate) fn marked_dir_name(dir_name: &str, unique: Uuid, suffix: &str) -> String {
    let (topic, number) = dir_name.rsplit_once('-').unwrap_or((dir_name, "0"));
    let suffix = format!("-{number}.{}{suffix}", unique.simple());
    let room = 255usize.saturating_sub(suffix.len());
    let topic: String = topic.chars().take(room).collect();
    format!("{topic}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_kafkas() {
        let check = |name: &str, expected: Option<(i64, Kind)>| {
            let parsed = parse_file_name(name);
            assert_eq!(
                parsed,
                expected.map(|(base, kind)| (Offset(base), kind)),
                "{name}"
            );
            if let Some((base, kind)) = parsed {
                assert_eq!(file_name(base, kind), name);
            }
        };
        check("00000000000000000000.log", Some((0, Kind::Log)));
        check("00000000000000000042.index", Some((42, Kind::Index)));
        check(
            "09223372036854775807.timeindex",
            Some((i64::MAX, Kind::TimeIndex)),
        );
        check("00000000000000000007.txnindex", Some((7, Kind::TxnIndex)));
        check("00000000000000000007.snapshot", Some((7, Kind::Snapshot)));
        check("09223372036854775808.log", None);
        check("7.log", None);
        check("+0000000000000000007.log", None);
        check("00000000000000000007.log.swap", None);
        check("00000000000000000007", None);
        check("leader-epoch-checkpoint", None);
    }

    #[test]
    fn directory_names_are_kafkas() {
        let check = |name: &str, expected: Option<(&str, i32)>| {
            let expected = expected.map(|(topic, index)| TopicPartition::new(topic, index));
            assert_eq!(parse_partition_dir(name), expected, "{name}");
        };
        check("a-0", Some(("a", 0)));
        check("a-b.c-12", Some(("a-b.c", 12)));
        check("__cluster_metadata-0", Some(("__cluster_metadata", 0)));
        check("a-0.00000000000000000000000000000001-delete", None);
        check("a-0.00000000000000000000000000000001-future", None);
        check("a--1", Some(("a-", 1)));
        check("a-01", None);
        check("a-", None);
        check("-3", None);
        check("a", None);
        check("a-99999999999", None);
    }

    #[test]
    fn a_directory_to_be_removed_fits_a_file_name() {
        let name = marked_dir_name("a-7", Uuid::from_u128(1), DELETE_DIR);
        assert_eq!(name, "a-7.00000000000000000000000000000001-delete");
        let long = marked_dir_name(
            &format!("{}-7", "x".repeat(249)),
            Uuid::from_u128(1),
            DELETE_DIR,
        );
        assert_eq!(long.len(), 255);
        assert!(long.ends_with("x-7.00000000000000000000000000000001-delete"));
    }
}
