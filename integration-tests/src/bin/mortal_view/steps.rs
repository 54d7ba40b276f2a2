//! Steps that are counted, and one of them that is the last.

use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;
use rustix::process::{Signal, getpid, kill_process};

/// Which steps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// All that the store is asked for.
    All,
    /// What is read there.
    Reads,
    /// What the view tells that it has done.
    Told,
}

#[derive(Debug)]
pub(crate) struct Steps {
    counted: Counted,
    done: AtomicU64,
    deadly: u64,
}

impl Steps {
    pub(crate) fn new(counted: Counted, deadly: u64) -> Self {
        Self {
            counted,
            done: AtomicU64::new(0),
            deadly,
        }
    }

    /// In front of something that the store is asked for.
    pub(crate) fn in_front_of(&self, kind: Counted, what: &str, path: &Path) {
        if self.counted == kind || self.counted == Counted::All {
            self.step(&format!("in front of step {}: {what} {path}", self.deadly));
        }
    }

    /// Behind something that the view tells.
    pub(crate) fn behind(&self, what: &str) {
        if self.counted == Counted::Told {
            self.step(&format!("behind step {}: {what}", self.deadly));
        }
    }

    fn step(&self, place: &str) {
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 != self.deadly {
            return;
        }
        eprintln!("killed {place}");
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
