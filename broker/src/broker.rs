//! Starts a broker and stops it again.

mod bound;
mod catalog;
mod metadata_log;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::api::{FetchSessions, Memory, Node, ProducerIds, Shared};
use crate::catalog::command::{Command, Registration};
use crate::catalog::image::CatalogImage;
use crate::catalog::machine::CatalogMachine;
use crate::catalog::records::BrokerEndpoint;
use crate::config::{BrokerConfig, ConfigError};
use crate::coordinator::group::GroupRouter;
use crate::coordinator::runtime::{BoxFuture, Failure, LoadError, Mailbox};
use crate::environment::{Clock, Environment};
use crate::metrics::Metrics;
use crate::net::{BindError, Connector, Limits, Sources, connector, serve};
use crate::partition::{Flusher, FlusherThread, PartitionTable};
use crate::reconcile::Reconciler;
use crate::storage::{LogDir, StorageError};
use crate::vitals::{Pulse, Vitals};
use crate::{admin, janitor};
use bound::Bound;
use catalog::{CatalogThread, catalog_partition, load_catalog};

/// How long open requests may take to finish when the broker stops, in milliseconds. Answers that
/// wait for the disk need a moment; a client that never reads does not get more.
const SHUTDOWN_GRACE_MS: i64 = 5_000;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option whose value only shows to be wrong when it is put to use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory or a log in it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A part of the catalog is not in its log: another program has taken it out.
    #[error("cannot take over {}: {why}", path.display())]
    PartOfCatalog {
        /// The file that shows it.
        path: PathBuf,
        /// Why this broker cannot go on from there.
        why: String,
    },
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The catalog's log.
    #[error("the catalog cannot be loaded: {0}")]
    Catalog(#[from] LoadError),
    /// The broker could not write itself into the catalog.
    #[error("the broker cannot be registered: {0}")]
    Register(#[from] Failure),
    /// The system refused a thread or told no address.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// A running broker. Dropping it without [`Handle::shutdown`] is what a kill is to a process: the
/// next start recovers.
pub struct Handle {
    addresses: Vec<(String, SocketAddr)>,
    connector: Connector,
    http: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    reconciler: Arc<Reconciler>,
    services: JoinSet<()>,
    catalog: CatalogThread,
    flusher: FlusherThread,
    /// Ready once the data directory is unlocked.
    unlocked: oneshot::Receiver<Infallible>,
}

/// A broker; see [`Broker::start`].
pub struct Broker;

impl Broker {
    /// Starts a broker in this process. When it returns, the listeners accept connections and all
    /// logs are open. Two brokers in one process share nothing.
    pub async fn start(
        config: BrokerConfig,
        environment: Environment,
    ) -> Result<Handle, StartError> {
        let config = Arc::new(config);
        let limits = Limits::new(&config).await?;
        // Opening logs, and perhaps recovering them, keeps the disk busy for a while: the thread
        // that waits for this broker has other things to do, such as listening for signals.
        let opened = tokio::task::spawn_blocking(move || open(config, environment));
        let mut opened = opened.await.map_err(std::io::Error::other)??;
        let (stop, stopping) = watch::channel(false);
        let shared = share(&opened, stopping.clone());
        register(&shared, &opened.reconciler.log_dir).await?;
        settle(&opened.reconciler.partitions).await;
        let vitals = &opened.reconciler.vitals;
        let mut services = JoinSet::new();
        let mut serve_with = |pulse: Pulse, service: BoxFuture<()>| {
            services.spawn(async move {
                service.await;
                pulse.rest();
            });
        };
        let mut addresses = Vec::new();
        let (connector, incoming) = connector();
        let mut incoming = Some(incoming);
        for (name, tcp) in std::mem::take(&mut opened.bound.listeners) {
            addresses.push((name.to_string(), tcp.local_addr()?));
            // The first listener takes it.
            let in_process = incoming.take();
            let sources = Sources { tcp, in_process };
            let pulse = vitals.pulse(format!("the listener {name}"));
            let (shared, limits) = (Arc::clone(&shared), Arc::clone(&limits));
            let service = serve(sources, name, shared, limits, stopping.clone());
            serve_with(pulse, Box::pin(service));
        }
        let mut http = None;
        if let Some(listener) = opened.bound.http {
            http = Some(listener.local_addr()?);
            let service = admin::serve(listener, Arc::clone(&shared), limits, stopping.clone());
            serve_with(vitals.pulse("the HTTP server"), Box::pin(service));
        }
        let janitor = janitor::run(Arc::clone(&opened.reconciler), stopping);
        serve_with(vitals.pulse("the janitor"), Box::pin(janitor));
        Ok(Handle {
            addresses,
            connector,
            http,
            stop,
            shared,
            reconciler: opened.reconciler,
            services,
            catalog: opened.catalog_thread,
            flusher: opened.flusher,
            unlocked: opened.unlocked,
        })
    }
}

/// A broker with its logs open and nobody served yet.
struct Opened {
    bound: Bound,
    reconciler: Arc<Reconciler>,
    catalog: Mailbox<CatalogMachine>,
    catalog_thread: CatalogThread,
    flusher: FlusherThread,
    unlocked: oneshot::Receiver<Infallible>,
}

/// Everything of the start that waits for the disk.
fn open(config: Arc<BrokerConfig>, environment: Environment) -> Result<Opened, StartError> {
    let mut log_dir = LogDir::open(
        Arc::clone(&environment.disk),
        &config.data_dir,
        &*environment.entropy,
        config.node_id,
    )?;
    let unlocked = log_dir.released();
    let log_dir = Arc::new(log_dir);
    for warning in log_dir.warnings() {
        tracing::warn!("{warning}");
    }
    metadata_log::check_whole(&*environment.disk, &log_dir, &catalog_partition())?;
    // Before anything is written: a port that is in use must not cost the clean shutdown.
    let bound = Bound::new(&config)?;
    log_dir.begin()?;
    let vitals = Vitals::new();
    let (flusher, flusher_thread) = Flusher::start(vitals.pulse("the flusher"))?;
    let reconciler = Arc::new(Reconciler {
        environment,
        base_config: Arc::clone(&config),
        config: Arc::new(ArcSwap::new(config)),
        log_dir,
        flusher,
        partitions: Arc::default(),
        groups: Arc::new(GroupRouter::default()),
        image: Arc::new(ArcSwap::from_pointee(CatalogImage::default())),
        vitals,
        tasks: Mutex::default(),
        doomed: Mutex::default(),
        loading: AtomicBool::new(true),
        checkpoints_closed: Mutex::new(false),
        catalog_log: Mutex::default(),
    });
    let (catalog, catalog_thread) = load_catalog(&reconciler)?;
    Ok(Opened {
        bound,
        reconciler,
        catalog,
        catalog_thread,
        flusher: flusher_thread,
        unlocked,
    })
}

impl Handle {
    /// The name and address of each listener, in the order of `listeners`.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// `host:port` of the first listener: what a client on this machine needs as its bootstrap
    /// server. A listener on all interfaces is told as the loopback address.
    pub fn bootstrap(&self) -> String {
        let Some((_, mut address)) = self.addresses.first().cloned() else {
            return String::new();
        };
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address.to_string()
    }

    /// Connects to the first listener without a socket: [`Connector::connect`].
    ///
    /// # Errors
    /// `ConnectionRefused` if the listener has ended.
    pub async fn connect(&self) -> std::io::Result<DuplexStream> {
        self.connector.connect().await
    }

    /// What connects as [`Handle::connect`] does, from wherever it is cloned to: a client in this
    /// process makes its connections with it.
    pub fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// The address of the HTTP server, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where the data is.
    pub fn data_dir(&self) -> &std::path::Path {
        self.reconciler.log_dir.path()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.shared.node.cluster_id
    }

    /// Ready when something has failed that the broker cannot be without, and says what. What has
    /// been promised stays true, but the broker must be started again: [`Handle::kill`] it, or end
    /// the process.
    pub async fn failed(&self) -> Arc<str> {
        self.reconciler.vitals.failed().await
    }

    /// Applies retention now, instead of at the next `log.retention.check.interval.ms`.
    pub fn apply_retention(&self) {
        janitor::apply_retention(&self.reconciler);
    }

    /// Stops: finishes what is under way, puts everything on disk and marks the shutdown as clean.
    pub async fn shutdown(mut self) -> Result<(), StorageError> {
        let clock = Arc::clone(&self.reconciler.environment.clock);
        let grace = clock.sleep_until(clock.now().monotonic.plus_ms(SHUTDOWN_GRACE_MS));
        self.reconciler.vitals.stop();
        // Parked fetches return; nothing new is read from connections.
        let _ = self.stop.send(true);
        // Parked group calls end with their coordinators.
        self.reconciler.groups.clear();
        let mut groups = std::mem::take(&mut *self.reconciler.tasks.lock());
        let finished = async {
            while self.services.join_next().await.is_some() {}
            while groups.join_next().await.is_some() {}
        };
        tokio::select! {
            () = finished => {}
            () = grace => tracing::warn!("some connections did not end in time"),
        }
        self.services.shutdown().await;
        groups.shutdown().await;
        self.catalog.stop().await;
        let reconciler = Arc::clone(&self.reconciler);
        let closed = tokio::task::spawn_blocking(move || close(&reconciler));
        let result = match closed.await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "closing the logs failed");
                Ok(())
            }
        };
        let clock = Arc::clone(&self.reconciler.environment.clock);
        drop((self.flusher, self.reconciler, self.shared));
        unlocked(self.unlocked, &*clock).await;
        result
    }

    /// Ends at once, as a kill would: nothing is flushed, nothing is marked.
    pub async fn kill(mut self) {
        self.reconciler.vitals.stop();
        self.services.shutdown().await;
        let mut groups = std::mem::take(&mut *self.reconciler.tasks.lock());
        groups.shutdown().await;
        self.catalog.stop().await;
        let clock = Arc::clone(&self.reconciler.environment.clock);
        drop((self.flusher, self.reconciler, self.shared));
        unlocked(self.unlocked, &*clock).await;
    }
}

/// Waits until nobody has the data directory any more: threads may still read from it for requests
/// whose connections have gone.
async fn unlocked(unlocked: oneshot::Receiver<Infallible>, clock: &dyn Clock) {
    let grace = clock.sleep_until(clock.now().monotonic.plus_ms(SHUTDOWN_GRACE_MS));
    tokio::select! {
        _ = unlocked => {}
        () = grace => tracing::warn!("the data directory is still in use"),
    }
}

/// Puts all logs on disk and closes them. The shutdown counts as clean only if every log did: the
/// marker also vouches for a log that could not be opened, and that one may still need recovery.
fn close(reconciler: &Reconciler) -> Result<(), StorageError> {
    let own = reconciler.catalog_log.lock().clone();
    let partitions: Vec<_> = reconciler.partitions.all().into_iter().chain(own).collect();
    for partition in &partitions {
        partition.flush_now();
    }
    reconciler.write_last_checkpoints()?;
    let mut offline = None;
    for partition in &partitions {
        let Some(log) = partition.retire() else {
            offline = Some(partition.name());
            continue;
        };
        log.close()?;
    }
    match offline {
        None => reconciler.log_dir.mark_clean_shutdown(),
        Some(partition) => {
            tracing::warn!(%partition, "is offline: the shutdown is not marked as clean");
            Ok(())
        }
    }
}

fn share(opened: &Opened, stopping: watch::Receiver<bool>) -> Arc<Shared> {
    let reconciler = &opened.reconciler;
    let config = &reconciler.base_config;
    let log_dir = &reconciler.log_dir;
    let slots = usize::try_from(config.max_incremental_fetch_session_cache_slots).unwrap_or(0);
    let checkpoints = Arc::clone(reconciler);
    Arc::new(Shared {
        environment: reconciler.environment.clone(),
        config: Arc::clone(&reconciler.config),
        node: Node {
            id: config.node_id,
            cluster_id: log_dir.cluster_id().to_owned(),
            log_dir: log_dir.path().display().to_string(),
            endpoints: opened.bound.endpoints.clone(),
        },
        catalog_image: Arc::clone(&reconciler.image),
        catalog: opened.catalog.clone(),
        partitions: Arc::clone(&reconciler.partitions),
        groups: Arc::clone(&reconciler.groups),
        fetch_sessions: Mutex::new(FetchSessions::new(slots)),
        memory: Memory::new(config),
        producer_ids: ProducerIds::default(),
        metrics: Arc::new(Metrics::new()),
        write_log_starts: Box::new(move || {
            checkpoints
                .write_log_starts()
                .map_err(std::io::Error::other)
        }),
        vitals: Arc::clone(&reconciler.vitals),
        stopping,
    })
}

/// Waits until what recovery has found is on the disk. Until then consumers do not see it, and
/// nobody is to find logs shorter than they were before the start.
async fn settle(partitions: &PartitionTable) {
    for partition in partitions.all() {
        let Ok(bounds) = partition.bounds() else {
            continue;
        };
        if let Err(error) = partition.wait_durable(bounds.end).await {
            tracing::error!(partition = %partition.name(), %error, "cannot sync the log");
        }
    }
}

/// Writes the broker and its addresses into the catalog, if it is not there as it is.
async fn register(shared: &Shared, log_dir: &LogDir) -> Result<(), StartError> {
    let endpoints = shared
        .node
        .endpoints
        .iter()
        .map(|(name, endpoint)| BrokerEndpoint {
            name: name.to_string(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: 0,
        });
    let registered = shared.catalog_image.load();
    let incarnation_id = registered.broker(shared.node.id).map_or_else(
        || shared.environment.entropy.kafka_uuid(),
        |known| known.incarnation_id,
    );
    let registration = Registration {
        incarnation_id,
        endpoints: endpoints.collect(),
        features: Vec::new(),
        rack: None,
        log_dirs: vec![log_dir.directory_id()],
        finalized_features: BTreeMap::new(),
    };
    shared
        .catalog
        .call(Command::RegisterBroker(registration))
        .await?;
    Ok(())
}
