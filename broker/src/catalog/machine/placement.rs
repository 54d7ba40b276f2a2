//! Where replicas go. On a single node there is one place.

use uuid::Uuid;

use super::CatalogMachine;
use crate::catalog::command::{ErrorCode, Refusal};
use crate::catalog::records::{PartitionRecord, Record};

/// A log directory that is not chosen yet (Kafka's `DirectoryId.UNASSIGNED`): the broker has
/// several.
const UNASSIGNED: Uuid = Uuid::from_u128(1);

/// A log directory that was never told (Kafka's `DirectoryId.MIGRATING`): the broker has given
/// none.
const MIGRATING: Uuid = Uuid::nil();

impl CatalogMachine {
    /// Checks that this many replicas can be placed; the error is the text for the client.
    pub(super) fn check_replication_factor(&self, factor: i16) -> Result<(), String> {
        match factor {
            ..=0 => Err(format!(
                "Invalid replication factor {factor}: the replication factor must be positive."
            )),
            1 => Ok(()),
            2.. => Err(format!(
                "The target replication factor of {factor} cannot be reached because only 1 \
                 broker(s) are registered."
            )),
        }
    }

    /// Checks the replicas that a client wants for a partition, and that they are as many as those
    /// of the partitions before.
    pub(super) fn check_assignment(
        &self,
        brokers: &[i32],
        others_have: Option<usize>,
    ) -> Result<(), Refusal> {
        let refuse = |why: String| {
            let text = format!("The manual partition assignment includes {why}");
            Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text))
        };
        if brokers.is_empty() {
            return refuse("an empty replica list.".to_owned());
        }
        let mut sorted = brokers.to_vec();
        sorted.sort_unstable();
        let mut previous = None;
        for broker in sorted {
            if broker != self.node_id {
                return refuse(format!(
                    "broker {broker}, but no such broker is registered."
                ));
            }
            if previous == Some(broker) {
                return refuse(format!("the broker {broker} more than once."));
            }
            previous = Some(broker);
        }
        match others_have {
            Some(count) if count != brokers.len() => refuse(format!(
                "a partition with {} replica(s), but this is not consistent with previous \
                 partitions, which have {count} replica(s).",
                brokers.len()
            )),
            _ => Ok(()),
        }
    }

    /// The record of a new partition: led by this node, at epoch 0.
    pub(super) fn new_partition(&self, topic_id: Uuid, partition_id: i32) -> Record {
        let log_dirs = self
            .image
            .broker(self.node_id)
            .map(|broker| broker.log_dirs.as_slice());
        let directory = match log_dirs {
            None | Some([]) => MIGRATING,
            Some([only]) => *only,
            Some(_) => UNASSIGNED,
        };
        let partition = PartitionRecord {
            partition_id,
            topic_id,
            replicas: vec![self.node_id],
            isr: vec![self.node_id],
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: self.node_id,
            leader_recovery_state: 0,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![directory],
            eligible_leader_replicas: None,
            last_known_elr: None,
        };
        partition.into()
    }

    /// Refuses what would go above [`super::MAX_PARTITIONS`], `planned` new ones included.
    pub(super) fn check_room(&self, planned: usize) -> Result<(), Refusal> {
        if self.image.partition_count().saturating_add(planned) <= super::MAX_PARTITIONS {
            return Ok(());
        }
        let text = format!(
            "The broker keeps at most {} partitions.",
            super::MAX_PARTITIONS
        );
        Err(Refusal::new(ErrorCode::PolicyViolation, text))
    }
}
