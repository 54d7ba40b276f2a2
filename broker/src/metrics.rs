//! What the broker counts, in Prometheus form.
//!
//! Handles are resolved once, when the broker starts: counting a request touches no map.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tidemark_protocol::error::ErrorCode;

use crate::api::{Api, REGISTRY};

/// Upper bounds of the latency buckets in seconds: from a page-cache append to a long poll.
const LATENCY_BUCKETS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabel {
    api: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabel {
    api: &'static str,
    error: String,
}

/// The counters of one broker.
pub struct Metrics {
    registry: Registry,
    /// In the order of [`REGISTRY`].
    apis: Vec<(Counter, Histogram)>,
    errors: Family<ErrorLabel, Counter>,
    bytes_in: Counter,
    bytes_out: Counter,
    connections: Gauge,
    partitions: Gauge,
    topics: Gauge,
    log_bytes: Gauge,
}

/// The state that is read when metrics are asked for, rather than counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Open connections.
    pub connections: usize,
    /// Topics.
    pub topics: usize,
    /// Partitions.
    pub partitions: usize,
    /// Bytes of all logs.
    pub log_bytes: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tidemark");
        let requests = Family::<ApiLabel, Counter>::default();
        let latency =
            Family::<ApiLabel, Histogram>::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS));
        let apis = REGISTRY.iter().map(|api| {
            let label = ApiLabel { api: api.name };
            (
                requests.get_or_create_owned(&label),
                latency.get_or_create_owned(&label),
            )
        });
        let apis = apis.collect();
        let errors = Family::default();
        let (bytes_in, bytes_out) = (Counter::default(), Counter::default());
        let (connections, partitions) = (Gauge::default(), Gauge::default());
        let (topics, log_bytes) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests answered, by API", requests);
        registry.register_with_unit(
            "request_duration",
            "Time from a request's arrival to its answer, by API",
            Unit::Seconds,
            latency,
        );
        registry.register(
            "errors",
            "Error codes in answers, by API and error",
            errors.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bytes of requests, frame lengths included",
            Unit::Bytes,
            bytes_in.clone(),
        );
        registry.register_with_unit("sent", "Bytes of answers", Unit::Bytes, bytes_out.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("topics", "Topics, internal ones included", topics.clone());
        registry.register("partitions", "Partitions", partitions.clone());
        registry.register_with_unit("log", "Size of all logs", Unit::Bytes, log_bytes.clone());
        Self {
            registry,
            apis,
            errors,
            bytes_in,
            bytes_out,
            connections,
            partitions,
            topics,
            log_bytes,
        }
    }

    /// Counts an answered request with the error codes in its answer.
    pub fn request(&self, api: &'static Api, micros: u64, errors: &[i16]) {
        if let Some((count, latency)) = self.apis.get(api.index()) {
            count.inc();
            latency.observe(micros as f64 / 1e6);
        }
        for code in errors {
            let error = ErrorCode::from_code(*code).to_string();
            self.errors
                .get_or_create(&ErrorLabel {
                    api: api.name,
                    error,
                })
                .inc();
        }
    }

    /// Counts bytes of a request.
    pub fn bytes_in(&self, bytes: usize) {
        self.bytes_in.inc_by(bytes as u64);
    }

    /// Counts bytes of an answer.
    pub fn bytes_out(&self, bytes: usize) {
        self.bytes_out.inc_by(bytes as u64);
    }

    /// Everything, in Prometheus' text form (OpenMetrics).
    pub fn render(&self, now: Snapshot) -> Result<String, std::fmt::Error> {
        self.connections.set(now.connections as i64);
        self.topics.set(now.topics as i64);
        self.partitions.set(now.partitions as i64);
        self.log_bytes
            .set(i64::try_from(now.log_bytes).unwrap_or(i64::MAX));
        let mut output = String::new();
        text::encode(&mut output, &self.registry)?;
        Ok(output)
    }
}
