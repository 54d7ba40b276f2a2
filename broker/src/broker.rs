//! Starts a broker and stops it again.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::api::{Endpoint, FetchSessions, Node, ProducerIds, Shared};
use crate::catalog::command::{Command, Registration};
use crate::catalog::image::CatalogImage;
use crate::catalog::machine::CatalogMachine;
use crate::catalog::records::BrokerEndpoint;
use crate::catalog::topic_name::CLUSTER_METADATA;
use crate::config::{BrokerConfig, TopicConfig};
use crate::coordinator::group::GroupRouter;
use crate::coordinator::runtime::{LoadError, Mailbox, Unavailable, load};
use crate::environment::Environment;
use crate::machine_log::{MachineClock, MachineLog};
use crate::metrics::Metrics;
use crate::net::{BindError, Limits, bind, serve};
use crate::partition::{Flusher, FlusherThread, PartitionSettings};
use crate::reconcile::Reconciler;
use crate::storage::{LogDir, StorageError};
use crate::types::{LeaderEpoch, TopicPartition};
use crate::{admin, janitor};

/// The id that Kafka gives its metadata topic (`Uuid.METADATA_TOPIC_ID`).
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// How long open requests may take to finish when the broker stops, in milliseconds. Answers that
/// wait for the disk need a moment; a client that never reads does not get more.
const SHUTDOWN_GRACE_MS: i64 = 5_000;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or a log in it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The catalog's log.
    #[error("the catalog cannot be loaded: {0}")]
    Catalog(#[from] LoadError),
    /// The broker could not write itself into the catalog.
    #[error("the broker cannot be registered: {0}")]
    Register(#[from] Unavailable),
    /// The system refused a thread or told no address.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// A running broker. Dropping it without [`Handle::shutdown`] is what a kill is to a process: the
/// next start recovers.
pub struct Handle {
    addresses: BTreeMap<String, SocketAddr>,
    http: Option<SocketAddr>,
    data_dir: PathBuf,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    reconciler: Arc<Reconciler>,
    services: JoinSet<()>,
    catalog: JoinSet<()>,
    flusher: FlusherThread,
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
        let log_dir = Arc::new(LogDir::open(
            Arc::clone(&environment.disk),
            &config.data_dir,
            &*environment.entropy,
            config.node_id,
        )?);
        let (flusher, flusher_thread) = Flusher::start()?;
        let reconciler = Arc::new(Reconciler {
            environment: environment.clone(),
            base_config: Arc::clone(&config),
            config: Arc::new(ArcSwap::new(Arc::clone(&config))),
            log_dir: Arc::clone(&log_dir),
            flusher,
            partitions: Arc::default(),
            groups: Arc::new(GroupRouter::default()),
            image: Arc::new(ArcSwap::from_pointee(CatalogImage::default())),
            tasks: Mutex::default(),
            doomed: Mutex::default(),
            loading: AtomicBool::new(true),
            checkpoints_closed: Mutex::new(false),
            catalog_log: Mutex::default(),
        });
        let (catalog, catalog_task) = load_catalog(&reconciler)?;
        let (stop, stopping) = watch::channel(false);
        let bound = Bound::new(&config)?;
        let shared = share(&reconciler, catalog, &bound, stopping.clone())?;
        register(&shared, &log_dir).await?;
        let limits = Limits::new(&config);
        let mut services = JoinSet::new();
        let mut addresses = BTreeMap::new();
        for (name, listener) in bound.listeners {
            addresses.insert(name.to_string(), listener.local_addr()?);
            let (shared, limits) = (Arc::clone(&shared), Arc::clone(&limits));
            services.spawn(serve(listener, name, shared, limits, stopping.clone()));
        }
        let mut http = None;
        if let Some(listener) = bound.http {
            http = Some(listener.local_addr()?);
            let shared = Arc::clone(&shared);
            services.spawn(admin::serve(listener, shared, limits, stopping.clone()));
        }
        services.spawn(janitor::run(Arc::clone(&reconciler), stopping));
        let data_dir = config.data_dir.clone();
        let flusher = flusher_thread;
        let catalog = catalog_task;
        Ok(Handle {
            addresses,
            http,
            data_dir,
            stop,
            shared,
            reconciler,
            services,
            catalog,
            flusher,
        })
    }
}

impl Handle {
    /// The address of each listener, by its name.
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// `host:port` of the first listener: what a client needs as its bootstrap server.
    pub fn bootstrap(&self) -> String {
        self.addresses
            .values()
            .next()
            .map_or_else(String::new, ToString::to_string)
    }

    /// The address of the HTTP server, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where the data is.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.data_dir
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.shared.node.cluster_id
    }

    /// Applies retention now, instead of at the next `log.retention.check.interval.ms`.
    pub fn apply_retention(&self) {
        janitor::apply_retention(&self.reconciler);
    }

    /// Stops: finishes what is under way, puts everything on disk and marks the shutdown as clean.
    pub async fn shutdown(mut self) -> Result<(), StorageError> {
        let clock = Arc::clone(&self.reconciler.environment.clock);
        let grace = clock.sleep_until(clock.now().monotonic.plus_ms(SHUTDOWN_GRACE_MS));
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
        self.catalog.shutdown().await;
        let reconciler = Arc::clone(&self.reconciler);
        let closed = tokio::task::spawn_blocking(move || close(&reconciler));
        let result = match closed.await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "closing the logs failed");
                Ok(())
            }
        };
        drop(self.flusher);
        result
    }

    /// Ends at once, as a kill would: nothing is flushed, nothing is marked.
    pub async fn kill(mut self) {
        self.services.shutdown().await;
        let mut groups = std::mem::take(&mut *self.reconciler.tasks.lock());
        groups.shutdown().await;
        self.catalog.shutdown().await;
    }
}

/// Puts all logs on disk and closes them. The shutdown counts as clean only if every log did.
fn close(reconciler: &Reconciler) -> Result<(), StorageError> {
    let own = reconciler.catalog_log.lock().clone();
    let partitions: Vec<_> = reconciler.partitions.all().into_iter().chain(own).collect();
    for partition in &partitions {
        partition.flush_now();
    }
    reconciler.write_last_checkpoints()?;
    for partition in &partitions {
        if let Some(log) = partition.retire() {
            log.close()?;
        }
    }
    reconciler.log_dir.mark_clean_shutdown()
}

/// Opens the catalog's log and replays it; topics are opened on the way.
fn load_catalog(
    reconciler: &Arc<Reconciler>,
) -> Result<(Mailbox<CatalogMachine>, JoinSet<()>), StartError> {
    let config = &reconciler.base_config;
    // The catalog's log has Kafka's defaults, whatever the broker sets for topics, and is never
    // cut by retention.
    let mut settings = PartitionSettings::new(
        &TopicConfig::resolve(&BrokerConfig::default(), &BTreeMap::new()),
        &BrokerConfig::default(),
    );
    settings.log.delete = false;
    let name = TopicPartition::new(CLUSTER_METADATA, 0);
    let log = reconciler.open(name, METADATA_TOPIC_ID, LeaderEpoch(0), settings)?;
    *reconciler.catalog_log.lock() = Some(Arc::clone(&log));
    let machine = CatalogMachine::new(Arc::clone(config));
    let follower = Arc::clone(reconciler);
    let clock = MachineClock(Arc::clone(&reconciler.environment.clock));
    let (mailbox, loaded) = load(
        machine,
        Arc::new(MachineLog(log)),
        Arc::new(clock),
        Box::new(move |machine: &CatalogMachine| follower.follow(machine.image())),
    )?;
    reconciler.loading.store(false, Ordering::Release);
    let mut task = JoinSet::new();
    task.spawn(loaded.run());
    Ok((mailbox, task))
}

/// The sockets, bound before anything is told of them.
struct Bound {
    listeners: Vec<(Arc<str>, TcpListener)>,
    endpoints: HashMap<Arc<str>, Endpoint>,
    http: Option<TcpListener>,
}

impl Bound {
    fn new(config: &BrokerConfig) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        let mut endpoints = HashMap::new();
        for wanted in &config.listeners {
            let listener = bind(&wanted.host, wanted.port, config)?;
            let port = listener.local_addr()?.port();
            let name: Arc<str> = wanted.name.as_str().into();
            let advertised = config.advertised_listeners.iter();
            let advertised = advertised
                .into_iter()
                .find(|other| other.name == wanted.name);
            let (host, advertised_port) =
                advertised.map_or((&wanted.host, 0), |other| (&other.host, other.port));
            let host = if host.is_empty() {
                host_name()
            } else {
                host.clone()
            };
            // An advertised port 0 means the one that was taken.
            let port = if advertised_port == 0 {
                port
            } else {
                advertised_port
            };
            endpoints.insert(Arc::clone(&name), Endpoint { host, port });
            listeners.push((name, listener));
        }
        let http = match &config.http {
            Some(http) => Some(bind(&http.host, http.port, config)?),
            None => None,
        };
        Ok(Self {
            listeners,
            endpoints,
            http,
        })
    }
}

/// The machine's own name, for listeners on every interface that advertise nothing else.
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

fn share(
    reconciler: &Arc<Reconciler>,
    catalog: Mailbox<CatalogMachine>,
    bound: &Bound,
    stopping: watch::Receiver<bool>,
) -> Result<Arc<Shared>, StartError> {
    let config = &reconciler.base_config;
    let log_dir = &reconciler.log_dir;
    let slots = usize::try_from(config.max_incremental_fetch_session_cache_slots).unwrap_or(0);
    let checkpoints = Arc::clone(reconciler);
    Ok(Arc::new(Shared {
        environment: reconciler.environment.clone(),
        config: Arc::clone(&reconciler.config),
        node: Node {
            id: config.node_id,
            cluster_id: log_dir.cluster_id().to_owned(),
            log_dir: log_dir.path().display().to_string(),
            endpoints: bound.endpoints.clone(),
        },
        catalog_image: Arc::clone(&reconciler.image),
        catalog,
        partitions: Arc::clone(&reconciler.partitions),
        groups: Arc::clone(&reconciler.groups),
        fetch_sessions: Mutex::new(FetchSessions::new(slots)),
        fetch_rotation: AtomicUsize::new(0),
        producer_ids: ProducerIds::default(),
        metrics: Arc::new(Metrics::new()),
        write_checkpoints: Box::new(move || {
            checkpoints
                .write_checkpoints()
                .map_err(std::io::Error::other)
        }),
        stopping,
    }))
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
