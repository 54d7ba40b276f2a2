//! The text form of Kafka's checkpoint files (`CheckpointFile.java`): a version, a count, and one
//! entry per line, each line ended by a newline.

use std::fmt::Write;
use std::path::Path;

use super::super::error::{At, StorageError};
use crate::environment::Disk;
use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// The only version there is.
const VERSION: &str = "0";

/// An entry of a checkpoint file.
pub(crate) trait Entry: Sized {
    /// The line, without its newline.
    fn to_line(&self) -> String;
    /// The entry of a line; `None` if the line has another form.
    fn from_line(line: &str) -> Option<Self>;
}

/// `topic partition offset`: the files of a data directory.
impl Entry for (TopicPartition, Offset) {
    fn to_line(&self) -> String {
        format!("{} {} {}", self.0.topic, self.0.partition, self.1)
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let topic = words.next()?;
        let partition = words.next()?.parse().ok()?;
        let offset = words.next()?.parse().ok()?;
        words
            .next()
            .is_none()
            .then(|| (TopicPartition::new(topic, partition), Offset(offset)))
    }
}

/// `epoch offset`: a partition's `leader-epoch-checkpoint`.
impl Entry for (LeaderEpoch, Offset) {
    fn to_line(&self) -> String {
        format!("{} {}", self.0, self.1)
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let epoch = words.next()?.parse().ok()?;
        let offset = words.next()?.parse().ok()?;
        words
            .next()
            .is_none()
            .then_some((LeaderEpoch(epoch), Offset(offset)))
    }
}

/// The content of a file with these entries.
pub(crate) fn encode<E: Entry>(entries: &[E]) -> Vec<u8> {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        writeln!(text, "{}", entry.to_line()).expect("a string takes every write");
    }
    text.into_bytes()
}

/// The entries of a file's content, or the byte at which it stops making sense, and why.
pub(crate) fn decode<E: Entry>(content: &[u8]) -> Result<Vec<E>, (u64, String)> {
    let text = std::str::from_utf8(content)
        .map_err(|error| (error.valid_up_to() as u64, "not UTF-8".to_owned()))?;
    let mut position = 0;
    let mut lines = text.split_inclusive('\n').map(|line| {
        let start = position;
        position += line.len() as u64;
        (start, line.trim_end_matches(['\n', '\r']))
    });
    // Kafka reads an empty file, which it makes before it first writes one, as no entries.
    let Some((_, version)) = lines.next() else {
        return Ok(Vec::new());
    };
    if version != VERSION {
        return Err((0, format!("version {version:?}, only {VERSION} is known")));
    }
    let Some((at, count)) = lines.next() else {
        return Ok(Vec::new());
    };
    let count: usize = count
        .parse()
        .map_err(|_| (at, format!("the count is {count:?}")))?;
    let mut entries = Vec::new();
    for (at, line) in lines {
        let entry = E::from_line(line).ok_or_else(|| (at, format!("malformed line {line:?}")))?;
        entries.push(entry);
    }
    if entries.len() == count {
        Ok(entries)
    } else {
        Err((
            content.len() as u64,
            format!("{} entries, the count is {count}", entries.len()),
        ))
    }
}

/// Reads a checkpoint file; a file that does not exist has no entries.
pub(crate) fn read<E: Entry>(disk: &dyn Disk, path: &Path) -> Result<Vec<E>, StorageError> {
    match disk.read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => decode(&other.at(path, "read")?)
            .map_err(|(position, what)| StorageError::corrupt(path, position, what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Offsets = Vec<(TopicPartition, Offset)>;

    #[test]
    fn the_text_is_kafkas() {
        let entries = vec![
            (TopicPartition::new("a", 0), Offset(7)),
            (TopicPartition::new("b-c", 12), Offset(i64::MAX)),
        ];
        let frozen = b"0\n2\na 0 7\nb-c 12 9223372036854775807\n";
        assert_eq!(encode(&entries), frozen);
        assert_eq!(decode::<(TopicPartition, Offset)>(frozen), Ok(entries));
        let epochs = vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(25))];
        assert_eq!(encode(&epochs), b"0\n2\n0 0\n3 25\n");
        assert_eq!(decode(b"0\n2\n0 0\n3 25\n"), Ok(epochs));
    }

    #[test]
    fn damaged_text_says_where() {
        let check = |content: &[u8], expected: Result<usize, u64>| {
            let found = decode(content).map(|entries: Offsets| entries.len());
            assert_eq!(
                found.map_err(|(at, _)| at),
                expected,
                "{}",
                content.escape_ascii()
            );
        };
        check(b"", Ok(0));
        check(b"0\n", Ok(0));
        check(b"0\n0\n", Ok(0));
        check(b"0\n1\na 0 7", Ok(1));
        check(b"1\n0\n", Err(0));
        check(b"0\nx\n", Err(2));
        check(b"0\n-1\n", Err(2));
        check(b"0\n99999999999999999999\n", Err(2));
        check(b"0\n2\na 0 7\n", Err(10));
        check(b"0\n1\na 0 7\nb 0 7\n", Err(16));
        check(b"0\n1\na 0\n", Err(4));
        check(b"0\n1\na 0 7 9\n", Err(4));
        check(b"0\n1\na 0 99999999999999999999\n", Err(4));
        check(b"0\n1\n\xff\n", Err(4));
    }
}
