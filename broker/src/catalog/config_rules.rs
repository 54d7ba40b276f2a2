//! What the catalog has to know about configs, so that it can refuse bad ones.

use std::collections::BTreeMap;

use super::command::{ConfigOp, ResourceKind};

/// The part of the broker's config declarations that decisions on configs rest on. It must be a
/// pure function of its arguments, for decisions are repeated in tests and simulations.
pub trait ConfigRules: Send + Sync + 'static {
    /// Checks all overrides of a topic together, as they would stand after a change. The error is
    /// the text for the client (Kafka's `LogConfig.validate`).
    fn validate_topic(&self, overrides: &BTreeMap<String, String>) -> Result<(), String>;

    /// Checks all dynamic overrides of the broker (`cluster_wide` false) or of the cluster default
    /// (`cluster_wide` true), as they would stand after a change: which can be changed while the
    /// broker runs, and their values (Kafka's `DynamicBrokerConfig.validate`).
    fn validate_broker(
        &self,
        cluster_wide: bool,
        overrides: &BTreeMap<String, String>,
    ) -> Result<(), String>;

    /// The value of config `name` after `op` with operand `value` on the override `current`; `None`
    /// when no override is left. Appending to what is not a list is an error, and the default
    /// counts where no override is set (Kafka's `ConfigurationControlManager`).
    fn apply_op(
        &self,
        kind: ResourceKind,
        name: &str,
        op: ConfigOp,
        current: Option<&str>,
        value: &str,
    ) -> Result<Option<String>, String>;
}
