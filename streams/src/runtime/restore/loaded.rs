//! What of a task's state is taken from its snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;
use tidemark_client::TopicPartition;

use super::{TELL_EVERY, Undone};
use crate::data::DataError;
use crate::error::StreamsError;
use crate::runtime::assignment::TaskId;
use crate::runtime::commit::position::Committed;
use crate::runtime::commit::snapshot::{self, SnapshotReader};
use crate::runtime::shared::Shared;
use crate::runtime::task::Task;
use crate::state::{Entry, Store};

/// What a snapshot has given.
#[derive(Debug)]
pub(super) struct Loaded {
    /// By store that it has given: the offset of the changelog at which reading goes on.
    pub(super) from: BTreeMap<usize, i64>,
    /// How large the file is.
    pub(super) bytes: u64,
    /// When it was begun, in milliseconds since 1970.
    pub(super) wall: i64,
}

/// Whether what is of `then` is not too old now. Clocks may differ a little: what is of the near future
/// is not old.
pub(super) fn age_is_certain(now: i64, then: i64, certain: i64) -> bool {
    const HOUR: i64 = 60 * 60 * 1000;
    (-HOUR..=certain).contains(&now.saturating_sub(then)) || then == i64::MAX
}

/// Where to go on in the changelog of a store that a snapshot has up to `end`, or why that cannot be. The
/// changelog is there from `start` on, and belongs to the commit up to `upto`. What lies in front of
/// `begin` is another store's.
fn usable(end: Option<i64>, fit: &Fit, certain: bool) -> Result<i64, &'static str> {
    let ((start, upto), begin) = (fit.range, fit.begin);
    match end {
        None => Err("it does not have it"),
        // One that begins there is empty: what has something up to there is what was there before.
        Some(end) if begin > 0 && end <= begin => Err("it is of another store of that name"),
        Some(end) if end < start => Err("its changelog has been cut behind it"),
        Some(end) if end > upto => Err("it is not older than the commit"),
        Some(end) if end < upto && !certain => {
            Err("it is so old that the changelog may have forgotten which keys have gone since")
        }
        Some(end) => Ok(end),
    }
}

/// Loads the stores of a task that its snapshot has, if there is one of this topology: those of which it
/// is no newer than the commit, and whose changelogs go on where it ends, without having forgotten
/// anything since. What is not used is left alone: the changelogs have it all.
pub(super) async fn load_snapshot(
    shared: &Arc<Shared>,
    task: Task,
    id: TaskId,
    committed: &Committed,
    starts: &BTreeMap<usize, i64>,
    undone: &mut Undone,
) -> Result<(Task, Option<Loaded>), StreamsError> {
    let Some(dir) = &shared.config.state_dir else {
        return Ok((task, None));
    };
    let path = snapshot::path(&dir.join(&shared.config.application), id);
    let fits: HashMap<u32, Fit> = starts
        .iter()
        .map(|(store, start)| {
            let range = (*start, committed.changelogs[store]);
            (
                shared.store_hash(*store),
                Fit {
                    store: *store,
                    range,
                    begin: shared.begin(*store, id.partition),
                },
            )
        })
        .collect();
    let (state, certain) = (shared.state, shared.certain);
    let wall = shared.config.clock.now().wall;
    let mut own_undone = std::mem::take(undone);
    let given: Vec<TopicPartition> = task.inputs().cloned().collect();
    let fresh = shared.new_task(id, Some(&given));
    let sizes = Arc::clone(shared);
    let work = tokio::task::spawn_blocking(move || {
        let mut task = task;
        let tell = |store, bytes| sizes.note_size(id, store, bytes);
        let certain = |then| age_is_certain(wall, then, certain);
        let loaded = load(
            &path,
            state,
            &certain,
            &mut task,
            &fits,
            &mut own_undone,
            &tell,
        );
        match loaded {
            Ok(loaded) => (task, loaded, own_undone),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the snapshot is not used");
                own_undone.values_mut().for_each(|value| *value = None);
                (fresh, None, own_undone)
            }
        }
    });
    let (task, loaded, own_undone) = work
        .await
        .map_err(|error| StreamsError::Internal(error.to_string()))?;
    *undone = own_undone;
    Ok((task, loaded))
}

/// A store of a task, and what its changelog has: from where on, and up to where it belongs to the
/// commit.
pub(super) struct Fit {
    pub(super) store: usize,
    pub(super) range: (i64, i64),
    /// Where the store begins in it.
    pub(super) begin: i64,
}

/// `fits` are the task's stores by their hashes. It is told now and then how many bytes a store has.
pub(super) fn load(
    path: &Path,
    state: u64,
    certain: &dyn Fn(i64) -> bool,
    task: &mut Task,
    fits: &HashMap<u32, Fit>,
    undone: &mut Undone,
    tell: &dyn Fn(usize, usize),
) -> std::io::Result<Option<Loaded>> {
    let Some(reader) = SnapshotReader::open(path, state)? else {
        return Ok(None);
    };
    let (wall, bytes) = (reader.about.wall, reader.size()?);
    let certain = certain(wall);
    let known: HashSet<u32> = reader.about.ends.keys().copied().collect();
    let mut from = BTreeMap::new();
    for (hash, fit) in fits {
        match usable(reader.about.ends.get(hash).copied(), fit, certain) {
            Ok(end) => {
                from.insert(fit.store, end);
            }
            Err(reason) => tracing::info!(
                path = %path.display(), store = fit.store, reason,
                "the store is read from its changelog, and not from the snapshot"
            ),
        }
    }
    if from.is_empty() {
        return Ok(None);
    }
    let mut stores: HashMap<u32, (usize, &mut Box<dyn Store>)> = HashMap::new();
    for (number, store) in task.stores() {
        let mut fits = fits.iter();
        let fit = fits.find(|(_, fit)| fit.store == number && from.contains_key(&number));
        if let Some((hash, _)) = fit {
            stores.insert(*hash, (number, store));
        }
    }
    let mut left = TELL_EVERY;
    reader.entries(&mut |entries| {
        for run in entries.chunk_by(|a, b| a.store == b.store) {
            let Some(first) = run.first() else { continue };
            let Some((number, store)) = stores.get_mut(&first.store) else {
                if known.contains(&first.store) {
                    continue;
                }
                return Err(std::io::Error::other(
                    "an entry of a store that is not there",
                ));
            };
            // Nearly always there is nothing that was written behind the commit.
            let looked_at = if undone.is_empty() { &[] } else { run };
            for entry in looked_at {
                if let Some(kept) = undone.get_mut(&(*number, entry.key.to_vec())) {
                    *kept = Some(entry.value.to_vec());
                }
            }
            let entries: SmallVec<[Entry<'_>; 32]> = run
                .iter()
                .map(|entry| Entry {
                    key: entry.key,
                    value: Some(entry.value),
                })
                .collect();
            let restored = store.restore_all(&entries);
            restored.map_err(|error: DataError| std::io::Error::other(error.to_string()))?;
            left -= run.len() as i64;
            if left <= 0 {
                left = TELL_EVERY;
                tell(*number, store.bytes());
            }
        }
        Ok(())
    })?;
    Ok(Some(Loaded { from, bytes, wall }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamsBuilder;
    use crate::runtime::commit::snapshot::{About, Ends, SnapshotWriter};

    const CERTAIN: i64 = 1000;

    /// How many keys two stores have that a snapshot of `wall` has up to 50 of their changelogs, where
    /// these are there in such ranges; and from where on their changelogs are read.
    fn loaded(wall: i64, ranges: [(i64, i64); 2]) -> ([usize; 2], BTreeMap<usize, i64>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0_0.snapshot");
        let builder = StreamsBuilder::new();
        let grouped = builder.stream::<String, String>("in").group_by_key();
        let _ = (grouped.count(), grouped.count());
        let topology = builder.build().unwrap();
        let mut task = Task::alone(&topology, 1, 0);
        let about = About {
            state: 1,
            wall,
            ends: Ends::from([(7, 50), (8, 50)]),
        };
        let mut writer = SnapshotWriter::create(&path, &about).unwrap();
        let mut value = vec![0; 17];
        value[8] = 1;
        for (store, key) in [(7, "key"), (8, "key"), (8, "other")] {
            writer.entry(store, key.as_bytes(), &value).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let certain = |then| age_is_certain(100_000, then, CERTAIN);
        let fits = ranges.into_iter().enumerate();
        let fits = fits.map(|(store, range)| {
            let begin = 0;
            (
                7 + store as u32,
                Fit {
                    store,
                    range,
                    begin,
                },
            )
        });
        let fits = fits.collect();
        let mut undone = Undone::new();
        let loaded = load(
            &path,
            1,
            &certain,
            &mut task,
            &fits,
            &mut undone,
            &|_, _| {},
        )
        .unwrap();
        let from = loaded.map(|loaded| {
            assert_eq!((loaded.bytes, loaded.wall), (bytes, wall));
            loaded.from
        });
        let found: Vec<usize> = task.stores().map(|(_, store)| store.len()).collect();
        (found.try_into().unwrap(), from.unwrap_or_default())
    }

    /// A key that has gone since would come back, if the changelog does not tell so any more.
    #[test]
    fn a_snapshot_is_used_only_if_nothing_can_have_been_forgotten_since() {
        let now = 100_000;
        let used = |wall, range| loaded(wall, [range; 2]).0 == [1, 2];
        // Young enough.
        assert!(used(now - CERTAIN, (0, 60)));
        assert!(used(now + 1, (50, 60)));
        // Too old, or of a clock that cannot be right.
        assert!(!used(now - CERTAIN - 1, (0, 60)));
        assert!(!used(now + 3_600_001, (0, 60)));
        // However old it is, nothing has happened since.
        assert!(used(0, (0, 50)));
        // The changelog has been cut, or ends in front of it.
        assert!(!used(now, (51, 60)));
        assert!(!used(now, (0, 49)));
    }

    /// What another store of its name has left is none of its own, whatever fits.
    #[test]
    fn what_lies_in_front_of_a_stores_beginning_is_not_taken() {
        let fit = |begin| Fit {
            store: 0,
            range: (begin, 50),
            begin,
        };
        assert_eq!(usable(Some(50), &fit(49), true), Ok(50));
        assert!(usable(Some(50), &fit(50), true).is_err());
        // One that has been there all the time may have nothing yet.
        let new = Fit {
            store: 0,
            range: (0, 0),
            begin: 0,
        };
        assert_eq!(usable(Some(0), &new, true), Ok(0));
    }

    /// A store of which the snapshot is of no use does not take the others with it.
    #[test]
    fn each_store_is_used_by_itself() {
        let now = 100_000;
        let (found, from) = loaded(now, [(51, 60), (0, 60)]);
        assert_eq!((found, from), ([0, 2], BTreeMap::from([(1, 50)])));
        let (found, from) = loaded(now, [(0, 60), (0, 49)]);
        assert_eq!((found, from), ([1, 0], BTreeMap::from([(0, 50)])));
        // Too old to be gone on with, where there is something to go on with.
        let (found, from) = loaded(0, [(0, 50), (0, 60)]);
        assert_eq!((found, from), ([1, 0], BTreeMap::from([(0, 50)])));
        let (found, from) = loaded(now, [(51, 60), (51, 60)]);
        assert_eq!((found, from), ([0, 0], BTreeMap::new()));
    }
}
