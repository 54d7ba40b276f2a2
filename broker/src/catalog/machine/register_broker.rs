//! Makes the broker known at start (Kafka's `ClusterControlManager.registerBroker`).

use super::CatalogMachine;
use crate::catalog::command::{ErrorCode, Refusal, Registration, Reply};
use crate::catalog::image::METADATA_VERSION_FEATURE;
use crate::catalog::records::{FeatureLevelRecord, Record, RegisterBrokerRecord};

impl CatalogMachine {
    pub(super) fn register_broker(&self, command: Registration) -> (Vec<Record>, Reply) {
        if let Err(refusal) = self.check_metadata_version(&command) {
            return (Vec::new(), Reply::BrokerRegistered(Err(refusal)));
        }
        let mut records = self.feature_records(&command);
        let record = self.registration_record(command);
        let broker_epoch = record.broker_epoch;
        if self
            .image
            .broker(self.node_id)
            .is_none_or(|known| **known != record)
        {
            records.push(record.into());
        }
        (records, Reply::BrokerRegistered(Ok(broker_epoch)))
    }

    /// Refuses to read a log on as if it were older than it says.
    fn check_metadata_version(&self, command: &Registration) -> Result<(), Refusal> {
        let wanted = command
            .finalized_features
            .get(METADATA_VERSION_FEATURE)
            .copied();
        match (self.image.metadata_version(), wanted) {
            (Some(known), Some(wanted)) if wanted < known => {
                let text = format!(
                    "The log is at {METADATA_VERSION_FEATURE} {known}, above {wanted}; it cannot \
                     be lowered."
                );
                Err(Refusal::new(ErrorCode::InvalidUpdateVersion, text))
            }
            _ => Ok(()),
        }
    }

    /// A record for each feature that is to run at another level; `metadata.version` comes first,
    /// since it says how to read the rest.
    fn feature_records(&self, command: &Registration) -> Vec<Record> {
        let known = self.image.features();
        let mut changed: Vec<_> = command
            .finalized_features
            .iter()
            .filter(|(name, level)| known.get(*name).copied().unwrap_or(0) != **level)
            .collect();
        changed.sort_by_key(|(name, _)| (*name != METADATA_VERSION_FEATURE, *name));
        changed
            .into_iter()
            .map(|(name, level)| {
                FeatureLevelRecord {
                    name: name.clone(),
                    feature_level: *level,
                }
                .into()
            })
            .collect()
    }

    fn registration_record(&self, command: Registration) -> RegisterBrokerRecord {
        let known = self.image.broker(self.node_id);
        let same_run = known.filter(|known| known.incarnation_id == command.incarnation_id);
        RegisterBrokerRecord {
            broker_id: self.node_id,
            is_migrating_zk_broker: false,
            incarnation_id: command.incarnation_id,
            // The epoch of a new run is the log's end, which is higher than that of any run before.
            broker_epoch: same_run
                .map_or_else(|| self.image.offset().plus(1).0, |known| known.broker_epoch),
            end_points: command.endpoints,
            features: command.features,
            rack: command.rack,
            // A single node needs nobody's leave to lead.
            fenced: false,
            in_controlled_shutdown: false,
            log_dirs: command.log_dirs,
        }
    }
}
