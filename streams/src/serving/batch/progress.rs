//! What a run has done so far: what people are told, and what the next run goes on from.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::serving::Tally;
use crate::serving::snapshot::{EventsFile, StateFile};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchProgress {
    /// Offsets that have been read, of all partitions.
    pub read: u64,
    /// Offsets that are to be read.
    pub total: u64,
    /// States that have been written.
    pub states: u64,
    /// Offsets of these that a run had read that was killed, if this one has taken it up again.
    pub taken_up: Option<u64>,
}

/// A run that is not done: `unfinished/RUN/run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unfinished {
    /// The run's name.
    pub(super) run: String,
    pub(super) fingerprint: String,
    /// Whether it writes raw events, too.
    pub(super) archive: bool,
    pub(super) plan: Plan,
}

/// What has been done of a partition: `unfinished/RUN/TOPIC-PARTITION.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// The run that has done it.
    pub(super) run: String,
    /// Everything below has been read.
    pub(super) position: i64,
    /// The leader's epoch of the last batch that has been read.
    pub(super) epoch: Option<i32>,
    /// How much that was, from the run's beginning.
    pub(super) tally: Tally,
    /// States that have been put aside: sorted lists, each in one or several files.
    pub(super) aside: Vec<Vec<StateFile>>,
    /// How many files have been put aside so far: each has a number of its own.
    pub(super) numbers: u64,
    /// Files of raw events.
    pub(super) events: Vec<EventsFile>,
    /// The partition's states, once all of them are written.
    pub(super) states: Option<Vec<StateFile>>,
}

/// A note as it is written. What follows from it has good checksums of its own, so a damaged one must not be
/// gone on from.
#[derive(Serialize, Deserialize)]
struct Note<T> {
    noted: T,
    /// The CRC-32 (IEEE) of `noted` as it is written.
    crc32: u32,
}

/// A note as it is written.
pub(super) fn note<T: Serialize>(noted: T) -> serde_json::Result<Vec<u8>> {
    let crc32 = crc32fast::hash(&serde_json::to_vec(&noted)?);
    serde_json::to_vec(&Note { noted, crc32 })
}

/// Reads a note; `None` if it is not what was written.
pub(super) fn noted<T: Serialize + DeserializeOwned>(json: &[u8]) -> Option<T> {
    let note: Note<T> = serde_json::from_slice(json).ok()?;
    let again = serde_json::to_vec(&note.noted).ok()?;
    (crc32fast::hash(&again) == note.crc32).then_some(note.noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_what_was_written_or_none() {
        let done = Done {
            run: "ab12".to_owned(),
            position: 120,
            numbers: 3,
            ..Done::default()
        };
        let json = note(&done).unwrap();
        assert_eq!(noted::<Done>(&json).as_ref(), Some(&done));
        let text = String::from_utf8(json.clone()).unwrap();
        let other = text.replace("\"position\":120", "\"position\":130");
        assert_ne!(other, text);
        assert_eq!(noted::<Done>(other.as_bytes()), None);
        // Whichever byte it is: what is not there is as good as what is `null`.
        for at in 0..json.len() {
            let mut other = json.clone();
            other[at] ^= 1;
            let read = noted::<Done>(&other);
            assert!(read.is_none_or(|read| read == done), "{at}");
        }
        assert_eq!(noted::<Done>(&json[..json.len() - 1]), None);
    }
}
