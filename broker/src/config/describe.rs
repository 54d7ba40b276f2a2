//! What DescribeConfigs answers (`ConfigHelper`): values, where they come from, and the other
//! places they could come from.

use super::Overrides;
use super::broker::{self, BrokerConfig};
use super::spec::{ConfigType, Dynamic, OptionSpec};
use super::topic;

/// Where a value comes from, numbered as DescribeConfigs reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// The topic's own override.
    Topic = 1,
    /// Set at run time for one broker.
    DynamicBroker = 2,
    /// Set at run time for the cluster.
    DynamicDefaultBroker = 3,
    /// Given when the broker was started.
    StaticBroker = 4,
    /// The default.
    Default = 5,
}

impl ConfigSource {
    /// The number DescribeConfigs carries.
    pub fn id(self) -> i8 {
        self as i8
    }
}

/// One of the values an option has, the one in force first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name it is set under, which may be another option's.
    pub name: String,
    /// The value as it was set; `None` when it is sensitive.
    pub value: Option<String>,
    /// Where it is set.
    pub source: ConfigSource,
}

/// One option as DescribeConfigs reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Kafka's name, or ours with the prefix `tidemark.`.
    pub name: &'static str,
    /// The value in force; `None` when it is not set or sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether that is the default; what version 0 of the API reports.
    pub is_default: bool,
    /// Whether it is fixed while the broker runs.
    pub read_only: bool,
    /// Whether the value is kept secret.
    pub sensitive: bool,
    /// All values set, the strongest first.
    pub synonyms: Vec<Synonym>,
    /// The type.
    pub config_type: ConfigType,
    /// What the option does.
    pub doc: &'static str,
}

/// Every option of a topic, sorted by name. As in Kafka an internal option is there only when the
/// topic sets it.
pub fn describe_topic(broker: &BrokerConfig, overrides: &Overrides) -> Vec<Entry> {
    let shown = |spec: &&OptionSpec| !spec.internal || overrides.contains_key(spec.name);
    let describe = |spec: &'static OptionSpec| {
        let value = topic::value(broker, overrides, spec.name).map(|value| value.to_string());
        let own = overrides.contains_key(spec.name).then(|| Synonym {
            name: spec.name.to_owned(),
            value: value.clone(),
            source: ConfigSource::Topic,
        });
        // Kafka looks from the strongest broker name and forgets weaker names that come before
        // it. So a topic whose retention comes from log.retention.hours alone shows no synonym
        // and the source "default": odd, and what tools expect.
        let inherited = spec
            .synonyms
            .first()
            .map_or_else(Vec::new, |name| synonyms(broker, name));
        let synonyms = own.into_iter().chain(inherited).collect();
        entry(spec, value, synonyms, false)
    };
    topic::OPTIONS.iter().filter(shown).map(describe).collect()
}

/// Every option of a topic that is being created, sorted by name, as CreateTopics reports them
/// (`KafkaConfigSchema.resolveEffectiveTopicConfig`): without synonyms, and with the layer each
/// value comes from even where [`describe_topic`] says "default".
pub fn describe_new_topic(broker: &BrokerConfig, overrides: &Overrides) -> Vec<Entry> {
    let layers = [
        (&broker.per_broker, ConfigSource::DynamicBroker),
        (&broker.cluster_wide, ConfigSource::DynamicDefaultBroker),
        (&broker.given, ConfigSource::StaticBroker),
    ];
    let shown = |spec: &&OptionSpec| !spec.internal || overrides.contains_key(spec.name);
    let describe = |spec: &'static OptionSpec| {
        let inherited = || {
            layers.iter().find_map(|(layer, source)| {
                let value = BrokerConfig::topic_default_in(spec, layer)?;
                Some((Some(value.to_string()), *source))
            })
        };
        let default = || spec.default_value().map(|value| value.to_string());
        let (value, source) = match overrides.get(spec.name) {
            Some(text) => (Some(text.clone()), ConfigSource::Topic),
            None => inherited().unwrap_or_else(|| (default(), ConfigSource::Default)),
        };
        let is_default = source == ConfigSource::Default;
        Entry {
            source,
            is_default,
            ..entry(spec, value, Vec::new(), false)
        }
    };
    topic::OPTIONS.iter().filter(shown).map(describe).collect()
}

/// Every option of the broker, sorted by name: the answer for the resource named by its id.
pub fn describe_broker(broker: &BrokerConfig) -> Vec<Entry> {
    let describe = |spec: &'static OptionSpec| {
        let value = broker.value(spec.name).map(ToString::to_string);
        let read_only = spec.dynamic == Dynamic::ReadOnly;
        entry(spec, value, synonyms(broker, spec.name), read_only)
    };
    broker::OPTIONS
        .iter()
        .filter(|spec| !spec.internal)
        .map(describe)
        .collect()
}

/// The options set at run time for the cluster: the answer for the resource without a name.
pub fn describe_broker_defaults(broker: &BrokerConfig) -> Vec<Entry> {
    let describe = |(name, value): (&String, &String)| {
        let spec = broker::option(name)?;
        let mut synonyms = synonyms(broker, spec.name);
        synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        let read_only = spec.dynamic == Dynamic::ReadOnly;
        Some(entry(spec, Some(value.clone()), synonyms, read_only))
    };
    broker.cluster_wide.iter().filter_map(describe).collect()
}

fn entry(
    spec: &'static OptionSpec,
    value: Option<String>,
    synonyms: Vec<Synonym>,
    read_only: bool,
) -> Entry {
    let source = synonyms
        .first()
        .map_or(ConfigSource::Default, |synonym| synonym.source);
    let sensitive = spec.is_sensitive();
    Entry {
        name: spec.name,
        value: value.filter(|_| !sensitive),
        source,
        is_default: source == ConfigSource::Default,
        read_only,
        sensitive,
        synonyms,
        config_type: spec.kind,
        doc: spec.doc,
    }
}

/// The values set under a broker option's names, by layer and then by name, from the first that
/// carries the option's own name on.
fn synonyms(broker: &BrokerConfig, name: &'static str) -> Vec<Synonym> {
    let Some(spec) = broker::option(name) else {
        return Vec::new();
    };
    let own = [name];
    let names = if spec.synonyms.is_empty() {
        own.as_slice()
    } else {
        spec.synonyms
    };
    let sensitive = spec.is_sensitive();
    let set = |layer: &Overrides, source: ConfigSource| -> Vec<Synonym> {
        let found = names
            .iter()
            .filter_map(|name| Some((name, layer.get(*name)?.clone())));
        let make = |(name, value): (&&str, String)| Synonym {
            name: (*name).to_owned(),
            value: (!sensitive).then_some(value),
            source,
        };
        found.map(make).collect()
    };
    let mut all = set(&broker.per_broker, ConfigSource::DynamicBroker);
    all.extend(set(
        &broker.cluster_wide,
        ConfigSource::DynamicDefaultBroker,
    ));
    all.extend(set(&broker.given, ConfigSource::StaticBroker));
    all.extend(names.iter().filter_map(|name| {
        let value = broker::option(name)?.default_value()?.to_string();
        Some(Synonym {
            name: (*name).to_owned(),
            value: (!sensitive).then_some(value),
            source: ConfigSource::Default,
        })
    }));
    all.into_iter()
        .skip_while(|synonym| synonym.name != name)
        .collect()
}

#[cfg(test)]
mod tests;
