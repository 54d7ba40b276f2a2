//! What a consumer is set up with.

use std::sync::Arc;
use std::time::Duration;

use super::assignor::{Assignor, CooperativeSticky, Range};
use crate::config::ClientConfig;
use crate::error::ClientError;

/// Where reading begins when there is no offset to begin at, or none that the partition has (Kafka:
/// `auto.offset.reset`). Kafka's `by_duration` (KIP-1106) is not there:
/// [`super::Consumer::seek_to_time`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first offset there is.
    Earliest,
    /// At the end: only what comes from now on. Kafka's default, and this client's.
    Latest,
    /// Nowhere: the consumer tells ([`super::ConsumerError::NoOffset`],
    /// [`super::ConsumerError::OffsetOutOfRange`], [`super::ConsumerError::Truncated`]), and the
    /// application seeks (Kafka: `none`).
    Error,
}

/// Which records of transactions are given (Kafka: `isolation.level`, KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// All, aborted ones too. Kafka's default, and this client's; librdkafka's is the other one.
    ReadUncommitted,
    /// Only those of transactions that were committed, and only up to the first that is still open.
    ReadCommitted,
}

/// A consumer's options (Kafka: `ConsumerConfig`). [`Self::group`] makes a member of a consumer
/// group, [`Self::new`] a reader by itself.
#[derive(Clone)]
pub struct ConsumerConfig {
    pub(crate) group: Option<GroupConfig>,
    pub(crate) offset_reset: OffsetReset,
    pub(crate) isolation_level: IsolationLevel,
    pub(crate) pin_topics: bool,
    pub(crate) fetch_min_bytes: usize,
    pub(crate) fetch_max_wait: Duration,
    pub(crate) fetch_max_bytes: usize,
    pub(crate) max_partition_bytes: usize,
    pub(crate) prefetch_bytes: usize,
    pub(crate) check_crcs: bool,
    pub(crate) auto_commit: Option<Duration>,
}

/// What makes a consumer a member of a group.
#[derive(Clone)]
pub(crate) struct GroupConfig {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) assignors: Vec<Arc<dyn Assignor>>,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) max_poll_interval: Duration,
}

impl ConsumerConfig {
    /// A consumer without a group: it reads what it is assigned and commits nothing. All else is as
    /// in Kafka's own client, but for [`Self::fetch_max_bytes`] and [`Self::prefetch_bytes`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            group: None,
            offset_reset: OffsetReset::Latest,
            isolation_level: IsolationLevel::ReadUncommitted,
            pin_topics: false,
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 16 << 20,
            max_partition_bytes: 1 << 20,
            prefetch_bytes: 32 << 20,
            check_crcs: true,
            auto_commit: None,
        }
    }

    /// A member of the group `id` (Kafka: `group.id`). Commits every 5 s unless told otherwise. The
    /// group is a classic one: KIP-848's protocol (Kafka: `group.protocol=consumer`) is not there
    /// yet.
    #[must_use]
    pub fn group(id: impl Into<String>) -> Self {
        Self {
            group: Some(GroupConfig {
                id: id.into(),
                instance_id: None,
                assignors: vec![Arc::new(Range), Arc::new(CooperativeSticky)],
                session_timeout: Duration::from_secs(45),
                heartbeat_interval: Duration::from_secs(3),
                max_poll_interval: Duration::from_secs(300),
            }),
            auto_commit: Some(Duration::from_secs(5)),
            ..Self::new()
        }
    }

    fn change_group(mut self, change: impl FnOnce(&mut GroupConfig)) -> Self {
        if let Some(group) = &mut self.group {
            change(group);
        }
        self
    }

    /// A name that outlives the process: a member that comes back under it within the session
    /// timeout gets its partitions back without a rebalance (Kafka: `group.instance.id`, KIP-345).
    /// Without a group it has no meaning.
    #[must_use]
    pub fn instance_id(self, id: impl Into<String>) -> Self {
        self.change_group(|group| group.instance_id = Some(id.into()))
    }

    /// How partitions are shared out, the preferred way first (Kafka:
    /// `partition.assignment.strategy`). All members of a group have to have one in common. The
    /// member rebalances cooperatively (KIP-429) if all of its assignors can. Default: range, then
    /// cooperative-sticky, as in Kafka (KIP-726), which is eager. Without a group it has no
    /// meaning.
    #[must_use]
    pub fn assignors(self, assignors: Vec<Arc<dyn Assignor>>) -> Self {
        self.change_group(|group| group.assignors = assignors)
    }

    /// Without a heartbeat for so long a member counts as dead (Kafka: `session.timeout.ms`).
    /// Default: 45 s (KIP-735). The broker has bounds for it. Without a group it has no meaning, as
    /// the next two.
    #[must_use]
    pub fn session_timeout(self, timeout: Duration) -> Self {
        self.change_group(|group| group.session_timeout = timeout)
    }

    /// How often the member tells that it is alive (Kafka: `heartbeat.interval.ms`). Default: 3 s.
    #[must_use]
    pub fn heartbeat_interval(self, interval: Duration) -> Self {
        self.change_group(|group| group.heartbeat_interval = interval)
    }

    /// The longest time between two reads: a member that is busy for longer leaves the group, and
    /// joins again with its next read (Kafka: `max.poll.interval.ms`, KIP-62). A read that waits
    /// does not count as busy. It is also how long a rebalance waits for the member. Default: 5
    /// min.
    #[must_use]
    pub fn max_poll_interval(self, interval: Duration) -> Self {
        self.change_group(|group| group.max_poll_interval = interval)
    }

    /// Where reading begins without an offset (Kafka: `auto.offset.reset`). Default:
    /// [`OffsetReset::Latest`].
    #[must_use]
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.offset_reset = reset;
        self
    }

    /// Which records of transactions are given (Kafka: `isolation.level`). Default:
    /// [`IsolationLevel::ReadUncommitted`].
    #[must_use]
    pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
        self.isolation_level = level;
        self
    }

    /// Refuses to go on in a topic that is deleted and made again while it is read
    /// ([`super::ConsumerError::TopicMadeAgain`]): its offsets mean other records. Needs brokers whose topics have
    /// ids (KIP-516). Default: no, as Kafka's consumers, which go on at the same offset.
    #[must_use]
    pub fn pin_topics(mut self, pin: bool) -> Self {
        self.pin_topics = pin;
        self
    }

    /// A broker answers when it has so many bytes, or when [`Self::fetch_max_wait`] is over (Kafka:
    /// `fetch.min.bytes`). Default: 1.
    #[must_use]
    pub fn fetch_min_bytes(mut self, bytes: usize) -> Self {
        self.fetch_min_bytes = bytes;
        self
    }

    /// How long a broker waits for data (Kafka: `fetch.max.wait.ms`). Default: 500 ms.
    #[must_use]
    pub fn fetch_max_wait(mut self, wait: Duration) -> Self {
        self.fetch_max_wait = wait;
        self
    }

    /// The most bytes that one answer brings, but always one whole batch (Kafka: `fetch.max.bytes`,
    /// KIP-74). Default: 16 MiB, half of [`Self::prefetch_bytes`] (Kafka: 50 MiB).
    #[must_use]
    pub fn fetch_max_bytes(mut self, bytes: usize) -> Self {
        self.fetch_max_bytes = bytes;
        self
    }

    /// The most bytes that one answer brings of one partition, but always one whole batch (Kafka:
    /// `max.partition.fetch.bytes`). Default: 1 MiB.
    #[must_use]
    pub fn max_partition_bytes(mut self, bytes: usize) -> Self {
        self.max_partition_bytes = bytes;
        self
    }

    /// The most bytes that are fetched ahead of the application, all brokers together, but always
    /// one whole batch of each (librdkafka: `queued.max.messages.kbytes`). Default: 32 MiB.
    #[must_use]
    pub fn prefetch_bytes(mut self, bytes: usize) -> Self {
        self.prefetch_bytes = bytes;
        self
    }

    /// Whether the CRC of every batch is checked (Kafka: `check.crcs`). Default: true.
    #[must_use]
    pub fn check_crcs(mut self, check: bool) -> Self {
        self.check_crcs = check;
        self
    }

    /// Commits the positions so often, while reading, when partitions are taken away and when the
    /// consumer is closed (Kafka: `enable.auto.commit`, `auto.commit.interval.ms`); `None` leaves
    /// committing to the application. What counts as read is what was given out before the read
    /// that commits. One that fails while reading is only logged (`tracing`, warn). Default: 5 s in
    /// a group. Without a group it has no meaning.
    #[must_use]
    pub fn auto_commit(mut self, interval: Option<Duration>) -> Self {
        self.auto_commit = interval;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ClientError> {
        let size = |option, value: usize| match i32::try_from(value) {
            Ok(1..) => Ok(()),
            _ => Err(ClientError::config(
                option,
                value,
                "bytes from 1 to 2147483647",
            )),
        };
        size("fetch_max_bytes", self.fetch_max_bytes)?;
        size("max_partition_bytes", self.max_partition_bytes)?;
        size("prefetch_bytes", self.prefetch_bytes)?;
        if self.fetch_min_bytes > self.fetch_max_bytes {
            return Err(ClientError::config(
                "fetch_min_bytes",
                self.fetch_min_bytes,
                format!("at most fetch_max_bytes, {}", self.fetch_max_bytes),
            ));
        }
        let Some(group) = &self.group else {
            return Ok(());
        };
        if group.id.is_empty() {
            return Err(ClientError::config("group", "", "a group has a name"));
        }
        if group.instance_id.as_deref() == Some("") {
            let reason = "give a name, or none at all";
            return Err(ClientError::config("instance_id", "", reason));
        }
        if group.assignors.is_empty() {
            return Err(ClientError::config("assignors", "", "at least one"));
        }
        if group.heartbeat_interval >= group.session_timeout {
            return Err(ClientError::config(
                "heartbeat_interval",
                format!("{:?}", group.heartbeat_interval),
                format!(
                    "less than session_timeout, {:?}; a third of it is usual",
                    group.session_timeout
                ),
            ));
        }
        let millis = |option, value: Duration| match i32::try_from(value.as_millis()) {
            Ok(1..) => Ok(()),
            _ => Err(ClientError::config(
                option,
                format!("{value:?}"),
                "from 1 ms to 24 days",
            )),
        };
        millis("session_timeout", group.session_timeout)?;
        millis("heartbeat_interval", group.heartbeat_interval)?;
        if let Some(interval) = self.auto_commit {
            millis("auto_commit", interval)?;
        }
        millis("max_poll_interval", group.max_poll_interval)
    }

    pub(super) fn fetch_settings(&self, client: &ClientConfig) -> FetchSettings {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        FetchSettings {
            offset_reset: self.offset_reset,
            read_committed: self.isolation_level == IsolationLevel::ReadCommitted,
            pin_topics: self.pin_topics,
            max_bytes: self.fetch_max_bytes,
            max_partition_bytes: i32::try_from(self.max_partition_bytes).unwrap_or(i32::MAX),
            prefetch_bytes: self.prefetch_bytes,
            sessions: true,
            retry_backoff: millis(client.retry_backoff),
            retry_backoff_max: millis(client.retry_backoff_max),
            patience: millis(client.api_timeout),
        }
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ConsumerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerConfig")
            .field("group", &self.group.as_ref().map(|group| &group.id))
            .field("offset_reset", &self.offset_reset)
            .field("isolation_level", &self.isolation_level)
            .finish_non_exhaustive()
    }
}

/// What the fetcher needs of it all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchSettings {
    pub(crate) offset_reset: OffsetReset,
    pub(crate) read_committed: bool,
    pub(crate) pin_topics: bool,
    pub(crate) max_bytes: usize,
    pub(crate) max_partition_bytes: i32,
    pub(crate) prefetch_bytes: usize,
    /// Whether brokers are asked to remember what is fetched.
    pub(crate) sessions: bool,
    /// In milliseconds, as the next ones.
    pub(crate) retry_backoff: u64,
    pub(crate) retry_backoff_max: u64,
    /// After how long of nothing but failures the application is told.
    pub(crate) patience: u64,
}
