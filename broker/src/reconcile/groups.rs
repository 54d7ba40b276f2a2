//! Group coordinators come and go with the topic that keeps their state.

use std::sync::Arc;

use super::Reconciler;
use crate::catalog::image::Topic;
use crate::config::BrokerConfig;
use crate::coordinator::group::{Command, GroupConfig, GroupMachine};
use crate::coordinator::runtime::load;
use crate::machine_log::{MachineClock, MachineLog};

impl Reconciler {
    /// Replays every partition of the topic into a coordinator of its own. One whose log cannot be
    /// read leaves its groups without a coordinator; the others are not concerned.
    pub(super) fn start_group_coordinators(&self, topic: &Topic) {
        let config = group_config(&self.config.load());
        let mut tasks = self.tasks.lock();
        let mut shards = Vec::new();
        for partition in self.partitions.topic(&topic.name) {
            let machine = GroupMachine::new(config.clone());
            let name = partition.name().clone();
            let log = Arc::new(MachineLog(partition));
            let clock = Arc::new(MachineClock(Arc::clone(&self.environment.clock)));
            match load(machine, log, clock, Box::new(|_| {})) {
                Ok((mailbox, loaded)) => {
                    shards.push(Some(mailbox));
                    let pulse = self.vitals.pulse(format!("the coordinator of {name}"));
                    tasks.spawn(async move {
                        loaded.run().await;
                        pulse.rest();
                    });
                }
                Err(error) => {
                    tracing::error!(partition = %name, %error, "cannot load the groups");
                    shards.push(None);
                }
            }
        }
        self.groups.install(shards);
    }

    /// Has the offsets forgotten that groups have committed for deleted topics; nobody waits for
    /// that. One task for each coordinator, however many topics there are.
    pub(super) fn forget_offsets(&self, topics: &[&Arc<Topic>]) {
        let names: Arc<[Arc<str>]> = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        for shard in self.groups.shards().into_iter().flatten() {
            let topics = Arc::clone(&names);
            tasks.spawn(async move {
                if let Err(error) = shard.call(Command::ForgetTopics { topics }).await {
                    tracing::warn!(%error, "offsets of deleted topics remain");
                }
            });
        }
    }
}

/// What the group coordinators need of the broker's configuration.
fn group_config(config: &BrokerConfig) -> GroupConfig {
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    GroupConfig {
        min_session_timeout_ms: config.group_min_session_timeout_ms,
        max_session_timeout_ms: config.group_max_session_timeout_ms,
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
        max_size: count(config.group_max_size),
        offset_metadata_max_bytes: count(config.offset_metadata_max_bytes),
        offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
    }
}
