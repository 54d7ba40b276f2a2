//! What has configs.

use std::fmt;

/// A kind of thing that has configs (Kafka: `ConfigResource.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ResourceKind {
    /// A topic.
    Topic,
    /// A broker; with an empty name all brokers of the cluster.
    Broker,
    /// The levels of a broker's loggers (KIP-412).
    BrokerLogger,
    /// A subscription to metrics of clients (KIP-714).
    ClientMetrics,
    /// A group (KIP-848).
    Group,
    /// A kind that this client does not know, by its number.
    Unknown(i8),
}

impl ResourceKind {
    /// The number on the wire.
    #[must_use]
    pub const fn id(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
            Self::Unknown(id) => id,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_id(id: i8) -> Self {
        match id {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            id => Self::Unknown(id),
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic => f.write_str("topic"),
            Self::Broker => f.write_str("broker"),
            Self::BrokerLogger => f.write_str("broker logger"),
            Self::ClientMetrics => f.write_str("client metrics"),
            Self::Group => f.write_str("group"),
            Self::Unknown(id) => write!(f, "resource of type {id}"),
        }
    }
}

/// Something that has configs (Kafka: `ConfigResource`). Displays as `topic "orders"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name: a broker's is its number.
    pub name: String,
}

impl ConfigResource {
    /// A resource of any kind.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// A topic.
    pub fn topic(name: impl Into<String>) -> Self {
        Self::new(ResourceKind::Topic, name)
    }

    /// A broker, by its number.
    #[must_use]
    pub fn broker(id: i32) -> Self {
        Self::new(ResourceKind::Broker, id.to_string())
    }

    /// What all brokers of the cluster have in common (KIP-226).
    #[must_use]
    pub fn all_brokers() -> Self {
        Self::new(ResourceKind::Broker, "")
    }

    /// As an answer names it.
    pub(super) fn told(kind: i8, name: &str) -> Self {
        Self::new(ResourceKind::from_id(kind), name)
    }

    /// The broker that alone knows these configs, if it is one.
    pub(super) fn broker_id(&self) -> Option<i32> {
        match self.kind {
            ResourceKind::Broker | ResourceKind::BrokerLogger => self.name.parse().ok(),
            _ => None,
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ResourceKind::Broker if self.name.is_empty() => f.write_str("all brokers"),
            kind => write!(f, "{kind} {:?}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_kafkas_numbers() {
        for id in i8::MIN..=i8::MAX {
            assert_eq!(ResourceKind::from_id(id).id(), id);
        }
    }

    #[test]
    fn resources_show_and_say_whom_to_ask() {
        let check = |resource: ConfigResource, shown: &str, broker| {
            assert_eq!(resource.to_string(), shown);
            assert_eq!(resource.broker_id(), broker);
        };
        check(ConfigResource::topic("7"), "topic \"7\"", None);
        check(ConfigResource::broker(7), "broker \"7\"", Some(7));
        check(ConfigResource::all_brokers(), "all brokers", None);
        let logger = ConfigResource::new(ResourceKind::BrokerLogger, "7");
        check(logger, "broker logger \"7\"", Some(7));
    }
}
