//! FindCoordinator (key 10, versions 0 to 6), for those who want to know.

use kafka_protocol::messages::FindCoordinatorRequest;
use tidemark_protocol::ErrorCode;

use crate::admin::ask::{Ask, Route};
use crate::admin::cluster::described;
use crate::admin::{Admin, Each, named_once, text};
use crate::cluster::api_error;
use crate::cluster::metadata::Broker;
use crate::error::ClientError;

impl Admin {
    /// The brokers that coordinate groups, as the cluster says now (Kafka: FindCoordinator,
    /// KIP-699; its `Admin` tells them with the descriptions of groups). There is one for a group
    /// that does not exist, too. The rack of a broker is told if the client knows it.
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// for (group, broker) in client.admin().find_coordinators(["billing"]).await?.all()? {
    ///     println!("{group} is coordinated by broker {}", broker.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each group [`ClientError::Broker`], as with
    /// `GROUP_AUTHORIZATION_FAILED`, and [`ClientError::Timeout`] while it has no coordinator
    /// (`COORDINATOR_NOT_AVAILABLE`).
    pub async fn find_coordinators<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = S>,
    ) -> Result<Each<String, Broker>, ClientError> {
        let ask = Ask {
            what: "finding coordinators of groups".to_owned(),
            route: Route::Any,
            versions: 0..=6,
            most: |version| match version {
                ..=3 => 1,
                _ => usize::MAX,
            },
        };
        let groups = groups.into_iter().map(|group| (group.into(), ()));
        self.each(
            ask,
            named_once("groups", groups)?.into_keys(),
            |round, groups: &[String]| {
                // Groups are what is looked for if nothing else is said.
                let mut keys = groups.iter().map(|group| text(group));
                let request = FindCoordinatorRequest::default();
                match round.version {
                    ..=3 => request.with_key(keys.next().unwrap_or_default()),
                    _ => request.with_coordinator_keys(keys.collect()),
                }
            },
            |round, groups, response| {
                if round.version <= 3 {
                    let only = groups.iter().take(1).map(|group| {
                        let message = response.error_message.as_deref();
                        let done = api_error(|| finding(group), response.error_code, message);
                        let (id, port) = (response.node_id.0, response.port);
                        let found = done.and_then(|()| self.found(group, id, &response.host, port));
                        (group.clone(), found)
                    });
                    return only.collect();
                }
                let told = response.coordinators.iter().map(|told| {
                    let group = told.key.to_string();
                    let message = told.error_message.as_deref();
                    let done = api_error(|| finding(&group), told.error_code, message);
                    let (id, port) = (told.node_id.0, told.port);
                    let found = done.and_then(|()| self.found(&group, id, &told.host, port));
                    (group, found)
                });
                told.collect()
            },
        )
        .await
    }

    fn found(&self, group: &str, id: i32, host: &str, port: i32) -> Result<Broker, ClientError> {
        let metadata = self.cluster.metadata();
        let rack = metadata.broker(id).and_then(|known| known.rack.as_deref());
        described(id, host, port, rack).ok_or_else(|| ClientError::Broker {
            what: finding(group),
            code: ErrorCode::UnknownServerError,
            message: Some(format!("the broker's answer has port {port}")),
        })
    }
}

fn finding(group: &str) -> String {
    format!("finding the coordinator of group {group:?}")
}
