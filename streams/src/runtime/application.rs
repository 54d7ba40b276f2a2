//! A running application.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemark_client::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

use super::assignment::TaskId;
use super::config::StreamsConfig;
use super::finish::Targets;
use super::globals;
use super::metrics::{self, Metrics};
use super::setup;
use super::shared::{Progress, Shared};
use super::worker::{Finish, Worker};
use crate::error::StreamsError;
use crate::query::http::{self, Server};
use crate::query::{Access, QueryError, StoreInfo, StoreReader};
use crate::state::Globals;
use crate::topology::{Topic, Topology};

/// How long closing may take where nobody says it.
const TIME_TO_CLOSE: Duration = Duration::from_secs(30);

/// An instance of an application (Kafka: `KafkaStreams`). Several instances of one id share the work;
/// they may be in one process or on many machines.
///
/// When one is dropped it stops without a last commit: [`Self::close`] does better.
pub struct Streams {
    shared: Arc<Shared>,
    http: Option<Server>,
    workers: Vec<Supervised>,
    commands: Vec<mpsc::Sender<Finish>>,
    /// Held as long as the instance uses its state directory.
    _lock: Option<super::commit::snapshot::Lock>,
    /// The ends of the source topics when the instance was started.
    targets: Targets,
}

impl Streams {
    /// Checks the topology against the cluster, makes the application's topics, and starts.
    ///
    /// # Errors
    ///
    /// - [`StreamsError::Config`]: an option cannot be meant.
    /// - [`StreamsError::Topology`]: topics are missing, or do not fit together.
    /// - [`StreamsError::ChangedTopology`]: the state in the cluster is another topology's.
    /// - [`StreamsError::InternalTopic`]: a topic of the application's own cannot be made.
    /// - [`StreamsError::Disk`]: the state directory cannot be used, or is used by another instance.
    /// - [`StreamsError::Http`]: the port for HTTP is taken.
    /// - [`StreamsError::Client`]: the cluster cannot be asked.
    pub async fn start(topology: &Topology, config: StreamsConfig) -> Result<Self, StreamsError> {
        config.validate()?;
        super::commit::position::check_stores(topology)?;
        let bound = match &config.http {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let workers = config.workers;
        let (shared, lock) = share(topology, config).await?;
        let targets = super::finish::ends(&shared, &external(&shared)).await?;
        let globals = globals::start(&shared).await?.into_iter();
        let mut started: Vec<Supervised> = globals
            .map(|reader| Supervised::new(&shared, reader))
            .collect();
        let mut commands = Vec::new();
        for _ in 0..workers {
            let (tell, told) = mpsc::channel(4);
            let worker = Worker::new(Arc::clone(&shared), told)?;
            started.push(Supervised::new(&shared, tokio::spawn(worker.run())));
            commands.push(tell);
        }
        let http = bound.map(|bound| http::serve(bound, Arc::clone(&shared)));
        Ok(Self {
            shared,
            http,
            workers: started,
            commands,
            _lock: lock,
            targets,
        })
    }

    /// Waits until something ends the application.
    ///
    /// # Errors
    ///
    /// What ended it. It does not return otherwise.
    pub async fn failed(&self) -> StreamsError {
        let mut failed = self.shared.failed.subscribe();
        loop {
            if let Some(error) = failed.borrow_and_update().clone() {
                return error;
            }
            if failed.changed().await.is_err() {
                return StreamsError::Internal("the application has been closed".to_owned());
            }
        }
    }

    /// What ends the application, once something does.
    pub(crate) fn watch_failure(&self) -> watch::Receiver<Option<StreamsError>> {
        self.shared.failed.subscribe()
    }

    /// Runs until `end` comes, Ctrl-C, say, and then closes, which may take 30 seconds; or until
    /// something ends the application.
    ///
    /// ```no_run
    /// # async fn run(topology: tidemark_streams::Topology) -> Result<(), tidemark_streams::StreamsError> {
    /// # use tidemark_streams::{Streams, StreamsConfig};
    /// let config = StreamsConfig::new("word-count", "localhost:9092");
    /// let streams = Streams::start(&topology, config).await?;
    /// streams.run_until(tokio::signal::ctrl_c()).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What ended the application, or kept it from a last commit.
    pub async fn run_until(self, end: impl Future) -> Result<(), StreamsError> {
        let failed = tokio::select! {
            error = self.failed() => Some(error),
            _ = end => None,
        };
        let closed = self.close(TIME_TO_CLOSE).await;
        failed.map_or(closed, Err)
    }

    /// Processes what the source topics had when the application was started, and what follows from
    /// it; then closes every window that is open, commits, and stops. The instance has to be the only
    /// one of its application, and to stay it: what others have is not known to be done, and their
    /// windows cannot be closed from here. One that has died counts until its session is over.
    ///
    /// # Errors
    ///
    /// [`StreamsError::NotAlone`] if another instance runs. Whatever else ends the application.
    pub async fn run_until_caught_up(self) -> Result<(), StreamsError> {
        let targets = self.targets.clone();
        let finish = super::finish::finish(&self.shared, &self.commands, targets);
        let outcome = tokio::select! {
            outcome = finish => outcome,
            error = self.failed() => Err(error),
        };
        let closed = self.close(Duration::from_secs(60)).await;
        outcome.and(closed)
    }

    /// Commits what has been processed, keeps the state on disk if there is a directory for it, leaves
    /// the group and stops; what takes longer than `limit` is given up.
    ///
    /// # Errors
    ///
    /// What had ended the application before, or keeps it from a last commit.
    pub async fn close(mut self, limit: Duration) -> Result<(), StreamsError> {
        self.shared.closing.send_replace(true);
        let clock = self.shared.config.clock.clone();
        let workers = std::mem::take(&mut self.workers);
        let deadline = clock.deadline(limit);
        for mut worker in workers {
            if clock.until(deadline, &mut worker.ended).await.is_none() {
                worker.worker.abort();
                let late = StreamsError::Internal(format!("it did not stop within {limit:?}"));
                self.shared.fail(late);
            }
        }
        self.shared.client.close();
        self.shared.failed.borrow().clone().map_or(Ok(()), Err)
    }

    /// Where it serves HTTP, if it does.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|server| server.address)
    }

    /// All figures in Prometheus' text format. It looks at one task after the other, and waits while one
    /// is at work: for a chunk of records, which is a millisecond or so, or as long as your own code
    /// takes for one. In async code that cannot wait take `tokio::task::spawn_blocking`.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics::text(&self.shared)
    }

    /// The tasks that run in this instance.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskId> {
        self.shared.tasks.lock().keys().copied().collect()
    }

    /// A store of the tasks that run in this instance, or a global table, by its name (Kafka:
    /// `KafkaStreams.store`). What is given reads it for as long as it is kept, wherever tasks go.
    ///
    /// # Errors
    ///
    /// [`QueryError::UnknownStore`] with the names that there are.
    pub fn store(&self, name: &str) -> Result<StoreReader<'static>, QueryError> {
        Access::Running(Arc::clone(&self.shared)).store(name)
    }

    /// All stores, and how large they are in this instance.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreInfo> {
        Access::Running(Arc::clone(&self.shared)).stores()
    }

    /// How far the tasks are that are being restored.
    #[must_use]
    pub fn restoring(&self) -> BTreeMap<TaskId, Progress> {
        let restoring = self.shared.restoring.lock();
        let each = restoring.iter().map(|(id, own)| (*id, own.progress));
        each.collect()
    }
}

/// A part that runs. Its panic ends the application, as any other failure does.
struct Supervised {
    worker: AbortHandle,
    ended: JoinHandle<()>,
}

impl Supervised {
    fn new(shared: &Arc<Shared>, part: JoinHandle<()>) -> Self {
        let (shared, worker) = (Arc::clone(shared), part.abort_handle());
        let ended = tokio::spawn(async move {
            let Err(error) = part.await else { return };
            if let Ok(panic) = error.try_into_panic() {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                shared.fail(StreamsError::Panic(words.unwrap_or_default()));
            }
        });
        Self { worker, ended }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.worker.abort();
        }
    }
}

/// Checks the topology against the cluster, and makes what all workers share.
pub(super) async fn share(
    topology: &Topology,
    config: StreamsConfig,
) -> Result<(Arc<Shared>, Option<super::commit::snapshot::Lock>), StreamsError> {
    // A topic that has been deleted must not come back as an empty one because it is asked for.
    let client = Client::new(config.client.clone().auto_create_topics(false))?;
    let prepared = setup::prepare(&client, topology, &config).await?;
    let (lock, on_disk) = super::commit::snapshot::open_state_dir(&config)?;
    let shared = Arc::new(Shared {
        topology: topology.clone(),
        admin: client.admin(),
        client,
        partitions: Mutex::new(prepared.partitions),
        fingerprint: prepared.fingerprint,
        instance: config.clock.random(),
        internal: super::shared::internal_topics(topology, &config.application),
        state: prepared.state,
        begins: prepared.begins,
        store_hashes: super::shared::store_hashes(topology),
        certain: prepared.certain,
        globals: Globals::new(topology, config.clock.random()),
        tasks: Mutex::default(),
        global_tasks: Mutex::default(),
        on_disk: Arc::new(Mutex::new(on_disk.into_iter().collect())),
        stranger: Arc::default(),
        gone: Arc::default(),
        restoring: Mutex::default(),
        metrics: Metrics::default(),
        failed: watch::Sender::new(None),
        closing: watch::Sender::new(false),
        config,
    });
    Ok((shared, lock))
}

/// The source topics that are not the application's own.
fn external(shared: &Shared) -> Vec<Topic> {
    let names = shared.topology.external_sources();
    names.into_iter().map(Topic::External).collect()
}
