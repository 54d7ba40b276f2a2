//! Steps that are counted, and one of them that is the last.

use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;
use rustix::process::{Signal, getpid, kill_process};

/// Which steps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    All,
    Reads,
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

    /// In front of a step.
    pub(crate) fn step(&self, kind: Counted, what: &str, path: &Path) {
        if self.counted == Counted::Reads && kind != Counted::Reads {
            return;
        }
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == self.deadly {
            die(&format!("in front of step {}: {what} {path}", self.deadly));
        }
    }
}

/// Ends this process as nothing can be done about.
pub(crate) fn die(place: &str) {
    eprintln!("killed {place}");
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}
