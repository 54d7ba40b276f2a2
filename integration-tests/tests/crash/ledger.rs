//! What has been sent, and what became of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// A record: which producer, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordId {
    pub(crate) producer: usize,
    pub(crate) number: usize,
}

/// What the producer knows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Under way.
    Sent,
    /// Acknowledged, at this partition and offset.
    Acknowledged(i32, i64),
    /// Given up when its producer was closed: it may be there or not.
    Unknown,
}

/// A record that was handed to a producer.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) topic: &'static str,
    pub(crate) key: String,
    pub(crate) fate: Fate,
}

/// All records of all rounds.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<BTreeMap<RecordId, Sent>>);

impl RecordId {
    /// The record's value: the id, and something that compresses.
    pub(crate) fn value(self) -> String {
        let Self { producer, number } = self;
        let filling = "tide ".repeat(number % 12);
        format!("{producer} {number} {filling}")
    }

    /// Reads a value and checks that it is whole.
    pub(crate) fn of_value(value: &[u8]) -> Self {
        let text = std::str::from_utf8(value).expect("values are text");
        let mut words = text.split(' ').map(str::parse);
        let (Some(Ok(producer)), Some(Ok(number))) = (words.next(), words.next()) else {
            panic!("no value of ours: {text:?}");
        };
        let id = Self { producer, number };
        assert_eq!(id.value(), text, "the value has changed");
        id
    }
}

impl Ledger {
    pub(crate) fn sent(&self, id: RecordId, topic: &'static str, key: String) {
        let fate = Fate::Sent;
        let before = self.locked().insert(id, Sent { topic, key, fate });
        assert!(before.is_none(), "{id:?} was sent twice by the test");
    }

    pub(crate) fn resolve(&self, id: RecordId, fate: Fate) {
        let mut records = self.locked();
        let record = records
            .get_mut(&id)
            .expect("only sent records are reported");
        assert_eq!(record.fate, Fate::Sent, "{id:?} was reported twice");
        record.fate = fate;
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<RecordId, Sent> {
        self.locked().clone()
    }

    pub(crate) fn summary(&self) -> String {
        let records = self.locked();
        let acknowledged = |sent: &&Sent| matches!(sent.fate, Fate::Acknowledged(..));
        let unknown = |sent: &&Sent| sent.fate == Fate::Unknown;
        format!(
            "{} records sent, {} acknowledged, {} given up with their producer",
            records.len(),
            records.values().filter(acknowledged).count(),
            records.values().filter(unknown).count()
        )
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<RecordId, Sent>> {
        self.0.lock().expect("nobody panics with it")
    }
}
