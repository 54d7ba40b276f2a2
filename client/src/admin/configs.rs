//! Configs: DescribeConfigs (key 32, versions 1 to 4), IncrementalAlterConfigs (key 44, versions 0
//! to 1), AlterConfigs (key 33, versions 0 to 2), ListConfigResources (key 74, versions 0 to 1).
//!
//! A broker's own configs are asked of that broker; those of topics are the same on all.

mod entry;
mod resource;

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, alter_configs_request as replaced,
    incremental_alter_configs_request as incremental,
};

use super::ask::{ANY_NUMBER, Ask, Route};
use super::{Admin, Each, Mode, named_once, text};
use crate::cluster::api_error;
use crate::error::ClientError;

pub use entry::{ConfigEntry, ConfigSource, ConfigSynonym, ConfigType};
pub use resource::{ConfigResource, ResourceKind};

/// What is told of each config (Kafka: `DescribeConfigsOptions`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigQuery {
    names: Option<Vec<String>>,
    synonyms: bool,
    documentation: bool,
}

impl ConfigQuery {
    /// Asks for all configs, without synonyms and documentation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for these configs only.
    #[must_use]
    pub fn names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks for all places where a value may come from, too (KIP-226).
    #[must_use]
    pub const fn synonyms(mut self) -> Self {
        self.synonyms = true;
        self
    }

    /// Asks for what a config means, too (KIP-569, since Kafka 2.6).
    #[must_use]
    pub const fn documentation(mut self) -> Self {
        self.documentation = true;
        self
    }
}

/// One change of a config (Kafka: `AlterConfigOp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Gives it this value.
    Set(String, String),
    /// Takes its own value away: the default is in force.
    Delete(String),
    /// Adds these elements, with commas between them, to a list.
    Append(String, String),
    /// Takes these elements out of a list.
    Subtract(String, String),
}

impl ConfigChange {
    /// [`ConfigChange::Set`].
    pub fn set(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Set(name.into(), value.into())
    }

    /// [`ConfigChange::Delete`].
    pub fn delete(name: impl Into<String>) -> Self {
        Self::Delete(name.into())
    }

    fn wire(&self) -> incremental::AlterableConfig {
        let (name, operation, value) = match self {
            Self::Set(name, value) => (name, 0, Some(value)),
            Self::Delete(name) => (name, 1, None),
            Self::Append(name, value) => (name, 2, Some(value)),
            Self::Subtract(name, value) => (name, 3, Some(value)),
        };
        incremental::AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(operation)
            .with_value(value.map(|value| text(value)))
    }
}

impl Admin {
    /// Describes configs, by name (Kafka: `Admin.describeConfigs`, `kafka-configs --describe`).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::{ConfigQuery, ConfigResource};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let orders = ConfigResource::topic("orders");
    /// let configs = client.admin().describe_configs([orders.clone()], ConfigQuery::new()).await?;
    /// for entry in configs.all()?.remove(&orders).unwrap_or_default() {
    ///     println!("{} = {:?}, from {:?}", entry.name, entry.value, entry.source);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each resource [`ClientError::Broker`], as with
    /// `UNKNOWN_TOPIC_OR_PARTITION` or `TOPIC_AUTHORIZATION_FAILED`. A broker that is not part of
    /// the cluster is looked for until the time is over: [`ClientError::Timeout`].
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
        query: ConfigQuery,
    ) -> Result<Each<ConfigResource, Vec<ConfigEntry>>, ClientError> {
        let resources = resources.into_iter().map(|resource| (resource, ()));
        let names = query.names.as_ref();
        let names = names.map(|names| names.iter().map(|name| text(name)).collect::<Vec<_>>());
        let ask = Ask {
            what: "describing configs".to_owned(),
            route: Route::Broker(ConfigResource::broker_id),
            versions: 1..=4,
            most: ANY_NUMBER,
        };
        self.each(
            ask,
            named_once("resources", resources)?.into_keys(),
            |round, resources: &[ConfigResource]| {
                let resources = resources.iter().map(|resource| {
                    DescribeConfigsResource::default()
                        .with_resource_type(resource.kind.id())
                        .with_resource_name(text(&resource.name))
                        .with_configuration_keys(names.clone())
                });
                DescribeConfigsRequest::default()
                    .with_resources(resources.collect())
                    .with_include_synonyms(query.synonyms)
                    .with_include_documentation(query.documentation && round.version >= 3)
            },
            |round, _, response| {
                let told = response.results.into_iter().map(|result| {
                    let resource =
                        ConfigResource::told(result.resource_type, &result.resource_name);
                    let what = || format!("describing the configs of {resource}");
                    let done = api_error(what, result.error_code, result.error_message.as_deref());
                    let mut entries: Vec<ConfigEntry> = result
                        .configs
                        .into_iter()
                        .map(|entry| ConfigEntry::told(round.version, entry))
                        .collect();
                    entries.sort_by(|a, b| a.name.cmp(&b.name));
                    (resource, done.map(|()| entries))
                });
                told.collect()
            },
        )
        .await
    }

    /// Changes some configs and leaves the others as they are (Kafka:
    /// `Admin.incrementalAlterConfigs`, `kafka-configs --alter`, KIP-339, since Kafka 2.3). All
    /// changes of a resource are made, or none.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::{ConfigChange, ConfigResource, Mode};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let hour = vec![ConfigChange::set("retention.ms", "3600000")];
    /// let orders = [(ConfigResource::topic("orders"), hour)];
    /// client.admin().incremental_alter_configs(orders, Mode::Apply).await?.all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each resource [`ClientError::Broker`], as with
    /// `INVALID_CONFIG`, `UNKNOWN_TOPIC_OR_PARTITION`, `POLICY_VIOLATION`: then nothing of it was
    /// changed.
    pub async fn incremental_alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
        mode: Mode,
    ) -> Result<Each<ConfigResource, ()>, ClientError> {
        let changes = named_once("resources", changes)?;
        self.each(
            alteration(0..=1),
            changes.keys().cloned(),
            |_, resources: &[ConfigResource]| {
                let resources = resources.iter().filter_map(|resource| {
                    let configs = changes.get(resource)?.iter().map(ConfigChange::wire);
                    let wire = incremental::AlterConfigsResource::default()
                        .with_resource_type(resource.kind.id())
                        .with_resource_name(text(&resource.name))
                        .with_configs(configs.collect());
                    Some(wire)
                });
                IncrementalAlterConfigsRequest::default()
                    .with_resources(resources.collect())
                    .with_validate_only(mode.validate_only())
            },
            |_, _, response| {
                let told = response.responses.into_iter().map(|result| {
                    let resource =
                        ConfigResource::told(result.resource_type, &result.resource_name);
                    let message = result.error_message.as_deref();
                    let done = altered(&resource, result.error_code, message);
                    (resource, done)
                });
                told.collect()
            },
        )
        .await
    }

    /// Replaces all configs: what is not named has its default from then on (Kafka:
    /// `Admin.alterConfigs`, KIP-133). For clusters before Kafka 2.3; with later ones
    /// [`Admin::incremental_alter_configs`] does not undo what somebody else has set meanwhile.
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each resource as with
    /// [`Admin::incremental_alter_configs`].
    pub async fn alter_configs(
        &self,
        configs: impl IntoIterator<Item = (ConfigResource, BTreeMap<String, String>)>,
        mode: Mode,
    ) -> Result<Each<ConfigResource, ()>, ClientError> {
        let configs = named_once("resources", configs)?;
        self.each(
            alteration(0..=2),
            configs.keys().cloned(),
            |_, resources: &[ConfigResource]| {
                let resources = resources.iter().filter_map(|resource| {
                    let configs = configs.get(resource)?.iter().map(|(name, value)| {
                        replaced::AlterableConfig::default()
                            .with_name(text(name))
                            .with_value(Some(text(value)))
                    });
                    let wire = replaced::AlterConfigsResource::default()
                        .with_resource_type(resource.kind.id())
                        .with_resource_name(text(&resource.name))
                        .with_configs(configs.collect());
                    Some(wire)
                });
                AlterConfigsRequest::default()
                    .with_resources(resources.collect())
                    .with_validate_only(mode.validate_only())
            },
            |_, _, response| {
                let told = response.responses.into_iter().map(|result| {
                    let resource =
                        ConfigResource::told(result.resource_type, &result.resource_name);
                    let message = result.error_message.as_deref();
                    let done = altered(&resource, result.error_code, message);
                    (resource, done)
                });
                told.collect()
            },
        )
        .await
    }

    /// Everything of these kinds that has configs, in order; of all kinds if none is named (Kafka:
    /// `Admin.listConfigResources`, KIP-1142, since Kafka 4.1).
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors), and [`ClientError::Broker`] if the broker refuses.
    /// Brokers before Kafka 4.1 are a [`ClientError::Call`], but for
    /// [`ResourceKind::ClientMetrics`] alone (KIP-1000, since Kafka 3.7).
    pub async fn list_config_resources(
        &self,
        kinds: impl IntoIterator<Item = ResourceKind>,
    ) -> Result<Vec<ConfigResource>, ClientError> {
        let kinds: Vec<ResourceKind> = kinds.into_iter().collect();
        // Before that the request could not name kinds and was about one only (KIP-1000).
        let versions = match kinds.as_slice() {
            [ResourceKind::ClientMetrics] => 0..=1,
            _ => 1..=1,
        };
        self.one(
            "listing config resources".to_owned(),
            Route::Any,
            versions,
            |round| {
                let request = ListConfigResourcesRequest::default();
                match round.version {
                    0 => request,
                    _ => request.with_resource_types(kinds.iter().map(|kind| kind.id()).collect()),
                }
            },
            |response| {
                api_error(
                    || "listing config resources".to_owned(),
                    response.error_code,
                    None,
                )?;
                let told = response.config_resources.iter();
                let mut found: Vec<ConfigResource> = told
                    .map(|told| ConfigResource::told(told.resource_type, &told.resource_name))
                    .collect();
                found.sort();
                Ok(found)
            },
        )
        .await
    }
}

fn alteration(versions: std::ops::RangeInclusive<i16>) -> Ask<'static, ConfigResource> {
    Ask {
        what: "changing configs".to_owned(),
        route: Route::Broker(ConfigResource::broker_id),
        versions,
        most: ANY_NUMBER,
    }
}

fn altered(resource: &ConfigResource, code: i16, message: Option<&str>) -> Result<(), ClientError> {
    api_error(
        || format!("changing the configs of {resource}"),
        code,
        message,
    )
}
