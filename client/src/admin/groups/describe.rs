//! DescribeGroups (key 15, versions 0 to 6), asked of each group's coordinator.

use bytes::Bytes;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use tidemark_protocol::ErrorCode;

use super::kinds::GroupState;
use super::membership::{self, CONSUMER};
use crate::admin::ask::{ANY_NUMBER, Ask, Round, Route};
use crate::admin::{Admin, Each, group_id, named_once};
use crate::cluster::api_error;
use crate::cluster::metadata::Broker;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// A group (Kafka: `ClassicGroupDescription`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub id: String,
    /// The broker that coordinates it, which has told all this (Kafka:
    /// `ClassicGroupDescription.coordinator`). Its rack is told if the client knows it.
    pub coordinator: Broker,
    /// What it is doing.
    pub state: GroupState,
    /// What its members speak with each other: `consumer`, for consumers.
    pub protocol_type: String,
    /// The protocol they have agreed on: for consumers, the assignor. Empty unless the group is
    /// stable.
    pub protocol: String,
    /// Its members, by their ids.
    pub members: Vec<MemberDescription>,
}

/// A member of a group (Kafka: `MemberDescription`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// The id that the coordinator has given it.
    pub id: String,
    /// The id that it has given itself, if it is static (Kafka: `group.instance.id`, KIP-345).
    pub instance_id: Option<String>,
    /// The name of its client (Kafka: `client.id`).
    pub client_id: String,
    /// The address it comes from, as the coordinator writes it.
    pub host: String,
    /// The topics that a consumer has subscribed to.
    pub topics: Vec<String>,
    /// The partitions that a consumer has been given, in order.
    pub partitions: Vec<TopicPartition>,
    /// What the member tells whoever assigns, as it came.
    pub metadata: Bytes,
    /// What it has been given, as it came.
    pub assignment: Bytes,
}

impl Admin {
    /// Describes groups with their members (Kafka: `Admin.describeClassicGroups`,
    /// `kafka-consumer-groups --describe`). One that does not exist is `GROUP_ID_NOT_FOUND`,
    /// whatever the broker's version calls it (KIP-1043).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// for group in client.admin().describe_groups(["billing"]).await?.all()?.into_values() {
    ///     for member in group.members {
    ///         println!("{} at {} reads {:?}", member.client_id, member.host, member.partitions);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each group [`ClientError::Broker`], as with
    /// `GROUP_ID_NOT_FOUND`, `GROUP_AUTHORIZATION_FAILED`.
    pub async fn describe_groups<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = S>,
    ) -> Result<Each<String, GroupDescription>, ClientError> {
        let ask = Ask {
            what: "describing groups".to_owned(),
            route: Route::CoordinatorOf(String::as_str),
            versions: 0..=6,
            most: ANY_NUMBER,
        };
        let groups = groups.into_iter().map(|group| (group.into(), ()));
        self.each(
            ask,
            named_once("groups", groups)?.into_keys(),
            |_, groups: &[String]| {
                let groups = groups.iter().map(|group| group_id(group));
                DescribeGroupsRequest::default().with_groups(groups.collect())
            },
            |round, _, response| {
                let told = response.groups.into_iter();
                told.map(|group| {
                    let id = group.group_id.to_string();
                    let coordinator = self.asked_coordinator(round, &id);
                    let described =
                        coordinator.and_then(|broker| described(round.version, broker, group));
                    (id, described)
                })
                .collect()
            },
        )
        .await
    }

    /// The broker that has been asked about a group. If the cluster has dropped it meanwhile, it
    /// is looked for once more.
    fn asked_coordinator(&self, round: &Round, group: &str) -> Result<Broker, ClientError> {
        let metadata = self.cluster.metadata();
        let broker = round.broker.and_then(|id| metadata.broker(id));
        broker.cloned().ok_or_else(|| {
            let what = format!("describing group {group:?}");
            ClientError::broker(what, ErrorCode::CoordinatorNotAvailable)
        })
    }
}

fn described(
    version: i16,
    coordinator: Broker,
    group: DescribedGroup,
) -> Result<GroupDescription, ClientError> {
    let what = || format!("describing group {:?}", group.group_id.as_str());
    api_error(what, group.error_code, group.error_message.as_deref())?;
    let state = GroupState::named(&group.group_state);
    if version <= 5 && state == GroupState::Dead {
        return Err(ClientError::broker(what(), ErrorCode::GroupIdNotFound));
    }
    let consumers = group.protocol_type.as_str() == CONSUMER;
    let members = group.members.into_iter();
    let mut members: Vec<_> = members
        .map(|member| described_member(consumers, member))
        .collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(GroupDescription {
        id: group.group_id.to_string(),
        coordinator,
        state,
        protocol_type: group.protocol_type.to_string(),
        protocol: group.protocol_data.to_string(),
        members,
    })
}

fn described_member(consumers: bool, member: DescribedGroupMember) -> MemberDescription {
    let (topics, partitions) = match consumers {
        true => (
            membership::topics(&member.member_metadata).unwrap_or_default(),
            membership::partitions(&member.member_assignment).unwrap_or_default(),
        ),
        false => (Vec::new(), Vec::new()),
    };
    let instance_id = member.group_instance_id.as_ref().map(ToString::to_string);
    MemberDescription {
        id: member.member_id.to_string(),
        instance_id,
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        topics,
        partitions,
        metadata: member.member_metadata,
        assignment: member.member_assignment,
    }
}
