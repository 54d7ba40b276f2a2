//! Finds new snapshots and reads with them.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemark_client::Clock;

use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::merged::Site;
use crate::serving::snapshot::Loaded;
use crate::serving::snapshot::{SnapshotError, Snapshots};

/// Looks for snapshots.
pub(super) struct Refresh<K, A: Aggregate> {
    site: Arc<Site<K, A>>,
    snapshots: Snapshots,
    clock: Clock,
    /// What has been looked at, and what came of it.
    state: tokio::sync::Mutex<Looked>,
    /// What keeps the newest snapshot from being used, if something does.
    trouble: Mutex<Option<String>>,
    /// Why it is not known which snapshots there are, as long as it is not.
    unread: Mutex<Option<String>>,
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
        }
    }

    /// What keeps the newest snapshot from being used.
    pub(super) fn trouble(&self) -> Option<String> {
        let unread = self.unread.lock().clone();
        unread.or_else(|| self.trouble.lock().clone())
    }

    /// Reads with the newest snapshot that can be read with, if it is newer than what is used. A snapshot is
    /// looked at once; what keeps it from being used is told, and the next older one is taken.
    pub(super) async fn once(&self) {
        let mut looked = self.state.lock().await;
        match self.look(&mut looked).await {
            Ok(()) => *self.unread.lock() = None,
            Err(error) => *self.unread.lock() = Some(error.to_string()),
        }
        self.site.sweep();
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
                    let why = error.why;
                    trouble.get_or_insert_with(|| format!("snapshot {number} is not used: {why}"));
                }
            }
        }
        if !passing {
            looked.newest = newest;
        }
        if let Some(trouble) = trouble {
            self.tell(&trouble);
        }
        Ok(())
    }

    async fn take(&self, number: u64, numbers: &[u64]) -> Result<(), NotUsed> {
        let manifest = self.snapshots.manifest(number).await?;
        // Another view's snapshots need not be read.
        let fits = self.site.check(&manifest);
        fits.map_err(|error| NotUsed {
            others: true,
            ..NotUsed::for_good(error.to_string())
        })?;
        let floor = self.floor(number, numbers).await;
        let loaded = Loaded::read(&self.site.view, &self.snapshots, manifest).await?;
        let wall = self.clock.now().wall;
        let site = Arc::clone(&self.site);
        // It may have to wait for a task.
        let switched = tokio::task::spawn_blocking(move || site.switch(loaded, floor, wall)).await;
        match switched {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(NotUsed::for_good(error.to_string())),
            Err(error) => Err(NotUsed::for_good(format!(
                "switching to it has failed: {error}"
            ))),
        }
    }

    /// Where the snapshot in front of it ends that can be gone back to.
    async fn floor(&self, number: u64, numbers: &[u64]) -> Option<Coverage> {
        let before = numbers.iter().rev().filter(|before| **before < number);
        for before in before.take(LOOKED_THROUGH) {
            if let Ok(manifest) = self.snapshots.manifest(*before).await
                && self.site.check(&manifest).is_ok()
            {
                return Some(manifest.coverage());
            }
        }
        None
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
}

impl NotUsed {
    fn for_good(why: String) -> Self {
        Self {
            why,
            passes: false,
            others: false,
        }
    }
}

impl From<SnapshotError> for NotUsed {
    fn from(error: SnapshotError) -> Self {
        Self {
            passes: matches!(error, SnapshotError::Store { .. }),
            others: false,
            why: error.to_string(),
        }
    }
}
