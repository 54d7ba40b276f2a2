//! DescribeConfigs (key 32, versions 1 to 4, KIP-133, KIP-226, KIP-569): every config of topics and
//! of this broker, with value, source, type and what it is good for (rule 65).
//!
//! Kafka's `ConfigHelper`. Loggers, client metrics subscriptions and groups have no configs here
//! and are refused; Kafka answers for the latter two even if nothing by their name exists. A type
//! that Kafka does not know refuses the whole request, as there. A resource that is named again is
//! described once: its configs are a thousand times as long as its name.

use std::collections::{HashMap, HashSet, hash_map};

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::admin_error::wire;
use super::config_resource;
use super::context::{Context, ErrorCodes};
use super::step::Step;
use super::view::View;
use crate::catalog::command::Refusal;
use crate::catalog::image::CatalogImage;
use crate::catalog::topic_name;
use crate::config::{
    BrokerConfig, Entry, Synonym, describe_broker, describe_broker_defaults, describe_topic,
};

pub(super) fn handle(view: &View, context: &Context, request: DescribeConfigsRequest) -> Step {
    context.reply(&respond(
        &view.catalog,
        &view.config(),
        view.node.id,
        request,
    ))
}

fn respond(
    catalog: &CatalogImage,
    config: &BrokerConfig,
    node_id: i32,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let known =
        |resource: &DescribeConfigsResource| config_resource::ALL.contains(&resource.resource_type);
    let unknown = request.resources.iter().find(|resource| !known(resource));
    // The text does not repeat the resource's name: it is said to each of the request's resources.
    let refused = unknown.map(|resource| {
        let text = format!("Unexpected resource type {}", resource.resource_type);
        Refusal::new(ErrorCode::InvalidRequest, text)
    });
    let told = Told {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = each_once(request.resources).into_iter().map(|resource| {
        let entries = match &refused {
            Some(refusal) => Err(refusal.clone()),
            None => entries(catalog, config, node_id, &resource),
        };
        let response = DescribeConfigsResult::default();
        let response = match entries {
            Ok(entries) => response.with_configs(select(entries, &resource, told)),
            Err(refusal) => {
                let (code, message) = wire::<()>(&Err(refusal));
                // Where Kafka has nothing to add it sends an empty text, not null.
                response
                    .with_error_code(code)
                    .with_error_message(message.or_else(|| Some("".into())))
            }
        };
        response
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// The resources of a request, each where it first comes and with all configs that are asked of it.
fn each_once(resources: Vec<DescribeConfigsResource>) -> Vec<DescribeConfigsResource> {
    let mut places = HashMap::new();
    let mut merged: Vec<DescribeConfigsResource> = Vec::new();
    for resource in resources {
        match places.entry(Resource::of(&resource)) {
            hash_map::Entry::Vacant(new) => {
                new.insert(merged.len());
                merged.push(resource);
            }
            hash_map::Entry::Occupied(known) => {
                if let Some(first) = merged.get_mut(*known.get()) {
                    let again = resource.configuration_keys.filter(|keys| !keys.is_empty());
                    match (&mut first.configuration_keys, again) {
                        (Some(keys), Some(again)) if !keys.is_empty() => keys.extend(again),
                        (keys, _) => *keys = None,
                    }
                }
            }
        }
    }
    merged
}

/// What a resource is, however it is named: there are many ways to write a broker's number.
#[derive(PartialEq, Eq, Hash)]
enum Resource {
    Broker(i32),
    Other(i8, StrBytes),
}

impl Resource {
    fn of(resource: &DescribeConfigsResource) -> Self {
        let (kind, name) = (resource.resource_type, &resource.resource_name);
        match name.parse() {
            Ok(number) if kind == config_resource::BROKER => Self::Broker(number),
            _ => Self::Other(kind, name.clone()),
        }
    }
}

/// What the client wants to be told of each config besides its value.
#[derive(Clone, Copy)]
struct Told {
    synonyms: bool,
    documentation: bool,
}

/// Every config of a resource.
fn entries(
    catalog: &CatalogImage,
    config: &BrokerConfig,
    node_id: i32,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Entry>, Refusal> {
    let name = &*resource.resource_name;
    match resource.resource_type {
        config_resource::TOPIC => {
            topic_name::validate(name)
                .map_err(|text| Refusal::new(ErrorCode::InvalidTopicException, text))?;
            let topic = catalog.topic(name);
            let topic = topic.ok_or_else(|| Refusal::bare(ErrorCode::UnknownTopicOrPartition))?;
            Ok(describe_topic(config, &topic.configs))
        }
        config_resource::BROKER if name.is_empty() => Ok(describe_broker_defaults(config)),
        config_resource::BROKER => {
            config_resource::check_node_id(name, node_id)?;
            Ok(describe_broker(config))
        }
        other => Err(config_resource::unsupported(other)),
    }
}

/// The configs that were asked for: no list of names and an empty one both mean all (rule 65).
/// Names that no config has are left out.
fn select(
    entries: Vec<Entry>,
    resource: &DescribeConfigsResource,
    told: Told,
) -> Vec<DescribeConfigsResourceResult> {
    let names = resource.configuration_keys.as_deref().unwrap_or_default();
    let names: HashSet<&str> = names.iter().map(|name| &**name).collect();
    let wanted = |entry: &Entry| names.is_empty() || names.contains(entry.name);
    entries
        .into_iter()
        .filter(wanted)
        .map(|entry| config_result(entry, told))
        .collect()
}

fn config_result(entry: Entry, told: Told) -> DescribeConfigsResourceResult {
    let synonyms = if told.synonyms {
        entry.synonyms
    } else {
        Vec::new()
    };
    let documentation = told
        .documentation
        .then(|| StrBytes::from_static_str(entry.doc));
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source.id())
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.into_iter().map(synonym).collect())
        .with_config_type(entry.config_type.id())
        .with_documentation(documentation)
}

fn synonym(synonym: Synonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name))
        .with_value(synonym.value.map(StrBytes::from_string))
        .with_source(synonym.source.id())
}

impl ErrorCodes for DescribeConfigsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.results
            .iter()
            .for_each(|resource| visit(resource.error_code));
    }
}

#[cfg(test)]
mod tests;
