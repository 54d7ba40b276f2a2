//! Decides on AlterConfigs and IncrementalAlterConfigs (Kafka's `ConfigAdminManager.preprocess`,
//! then `ConfigurationControlManager`).

use std::collections::BTreeSet;

use super::{CatalogMachine, MAX_RECORDS_PER_COMMAND};
use crate::catalog::command::{
    AlterConfigs, AlterConfigsResult, ConfigAlteration, ConfigChange, ConfigOp, ConfigResource,
    ErrorCode, Refusal, Reply, ResourceChange, ResourceKind,
};
use crate::catalog::config_rules::{DynamicConfigs, Overrides};
use crate::catalog::records::{ConfigRecord, Record};
use crate::catalog::topic_name;

/// The longest name and value of a config, in bytes: what a string of the log can hold.
const MAX_CONFIG_SIZE: usize = i16::MAX as usize;

const NONE: &Overrides = &Overrides::new();

impl CatalogMachine {
    pub(super) fn alter_configs(&self, command: AlterConfigs) -> (Vec<Record>, Reply) {
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
                self.alter(change)
            };
            let result = result.map(|mut altered| records.append(&mut altered));
            results.push(AlterConfigsResult {
                resource: change.resource.clone(),
                result,
            });
        }
        if records.len() > MAX_RECORDS_PER_COMMAND {
            records.clear();
            for result in &mut results {
                result.result = refuse(ErrorCode::PolicyViolation, super::TOO_MANY_RECORDS);
            }
        }
        if command.validate_only {
            records.clear();
        }
        (records, Reply::ConfigsAltered(results))
    }

    fn alter(&self, change: &ResourceChange) -> Result<Vec<Record>, Refusal> {
        let resource = &change.resource;
        check_request(&change.change)?;
        self.check_resource(resource)?;
        let before = self.overrides(resource);
        let (after, touched) = match &change.change {
            ConfigChange::Replace(configs) => replace(before, configs),
            ConfigChange::Incremental(operations) => {
                self.apply_operations(resource, before, operations)?
            }
        };
        check_sizes(&after)?;
        self.validate(resource, &after)?;
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
        let must_record = |name: &&String| {
            resource.kind == ResourceKind::Broker || before.get(*name) != after.get(*name)
        };
        Ok(touched.iter().filter(must_record).map(record).collect())
    }

    fn check_resource(&self, resource: &ConfigResource) -> Result<(), Refusal> {
        match resource.kind {
            ResourceKind::Topic => Ok(()),
            ResourceKind::Broker if resource.name.is_empty() => Ok(()),
            ResourceKind::Broker => {
                let name = &resource.name;
                let id: i32 = name.parse().or_else(|_| {
                    let text = format!("Node id must be an integer, but it is: {name}");
                    refuse(ErrorCode::InvalidRequest, text)
                })?;
                if id == self.node_id {
                    return Ok(());
                }
                let expected = self.node_id;
                let text =
                    format!("Unexpected broker id, expected {expected}, but received {name}");
                refuse(ErrorCode::InvalidRequest, text)
            }
            ResourceKind::Other(number) => refuse(
                ErrorCode::InvalidRequest,
                format!("Unknown resource type {number}"),
            ),
        }
    }

    /// The broker configs that were set at run time, as they are now.
    pub(super) fn dynamic_configs(&self) -> DynamicConfigs<'_> {
        let configs = |name: &str| {
            self.image
                .broker_config(name)
                .map_or(NONE, |configs| &**configs)
        };
        DynamicConfigs {
            cluster_wide: configs(""),
            per_broker: configs(&self.node_id.to_string()),
        }
    }

    fn overrides(&self, resource: &ConfigResource) -> &Overrides {
        let overrides = match resource.kind {
            ResourceKind::Topic => self.image.topic(&resource.name).map(|topic| &topic.configs),
            ResourceKind::Broker => self.image.broker_config(&resource.name),
            ResourceKind::Other(_) => None,
        };
        overrides.map_or(NONE, |overrides| &**overrides)
    }

    /// The overrides after the operations, and the names that these are about.
    fn apply_operations(
        &self,
        resource: &ConfigResource,
        before: &Overrides,
        operations: &[ConfigAlteration],
    ) -> Result<(Overrides, BTreeSet<String>), Refusal> {
        let mut after = before.clone();
        let mut touched = BTreeSet::new();
        for operation in operations {
            let ConfigAlteration { name, op, value } = operation;
            let value = value.as_deref();
            let result = self.rules.apply_op(resource.kind, &after, name, *op, value);
            after = result.map_err(|text| Refusal::new(ErrorCode::InvalidConfig, text))?;
            touched.insert(name.clone());
        }
        Ok((after, touched))
    }

    /// Checks values before existence, as Kafka does.
    fn validate(&self, resource: &ConfigResource, after: &Overrides) -> Result<(), Refusal> {
        let name = &resource.name;
        if resource.kind == ResourceKind::Broker {
            // Kafka answers INVALID_REQUEST and not INVALID_CONFIG here (KAFKA-13609).
            let mut configs = self.dynamic_configs();
            if name.is_empty() {
                configs.cluster_wide = after;
            } else {
                configs.per_broker = after;
            }
            let checked = self.rules.validate_broker(configs);
            return checked.map_err(|text| Refusal::new(ErrorCode::InvalidRequest, text));
        }
        if name.is_empty() {
            return refuse(
                ErrorCode::InvalidRequest,
                "Default topic resources are not allowed.",
            );
        }
        topic_name::validate(name)
            .map_err(|text| Refusal::new(ErrorCode::InvalidTopicException, text))?;
        let checked = self.rules.validate_topic(self.dynamic_configs(), after);
        checked.map_err(|text| Refusal::new(ErrorCode::InvalidConfig, text))?;
        if self.image.topic(name).is_none() {
            let text = format!("The topic '{name}' does not exist.");
            return refuse(ErrorCode::UnknownTopicOrPartition, text);
        }
        Ok(())
    }
}

/// Checks that no override is longer than the log can hold.
pub(super) fn check_sizes(overrides: &Overrides) -> Result<(), Refusal> {
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
    let (names, null): (Vec<&String>, Vec<&str>) = match change {
        ConfigChange::Replace(configs) => {
            let null = configs.iter().filter(|(_, value)| value.is_none());
            let names = configs.iter().map(|(name, _)| name);
            (
                names.collect(),
                null.map(|(name, _)| name.as_str()).collect(),
            )
        }
        ConfigChange::Incremental(operations) => {
            let is_null = |o: &&ConfigAlteration| o.op != ConfigOp::Delete && o.value.is_none();
            let null = operations.iter().filter(is_null);
            let names = operations.iter().map(|operation| &operation.name);
            (
                names.collect(),
                null.map(|operation| operation.name.as_str()).collect(),
            )
        }
    };
    let mut seen = BTreeSet::new();
    if !names.into_iter().all(|name| seen.insert(name)) {
        return refuse(
            ErrorCode::InvalidRequest,
            "Error due to duplicate config keys",
        );
    }
    if !null.is_empty() {
        let names = null.join(", ");
        return refuse(
            ErrorCode::InvalidRequest,
            format!("Null value not supported for : {names}"),
        );
    }
    if let ConfigChange::Incremental(operations) = change {
        for operation in operations {
            if let ConfigOp::Unknown(number) = operation.op {
                let text = format!("Unknown operations type {number}");
                return refuse(ErrorCode::InvalidRequest, text);
            }
        }
    }
    Ok(())
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

fn refuse<T>(code: ErrorCode, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(code, text))
}
