//! Finds new snapshots and reads with them.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemark_client::Clock;

use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::merged::{Site, Unfit};
use crate::serving::snapshot::Loaded;
use crate::serving::snapshot::{SnapshotError, Snapshots};

/// Looks for snapshots.
pub(super) struct Refresh<K, A: Aggregate> {
    pub(super) site: Arc<Site<K, A>>,
    snapshots: Snapshots,
    clock: Clock,
    /// What has been looked at, and what came of it.
    state: tokio::sync::Mutex<Looked>,
    /// What keeps the newest snapshot from being used, if something does.
    trouble: Mutex<Option<String>>,
    /// Why it is not known which snapshots there are, as long as it is not.
    unread: Mutex<Option<String>>,
    /// A snapshot that has been read, and could not be gone over to at that moment; and the floor with it.
    ready: Mutex<Option<(Arc<Loaded>, Option<Coverage>)>>,
}

#[derive(Default)]
struct Looked {
    /// The number of the newest snapshot that has been looked at.
    newest: u64,
    /// The numbers of all that are known, in order.
    numbers: Vec<u64>,
}

impl<K: Data, A: Aggregate> Refresh<K, A> {
    pub(super) fn new(site: Arc<Site<K, A>>, snapshots: Snapshots, clock: Clock) -> Self {
        Self {
            site,
            snapshots,
            clock,
            state: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
            unread: Mutex::default(),
            ready: Mutex::default(),
        }
    }

    /// What keeps the newest snapshot from being used.
    pub(super) fn trouble(&self) -> Option<String> {
        let unread = self.unread.lock().clone();
        unread.or_else(|| self.trouble.lock().clone())
    }

    /// Reads with the newest snapshot that can be read with, if it is newer than what is used. A snapshot is
    /// looked at once; what keeps it from being used is told, and the next older one is taken.
    ///
    /// # Errors
    ///
    /// If the store does not tell which snapshots there are, or what is in the newest. It is told, too, and
    /// asked again the next time.
    pub(super) async fn once(&self) -> Result<(), SnapshotError> {
        let mut looked = self.state.lock().await;
        let done = self.look(&mut looked).await;
        *self.unread.lock() = done.as_ref().err().map(ToString::to_string);
        self.site.sweep();
        done
    }

    fn tell(&self, trouble: &str) {
        let mut told = self.trouble.lock();
        if told.as_deref() != Some(trouble) {
            tracing::warn!(view = self.site.view.name(), trouble, "snapshots");
            *told = Some(trouble.to_owned());
        }
    }

    async fn look(&self, looked: &mut Looked) -> Result<(), SnapshotError> {
        let last = looked.numbers.last().copied().unwrap_or(0);
        let new = self.snapshots.numbers_after(last).await?;
        looked.numbers.extend(new);
        let numbers = &looked.numbers;
        let current = self.site.current().map(|loaded| loaded.manifest.snapshot);
        let newer = |number: &u64| *number > looked.newest && Some(*number) > current;
        let candidates = numbers.iter().copied().filter(newer).rev();
        let candidates: Vec<u64> = candidates.take(LOOKED_THROUGH).collect();
        let Some(newest) = candidates.first().copied() else {
            return Ok(());
        };
        let (mut trouble, mut passing, mut tried) = (None, false, 0);
        let mut untold = None;
        for number in candidates {
            if tried >= LOOKED_AT {
                break;
            }
            match self.take(number, numbers).await {
                Ok(()) => {
                    *self.trouble.lock() = None;
                    break;
                }
                Err(error) => {
                    passing |= error.passes;
                    tried += usize::from(!error.others);
                    untold = untold.or(error.untold);
                    let why = error.why;
                    trouble.get_or_insert_with(|| format!("snapshot {number} is not used: {why}"));
                    if self.ready.lock().is_some() {
                        // It is gone over to the next time: an older one would only be read for the way there.
                        break;
                    }
                }
            }
        }
        if !passing {
            looked.newest = newest;
        }
        if let Some(trouble) = trouble {
            self.tell(&trouble);
        }
        untold.map_or(Ok(()), Err)
    }

    async fn take(&self, number: u64, numbers: &[u64]) -> Result<(), NotUsed> {
        // All of it is read again only if it is another one by now.
        let ready = self.ready.lock().take();
        if let Some((loaded, floor)) = ready
            && loaded.manifest.snapshot == number
        {
            return self.switch(loaded, floor).await;
        }
        let manifest = self.snapshots.manifest(number).await;
        let manifest = manifest?;
        // Another view's snapshots need not be read.
        let fits = self.site.check(&manifest);
        fits.map_err(|error| NotUsed {
            others: true,
            ..NotUsed::for_good(error.to_string())
        })?;
        let begins = self.site.begins(&manifest);
        let loaded = Loaded::read(&self.site.view, &self.snapshots, manifest).await;
        let loaded = loaded.inspect_err(|error| {
            if !matches!(error, SnapshotError::Store { .. }) {
                self.site.cannot_read(number, begins);
            }
        })?;
        let floor = self.floor(number, numbers).await?;
        self.switch(Arc::new(loaded), floor).await
    }

    async fn switch(&self, loaded: Arc<Loaded>, floor: Option<Coverage>) -> Result<(), NotUsed> {
        let wall = self.clock.now().wall;
        let site = Arc::clone(&self.site);
        let again = (Arc::clone(&loaded), floor.clone());
        // It may have to wait for a task, for a moment.
        let switched = tokio::task::spawn_blocking(move || site.switch(loaded, floor, wall)).await;
        match switched {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let passes = error == Unfit::Busy;
                if passes {
                    *self.ready.lock() = Some(again);
                }
                Err(NotUsed {
                    passes,
                    ..NotUsed::for_good(error.to_string())
                })
            }
            Err(error) => Err(NotUsed::for_good(format!(
                "switching to it has failed: {error}"
            ))),
        }
    }

    /// Where the snapshot in front of it ends that can be gone back to: one that can be read. What is behind it
    /// has to stay in segments, so that what the store does not tell now is not taken for missing.
    async fn floor(&self, number: u64, numbers: &[u64]) -> Result<Option<Coverage>, SnapshotError> {
        let held = self.site.held();
        let before = numbers.iter().rev().filter(|before| **before < number);
        let mut tried = 0;
        for before in before.take(LOOKED_THROUGH) {
            let found = match self.snapshots.manifest(*before).await {
                Ok(manifest) if self.site.check(&manifest).is_err() => continue,
                // It has been read.
                Ok(manifest) if held.contains(before) => Ok(manifest),
                Ok(manifest) => self.snapshots.check(&manifest).await.map(|()| manifest),
                Err(error) => Err(error),
            };
            match found {
                Ok(manifest) => return Ok(Some(manifest.coverage())),
                Err(error @ SnapshotError::Store { .. }) => return Err(error),
                Err(error) => tracing::debug!(before, %error, "it cannot be gone back to"),
            }
            tried += 1;
            if tried >= LOOKED_AT {
                break;
            }
        }
        Ok(None)
    }
}

/// So many snapshots are tried at a time, the newest first, ...
const LOOKED_AT: usize = 16;
/// ... among so many: others are of other versions of the view, which make their own.
const LOOKED_THROUGH: usize = 1_024;

/// Why a snapshot is not read with.
struct NotUsed {
    why: String,
    /// Whether it may be otherwise the next time.
    passes: bool,
    /// It is another view's.
    others: bool,
    /// What the store says in place of it: it may be one that is needed.
    untold: Option<SnapshotError>,
}

impl NotUsed {
    fn for_good(why: String) -> Self {
        Self {
            why,
            passes: false,
            others: false,
            untold: None,
        }
    }
}

impl From<SnapshotError> for NotUsed {
    fn from(error: SnapshotError) -> Self {
        let why = error.to_string();
        let untold = matches!(error, SnapshotError::Store { .. }).then_some(error);
        Self {
            passes: untold.is_some(),
            untold,
            ..Self::for_good(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;
    use std::{fs, thread};

    use super::*;
    use crate::serving::lambda::SourceTopic;
    use crate::serving::merged::truth_table::{Counts, manifest, put_states, view};
    use crate::serving::merged::{Ask, Live, QueryError};
    use crate::serving::simulation::mortal::Mortal;
    use crate::serving::snapshot::paths;
    use crate::serving::speed::segments::Segments;
    use crate::serving::view::View;

    /// Three snapshots on disk, and who looks for them.
    async fn three(dir: &Path) -> Refresh<String, Counts> {
        let view = view();
        let snapshots = Snapshots::local(dir, view.name()).unwrap();
        three_in(view, snapshots).await
    }

    async fn three_in(
        view: Arc<View<String, Counts>>,
        snapshots: Snapshots,
    ) -> Refresh<String, Counts> {
        for number in 1..=3 {
            let mut manifest = manifest(&view, number, &[10 * number as i64]);
            put_states(&snapshots, &mut manifest, number).await;
            snapshots.publish(&manifest).await.unwrap();
        }
        let site = Arc::new(Site::new(view, 2));
        Refresh::new(site, snapshots, Clock::system())
    }

    async fn floor(refresh: &Refresh<String, Counts>) -> Result<Option<i64>, SnapshotError> {
        let floor = refresh.floor(3, &[1, 2, 3]).await?;
        Ok(floor.map(|floor| floor.get("events", 0)))
    }

    /// Opened it gives an error that is not "not there".
    fn make_unreadable(path: &Path) {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(path, path).unwrap();
    }

    /// What is behind the floor goes from the segments: it is where a snapshot ends that can be read.
    #[tokio::test]
    async fn it_is_gone_back_to_what_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let refresh = three(dir.path()).await;
        let states = |number: u64| {
            dir.path()
                .join(format!("table/state/{number}-a/events-0-0.parquet"))
        };
        assert_eq!(floor(&refresh).await.unwrap(), Some(20));
        fs::write(states(2), b"damaged").unwrap();
        assert_eq!(floor(&refresh).await.unwrap(), Some(10));
        fs::remove_file(states(1)).unwrap();
        assert_eq!(floor(&refresh).await.unwrap(), None);
        // With the one in front there is none to go back to.
        refresh.once().await.unwrap();
        assert_eq!(refresh.site.held(), [3]);
    }

    #[tokio::test]
    async fn nothing_is_gone_because_the_store_does_not_tell() {
        let dir = tempfile::tempdir().unwrap();
        let refresh = three(dir.path()).await;
        let manifest = |number: u64| {
            dir.path()
                .join(format!("table/manifests/{number:020}.json"))
        };
        let kept = fs::read(manifest(2)).unwrap();
        make_unreadable(&manifest(2));
        let error = floor(&refresh).await.unwrap_err();
        assert!(matches!(error, SnapshotError::Store { .. }), "{error}");
        let not_used = refresh.take(3, &[1, 2, 3]).await.unwrap_err();
        assert!(not_used.passes, "{}", not_used.why);
        assert!(refresh.site.held().is_empty());
        fs::remove_file(manifest(2)).unwrap();
        fs::write(manifest(2), kept).unwrap();
        refresh.once().await.unwrap();
        assert_eq!(refresh.site.held(), [3]);
    }

    /// Reading all of it takes long, and trying takes a moment.
    #[tokio::test]
    async fn what_cannot_be_gone_over_to_at_the_moment_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let refresh = three(dir.path()).await;
        let live = Arc::new(Live::new(Segments::new(0, 1, 0), Arc::default()));
        refresh.site.enter((0, 0), Arc::clone(&live), 0).unwrap();
        let (told, holds) = mpsc::sync_channel(1);
        let (release, released) = mpsc::sync_channel::<()>(1);
        let holding = thread::spawn(move || {
            let segments = live.segments.read();
            told.send(()).unwrap();
            released.recv().unwrap();
            drop(segments);
        });
        holds.recv().unwrap();
        refresh.once().await.unwrap();
        assert!(refresh.site.held().is_empty());
        let trouble = refresh.trouble().unwrap();
        assert!(trouble.contains("snapshot 3 is not used") && trouble.contains("busy"));
        release.send(()).unwrap();
        holding.join().unwrap();
        fs::remove_dir_all(dir.path().join("table/state")).unwrap();
        refresh.once().await.unwrap();
        assert_eq!(refresh.site.held(), [3]);
        assert_eq!(refresh.trouble(), None);
    }

    /// What a snapshot has that cannot be read is missed if the speed layer has begun behind its beginning.
    #[tokio::test]
    async fn what_only_a_damaged_snapshot_has_is_missed() {
        for (begin, missed) in [(0, false), (5, true)] {
            let dir = tempfile::tempdir().unwrap();
            let refresh = three(dir.path()).await;
            let live = Arc::new(Live::new(Segments::new(begin, 1, 0), Arc::default()));
            refresh.site.enter((0, 0), live, 0).unwrap();
            let source = SourceTopic {
                id: "1".to_owned(),
                partitions: 1,
            };
            refresh.site.set_sources(vec![source]);
            for number in 1..=3 {
                let path = format!("state/{number}-a/events-0-0.parquet");
                let damaged = refresh.snapshots.put(&path, b"damaged".to_vec());
                damaged.await.unwrap();
            }
            let ask = Ask::default();
            assert!(refresh.site.get(b"key", &ask).is_ok());
            // A store that works has told what there is, and the log is enough if it has all.
            refresh.once().await.unwrap();
            assert!(refresh.site.held().is_empty());
            let answer = refresh.site.get(b"key", &ask).map(drop);
            assert_eq!(answer.is_err(), missed, "{answer:?}");
            if let Err(error) = answer {
                let all = matches!(
                    &error,
                    QueryError::Unread {
                        origin: 0,
                        begin: 5,
                        ..
                    }
                );
                assert!(all, "{error}");
            }
        }
    }

    /// What is damaged is passed over, and what the store does not give is not: it may be there, whole.
    #[tokio::test]
    async fn a_store_that_does_not_tell_is_no_store_without_snapshots() {
        let states = "state/3-a/events-0-0.parquet".to_owned();
        let files = [paths::manifest(3), states];
        for (name, untold) in files.iter().flat_map(|name| [(name, false), (name, true)]) {
            let (view, store) = (view(), Arc::new(Mortal::default()));
            let files = Arc::<Mortal>::clone(&store);
            let snapshots = Snapshots::new(files, Default::default(), view.name()).unwrap();
            let refresh = three_in(view, snapshots).await;
            match untold {
                true => store.keep_back(name.rsplit('/').next().unwrap().to_owned()),
                false => {
                    let damaged = refresh.snapshots.put(name, b"damaged".to_vec());
                    damaged.await.unwrap();
                }
            }
            let looked = refresh.once().await;
            let told = matches!(&looked, Err(SnapshotError::Store { .. }));
            assert!(told == untold && looked.is_err() == untold, "{looked:?}");
            // Who serves already goes on with what there is.
            // The states of all are called the same: all of them are kept back.
            let all = untold && name.starts_with(paths::STATE);
            assert_eq!(refresh.site.held(), if all { vec![] } else { vec![2] });
            assert!(refresh.trouble().is_some());
        }
    }
}
