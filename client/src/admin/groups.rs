//! Groups: ListGroups (key 16, versions 0 to 5), DescribeGroups (key 15, versions 0 to 6),
//! DeleteGroups (key 42, versions 0 to 2), and in files of their own coordinators, groups of
//! the new protocol, members and offsets.
//!
//! A broker lists the groups that it coordinates, so all are asked.

mod consumer_groups;
mod coordinators;
mod describe;
mod kinds;
mod members;
mod membership;
mod offsets;

use kafka_protocol::messages::{DeleteGroupsRequest, ListGroupsRequest};

use super::ask::{ANY_NUMBER, Ask, Route};
use super::{Admin, Each, group_id, named_once, text};
use crate::cluster::api_error;
use crate::error::ClientError;

pub use describe::{GroupDescription, MemberDescription};
pub use kinds::{GroupState, GroupType};
pub use members::MemberToRemove;
pub use offsets::OffsetsOf;

/// Which groups are listed (Kafka: `ListGroupsOptions`). Default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    states: Vec<GroupState>,
    types: Vec<GroupType>,
}

impl GroupFilter {
    /// All groups.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only groups in one of these states (KIP-518, since Kafka 2.6).
    #[must_use]
    pub fn states(mut self, states: impl IntoIterator<Item = GroupState>) -> Self {
        self.states = states.into_iter().collect();
        self
    }

    /// Only groups of one of these types (KIP-848, since Kafka 3.8).
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = GroupType>) -> Self {
        self.types = types.into_iter().collect();
        self
    }

    /// The first version that knows the filter: an earlier broker would list all groups.
    fn first_version(&self) -> i16 {
        match (self.states.is_empty(), self.types.is_empty()) {
            (true, true) => 0,
            (false, true) => 4,
            (_, false) => 5,
        }
    }
}

/// One line of the list of groups (Kafka: `GroupListing`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name (Kafka: `group.id`).
    pub id: String,
    /// What its members speak with each other: `consumer`, for consumers; empty for a group that
    /// has had no members, only committed offsets.
    pub protocol_type: String,
    /// Its state (KIP-518, since Kafka 2.6).
    pub state: Option<GroupState>,
    /// Its type (KIP-848, since Kafka 3.8).
    pub kind: Option<GroupType>,
}

impl Admin {
    /// Lists groups, by the broker that coordinates them (Kafka: `Admin.listGroups`,
    /// `kafka-consumer-groups --list`).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::{GroupFilter, GroupState};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let idle = GroupFilter::new().states([GroupState::Empty]);
    /// for group in client.admin().list_groups(idle).await?.all()?.into_values().flatten() {
    ///     println!("{} has no members", group.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each broker [`ClientError::Broker`], and what
    /// else one broker alone can fail with. A filter that no broker knows is a
    /// [`ClientError::Call`].
    pub async fn list_groups(
        &self,
        filter: GroupFilter,
    ) -> Result<Each<i32, Vec<GroupListing>>, ClientError> {
        let what = "listing groups";
        let mut tries = self.cluster.tries(what, self.timeout);
        let brokers = self.brokers_now(&mut tries).await?;
        let ask = Ask {
            what: what.to_owned(),
            route: Route::Broker(|id: &i32| Some(*id)),
            versions: filter.first_version()..=5,
            most: ANY_NUMBER,
        };
        let states: Vec<_> = filter
            .states
            .iter()
            .map(|state| text(state.name()))
            .collect();
        let types: Vec<_> = filter.types.iter().map(|kind| text(kind.name())).collect();
        self.each(
            ask,
            brokers,
            |_, _| {
                ListGroupsRequest::default()
                    .with_states_filter(states.clone())
                    .with_types_filter(types.clone())
            },
            |round, brokers, response| {
                let mut answers = Vec::new();
                // A request is for one broker.
                if let Some(broker) = brokers.first() {
                    let what = || format!("{what} of broker {broker}");
                    let done = api_error(what, response.error_code, None);
                    let listed = response.groups.iter().map(|group| GroupListing {
                        id: group.group_id.to_string(),
                        protocol_type: group.protocol_type.to_string(),
                        state: (round.version >= 4).then(|| GroupState::named(&group.group_state)),
                        kind: (round.version >= 5).then(|| GroupType::named(&group.group_type)),
                    });
                    let mut listed: Vec<GroupListing> = listed.collect();
                    listed.sort_by(|a, b| a.id.cmp(&b.id));
                    answers.push((*broker, done.map(|()| listed)));
                }
                answers
            },
        )
        .await
    }

    /// Deletes groups with their committed offsets; only those without members let themselves be
    /// deleted (Kafka: `Admin.deleteConsumerGroups`, `kafka-consumer-groups --delete`, KIP-229).
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each group [`ClientError::Broker`], as with
    /// `NON_EMPTY_GROUP`, `GROUP_ID_NOT_FOUND`, `GROUP_AUTHORIZATION_FAILED`.
    pub async fn delete_groups<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = S>,
    ) -> Result<Each<String, ()>, ClientError> {
        let ask = Ask {
            what: "deleting groups".to_owned(),
            route: Route::CoordinatorOf(String::as_str),
            versions: 0..=2,
            most: ANY_NUMBER,
        };
        let groups = groups.into_iter().map(|group| (group.into(), ()));
        self.each(
            ask,
            named_once("groups", groups)?.into_keys(),
            |_, groups: &[String]| {
                let groups = groups.iter().map(|group| group_id(group));
                DeleteGroupsRequest::default().with_groups_names(groups.collect())
            },
            |_, _, response| {
                let told = response.results.into_iter().map(|result| {
                    let what = || format!("deleting group {:?}", result.group_id.as_str());
                    let done = api_error(what, result.error_code, None);
                    (result.group_id.to_string(), done)
                });
                told.collect()
            },
        )
        .await
    }
}
