//! The operations of IncrementalAlterConfigs as pure steps (`ConfigurationControlManager`).

use std::collections::{HashMap, HashSet};

use super::error::ConfigError;
use super::spec::{ConfigType, OptionSpec};
use super::{Overrides, broker, java, topic};

/// What an operation does to one option's override, numbered as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum AlterOp {
    /// Replace it.
    Set = 0,
    /// Remove it, so that the default counts again.
    Delete = 1,
    /// Add entries to a list.
    Append = 2,
    /// Take entries from a list.
    Subtract = 3,
}

impl AlterOp {
    /// The operation with this number on the wire.
    pub fn from_id(id: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract]
            .into_iter()
            .find(|op| *op as i8 == id)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// Whose options are altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A topic's.
    Topic,
    /// The broker's, or the cluster's.
    Broker,
}

impl Resource {
    fn option(self, name: &str) -> Option<&'static OptionSpec> {
        match self {
            Self::Topic => topic::option(name),
            Self::Broker => broker::option(name),
        }
    }
}

/// Carries out one operation on the overrides; a refused one leaves them as they were. The result
/// is not validated: several operations make one change, and only its end must be sound
/// ([`topic::validate_overrides`], [`super::BrokerConfig::with_overrides`]).
///
/// APPEND and SUBTRACT start from the override, or from the default in the table when there is
/// none; the broker's own setting of a topic default does not count, as in Kafka. APPEND skips
/// entries that are there; SUBTRACT takes the first of each.
///
/// # Errors
/// [`ConfigError::NullValue`] for a missing value, [`ConfigError::NotAList`] for list operations
/// on anything that is not a known list.
pub fn apply_op(
    resource: Resource,
    overrides: &mut Overrides,
    name: &str,
    op: AlterOp,
    value: Option<&str>,
) -> Result<(), ConfigError> {
    if op == AlterOp::Delete {
        overrides.remove(name);
        return Ok(());
    }
    let value = value.ok_or_else(|| ConfigError::NullValue(name.to_owned()))?;
    if op == AlterOp::Set {
        overrides.insert(name.to_owned(), value.to_owned());
        return Ok(());
    }
    let list = resource
        .option(name)
        .filter(|spec| spec.kind == ConfigType::List);
    let spec = list.ok_or_else(|| ConfigError::NotAList {
        op: op.name(),
        key: name.to_owned(),
    })?;
    let start = overrides
        .get(name)
        .map_or(spec.default.unwrap_or(""), String::as_str);
    let entries = start.split(',').filter(|entry| !entry.is_empty()).collect();
    let given = java::split_commas(value);
    let entries = match op {
        AlterOp::Subtract => subtract(entries, &given),
        _ => append(entries, given),
    };
    let joined = entries.join(",");
    overrides.insert(name.to_owned(), joined);
    Ok(())
}

/// A list may have thousands of entries, so each is looked up and not searched for.
fn append<'a>(mut entries: Vec<&'a str>, given: Vec<&'a str>) -> Vec<&'a str> {
    let mut there: HashSet<&str> = entries.iter().copied().collect();
    entries.extend(given.into_iter().filter(|entry| there.insert(entry)));
    entries
}

fn subtract<'a>(mut entries: Vec<&'a str>, given: &[&str]) -> Vec<&'a str> {
    let mut to_go: HashMap<&str, usize> = HashMap::new();
    for entry in given {
        *to_go.entry(entry).or_default() += 1;
    }
    entries.retain(|entry| match to_go.get_mut(entry) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    entries
}

#[cfg(test)]
mod tests;
