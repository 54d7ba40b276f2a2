//! Any record of each kind, for property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// Any record.
pub(in crate::catalog) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (".{0,20}", id()).prop_map(|(name, topic_id)| TopicRecord { name, topic_id }.into()),
        partition().prop_map(Record::from),
        partition_change().prop_map(Record::from),
        (any::<i8>(), ".{0,9}", ".{0,200}", option::of(".{0,9}")).prop_map(
            |(resource_type, resource_name, name, value)| {
                ConfigRecord {
                    resource_type,
                    resource_name,
                    name,
                    value,
                }
                .into()
            }
        ),
        id().prop_map(|topic_id| RemoveTopicRecord { topic_id }.into()),
        any::<(i32, i64, i64)>().prop_map(|(broker_id, broker_epoch, next_producer_id)| {
            ProducerIdsRecord {
                broker_id,
                broker_epoch,
                next_producer_id,
            }
            .into()
        }),
        (".{0,9}", any::<i16>()).prop_map(|(name, feature_level)| FeatureLevelRecord {
            name,
            feature_level
        }
        .into()),
        register_broker().prop_map(Record::from),
        broker_registration_change().prop_map(Record::from),
        Just(NoOpRecord.into()),
        option::of(".{0,9}").prop_map(|name| BeginTransactionRecord { name }.into()),
        Just(EndTransactionRecord.into()),
        option::of(".{0,9}").prop_map(|reason| AbortTransactionRecord { reason }.into()),
    ]
}

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn ids() -> impl Strategy<Value = Vec<Uuid>> {
    vec(id(), 0..3)
}

fn nodes() -> impl Strategy<Value = Vec<i32>> {
    vec(any::<i32>(), 0..4)
}

prop_compose! {
    fn partition()(
        (partition_id, leader, leader_epoch, partition_epoch) in any::<(i32, i32, i32, i32)>(),
        leader_recovery_state: i8,
        topic_id in id(),
        (replicas, isr) in (nodes(), nodes()),
        (removing_replicas, adding_replicas) in (nodes(), nodes()),
        directories in ids(),
        eligible_leader_replicas in option::of(nodes()),
        last_known_elr in option::of(nodes()),
    ) -> PartitionRecord {
        PartitionRecord {
            partition_id, topic_id, replicas, isr, removing_replicas, adding_replicas, leader,
            leader_recovery_state, leader_epoch, partition_epoch, directories,
            eligible_leader_replicas, last_known_elr,
        }
    }
}

prop_compose! {
    fn partition_change()(
        (partition_id, leader, leader_recovery_state) in any::<(i32, i32, i8)>(),
        topic_id in id(),
        (isr, replicas) in (option::of(nodes()), option::of(nodes())),
        (removing_replicas, adding_replicas) in (option::of(nodes()), option::of(nodes())),
        directories in option::of(ids()),
        eligible_leader_replicas in option::of(nodes()),
        last_known_elr in option::of(nodes()),
    ) -> PartitionChangeRecord {
        PartitionChangeRecord {
            partition_id, topic_id, isr, leader, replicas, removing_replicas, adding_replicas,
            leader_recovery_state, directories, eligible_leader_replicas, last_known_elr,
        }
    }
}

prop_compose! {
    fn register_broker()(
        (broker_id, broker_epoch) in any::<(i32, i64)>(),
        (is_migrating_zk_broker, fenced, in_controlled_shutdown) in any::<(bool, bool, bool)>(),
        incarnation_id in id(),
        end_points in vec(endpoint(), 0..3),
        features in vec(feature(), 0..3),
        rack in option::of(".{0,9}"),
        log_dirs in ids(),
    ) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id, is_migrating_zk_broker, incarnation_id, broker_epoch, end_points, features,
            rack, fenced, in_controlled_shutdown, log_dirs,
        }
    }
}

prop_compose! {
    fn endpoint()(
        (name, host) in (".{0,9}", ".{0,9}"),
        (port, security_protocol) in any::<(u16, i16)>(),
    ) -> BrokerEndpoint {
        BrokerEndpoint { name, host, port, security_protocol }
    }
}

prop_compose! {
    fn feature()(
        name in ".{0,9}",
        (min_supported_version, max_supported_version) in any::<(i16, i16)>(),
    ) -> BrokerFeature {
        BrokerFeature { name, min_supported_version, max_supported_version }
    }
}

prop_compose! {
    fn broker_registration_change()(
        (broker_id, broker_epoch) in any::<(i32, i64)>(),
        (fenced, in_controlled_shutdown) in any::<(i8, i8)>(),
        log_dirs in ids(),
    ) -> BrokerRegistrationChangeRecord {
        BrokerRegistrationChangeRecord {
            broker_id, broker_epoch, fenced, in_controlled_shutdown, log_dirs,
        }
    }
}
