//! One config, as a broker describes it.

use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};

/// A config with its value and where that comes from (Kafka: `ConfigEntry`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it has none or is a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can only be set in the broker's own configuration.
    pub read_only: bool,
    /// Whether it is a secret, whose value is not told.
    pub sensitive: bool,
    /// What values look like (KIP-569, since Kafka 2.6).
    pub kind: ConfigType,
    /// What it means, if that was asked for.
    pub documentation: Option<String>,
    /// The places where its value may come from, the strongest first, if that was asked for.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    /// Whether nobody has set it (Kafka: `ConfigEntry.isDefault`).
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }

    pub(super) fn told(version: i16, told: DescribeConfigsResourceResult) -> Self {
        let documentation = told.documentation.filter(|_| version >= 3);
        let synonyms = told.synonyms.into_iter().map(ConfigSynonym::told).collect();
        Self {
            name: told.name.to_string(),
            value: told.value.as_ref().map(ToString::to_string),
            source: ConfigSource::from_id(told.config_source),
            read_only: told.read_only,
            sensitive: told.is_sensitive,
            kind: match version {
                ..=2 => ConfigType::Unknown,
                _ => ConfigType::from_id(told.config_type),
            },
            documentation: documentation.as_ref().map(ToString::to_string),
            synonyms,
        }
    }
}

/// One place where a config's value may come from (Kafka: `ConfigEntry.ConfigSynonym`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The config's name there.
    pub name: String,
    /// Its value there.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

impl ConfigSynonym {
    fn told(told: DescribeConfigsSynonym) -> Self {
        Self {
            name: told.name.to_string(),
            value: told.value.as_ref().map(ToString::to_string),
            source: ConfigSource::from_id(told.source),
        }
    }
}

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $id:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// The broker does not tell, or it is newer than this client.
            Unknown,
        }

        impl $name {
            /// Kafka's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown => "UNKNOWN",
                }
            }

            pub(in crate::admin) const fn from_id(id: i8) -> Self {
                match id {
                    $($id => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}

numbered! {
    /// Where a config's value comes from (Kafka: `ConfigEntry.ConfigSource`, KIP-226).
    ConfigSource {
        /// Set for this topic.
        DynamicTopic = 1 "DYNAMIC_TOPIC_CONFIG",
        /// Set for this broker while it runs.
        DynamicBroker = 2 "DYNAMIC_BROKER_CONFIG",
        /// Set for all brokers while they run.
        DynamicDefaultBroker = 3 "DYNAMIC_DEFAULT_BROKER_CONFIG",
        /// In the broker's own configuration.
        StaticBroker = 4 "STATIC_BROKER_CONFIG",
        /// Nobody has set it.
        Default = 5 "DEFAULT_CONFIG",
        /// Set for a logger of this broker while it runs.
        DynamicBrokerLogger = 6 "DYNAMIC_BROKER_LOGGER_CONFIG",
        /// Set for this subscription to metrics of clients.
        ClientMetrics = 7 "DYNAMIC_CLIENT_METRICS_CONFIG",
        /// Set for this group.
        Group = 8 "DYNAMIC_GROUP_CONFIG",
    }
}

numbered! {
    /// What values of a config look like (Kafka: `ConfigEntry.ConfigType`, KIP-569).
    ConfigType {
        /// `true` or `false`.
        Boolean = 1 "BOOLEAN",
        /// Text.
        String = 2 "STRING",
        /// A number of 32 bits.
        Int = 3 "INT",
        /// A number of 16 bits.
        Short = 4 "SHORT",
        /// A number of 64 bits.
        Long = 5 "LONG",
        /// A number with a fraction.
        Double = 6 "DOUBLE",
        /// Elements with commas between them.
        List = 7 "LIST",
        /// A Java class.
        Class = 8 "CLASS",
        /// A secret.
        Password = 9 "PASSWORD",
    }
}
