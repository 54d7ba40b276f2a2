//! The broker's configuration: the typed options, and the layers their values came from.

mod options;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use super::Overrides;
use super::error::ConfigError;
use super::java;
use super::listener::{self, HttpListener, Listener};
use super::spec::{Dynamic, OptionSpec, find};
use super::topic;
use super::value::Value;

pub use options::{BrokerOptions, OPTIONS};

/// Names of which only one layer's choice counts: one that is set at a stronger layer (a later
/// source, or at run time) wins over the other names of a weaker one. The synonyms of the table
/// are the rest of these sets.
const EXCLUSIVE: &[&[&str]] = &[&["log.dirs", "log.dir"], &["node.id", "broker.id"]];

/// Values in force by option name; an option that is not set and has no default is missing.
type Values = BTreeMap<&'static str, Value>;

const MS_PER_MINUTE: i64 = 60 * 1000;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;

/// The configuration of one broker. Its options are the fields of [`BrokerOptions`], reached
/// through it: `config.num_partitions`. Immutable; a change at run time makes a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    options: BrokerOptions,
    /// Where to accept connections; at least one. Made from the option of the same name.
    pub listeners: Vec<Listener>,
    /// What to tell clients to connect to; at least one, each with the name of a listener.
    pub advertised_listeners: Vec<Listener>,
    /// Where to serve HTTP; `None` is nowhere.
    pub http: Option<HttpListener>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The value in force of every option that has one.
    values: Values,
    /// What was set when the broker was started.
    pub(super) given: Overrides,
    /// What was set at run time for the cluster.
    pub(super) cluster_wide: Overrides,
    /// What was set at run time for this broker.
    pub(super) per_broker: Overrides,
}

impl Deref for BrokerConfig {
    type Target = BrokerOptions;

    fn deref(&self) -> &BrokerOptions {
        &self.options
    }
}

/// Every option at its default.
impl Default for BrokerConfig {
    fn default() -> Self {
        Self::from_given(Overrides::new())
            .expect("the defaults in the table are valid and agree with each other")
    }
}

impl BrokerConfig {
    /// The defaults with these options set, as if they stood in a file. For embedders and tests;
    /// the binary uses [`super::load`], which also knows the options of Kafka that are ignored.
    ///
    /// # Errors
    /// Everything wrong with the names, the values, or the values together.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let given: Overrides = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if let Some(name) = given.keys().find(|name| option(name).is_none()) {
            return Err(ConfigError::Conflict(format!("Unknown option: {name}")));
        }
        Self::from_given(given)
    }

    /// The configuration with these options given at the start; every name must be known.
    pub(super) fn from_given(given: Overrides) -> Result<Self, ConfigError> {
        Self::build(given, Overrides::new(), Overrides::new())
    }

    /// The same configuration with these values set at run time, in place of all that were
    /// before. A value for the broker is stronger than one for the cluster, and both are stronger
    /// than what the broker was started with (Kafka's `DynamicBrokerConfig`). Names that no option
    /// has are kept out of it: Kafka stores those without looking at them.
    ///
    /// # Errors
    /// [`ConfigError::ReadOnly`] for options fixed at the start; bad values and contradictions.
    pub fn with_overrides(
        &self,
        cluster_wide: &Overrides,
        per_broker: &Overrides,
    ) -> Result<Self, ConfigError> {
        let both = || cluster_wide.keys().chain(per_broker.keys());
        let fixed: Vec<&str> = both()
            .filter(|name| option(name).is_some_and(|spec| spec.dynamic == Dynamic::ReadOnly))
            .map(String::as_str)
            .collect();
        if !fixed.is_empty() {
            return Err(ConfigError::ReadOnly(fixed.join(", ")));
        }
        let known = |overrides: &Overrides| -> Overrides {
            let known = overrides.iter().filter(|(name, _)| option(name).is_some());
            known
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        Self::build(self.given.clone(), known(cluster_wide), known(per_broker))
    }

    /// The value in force of an option, by Kafka's name; `None` when it is not set and has no
    /// default, or is unknown.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// What the broker's options say about a topic option: the first of its synonyms that has a
    /// value, turned into the topic option's unit.
    pub(super) fn topic_default(&self, spec: &OptionSpec) -> Option<Value> {
        topic_default(spec, &self.values).map(|(_, value)| value)
    }

    /// What one layer of values, the defaults not counted, says about a topic option.
    pub(super) fn topic_default_in(spec: &OptionSpec, layer: &Overrides) -> Option<Value> {
        spec.synonyms.iter().find_map(|name| {
            let value = option(name)?.parse(layer.get(*name)?).ok()?;
            Some(in_topic_unit(spec, name, value))
        })
    }

    fn build(
        mut given: Overrides,
        cluster_wide: Overrides,
        per_broker: Overrides,
    ) -> Result<Self, ConfigError> {
        name_node_and_broker(&mut given);
        let effective = merge([&given, &cluster_wide, &per_broker]);
        let (values, mut errors) = read(&effective);
        let options = BrokerOptions::from_values(|name| values.get(name).cloned());
        errors.extend(check_together(&options, &values, &effective));
        let listeners = listener::listeners(&listener::Settings {
            listeners: &options.listeners,
            advertised: options.advertised_listeners.as_deref(),
            protocol_map: &options.listener_security_protocol_map,
        });
        let (listeners, advertised_listeners) = listeners.unwrap_or_else(|error| {
            errors.push(error);
            (Vec::new(), Vec::new())
        });
        let dirs = options.log_dirs.as_ref().unwrap_or(&options.log_dir);
        let data_dir = PathBuf::from(dirs.first().map_or("", String::as_str));
        let http = HttpListener::parse(&options.tidemark_http_listener).unwrap_or(None);
        ConfigError::collect(errors)?;
        Ok(Self {
            options,
            listeners,
            advertised_listeners,
            http,
            data_dir,
            values,
            given,
            cluster_wide,
            per_broker,
        })
    }
}

/// Finds the declaration of a broker option.
pub fn option(name: &str) -> Option<&'static OptionSpec> {
    find(OPTIONS, name)
}

/// Puts `layer` over `values`: each name it sets replaces the name itself and its synonyms.
pub(super) fn put_over(values: &mut Overrides, layer: &Overrides) {
    for name in layer.keys() {
        for synonym in synonyms(name) {
            values.remove(*synonym);
        }
    }
    values.extend(
        layer
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
}

/// All names that set the same thing as `name`; empty when there is no other.
fn synonyms(name: &str) -> &'static [&'static str] {
    let exclusive = EXCLUSIVE.iter().find(|set| set.contains(&name));
    exclusive
        .copied()
        .unwrap_or_else(|| option(name).map_or(&[], |spec| spec.synonyms))
}

fn merge(layers: [&Overrides; 3]) -> Overrides {
    let mut values = Overrides::new();
    for layer in layers {
        put_over(&mut values, layer);
    }
    values
}

/// `node.id` and `broker.id` are one thing: whichever is set gives the other.
fn name_node_and_broker(given: &mut Overrides) {
    for (name, other) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let Some(value) = given.get(name).cloned() {
            given.entry(other.to_owned()).or_insert(value);
        }
    }
}

/// Reads what is set and fills in the defaults. An option whose value is bad keeps its default,
/// so that the rules about several options can be asked all the same and one start shows all
/// mistakes.
fn read(set: &Overrides) -> (Values, Vec<ConfigError>) {
    let mut values = Values::new();
    let mut errors = Vec::new();
    for spec in OPTIONS {
        let value = match set.get(spec.name).map(|text| spec.parse(text)) {
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => {
                errors.push(error);
                spec.default_value()
            }
            None => spec.default_value(),
        };
        values.extend(value.map(|value| (spec.name, value)));
    }
    (values, errors)
}

/// The synonym that decides a topic option's default, and the default.
fn topic_default(spec: &OptionSpec, values: &Values) -> Option<(&'static str, Value)> {
    let (name, value) = spec
        .synonyms
        .iter()
        .find_map(|name| Some((*name, values.get(name)?.clone())))?;
    Some((name, in_topic_unit(spec, name, value)))
}

fn in_topic_unit(spec: &OptionSpec, name: &str, value: Value) -> Value {
    let Value::Number(number) = value else {
        return value;
    };
    let ms_per_unit = match name {
        _ if name.ends_with(".hours") => MS_PER_HOUR,
        _ if name.ends_with(".minutes") => MS_PER_MINUTE,
        _ => 1,
    };
    let number = number.saturating_mul(ms_per_unit);
    // However retention is switched off, topics show it as -1.
    Value::Number(if spec.name == "retention.ms" {
        number.max(-1)
    } else {
        number
    })
}

/// What the broker says about a topic option must be a value the topic could have. Kafka's broker
/// options lack most of these limits and fail at the first topic; here the start fails.
fn check_topic_default(spec: &OptionSpec, values: &Values, set: &Overrides) -> Option<ConfigError> {
    let (name, value) = topic_default(spec, values)?;
    let reason = match spec.accepts(&value) {
        Err(reason) => reason,
        Ok(()) if spec.name == "retention.ms" && value == Value::Number(0) => {
            "Value must be at least 1, or -1 for no limit".to_owned()
        }
        Ok(()) => return None,
    };
    let text = set.get(name).map_or("", String::as_str);
    Some(ConfigError::invalid(name, text, reason))
}

/// The rules about several options (`KafkaConfig.validateValues`).
fn check_together(options: &BrokerOptions, values: &Values, set: &Overrides) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let text = |name: &str| set.get(name).map_or("", String::as_str);
    if options.node_id != options.broker_id {
        errors.push(ConfigError::invalid(
            "broker.id",
            text("broker.id"),
            format!(
                "Value must be the same as that of node.id, which is {}",
                options.node_id
            ),
        ));
    }
    errors.extend(
        topic::OPTIONS
            .iter()
            .filter_map(|spec| check_topic_default(spec, values, set)),
    );
    errors.extend(
        topic::check_compaction_lag(
            (
                "log.cleaner.min.compaction.lag.ms",
                options.log_cleaner_min_compaction_lag_ms,
            ),
            (
                "log.cleaner.max.compaction.lag.ms",
                options.log_cleaner_max_compaction_lag_ms,
            ),
        )
        .err(),
    );
    let queued = options.queued_max_request_bytes;
    if queued > 0 && queued < i64::from(options.socket_request_max_bytes) {
        errors.push(ConfigError::invalid(
            "queued.max.request.bytes",
            text("queued.max.request.bytes"),
            format!(
                "Value must be 0 or less, or at least socket.request.max.bytes, which is {}",
                options.socket_request_max_bytes
            ),
        ));
    }
    let limits = &options.max_connections_per_ip_overrides.0;
    if options.max_connections_per_ip == 0 && limits.is_empty() {
        errors.push(ConfigError::invalid(
            "max.connections.per.ip",
            text("max.connections.per.ip"),
            "Value can be 0 only when max.connections.per.ip.overrides is set",
        ));
    }
    let (key, dirs) = match &options.log_dirs {
        Some(dirs) => ("log.dirs", dirs),
        None => ("log.dir", &options.log_dir),
    };
    if dirs.len() > 1 {
        let reason = "Value must be one directory; several are not supported";
        errors.push(ConfigError::invalid(key, java::trim(text(key)), reason));
    }
    errors
}

#[cfg(test)]
mod tests;
