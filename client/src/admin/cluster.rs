//! The brokers: DescribeCluster (key 60, versions 0 to 2; Metadata with brokers that lack it), and
//! what each of them speaks.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use tidemark_protocol::api::api_name;

use super::Admin;
use super::ask::Route;
use crate::cluster::metadata::Broker;
use crate::cluster::{Lane, api_error};
use crate::connection::CallError;
use crate::error::ClientError;

/// The cluster, as one of its brokers sees it (Kafka: `DescribeClusterResult`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The broker that takes changes, if there is one.
    pub controller: Option<i32>,
    /// The brokers that serve clients, by number.
    pub brokers: Vec<Broker>,
    /// Brokers that are known and do not serve: stopped, or starting (KIP-1073). Empty with
    /// clusters before Kafka 4.0, which do not tell.
    pub fenced: Vec<Broker>,
}

/// The versions of one API that a broker speaks (Kafka: `ApiVersion`, KIP-35).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// The API's key.
    pub key: i16,
    /// Its name, if this client knows it.
    pub name: Option<&'static str>,
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl Admin {
    /// Describes the brokers of the cluster (Kafka: `Admin.describeCluster`, KIP-700).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let cluster = client.admin().describe_cluster().await?;
    /// for broker in &cluster.brokers {
    ///     println!("broker {} at {}:{}", broker.id, broker.host, broker.port);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors), and [`ClientError::Broker`] if the broker refuses.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let what = "describing the cluster";
        let described = self
            .one(
                what.to_owned(),
                Route::Any,
                0..=2,
                |round| {
                    let request = DescribeClusterRequest::default();
                    match round.version {
                        0 | 1 => request,
                        _ => request.with_include_fenced_brokers(true),
                    }
                },
                |response| {
                    let message = response.error_message.as_deref();
                    api_error(|| what.to_owned(), response.error_code, message)?;
                    Ok(description(&response))
                },
            )
            .await;
        match described {
            // Before Kafka 2.8.
            Err(ClientError::Call(CallError::Unsupported { .. })) => {
                self.describe_cluster_by_metadata(what).await
            }
            described => described,
        }
    }

    async fn describe_cluster_by_metadata(
        &self,
        what: &str,
    ) -> Result<ClusterDescription, ClientError> {
        let mut tries = self.cluster.tries(what, self.timeout);
        let now = self.topics_now(Some(Vec::new()), &mut tries).await?;
        let mut brokers: Vec<Broker> = now
            .response
            .brokers
            .iter()
            .filter_map(|broker| {
                let rack = broker.rack.as_deref();
                described(broker.node_id.0, &broker.host, broker.port, rack)
            })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(ClusterDescription {
            cluster_id: now.response.cluster_id.as_ref().map(ToString::to_string),
            controller: Some(now.response.controller_id.0).filter(|id| *id >= 0),
            brokers,
            fenced: Vec::new(),
        })
    }

    /// The APIs that a broker serves, by key, each with its versions (Kafka:
    /// `kafka-broker-api-versions`, KIP-35).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let apis = client.admin().api_versions(1).await?;
    /// let fetch = apis.iter().find(|api| api.name == Some("Fetch"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors). If the cluster has no broker with this number,
    /// that is a [`ClientError::Timeout`], too, with
    /// [`ConnectError::UnknownNode`](crate::ConnectError::UnknownNode) for its last try.
    pub async fn api_versions(&self, broker: i32) -> Result<Vec<ApiRange>, ClientError> {
        let what = format!("asking broker {broker} what it speaks");
        let mut tries = self.cluster.tries(what, self.timeout);
        self.know_brokers(true, &mut tries).await?;
        loop {
            let link = self.cluster.link(broker, Lane::General);
            match tries.attempt(link).await {
                Ok(link) => {
                    let ranges = link.versions().ranges().map(|(key, min, max)| ApiRange {
                        key,
                        name: api_name(key),
                        min,
                        max,
                    });
                    return Ok(ranges.collect());
                }
                Err(error) => tries.again(error).await?,
            }
        }
    }
}

fn description(response: &DescribeClusterResponse) -> ClusterDescription {
    let (mut brokers, mut fenced) = (Vec::new(), Vec::new());
    for broker in &response.brokers {
        let one = |broker: &DescribeClusterBroker| {
            let rack = broker.rack.as_deref();
            described(broker.broker_id.0, &broker.host, broker.port, rack)
        };
        match broker.is_fenced {
            true => fenced.extend(one(broker)),
            false => brokers.extend(one(broker)),
        }
    }
    brokers.sort_by_key(|broker| broker.id);
    fenced.sort_by_key(|broker| broker.id);
    ClusterDescription {
        cluster_id: Some(response.cluster_id.to_string()).filter(|id| !id.is_empty()),
        controller: Some(response.controller_id.0).filter(|id| *id >= 0),
        brokers,
        fenced,
    }
}

/// A broker as an answer tells of it; `None` if its port is none.
pub(super) fn described(id: i32, host: &str, port: i32, rack: Option<&str>) -> Option<Broker> {
    Some(Broker {
        id,
        host: host.to_owned(),
        port: u16::try_from(port).ok()?,
        rack: rack.map(ToOwned::to_owned),
    })
}
