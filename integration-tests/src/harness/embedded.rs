//! A broker inside the test's process.

use std::ops::Deref;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::storage::StorageError;
use tidemark_broker::{Broker, Handle};

/// After how long a test with a broker inside counts as hung. Not a demand on speed: those that use one longest
/// take a minute or two.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// Starts a broker on ports that the system chooses, with its data in `dir` on the environment's
/// disk. `options` come on top.
pub async fn start(dir: &Path, environment: Environment, options: &[(&str, &str)]) -> Embedded {
    let watchdog = Watchdog::new();
    let dir = dir.to_str().expect("test directories have plain names");
    let base = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("offsets.topic.num.partitions", "2"),
        ("log.dirs", dir),
    ];
    let pairs = base.into_iter().chain(options.iter().copied());
    let config = BrokerConfig::from_pairs(pairs).expect("the options are good");
    let handle = Broker::start(config, environment)
        .await
        .unwrap_or_else(|error| panic!("the broker does not start: {error}"));
    Embedded {
        handle,
        _watchdog: watchdog,
    }
}

/// A running broker that is not waited for without end.
pub struct Embedded {
    handle: Handle,
    _watchdog: Watchdog,
}

impl Embedded {
    /// [`Handle::shutdown`].
    pub async fn shutdown(self) -> Result<(), StorageError> {
        self.handle.shutdown().await
    }

    /// [`Handle::kill`].
    pub async fn kill(self) {
        self.handle.kill().await;
    }
}

impl Deref for Embedded {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// Ends the process unless it is dropped in time. A thread of its own: a broker that hangs may
/// hold all threads of the runtime up.
struct Watchdog(#[allow(dead_code, reason = "only its end is waited for")] SyncSender<()>);

impl Watchdog {
    fn new() -> Self {
        let (alive, watched) = sync_channel(0);
        let test = std::thread::current().name().map(str::to_owned);
        std::thread::spawn(move || watch(&watched, &test.unwrap_or_default()));
        Self(alive)
    }
}

fn watch(watched: &Receiver<()>, test: &str) {
    if watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        let seconds = PATIENCE.as_secs();
        eprintln!("{test}: its broker still runs after {seconds} s: something hangs");
        std::process::abort();
    }
}
