//! Opens the catalog and runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::StartError;
use crate::catalog::machine::CatalogMachine;
use crate::catalog::topic_name::CLUSTER_METADATA;
use crate::config::{BrokerConfig, TopicConfig};
use crate::coordinator::runtime::{Loaded, Mailbox, load};
use crate::machine_log::{MachineClock, MachineLog};
use crate::partition::PartitionSettings;
use crate::reconcile::Reconciler;
use crate::types::{LeaderEpoch, TopicPartition};
use crate::vitals::Pulse;

/// The id that Kafka gives its metadata topic (`Uuid.METADATA_TOPIC_ID`).
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// The largest batch of the catalog's log: a command writes its records as one (Kafka's
/// `KafkaRaftClient.MAX_BATCH_SIZE_BYTES`).
const MAX_CATALOG_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The thread on which the catalog runs. A change of the catalog makes and renames directories and
/// waits for the disk, which no thread that serves requests should.
pub(super) struct CatalogThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl CatalogThread {
    fn run(loaded: Loaded<CatalogMachine>, pulse: Pulse) -> Self {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let thread = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = loaded.run() => {}
                    // Also when the sender is dropped: nobody is there who could stop it later.
                    _ = stopped => {}
                }
            });
            pulse.rest();
        });
        Self { stop, thread }
    }

    /// Ends it, and waits for that.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.thread.await {
            tracing::error!(%error, "the catalog has failed");
        }
    }
}

/// The partition that is the catalog's log.
pub(super) fn catalog_partition() -> TopicPartition {
    TopicPartition::new(CLUSTER_METADATA, 0)
}

/// Opens the catalog's log and replays it; topics are opened on the way.
pub(super) fn load_catalog(
    reconciler: &Arc<Reconciler>,
) -> Result<(Mailbox<CatalogMachine>, CatalogThread), StartError> {
    let config = &reconciler.base_config;
    // The catalog's log has Kafka's defaults, whatever the broker sets for topics, and is never
    // cut by retention.
    let mut settings = PartitionSettings::new(
        &TopicConfig::resolve(&BrokerConfig::default(), &BTreeMap::new()),
        &BrokerConfig::default(),
    );
    settings.log.delete = false;
    settings.rules.max_message_bytes = MAX_CATALOG_BATCH_BYTES;
    let name = catalog_partition();
    let parts = reconciler.parts(name, METADATA_TOPIC_ID, LeaderEpoch(0), settings);
    let log = reconciler.open(parts)?;
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
    let pulse = reconciler.vitals.pulse("the catalog");
    Ok((mailbox, CatalogThread::run(loaded, pulse)))
}
