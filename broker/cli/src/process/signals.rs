//! SIGTERM and SIGINT.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, from when it is made on: they end the process no more by themselves.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal. Gives the exit code by which shells tell it: 128 and its number. Safe to
    /// be dropped at any time.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        }
    }

    /// Has the next signal end the process at once: what is left to do may take long.
    pub(crate) fn end_at_next(mut self) {
        tokio::spawn(async move {
            let code = self.next().await;
            std::process::exit(code.into());
        });
    }
}
