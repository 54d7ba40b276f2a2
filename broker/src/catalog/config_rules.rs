//! What the catalog has to know about configs, so that it can refuse bad ones.

use std::collections::BTreeMap;

use super::command::{ConfigOp, ResourceKind};

/// Config values by name that stand in place of defaults.
pub type Overrides = BTreeMap<String, String>;

/// The broker configs that were set while the broker ran.
#[derive(Clone, Copy, Debug)]
pub struct DynamicConfigs<'a> {
    /// Those for all brokers.
    pub cluster_wide: &'a Overrides,
    /// Those for this broker, which are stronger.
    pub per_broker: &'a Overrides,
}

/// The broker's config declarations and the values that it was started with, as far as decisions
/// on configs rest on them. It must be a pure function of its arguments, for decisions are repeated
/// in tests and simulations. Errors are the texts for the client.
pub trait ConfigRules: Send + Sync + 'static {
    /// Checks all overrides of a topic together, as they would stand after a change, on a broker
    /// with these dynamic configs (Kafka's `LogConfig.validate`).
    fn validate_topic(
        &self,
        broker: DynamicConfigs<'_>,
        overrides: &Overrides,
    ) -> Result<(), String>;

    /// Checks the dynamic configs as they would stand after a change: whether all can be changed
    /// while the broker runs, and their values (Kafka's `DynamicBrokerConfig.validate`).
    fn validate_broker(&self, broker: DynamicConfigs<'_>) -> Result<(), String>;

    /// The overrides `current` after `op` on config `name`. `op` is none of
    /// [`ConfigOp::Unknown`]; appending to what is not a list is an error, and where no override
    /// is set the default counts (Kafka's `ConfigurationControlManager`).
    fn apply_op(
        &self,
        kind: ResourceKind,
        current: &Overrides,
        name: &str,
        op: ConfigOp,
        value: Option<&str>,
    ) -> Result<Overrides, String>;
}
