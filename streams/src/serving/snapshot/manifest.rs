//! A snapshot's manifest: what it covers, and which files it is made of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::serving::{Coverage, Tally};

/// The version of what is written here, and of the files that it names.
const FORMAT: u32 = 1;

/// A snapshot: its states hold exactly the committed records with offsets in `[begin, to)` of each source
/// partition, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format; other versions are refused.
    pub format: u32,
    /// The view's name.
    pub view: String,
    /// Stands for what the view computes: snapshots of others are never mixed with this one.
    pub fingerprint: String,
    /// What the view computes, in words.
    pub definition: String,
    /// The snapshot's number. Numbers of a view count up; there may be gaps.
    pub snapshot: u64,
    /// The snapshot that it goes on from; `None` if it was computed from the beginning of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// The run that made it.
    pub run: String,
    /// When it was made, in milliseconds since 1970 by the clock of whoever made it.
    pub created: i64,
    /// Which records count: `read_committed`.
    pub isolation: String,
    /// What was read.
    pub sources: Vec<Source>,
    /// The files of its states.
    pub states: Vec<StateFile>,
    /// The files of the raw events that are in this snapshot and not in its parent.
    pub events: Vec<EventsFile>,
    /// The CRC-32 (IEEE) of the manifest as it is written with 0 here. It is set when it is written.
    #[serde(default)]
    pub crc32: u32,
}

/// A source topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub topic: String,
    /// Its id: a topic that was made again under its name is another one.
    pub id: String,
    /// Its partitions.
    pub partitions: Vec<SourcePartition>,
}

/// What a snapshot has of a source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePartition {
    /// Its number.
    pub partition: i32,
    /// The first offset that is covered: where the log began when it was first read.
    pub begin: i64,
    /// The first offset that the run has read itself: where the parent ends.
    pub from: i64,
    /// The first offset that is not covered.
    pub to: i64,
    /// Events in front of this offset are in files of this snapshot and of earlier ones, as far as events
    /// were written at all.
    pub archived: i64,
    /// Where the log began when it was made.
    pub log_start: i64,
    /// The leader's epoch of the last record in front of `to`; -1 if there is none, or it is not known.
    pub leader_epoch: i32,
    /// How much is in the snapshot.
    pub tally: Tally,
}

/// A file of states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Where it is, below the view's folder.
    pub path: String,
    /// The source topic that it is made of.
    pub topic: String,
    /// The source partition that it is made of. One key may be in several of them.
    pub partition: i32,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its CRC-32 (IEEE).
    pub crc32: u32,
    /// How many states it has.
    pub rows: u64,
}

/// A file of raw events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsFile {
    /// Where it is, below the view's folder.
    pub path: String,
    /// The source topic.
    pub topic: String,
    /// The source partition.
    pub partition: i32,
    /// The offset of its first record.
    pub from: i64,
    /// The first offset behind its last record.
    pub to: i64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its CRC-32 (IEEE).
    pub crc32: u32,
    /// How many events it has.
    pub rows: u64,
}

impl EventsFile {
    /// How many bytes it takes of a manifest, at least.
    pub(crate) fn listed(&self) -> u64 {
        // There each line is indented by four more, and a comma and an end of line are behind it.
        let indented = |json: Vec<u8>| {
            let lines = 1 + json.iter().filter(|byte| **byte == b'\n').count();
            json.len() + 4 * lines + 2
        };
        serde_json::to_vec_pretty(self).map_or(0, |json| indented(json) as u64)
    }
}

/// Why a manifest is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// It is not what a manifest is written as.
    #[error("it cannot be read: {0}")]
    Json(String),
    /// Of another version.
    #[error("its format is {found}, and {FORMAT} is what this version reads")]
    Format {
        /// Its version.
        found: u32,
    },
    /// It is not what was written.
    #[error("its checksum is {found}, and {wanted} is what it says")]
    Checksum {
        /// The checksum that it has.
        found: u32,
        /// The one that it should have.
        wanted: u32,
    },
    /// It contradicts itself.
    #[error("it contradicts itself: {0}")]
    Contradiction(String),
}

impl Manifest {
    /// Version of the format that this is.
    pub const FORMAT: u32 = FORMAT;

    /// How a manifest's file is named: names are in the order of numbers.
    #[must_use]
    pub fn file_name(snapshot: u64) -> String {
        format!("{snapshot:020}.json")
    }

    /// The number in a manifest's file name.
    #[must_use]
    pub fn number_of(file_name: &str) -> Option<u64> {
        let number = file_name.strip_suffix(".json")?;
        let digits = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| number.parse().ok()).flatten()
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut own = self.clone();
        own.crc32 = own.checksum();
        own.plain()
    }

    fn plain(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest has nothing that JSON has not")
    }

    fn checksum(&self) -> u32 {
        let mut own = self.clone();
        own.crc32 = 0;
        crc32fast::hash(&own.plain())
    }

    /// Reads a manifest and makes sure that it makes sense.
    ///
    /// # Errors
    ///
    /// [`BadManifest`] if it does not.
    pub fn from_json(json: &[u8]) -> Result<Self, BadManifest> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let bad = |error: serde_json::Error| BadManifest::Json(error.to_string());
        let Version { format } = serde_json::from_slice(json).map_err(bad)?;
        if format != FORMAT {
            return Err(BadManifest::Format { found: format });
        }
        let manifest: Self = serde_json::from_slice(json).map_err(bad)?;
        let (found, wanted) = (manifest.checksum(), manifest.crc32);
        if found != wanted {
            return Err(BadManifest::Checksum { found, wanted });
        }
        match manifest.contradiction() {
            None => Ok(manifest),
            Some(what) => Err(BadManifest::Contradiction(what)),
        }
    }

    fn contradiction(&self) -> Option<String> {
        let mut known = BTreeSet::new();
        let states = self.states.iter();
        let with_states: BTreeSet<(&str, i32)> =
            states.map(|file| (&*file.topic, file.partition)).collect();
        for source in &self.sources {
            for own in &source.partitions {
                let name = format!("{}-{}", source.topic, own.partition);
                if !known.insert((&*source.topic, own.partition)) {
                    return Some(format!("{name} is in it twice"));
                }
                let order = [0, own.begin, own.from, own.to];
                if !order.is_sorted() {
                    return Some(format!(
                        "{name} begins at {}, was read from {} and ends at {}",
                        own.begin, own.from, own.to
                    ));
                }
                if self.parent.is_none() && own.from != own.begin {
                    return Some(format!("{name} is without its parent"));
                }
                let has_states = with_states.contains(&(&*source.topic, own.partition));
                if own.tally.min_time.is_some() && !has_states {
                    return Some(format!("{name} has events and no states"));
                }
                if own.tally.bad > own.tally.records {
                    return Some(format!("{name} has more bad records than records"));
                }
            }
        }
        if self.parent.is_some_and(|parent| parent >= self.snapshot) {
            return Some("its parent is not older than it is".to_owned());
        }
        let states = self
            .states
            .iter()
            .map(|file| (&file.path, &file.topic, file.partition));
        let events = self
            .events
            .iter()
            .map(|file| (&file.path, &file.topic, file.partition));
        for (path, topic, partition) in states.chain(events) {
            if !known.contains(&(&**topic, partition)) {
                return Some(format!("{path} is of a partition that it does not have"));
            }
            let strange = path.split('/').any(|part| matches!(part, "" | "." | ".."));
            if strange {
                return Some(format!("{path:?} does not lie below the view's folder"));
            }
        }
        None
    }

    /// What it has of a partition.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&SourcePartition> {
        let source = self.sources.iter().find(|source| source.topic == topic)?;
        let mut partitions = source.partitions.iter();
        partitions.find(|own| own.partition == partition)
    }

    /// How far it covers the log.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.vector(|own| own.to)
    }

    /// Where its coverage begins.
    #[must_use]
    pub fn begin(&self) -> Coverage {
        self.vector(|own| own.begin)
    }

    fn vector(&self, of: impl Fn(&SourcePartition) -> i64) -> Coverage {
        let mut vector = Coverage::new();
        for source in &self.sources {
            for own in &source.partitions {
                vector.set(&source.topic, own.partition, of(own));
            }
        }
        vector
    }

    /// How much is in it.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        let partitions = self.sources.iter().flat_map(|source| &source.partitions);
        partitions.for_each(|own| sum.add(&own.tally));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut tally = Tally::default();
        (10..20).for_each(|offset| tally.record(offset));
        tally.time(1_672_567_200_000);
        Manifest {
            format: FORMAT,
            view: "user_totals".to_owned(),
            fingerprint: "0123456789abcdef".to_owned(),
            definition: "count".to_owned(),
            snapshot: 7,
            parent: Some(6),
            run: "ab12cd34".to_owned(),
            created: 1_672_567_300_000,
            isolation: "read_committed".to_owned(),
            sources: vec![Source {
                topic: "user_events".to_owned(),
                id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
                partitions: vec![SourcePartition {
                    partition: 3,
                    begin: 10,
                    from: 15,
                    to: 20,
                    archived: 20,
                    log_start: 12,
                    leader_epoch: 4,
                    tally,
                }],
            }],
            states: vec![StateFile {
                path: "state/7-ab12cd34/user_events-3-0.parquet".to_owned(),
                topic: "user_events".to_owned(),
                partition: 3,
                bytes: 100,
                crc32: 5,
                rows: 2,
            }],
            events: vec![EventsFile {
                path: "events/topic=user_events/year=2023/month=01/day=01/part-3-15-20.parquet"
                    .to_owned(),
                topic: "user_events".to_owned(),
                partition: 3,
                from: 15,
                to: 20,
                bytes: 200,
                crc32: 6,
                rows: 5,
            }],
            crc32: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = manifest();
        let read = Manifest::from_json(&written.to_json()).unwrap();
        assert_eq!(read.to_json(), written.to_json());
        let mut read = read;
        read.crc32 = 0;
        assert_eq!(read, written);
        assert_eq!(written.coverage().to_string(), "user_events:3:20");
        assert_eq!(written.begin().to_string(), "user_events:3:10");
        assert_eq!(written.tally().records, 10);
    }

    /// Manifests of released versions are read for ever.
    #[test]
    fn the_format_stays() {
        let frozen = include_bytes!("manifest/format-1.json");
        assert_eq!(manifest().to_json(), frozen.trim_ascii_end());
        Manifest::from_json(frozen).unwrap();
    }

    #[test]
    fn names_are_in_the_order_of_numbers() {
        assert_eq!(Manifest::file_name(7), "00000000000000000007.json");
        for number in [0, 7, 10, u64::MAX] {
            let name = Manifest::file_name(number);
            assert_eq!(Manifest::number_of(&name), Some(number));
        }
        for name in [
            "7.json",
            "+0000000000000000007.json",
            "a",
            "00000000000000000007",
        ] {
            assert_eq!(Manifest::number_of(name), None, "{name}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let broken: [(&str, fn(&mut Manifest)); 8] = [
            ("twice", |it| {
                let first = it.sources[0].partitions[0].clone();
                it.sources[0].partitions.push(first);
            }),
            ("begins at", |it| it.sources[0].partitions[0].from = 21),
            ("begins at", |it| it.sources[0].partitions[0].begin = -1),
            ("without its parent", |it| it.parent = None),
            ("bad records", |it| {
                it.sources[0].partitions[0].tally.bad = 11
            }),
            ("not older", |it| it.parent = Some(7)),
            ("of a partition", |it| it.events[0].partition = 4),
            ("does not lie below", |it| {
                it.states[0].path = "state/../../secret".to_owned();
            }),
        ];
        for (what, spoil) in broken {
            let mut spoilt = manifest();
            spoil(&mut spoilt);
            let error = Manifest::from_json(&spoilt.to_json()).unwrap_err();
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
        // One digit is another one.
        let text = String::from_utf8(manifest().to_json()).unwrap();
        let error = Manifest::from_json(text.replace("\"to\": 20", "\"to\": 21").as_bytes());
        assert!(
            matches!(error, Err(BadManifest::Checksum { .. })),
            "{error:?}"
        );
        let mut newer = manifest();
        newer.format = 2;
        let error = Manifest::from_json(&newer.to_json()).unwrap_err();
        assert_eq!(error, BadManifest::Format { found: 2 });
        for text in ["", "{}", "[]", "{\"format\":1}"] {
            let error = Manifest::from_json(text.as_bytes()).unwrap_err();
            assert!(matches!(error, BadManifest::Json(_)), "{text}: {error}");
        }
    }
}
