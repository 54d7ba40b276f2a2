//! One test, two brokers: what a client does must work with Tidemark and with Apache Kafka.
//!
//! ```no_run
//! # use integration_tests::harness::{calls, cluster::{for_each_cluster, unique}};
//! # async fn test() {
//! for_each_cluster(async |cluster| {
//!     let mut connection = calls::connect(&cluster.bootstrap()).await;
//!     calls::create_served_topic(&mut connection, &unique("orders"), 1, &[]).await;
//! })
//! .await;
//! # }
//! ```

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_broker::environment::Environment;

use super::embedded::{self, Embedded};
use super::kafka::{Kafka, Missing, Options};
use super::proxy::{Intercepted, Proxy, Verdict};
use super::{calls, kafka};

/// Numbers for [`unique`].
static NAMES: AtomicU64 = AtomicU64::new(0);

/// A running cluster of one node.
pub enum Cluster {
    /// Tidemark in this process, with its data in memory. Has nothing but what the test makes.
    Tidemark(Box<Embedded>),
    /// The test's own Apache Kafka.
    Kafka(Box<Kafka>),
    /// The Apache Kafka of the test binary: see [`Kafka::shared`].
    SharedKafka(&'static Kafka),
}

impl Cluster {
    /// Tidemark; `options` come on top of those of [`embedded::start`].
    pub async fn tidemark(options: &[(&str, &str)]) -> Self {
        // As in `Kafka::start`: nothing is deleted by time.
        let kept = [("log.retention.ms", "-1")];
        let options: Vec<_> = kept.into_iter().chain(options.iter().copied()).collect();
        let broker = embedded::start(Path::new("/data"), Environment::in_memory(), &options).await;
        Self::Tidemark(Box::new(broker))
    }

    /// Tidemark that is only to be reached through the proxy, which is told where.
    pub async fn tidemark_behind(proxy: &Proxy, options: &[(&str, &str)]) -> Self {
        let advertised = proxy.advertised();
        let mut options = options.to_vec();
        options.push(("advertised.listeners", &advertised));
        let cluster = Self::tidemark(&options).await;
        proxy.forward_to(&cluster.bootstrap());
        cluster
    }

    /// An Apache Kafka of the test's own. Takes seconds to start.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub async fn kafka(options: kafka::Options) -> Result<Self, Missing> {
        let kafka = blocking(move || Kafka::start(&options)).await?;
        check(kafka.bootstrap()).await;
        Ok(Self::Kafka(Box::new(kafka)))
    }

    /// An Apache Kafka of the test's own that is only to be reached through the proxy, which is
    /// told where.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub async fn kafka_behind(proxy: &Proxy, options: kafka::Options) -> Result<Self, Missing> {
        let cluster = Self::kafka(options.advertise(&proxy.address())).await?;
        proxy.forward_to(&cluster.bootstrap());
        Ok(cluster)
    }

    /// The test binary's Apache Kafka.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub async fn shared_kafka() -> Result<Self, Missing> {
        let kafka = blocking(Kafka::shared).await?;
        check(kafka.bootstrap()).await;
        Ok(Self::SharedKafka(kafka))
    }

    /// `host:port` of the broker itself, not of a proxy in front of it.
    pub fn bootstrap(&self) -> String {
        match self {
            Self::Tidemark(broker) => broker.bootstrap(),
            Self::Kafka(kafka) => kafka.bootstrap().to_owned(),
            Self::SharedKafka(kafka) => kafka.bootstrap().to_owned(),
        }
    }

    /// What it is.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tidemark(_) => "Tidemark",
            Self::Kafka(_) | Self::SharedKafka(_) => "Apache Kafka",
        }
    }

    /// Whether it is Apache Kafka: for what the two differ in.
    pub fn is_kafka(&self) -> bool {
        !matches!(self, Self::Tidemark(_))
    }

    /// Stops it in order; the shared one stays.
    pub async fn stop(self) {
        match self {
            Self::Tidemark(broker) => broker.shutdown().await.expect("an orderly shutdown"),
            Self::Kafka(kafka) => blocking(move || drop(kafka)).await,
            Self::SharedKafka(_) => {}
        }
    }
}

/// Runs a test on a Tidemark of its own, then on the Apache Kafka that the test binary shares: its
/// names have to be [`unique`]. Without the prepared jars the second is left out, which is said; with
/// `CI` set that is a failure.
pub async fn for_each_cluster(test: impl AsyncFn(&Cluster)) {
    let tidemark = Cluster::tidemark(&[]).await;
    run(&tidemark, async || test(&tidemark).await).await;
    tidemark.stop().await;
    match Cluster::shared_kafka().await {
        Ok(kafka) => run(&kafka, async || test(&kafka).await).await,
        Err(missing) => eprintln!("left out: {missing}"),
    }
}

/// [`for_each_cluster`] with a proxy in front of each that passes everything until the test gives it
/// another script. Both clusters are the test's own, so it costs a start of Apache Kafka. Fetch
/// sessions are off, so that every Fetch names its partitions.
pub async fn for_each_cluster_behind_a_proxy(test: impl AsyncFn(&Cluster, &Proxy)) {
    let pass = |_: &Intercepted| Verdict::Pass;
    let sessions = ("max.incremental.fetch.session.cache.slots", "0");
    let proxy = Proxy::intercept(pass).await;
    let tidemark = Cluster::tidemark_behind(&proxy, &[sessions]).await;
    run(&tidemark, async || test(&tidemark, &proxy).await).await;
    drop(proxy);
    tidemark.stop().await;
    let proxy = Proxy::intercept(pass).await;
    let options = Options::default().set(sessions.0, sessions.1);
    match Cluster::kafka_behind(&proxy, options).await {
        Ok(kafka) => {
            run(&kafka, async || test(&kafka, &proxy).await).await;
            drop(proxy);
            kafka.stop().await;
        }
        Err(missing) => eprintln!("left out: {missing}"),
    }
}

/// A name for a topic or a group that no other test of this process uses.
pub fn unique(what: &str) -> String {
    format!("{what}-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

async fn run(cluster: &Cluster, test: impl AsyncFnOnce()) {
    // Shown if the test fails.
    eprintln!("on {}:", cluster.name());
    test().await;
}

/// It answers our own client, too.
async fn check(bootstrap: &str) {
    let metadata = calls::metadata(&mut calls::connect(bootstrap).await).await;
    assert_eq!(metadata.brokers.len(), 1, "{metadata:?}");
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("the work does not panic")
}
