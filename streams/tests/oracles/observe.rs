//! What is looked at: sinks at nodes, and stores.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_streams::Data as _;
use tidemark_streams::testing::TestDriver;

use crate::build::{Built, Handle, Keys};
use crate::case::{Case, Row, Time, TimestampIs};
use crate::value::Dyn;

/// The nodes that a case looks at, each with a sink of its own.
pub(crate) struct Observed {
    /// Id, the topic to read, what has to be added to windows' ends.
    places: Vec<(String, String, i64)>,
    stores: BTreeMap<String, (String, Keys, i64)>,
    no_timestamps: bool,
}

/// The pseudo-node of late records.
const LATE: &str = "late";

impl Observed {
    /// Adds the sinks.
    pub(crate) fn new(case: &Case, built: &Built) -> Result<Self, String> {
        let mut ids: BTreeSet<&str> = BTreeSet::new();
        let mut changes: BTreeSet<&str> = BTreeSet::new();
        let mut old: BTreeSet<&str> = BTreeSet::new();
        ids.extend(case.observe.iter().flatten().map(String::as_str));
        let lists = [&case.expect_final, &case.latest].into_iter().flatten();
        let lists = lists.chain(case.steps.iter().filter_map(|step| step.expect.as_ref()));
        for (id, rows) in lists.flatten() {
            ids.insert(id);
            if rows.iter().any(|row| matches!(row.1, Dyn::Change(..))) {
                changes.insert(id);
            }
            let has_old = |row: &Row| matches!(&row.1, Dyn::Change(_, old) if **old != Dyn::Null);
            if case.time == Time::Watermark && rows.iter().any(has_old) {
                // Flink has old values where it has them at all.
                old.insert(id);
            }
        }
        let mut places = Vec::new();
        for id in ids {
            let topic = format!("observe-{id}");
            let shift = built.end_shift.get(id).copied().unwrap_or_default();
            if id == LATE && !built.nodes.contains_key(LATE) {
                built.late.iter().for_each(|late| late.to(&topic));
            } else if !built.nodes.contains_key(id) {
                // A topic of `to`.
                places.push((id.to_owned(), id.to_owned(), shift));
                continue;
            } else if changes.contains(id) || built.old_values.iter().any(|asked| asked == id) {
                let old = built.old_values.iter().any(|asked| asked == id) || old.contains(id);
                observe_changes(built, id, old, &topic)?;
            } else if let (Handle::WindowedTable(table), Time::Watermark) =
                (built.node(id)?, built.time)
            {
                // Flink does not take sessions back that others have taken in.
                let values = table.values();
                values.map(|key, value| (Dyn::from(key), value)).to(&topic);
            } else {
                built.stream(id)?.to(&topic);
            }
            places.push((id.to_owned(), topic, shift));
        }
        let mut stores = BTreeMap::new();
        let lists = case.steps.iter().filter_map(|step| step.stores.as_ref());
        for id in case.stores.iter().chain(lists).flat_map(BTreeMap::keys) {
            let name = match built.node(id)? {
                Handle::Table(table) => table.store_name(),
                Handle::WindowedTable(table) => table.store_name(),
                // Stores of processors have the names of their nodes.
                Handle::Stream(_) => built.stores.contains_key(id).then(|| id.clone()),
                _ => None,
            };
            let name = name.ok_or_else(|| format!("{id} has no store"))?;
            let keys = built.stores.get(id).copied().unwrap_or(Keys::Plain);
            let shift = built.end_shift.get(id).copied().unwrap_or_default();
            stores.insert(id.clone(), (name, keys, shift));
        }
        Ok(Self {
            places,
            stores,
            no_timestamps: case.timestamp_is == Some(TimestampIs::Earliest),
        })
    }

    /// What has come out since the last call.
    pub(crate) fn read(&self, driver: &mut TestDriver) -> Result<Vec<(String, Vec<Row>)>, String> {
        let mut all = Vec::new();
        for (id, topic, shift) in &self.places {
            let records = driver.read::<Dyn, Dyn>(topic);
            let records = records.map_err(|error| error.to_string())?;
            let mut rows: Vec<Row> = Vec::new();
            for record in records {
                let timestamp = (!self.no_timestamps).then_some(record.timestamp);
                let key = match record.key {
                    Dyn::Windowed(key, start, end) => {
                        Dyn::Windowed(key, start, end.saturating_add(*shift))
                    }
                    key => key,
                };
                let value = match record.value {
                    // Several windows may have missed one record: it is told once.
                    Dyn::List(mut late) if id == LATE => late.swap_remove(0),
                    value => value,
                };
                let row = (key, value, timestamp);
                if id != LATE || rows.last() != Some(&row) {
                    rows.push(row);
                }
            }
            all.push((id.clone(), rows));
        }
        Ok(all)
    }

    /// What a store holds.
    pub(crate) fn store(&self, driver: &mut TestDriver, id: &str) -> Result<Vec<Row>, String> {
        let (name, keys, shift) = &self.stores[id];
        let entries = driver.store_entries(name);
        let mut rows = Vec::new();
        for (key, value) in entries.map_err(|error| error.to_string())? {
            let bad = || format!("an entry of {id} that nobody understands: {key:?} {value:?}");
            let (timestamp, rest) = value.split_first_chunk::<8>().ok_or_else(bad)?;
            let (some, rest) = rest.split_first().ok_or_else(bad)?;
            let value = decode((*some != 0).then_some(rest))?;
            let timestamp = i64::from_be_bytes(*timestamp);
            let (own, mut window) = keys.split(&key, timestamp).ok_or_else(bad)?;
            if let Some((_, end)) = &mut window {
                *end += shift;
            }
            let own = decode(Some(own))?;
            let key = match window {
                Some((start, end)) => Dyn::Windowed(Box::new(own), start, end),
                None => own,
            };
            rows.push((key, value, Some(timestamp)));
        }
        Ok(rows)
    }
}

/// A key's own bytes, and its window.
type Name<'a> = (&'a [u8], Option<(i64, i64)>);

impl Keys {
    /// The key's own bytes and its window.
    fn split<'a>(&self, key: &'a [u8], stamp: i64) -> Option<Name<'a>> {
        match self {
            Self::Plain => Some((key, None)),
            Self::Starts(size) => {
                let (own, start) = key.split_last_chunk::<8>()?;
                let start = i64::from_be_bytes(*start);
                Some((own, Some((start, start + size))))
            }
            Self::Ends => {
                let (own, start) = key.split_last_chunk::<8>()?;
                Some((own, Some((i64::from_be_bytes(*start), stamp))))
            }
        }
    }
}

fn decode(bytes: Option<&[u8]>) -> Result<Dyn, String> {
    let decoded = Dyn::decode(tidemark_streams::Payload::new(bytes));
    decoded.map_err(|error| error.to_string())
}

fn observe_changes(built: &Built, id: &str, old: bool, topic: &str) -> Result<(), String> {
    match built.node(id)? {
        Handle::Table(table) => table.changes(old).map_values(Dyn::from).to(topic),
        Handle::WindowedTable(table) => {
            let changes = table.changes(old);
            changes
                .map(|key, change| (Dyn::from(key), Dyn::from(change)))
                .to(topic);
        }
        _ => return Err(format!("{id} has no old values")),
    }
    Ok(())
}
