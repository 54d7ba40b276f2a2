//! The broker's options: one declaration each, everything else derived from it.
//!
//! [`topic`] and [`broker`] hold the two tables. An entry gives Kafka's name, type, default, valid
//! values, whether it may change at run time, and a sentence of documentation. From the tables
//! come the typed structs ([`TopicConfig`], [`BrokerConfig`]), parsing and validation, what
//! DescribeConfigs answers ([`describe_topic`], [`describe_broker`]) and docs/configuration.md
//! ([`docs::markdown`]). Nothing here reads a file, an environment variable or a clock: [`load`]
//! is handed all three sources as text.

mod alter;
pub mod broker;
mod describe;
pub mod docs;
mod error;
pub mod ignored;
mod java;
mod kinds;
mod listener;
mod load;
pub mod properties;
mod spec;
pub mod topic;
mod value;

pub use alter::{AlterOp, Resource, apply_op};
pub use broker::BrokerConfig;
pub use describe::{
    ConfigSource, Entry, Synonym, describe_broker, describe_broker_defaults, describe_new_topic,
    describe_topic,
};
pub use error::ConfigError;
pub use kinds::{CleanupPolicy, CompressionType, ConnectionLimits, TimestampType};
pub use listener::{HttpListener, Listener, SecurityProtocol};
pub use load::{Loaded, OTHER_VARIABLES, SourceFile, environment_name, load};
pub use spec::{ConfigType, Dynamic, OptionSpec, Valid};
pub use topic::TopicConfig;
pub use value::Value;

/// Option names and their values as text, sorted by name: overrides of a topic or a broker.
pub type Overrides = std::collections::BTreeMap<String, String>;
