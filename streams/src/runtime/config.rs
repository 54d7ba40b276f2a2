//! What an application is set up with.

use std::path::PathBuf;
use std::time::Duration;

use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{ClientConfig, Clock};

use crate::error::StreamsError;

/// What is done when the cluster does not take a record, because it is too large, say (Kafka:
/// `ProductionExceptionHandler`). When the cluster cannot be reached the application always stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnProduceError {
    /// The application stops. The default.
    #[default]
    Fail,
    /// The record is counted and left out.
    Skip,
}

/// Where an application begins in partitions from which it has committed nothing (Kafka:
/// `auto.offset.reset`). Topics of its own are always read from their beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BeginAt {
    /// With the first record that is there. The default.
    #[default]
    Earliest,
    /// Behind the last record that is there when the task starts. Until its first commit, a commit
    /// interval later, a restart begins behind what is there by then.
    Latest,
}

/// An application's options (Kafka: `StreamsConfig`).
///
/// After a crash the application processes again what was not committed, so its outputs are written at
/// least once. Repartition topics number their records, and leave out what comes twice. Where the same
/// input need not make a task write the same again their records are written with the next commit: where
/// a task reads several topics and keeps state, and where ingestion time, a lookup in a global table or a
/// schedule by the wall clock is in front of the repartition topic. [`crate::Topology::describe`] says so
/// of such topics.
#[derive(Clone)]
pub struct StreamsConfig {
    pub(crate) application: String,
    pub(crate) client: ClientConfig,
    pub(crate) clock: Clock,
    pub(crate) workers: usize,
    pub(crate) commit_interval: Duration,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) state_budget: usize,
    pub(crate) buffer_per_partition: usize,
    pub(crate) idle_after: Option<Duration>,
    pub(crate) task_idle: Duration,
    pub(crate) replication_factor: i16,
    pub(crate) chunk: usize,
    pub(crate) on_produce_error: OnProduceError,
    pub(crate) begin_at: BeginAt,
    pub(crate) http: Option<String>,
    pub(crate) accept_changed_topology: bool,
    pub(crate) session_timeout: Duration,
    pub(crate) isolation: IsolationLevel,
}

impl StreamsConfig {
    /// An application of that id (Kafka: `application.id`): its group, and what the names of its
    /// internal topics begin with. `bootstrap` is a list of `host:port`.
    #[must_use]
    pub fn new(application: impl Into<String>, bootstrap: &str) -> Self {
        Self {
            application: application.into(),
            client: ClientConfig::new(bootstrap),
            clock: Clock::system(),
            workers: 1,
            commit_interval: Duration::from_secs(1),
            state_dir: None,
            state_budget: usize::MAX,
            buffer_per_partition: 4 << 20,
            idle_after: None,
            task_idle: Duration::ZERO,
            replication_factor: -1,
            chunk: super::task::CHUNK,
            on_produce_error: OnProduceError::Fail,
            begin_at: BeginAt::Earliest,
            http: None,
            accept_changed_topology: false,
            session_timeout: Duration::from_secs(45),
            isolation: IsolationLevel::ReadUncommitted,
        }
    }

    /// How the cluster is reached: TLS, SASL, time limits.
    #[must_use]
    pub fn client(mut self, client: ClientConfig) -> Self {
        self.client = client;
        self
    }

    /// Where time and chance come from; the client is given the same.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.client = self.client.clock(clock.clone());
        self.clock = clock;
        self
    }

    /// How many members of the group this instance has, each with a consumer and tasks of its own
    /// (Kafka: `num.stream.threads`). Default: 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Which records of source topics count, and of those of global tables (Kafka: `isolation.level`): with
    /// [`IsolationLevel::ReadCommitted`] none of transactions that are open or were aborted. A partition
    /// ends with its last stable offset then: [`BeginAt::Latest`], [`super::Streams::run_until_caught_up`],
    /// [`Self::idle_after`] and [`Self::task_idle`] go by that. Default:
    /// [`IsolationLevel::ReadUncommitted`], as in Kafka Streams without exactly-once.
    #[must_use]
    pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
        self.isolation = level;
        self
    }

    /// How often state, positions and watermarks are committed (Kafka: `commit.interval.ms`). What
    /// was processed since is processed again after a crash: state is exact, outputs are at least
    /// once. Default: 1 s (Kafka: 30 s).
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// Where snapshots of state are kept (Kafka: `state.dir`), so that a restart reads a file and the
    /// end of the changelogs, not all of them. Default: nowhere.
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// The most bytes that the state of all tasks of this instance may take, and its global tables: with
    /// keys, values and tables, as far as values tell their size by their bytes. The application stops
    /// with [`StreamsError::StateTooLarge`] when it takes more. Default: no limit.
    #[must_use]
    pub fn state_budget(mut self, bytes: usize) -> Self {
        self.state_budget = bytes;
        self
    }

    /// How many bytes of batches may wait for each source partition before it is paused (Kafka:
    /// `buffered.records.per.partition`). Default: 4 MiB.
    #[must_use]
    pub fn buffer_per_partition(mut self, bytes: usize) -> Self {
        self.buffer_per_partition = bytes;
        self
    }

    /// After so long without records a source partition does not hold the watermark back any more
    /// (Flink: `withIdleness`). Time in which the application did not take what there was does not
    /// count, nor does time in which the broker could not be reached. Default: never.
    #[must_use]
    pub fn idle_after(mut self, limit: Duration) -> Self {
        self.idle_after = Some(limit);
        self
    }

    /// How much longer a task with several source partitions waits for records of an empty one than
    /// until the broker has no more (Kafka: `max.task.idle.ms`). Default: none.
    #[must_use]
    pub fn task_idle(mut self, limit: Duration) -> Self {
        self.task_idle = limit;
        self
    }

    /// On how many brokers internal topics are kept. Default: as the cluster has it.
    #[must_use]
    pub fn replication_factor(mut self, count: i16) -> Self {
        self.replication_factor = count;
        self
    }

    /// The most records that go through the operators together. What comes out does not depend on it.
    #[must_use]
    pub fn chunk(mut self, records: usize) -> Self {
        self.chunk = records;
        self
    }

    /// What is done when the cluster does not take a record. Default: stop.
    #[must_use]
    pub fn on_produce_error(mut self, policy: OnProduceError) -> Self {
        self.on_produce_error = policy;
        self
    }

    /// Where it begins in partitions from which it has committed nothing. Default: at the beginning.
    #[must_use]
    pub fn begin_at(mut self, place: BeginAt) -> Self {
        self.begin_at = place;
        self
    }

    /// Serves metrics and state over HTTP at `host:port`; port 0 takes a free one
    /// ([`super::Streams::http_address`]). Default: nowhere.
    ///
    /// `/` lists the pages: health, metrics for Prometheus, the topology, the tasks with their
    /// positions, and the stores with what they hold. Whoever reaches the port can read all of it.
    #[must_use]
    pub fn http(mut self, address: impl Into<String>) -> Self {
        self.http = Some(address.into());
        self
    }

    /// Runs although the topology is another one than that whose state is there: stores that are gone
    /// are forgotten, new ones begin empty. Default: refused.
    #[must_use]
    pub fn accept_changed_topology(mut self, accept: bool) -> Self {
        self.accept_changed_topology = accept;
        self
    }

    /// Without a heartbeat for so long an instance counts as dead, and others take its tasks over
    /// (Kafka: `session.timeout.ms`). Default: 45 s.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), StreamsError> {
        let refuse = |option: &str, reason: &str| {
            Err(StreamsError::Config {
                option: option.to_owned(),
                reason: reason.to_owned(),
            })
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.application.is_empty()
            || self.application.len() > 100
            || !self.application.chars().all(fits)
            || matches!(&*self.application, "." | "..")
        {
            let reason = "an application's id is the beginning of topics' names: letters, digits, \
                          '.', '_' and '-', at most 100 of them";
            return refuse("application", reason);
        }
        if self.workers == 0 {
            return refuse("workers", "at least one");
        }
        if self.chunk == 0 {
            return refuse("chunk", "at least one record");
        }
        if self.commit_interval.is_zero() {
            return refuse("commit_interval", "at least a millisecond");
        }
        if self.buffer_per_partition == 0 {
            return refuse("buffer_per_partition", "at least one byte");
        }
        Ok(())
    }
}
