//! Group commit: one thread that puts written data on the disk for everybody who waits for it.
//!
//! A partition with unsynced acks=all batches asks for a flush. The thread takes all partitions
//! that have asked so far, syncs each once, and only then looks again: whatever arrives in the
//! meantime shares the next sync.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::Partition;
use crate::vitals::Pulse;

/// The queue between partitions and the flusher's thread. One per log directory.
#[derive(Default)]
pub struct Flusher {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Bounded by the number of partitions: each is queued once at most.
    queue: Vec<Arc<Partition>>,
    stopped: bool,
}

/// The flusher's thread; dropping it stops the thread once the queue is empty.
pub struct FlusherThread {
    flusher: Arc<Flusher>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread that serves the queue; `pulse` tells if it fails.
    pub fn start(pulse: Pulse) -> std::io::Result<(Arc<Self>, FlusherThread)> {
        let flusher = Arc::new(Self::default());
        let worker = Arc::clone(&flusher);
        let thread = std::thread::Builder::new()
            .name("tidemark-flusher".into())
            .spawn(move || {
                worker.serve();
                pulse.rest();
            })?;
        let handle = FlusherThread {
            flusher: Arc::clone(&flusher),
            thread: Some(thread),
        };
        Ok((flusher, handle))
    }

    /// Has the partition synced soon. The partition sees to it that it asks only once.
    pub(super) fn request(&self, partition: Arc<Partition>) {
        let mut state = self.state.lock();
        state.queue.push(partition);
        self.wake.notify_one();
    }

    fn serve(&self) {
        loop {
            let batch = {
                let mut state = self.state.lock();
                while state.queue.is_empty() {
                    if state.stopped {
                        return;
                    }
                    self.wake.wait(&mut state);
                }
                std::mem::take(&mut state.queue)
            };
            for partition in batch {
                partition.flush_now();
            }
        }
    }
}

impl Drop for FlusherThread {
    fn drop(&mut self) {
        self.flusher.state.lock().stopped = true;
        self.flusher.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the flusher's thread has panicked");
        }
    }
}
