//! Options of Kafka that a copied `server.properties` may have and this broker has no use for.
//!
//! They are known, so that they are not taken for spelling mistakes, and each says why it has no
//! effect. Options whose silent loss would open a hole are refused instead.

/// A name, or all names with a prefix, and why it has no effect.
#[derive(Clone, Copy, Debug)]
pub struct Ignored {
    /// The option's name; with a `*` at the end, everything that starts with what is before it.
    pub name: &'static str,
    /// Why it has no effect.
    pub why: &'static str,
    /// Whether a value that is not empty is an error rather than a warning, because the broker
    /// would be less protected than the file says.
    pub refused: bool,
}

impl Ignored {
    fn matches(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name,
        }
    }
}

/// Finds what is said about `name`, exact names before prefixes.
pub fn find(name: &str) -> Option<&'static Ignored> {
    let exact = IGNORED.iter().find(|ignored| ignored.name == name);
    exact.or_else(|| IGNORED.iter().find(|ignored| ignored.matches(name)))
}

const NO_QUORUM: &str = "a single node keeps its metadata itself; there is no controller quorum";
const NO_REPLICAS: &str = "a single node has no other brokers to replicate to or to talk to";
const OWN_THREADS: &str = "threads and internal queues are not a matter of configuration";
const NO_COMPACTION: &str = "compaction is not there yet";
const NO_TRANSACTIONS: &str = "transactions are not there yet";
const NO_SECURITY: &str =
    "encryption and authentication are not there yet; listeners are PLAINTEXT";
const NO_QUOTAS: &str = "quotas are not there yet";
const NO_REMOTE: &str = "there is no remote storage";
const NO_PLUGINS: &str = "Java classes cannot be plugged in";
const NO_NEW_GROUPS: &str = "only the classic group protocol is served so far";
const OWN_METRICS: &str = "metrics are served over HTTP; see tidemark.http.listener";
const REFUSED: &str = "authorization is not there yet, and without it everyone may do everything";

/// The whole list, sorted by name; a `*` does not count.
pub static IGNORED: &[Ignored] = &[
    ignored("add.partitions.to.txn.*", NO_TRANSACTIONS),
    ignored("alter.config.policy.class.name", NO_PLUGINS),
    ignored("alter.log.dirs.replication.*", NO_REPLICAS),
    refused("authorizer.class.name", REFUSED),
    ignored("auto.include.jmx.reporter", OWN_METRICS),
    ignored("auto.leader.rebalance.enable", NO_REPLICAS),
    ignored("background.threads", OWN_THREADS),
    ignored("broker.heartbeat.interval.ms", NO_QUORUM),
    ignored("broker.rack", NO_REPLICAS),
    ignored("broker.session.timeout.ms", NO_QUORUM),
    ignored("client.quota.*", NO_QUOTAS),
    ignored("config.providers*", NO_PLUGINS),
    ignored("confluent.*", NO_PLUGINS),
    ignored("connection.failed.authentication.delay.ms", NO_SECURITY),
    ignored("connections.max.reauth.ms", NO_SECURITY),
    ignored("controlled.shutdown.*", NO_REPLICAS),
    ignored("controller.*", NO_QUORUM),
    ignored(
        "controller.listener.names",
        "there is no controller quorum; listeners with these names are not opened",
    ),
    ignored("create.topic.policy.class.name", NO_PLUGINS),
    ignored("delegation.token.*", NO_SECURITY),
    ignored(
        "delete.records.purgatory.purge.interval.requests",
        OWN_THREADS,
    ),
    ignored("early.start.listeners", NO_QUORUM),
    ignored("fetch.purgatory.purge.interval.requests", OWN_THREADS),
    ignored("group.consumer.*", NO_NEW_GROUPS),
    ignored("group.coordinator.*", NO_NEW_GROUPS),
    ignored("group.share.*", NO_NEW_GROUPS),
    ignored("group.streams.*", NO_NEW_GROUPS),
    ignored("initial.broker.registration.timeout.ms", NO_QUORUM),
    ignored("inter.broker.listener.name", NO_REPLICAS),
    ignored("kafka.metrics.*", OWN_METRICS),
    ignored("leader.imbalance.*", NO_REPLICAS),
    ignored("listener.name.*", NO_SECURITY),
    ignored("log.cleaner.backoff.ms", NO_COMPACTION),
    ignored("log.cleaner.dedupe.buffer.size", NO_COMPACTION),
    ignored("log.cleaner.enable", NO_COMPACTION),
    ignored("log.cleaner.io.*", NO_COMPACTION),
    ignored("log.cleaner.threads", NO_COMPACTION),
    ignored(
        "log.dir.failure.timeout.ms",
        "there is one data directory; the broker ends with it",
    ),
    ignored(
        "log.initial.task.delay.ms",
        "background work starts by its own intervals",
    ),
    ignored(
        "max.connection.creation.rate",
        "the rate of new connections is not limited yet",
    ),
    ignored(
        "max.request.partition.size.limit",
        "the size of the request is the limit",
    ),
    ignored("metadata.*", NO_QUORUM),
    ignored("metric.reporters", OWN_METRICS),
    ignored("metrics.*", OWN_METRICS),
    ignored("num.io.threads", OWN_THREADS),
    ignored("num.network.threads", OWN_THREADS),
    ignored("num.recovery.threads.per.data.dir", OWN_THREADS),
    ignored("num.replica.*", NO_REPLICAS),
    ignored(
        "offsets.commit.timeout.ms",
        "a commit is answered when its record is written",
    ),
    ignored(
        "offsets.load.buffer.size",
        "loading has no buffer of its own to size",
    ),
    ignored(
        "offsets.topic.compression.codec",
        "the coordinator writes without compression",
    ),
    ignored("password.encoder.*", NO_SECURITY),
    ignored("principal.builder.class", NO_PLUGINS),
    ignored(
        "process.roles",
        "this process is always the broker and its own controller",
    ),
    ignored("producer.purgatory.purge.interval.requests", OWN_THREADS),
    ignored(
        "queued.max.requests",
        "queued.max.request.bytes bounds what waits",
    ),
    ignored("quota.*", NO_QUOTAS),
    ignored("remote.*", NO_REMOTE),
    ignored("replica.*", NO_REPLICAS),
    ignored("replication.quota.*", NO_REPLICAS),
    ignored("request.timeout.ms", NO_REPLICAS),
    ignored("sasl.*", NO_SECURITY),
    ignored("security.*", NO_SECURITY),
    ignored(
        "server.max.startup.time.ms",
        "starting takes as long as recovery does",
    ),
    ignored("share.*", NO_NEW_GROUPS),
    ignored("socket.connection.setup.timeout.*", NO_REPLICAS),
    ignored("ssl.*", NO_SECURITY),
    ignored("super.users", NO_SECURITY),
    ignored("telemetry.max.bytes", OWN_METRICS),
    ignored("transaction.*", NO_TRANSACTIONS),
    ignored("transactional.*", NO_TRANSACTIONS),
    ignored("unclean.leader.election.interval.ms", NO_REPLICAS),
    ignored("unstable.*", "what is not finished is not offered"),
    ignored("zookeeper.*", NO_QUORUM),
];

const fn ignored(name: &'static str, why: &'static str) -> Ignored {
    Ignored {
        name,
        why,
        refused: false,
    }
}

const fn refused(name: &'static str, why: &'static str) -> Ignored {
    Ignored {
        name,
        why,
        refused: true,
    }
}
