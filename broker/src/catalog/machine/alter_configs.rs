//! Decides on AlterConfigs and IncrementalAlterConfigs (Kafka's `ConfigAdminManager.preprocess`,
//! then `ConfigurationControlManager`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{CatalogMachine, MAX_RECORDS_PER_COMMAND};
use crate::catalog::command::{
    AlterConfigs, AlterConfigsResult, ConfigAlteration, ConfigChange, ConfigResource, ErrorCode,
    Refusal, Reply, ResourceChange, ResourceKind,
};
use crate::catalog::records::{ConfigRecord, Record};
use crate::catalog::topic_name;
use crate::config::{self, AlterOp, BrokerConfig, ConfigError, Overrides, Resource};

/// The longest name and value of a config, in bytes: what a string of the log can hold.
const MAX_CONFIG_SIZE: usize = i16::MAX as usize;

const NONE: &Overrides = &Overrides::new();

impl CatalogMachine {
    pub(super) fn alter_configs(&self, command: AlterConfigs) -> (Vec<Record>, Reply) {
        if size(&command.resources) > MAX_RECORDS_PER_COMMAND {
            return (Vec::new(), Reply::ConfigsAltered(refuse_all(command)));
        }
        let broker = self.config_in_force();
        let mut seen = BTreeSet::new();
        let all = command.resources.iter().map(|change| &change.resource);
        let repeated: BTreeSet<_> = all.filter(|resource| !seen.insert(*resource)).collect();
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(command.resources.len());
        for change in &command.resources {
            let result = if repeated.contains(&change.resource) {
                refuse(
                    ErrorCode::InvalidRequest,
                    "Each resource must appear at most once.",
                )
            } else {
                self.alter(change, &broker)
            };
            let result = result.map(|mut altered| records.append(&mut altered));
            results.push(AlterConfigsResult {
                resource: change.resource.clone(),
                result,
            });
        }
        // A replacement also removes what was there before.
        if records.len() > MAX_RECORDS_PER_COMMAND {
            return (Vec::new(), Reply::ConfigsAltered(refuse_all(command)));
        }
        if command.validate_only {
            records.clear();
        }
        (records, Reply::ConfigsAltered(results))
    }

    /// The broker's configuration with what was set at run time. It is made anew, which takes a
    /// while: once for a command, not for each of its resources.
    pub(super) fn config_in_force(&self) -> Arc<BrokerConfig> {
        let per_broker = self.broker_overrides(&self.node_id.to_string());
        let with_overrides = self
            .config
            .with_overrides(self.broker_overrides(""), per_broker);
        // What was set at run time may contradict what the broker was started with since; then the
        // latter counts, as it does for the broker itself.
        with_overrides.map_or_else(|_| Arc::clone(&self.config), Arc::new)
    }

    fn alter(
        &self,
        change: &ResourceChange,
        broker: &BrokerConfig,
    ) -> Result<Vec<Record>, Refusal> {
        let resource = &change.resource;
        check_request(&change.change)?;
        let kind = self.check_resource(resource)?;
        let before = self.overrides(resource);
        let (after, touched) = match &change.change {
            ConfigChange::Replace(configs) => replace(before, configs),
            ConfigChange::Incremental(operations) => apply_operations(kind, before, operations)?,
        };
        match kind {
            Resource::Broker => self.check_broker_configs(&resource.name, &after)?,
            Resource::Topic => self.check_altered_topic(&resource.name, &after, broker)?,
        }
        let record = |name: &String| {
            Record::from(ConfigRecord {
                resource_type: resource.kind.to_wire(),
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: after.get(name).cloned(),
            })
        };
        // A broker's config is recorded again even if it is the same: that is how an operator
        // makes it read a file anew to which a config points (KAFKA-14136).
        let must_record =
            |name: &&String| kind == Resource::Broker || before.get(*name) != after.get(*name);
        Ok(touched.iter().filter(must_record).map(record).collect())
    }

    fn check_resource(&self, resource: &ConfigResource) -> Result<Resource, Refusal> {
        match resource.kind {
            ResourceKind::Topic => Ok(Resource::Topic),
            ResourceKind::Broker if resource.name.is_empty() => Ok(Resource::Broker),
            ResourceKind::Broker => {
                let name = &resource.name;
                let id: i32 = name.parse().or_else(|_| {
                    let text = format!("Node id must be an integer, but it is: {name}");
                    refuse(ErrorCode::InvalidRequest, text)
                })?;
                // Other spellings of the number (`+0`, `00`) would be stored beside it, unheard.
                if name == &self.node_id.to_string() {
                    return Ok(Resource::Broker);
                }
                let expected = self.node_id;
                let text = format!("Unexpected broker id, expected {expected}, but received {id}");
                refuse(ErrorCode::InvalidRequest, text)
            }
            ResourceKind::Other(number) => refuse(
                ErrorCode::InvalidRequest,
                format!("Unknown resource type {number}"),
            ),
        }
    }

    fn overrides(&self, resource: &ConfigResource) -> &Overrides {
        match resource.kind {
            ResourceKind::Topic => self
                .image
                .topic(&resource.name)
                .map_or(NONE, |topic| &topic.configs),
            ResourceKind::Broker => self.broker_overrides(&resource.name),
            ResourceKind::Other(_) => NONE,
        }
    }

    fn broker_overrides(&self, name: &str) -> &Overrides {
        self.image
            .broker_config(name)
            .map_or(NONE, |overrides| overrides)
    }

    /// Checks the dynamic configs of the broker, or with the empty name of all brokers.
    fn check_broker_configs(&self, name: &str, after: &Overrides) -> Result<(), Refusal> {
        check_sizes(after)?;
        let checked: Result<BrokerConfig, ConfigError> = if name.is_empty() {
            let per_broker = self.broker_overrides(&self.node_id.to_string());
            self.config.with_overrides(after, per_broker)
        } else {
            self.config.with_overrides(self.broker_overrides(""), after)
        };
        // Kafka answers INVALID_REQUEST here and not INVALID_CONFIG (KAFKA-13609).
        match checked {
            Ok(_) => Ok(()),
            Err(error) => refuse(ErrorCode::InvalidRequest, error.to_string()),
        }
    }

    /// Checks values before existence, as Kafka does.
    fn check_altered_topic(
        &self,
        name: &str,
        after: &Overrides,
        broker: &BrokerConfig,
    ) -> Result<(), Refusal> {
        if name.is_empty() {
            return refuse(
                ErrorCode::InvalidRequest,
                "Default topic resources are not allowed.",
            );
        }
        topic_name::validate(name)
            .map_err(|text| Refusal::new(ErrorCode::InvalidTopicException, text))?;
        check_topic_configs(broker, after)?;
        if self.image.topic(name).is_none() {
            let text = format!("The topic '{name}' does not exist.");
            return refuse(ErrorCode::UnknownTopicOrPartition, text);
        }
        Ok(())
    }
}

/// Checks the overrides of a topic as they would stand, on a broker with this configuration.
pub(super) fn check_topic_configs(
    broker: &BrokerConfig,
    overrides: &Overrides,
) -> Result<(), Refusal> {
    check_sizes(overrides)?;
    let checked = config::topic::validate_overrides(broker, overrides);
    checked.map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))
}

/// How much a request asks for: each resource is one thing to look at and each config another.
/// Kafka counts the records that come of it, so that it looks at everything first.
fn size(resources: &[ResourceChange]) -> usize {
    let configs = |change: &ResourceChange| match &change.change {
        ConfigChange::Replace(configs) => configs.len(),
        ConfigChange::Incremental(operations) => operations.len(),
    };
    resources.iter().map(|change| 1 + configs(change)).sum()
}

fn refuse_all(command: AlterConfigs) -> Vec<AlterConfigsResult> {
    let refused = |change: ResourceChange| AlterConfigsResult {
        resource: change.resource,
        result: refuse(ErrorCode::PolicyViolation, super::TOO_MANY_RECORDS),
    };
    command.resources.into_iter().map(refused).collect()
}

/// The overrides after the operations, and the names that these are about.
fn apply_operations(
    kind: Resource,
    before: &Overrides,
    operations: &[ConfigAlteration],
) -> Result<(Overrides, BTreeSet<String>), Refusal> {
    let mut after = before.clone();
    for ConfigAlteration { name, op, value } in operations {
        let Some(op) = AlterOp::from_id(*op) else {
            return refuse(
                ErrorCode::InvalidRequest,
                format!("Unknown operations type {op}"),
            );
        };
        config::apply_op(kind, &mut after, name, op, value.as_deref())
            .map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))?;
    }
    let touched = operations.iter().map(|operation| operation.name.clone());
    Ok((after, touched.collect()))
}

/// The overrides of a full replacement, and all names that it sets or removes.
fn replace(
    before: &Overrides,
    configs: &[(String, Option<String>)],
) -> (Overrides, BTreeSet<String>) {
    let given = configs.iter();
    let after: Overrides = given
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    let touched = before.keys().chain(after.keys()).cloned().collect();
    (after, touched)
}

/// Checks that no override is longer than the log can hold.
fn check_sizes(overrides: &Overrides) -> Result<(), Refusal> {
    let too_long =
        |(name, value): (&String, &String)| name.len().max(value.len()) > MAX_CONFIG_SIZE;
    if !overrides.iter().any(too_long) {
        return Ok(());
    }
    refuse(
        ErrorCode::InvalidConfig,
        format!(
            "The configuration value cannot be added because it exceeds the maximum value size of \
             {MAX_CONFIG_SIZE} bytes."
        ),
    )
}

/// Checks what can be checked without knowing the resource.
fn check_request(change: &ConfigChange) -> Result<(), Refusal> {
    let configs: Vec<(&str, bool)> = match change {
        ConfigChange::Replace(configs) => configs
            .iter()
            .map(|(name, value)| (name.as_str(), value.is_none()))
            .collect(),
        ConfigChange::Incremental(operations) => operations
            .iter()
            .map(|alteration| {
                let deletes = alteration.op == AlterOp::Delete as i8;
                (
                    alteration.name.as_str(),
                    alteration.value.is_none() && !deletes,
                )
            })
            .collect(),
    };
    let mut seen = BTreeSet::new();
    if !configs.iter().all(|(name, _)| seen.insert(*name)) {
        return refuse(
            ErrorCode::InvalidRequest,
            "Error due to duplicate config keys",
        );
    }
    let null: Vec<&str> = configs
        .into_iter()
        .filter(|(_, is_null)| *is_null)
        .map(|(name, _)| name)
        .collect();
    if null.is_empty() {
        return Ok(());
    }
    let names = null.join(", ");
    refuse(
        ErrorCode::InvalidRequest,
        format!("Null value not supported for : {names}"),
    )
}

fn refuse<T>(code: ErrorCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(code, text))
}
