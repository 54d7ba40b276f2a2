//! What a producer is set up with.

use std::sync::Arc;
use std::time::Duration;

use tidemark_protocol::records::Compression;

use super::partitioner::{DefaultPartitioner, Partitioner};
use crate::consumer::Lease;
use crate::error::ClientError;

/// When a record counts as written (Kafka: `acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// When the system has taken it over to send it: nobody answers, and offsets are not known.
    None,
    /// When the partition's leader has it.
    Leader,
    /// When all replicas that are in sync have it; on Tidemark, when it is on disk.
    All,
}

impl Acks {
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// A producer's options. The defaults are those of Apache Kafka's own client, version 4 (KIP-679,
/// KIP-1030): acks=all, idempotent, five requests under way, batches of 16 KiB, 5 ms of patience
/// for more.
#[derive(Clone)]
pub struct ProducerConfig {
    pub(super) acks: Acks,
    pub(super) idempotent: Option<bool>,
    pub(super) linger: Duration,
    pub(super) batch_size: usize,
    pub(super) buffer_memory: usize,
    pub(super) compression: Compression,
    pub(super) compression_level: Option<i32>,
    pub(super) delivery_timeout: Duration,
    pub(super) max_request_size: usize,
    pub(super) max_in_flight: usize,
    pub(super) max_block: Duration,
    pub(super) partitioner: Arc<dyn Partitioner>,
    pub(super) lease: Option<Lease>,
}

/// Requests of an idempotent producer that may be under way: the broker remembers as many batches.
const MAX_IN_FLIGHT_IDEMPOTENT: usize = 5;

impl ProducerConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            acks: Acks::All,
            idempotent: None,
            linger: Duration::from_millis(5),
            batch_size: 16 * 1024,
            buffer_memory: 32 << 20,
            compression: Compression::None,
            compression_level: None,
            delivery_timeout: Duration::from_secs(120),
            max_request_size: 1 << 20,
            max_in_flight: MAX_IN_FLIGHT_IDEMPOTENT,
            max_block: Duration::from_secs(60),
            partitioner: Arc::new(DefaultPartitioner),
            lease: None,
        }
    }

    /// When a record counts as written (Kafka: `acks`). Anything but [`Acks::All`] does without
    /// idempotence, and cannot be had with [`Self::idempotent`] on. Default: [`Acks::All`] (KIP-679).
    #[must_use]
    pub fn acks(mut self, acks: Acks) -> Self {
        self.acks = acks;
        self
    }

    /// Writes only while a consumer certainly is a member of its group. While the lease does not hold
    /// records wait, as long as [`Self::delivery_timeout`] lets them; when it is over the producer is
    /// at its end, and gives up what it has not sent ([`super::Producer::abort`]). What does not fit
    /// into the connection's buffer before the lease ends is not completed. Default: none.
    #[must_use]
    pub fn lease(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Whether the broker tells retries from new records, so that nothing is written twice and
    /// order is kept (Kafka: `enable.idempotence`, KIP-98). After a batch that is lost for good the
    /// producer goes on under a new epoch (KIP-360). Needs [`Acks::All`]. Default: true with it (KIP-679).
    #[must_use]
    pub fn idempotent(mut self, on: bool) -> Self {
        self.idempotent = Some(on);
        self
    }

    /// How long a record waits for others to be sent with, at most (Kafka: `linger.ms`). A batch
    /// that is full does not wait, nor does one for a broker that is being sent to anyway. Default:
    /// 5 ms (KIP-1030).
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Up to how many bytes records share a batch, before compression; a larger record has a batch
    /// of its own (Kafka: `batch.size`). 1 gives each record its own. Default: 16 KiB.
    #[must_use]
    pub fn batch_size(mut self, bytes: usize) -> Self {
        self.batch_size = bytes;
        self
    }

    /// The most bytes of records that wait or are under way; more have to wait outside (Kafka:
    /// `buffer.memory`). Default: 32 MiB.
    #[must_use]
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.buffer_memory = bytes;
        self
    }

    /// The codec, and its level or `None` for the default (Kafka: `compression.type`,
    /// `compression.<codec>.level`, KIP-390). Default: none.
    #[must_use]
    pub fn compression(mut self, codec: Compression, level: Option<i32>) -> Self {
        self.compression = codec;
        self.compression_level = level;
        self
    }

    /// After how long a record that is not known to be written counts as failed, all retries
    /// included (Kafka: `delivery.timeout.ms`, KIP-91). There is no limit to the number of retries
    /// (Kafka: `retries`). At least [`Self::linger`]. Default: 2 min.
    #[must_use]
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout;
        self
    }

    /// The most bytes of one request, and of one record and one batch before they are compressed
    /// (Kafka: `max.request.size`). Brokers have limits of their own, per topic. Default: 1 MiB.
    #[must_use]
    pub fn max_request_size(mut self, bytes: usize) -> Self {
        self.max_request_size = bytes;
        self
    }

    /// Requests that may be under way to one broker (Kafka:
    /// `max.in.flight.requests.per.connection`). At most 5 with idempotence. Without it, more than
    /// 1 may change the order when a request is retried. Default: 5.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// How long [`super::Producer::send`], [`send_counted`](super::Producer::send_counted) and
    /// [`ready`](super::Producer::ready) may wait, for the topic to be known and for room in the
    /// buffer together (Kafka: `max.block.ms`). Default: 1 min.
    #[must_use]
    pub fn max_block(mut self, limit: Duration) -> Self {
        self.max_block = limit;
        self
    }

    /// Who chooses the partition of records that name none (Kafka: `partitioner.class`). Default:
    /// [`DefaultPartitioner`].
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> Self {
        self.partitioner = Arc::new(partitioner);
        self
    }

    /// What was asked for, else what [`Self::acks`] allows.
    pub(super) fn is_idempotent(&self) -> bool {
        self.idempotent.unwrap_or(self.acks == Acks::All)
    }

    pub(super) fn validate(&self) -> Result<(), ClientError> {
        let config = |option, value: &dyn ToString, reason: &str| {
            Err(ClientError::config(option, value.to_string(), reason))
        };
        if self.is_idempotent() && self.acks != Acks::All {
            let acks = format!("{:?}", self.acks);
            return config(
                "acks",
                &acks,
                "idempotence needs Acks::All: use it, or idempotent(false)",
            );
        }
        if self.is_idempotent() && self.max_in_flight > MAX_IN_FLIGHT_IDEMPOTENT {
            return config(
                "max_in_flight",
                &self.max_in_flight,
                "at most 5 with idempotence: the broker remembers no more batches",
            );
        }
        if self.max_in_flight == 0 {
            return config("max_in_flight", &0, "at least 1");
        }
        if self.batch_size == 0 {
            return config(
                "batch_size",
                &0,
                "at least 1; 1 sends every record by itself",
            );
        }
        if self.max_request_size == 0 || i32::try_from(self.max_request_size).is_err() {
            return config(
                "max_request_size",
                &self.max_request_size,
                "from 1 to 2147483647",
            );
        }
        if self.buffer_memory < self.max_request_size {
            return config(
                "buffer_memory",
                &self.buffer_memory,
                "at least max_request_size, or the largest record never fits",
            );
        }
        if self.delivery_timeout < self.linger {
            let timeout = format!("{:?}", self.delivery_timeout);
            return config(
                "delivery_timeout",
                &timeout,
                "at least linger: records would fail before they are sent",
            );
        }
        match self.compression_level {
            Some(level) if !self.compression.accepts_level(level) => {
                let allowed = self.compression.levels().map_or_else(
                    || format!("{} has no levels", self.compression),
                    |levels| format!("from {} to {}", levels.start(), levels.end()),
                );
                config("compression_level", &level, &allowed)
            }
            _ => Ok(()),
        }
    }
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ProducerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerConfig")
            .field("acks", &self.acks)
            .field("idempotent", &self.is_idempotent())
            .field("linger", &self.linger)
            .field("batch_size", &self.batch_size)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: ProducerConfig, expected: Result<(), &str>) {
        let found = config.validate().map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let new = ProducerConfig::new;
        check(new(), Ok(()));
        check(new().acks(Acks::Leader), Ok(()));
        check(
            new().acks(Acks::Leader).idempotent(true),
            Err("acks = \"Leader\": idempotence needs Acks::All"),
        );
        check(
            new().max_in_flight(6),
            Err("max_in_flight = \"6\": at most 5"),
        );
        check(new().idempotent(false).max_in_flight(6), Ok(()));
        check(new().max_in_flight(0), Err("at least 1"));
        check(new().batch_size(0), Err("batch_size"));
        check(new().buffer_memory(10), Err("max_request_size"));
        check(
            new().delivery_timeout(Duration::from_millis(1)),
            Err("delivery_timeout"),
        );
        check(
            new().compression(Compression::Zstd, Some(99)),
            Err("compression_level = \"99\": from"),
        );
        check(
            new().compression(Compression::Snappy, Some(1)),
            Err("snappy has no levels"),
        );
    }
}
