//! DescribeGroups (key 15, versions 0 to 6), asked of each group's coordinator. It knows classic
//! groups; what is none is asked for as a group of the new protocol.

use bytes::Bytes;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use tidemark_protocol::ErrorCode;

use super::kinds::{GroupState, GroupType};
use super::membership::{self, CONSUMER};
use crate::admin::ask::{ANY_NUMBER, Ask, Round, Route};
use crate::admin::{Admin, Each, group_id, named_once};
use crate::cluster::metadata::Broker;
use crate::cluster::{Tries, api_error};
use crate::connection::CallError;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// What is done, for errors.
pub(super) const DESCRIBING: &str = "describing groups";

/// A group (Kafka: `ClassicGroupDescription`, `ConsumerGroupDescription`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub id: String,
    /// The broker that coordinates it, which has told all this (Kafka:
    /// `ConsumerGroupDescription.coordinator`). Its rack is told if the client knows it.
    pub coordinator: Broker,
    /// By which protocol its members are coordinated: [`GroupType::Classic`] or
    /// [`GroupType::Consumer`].
    pub kind: GroupType,
    /// What it is doing.
    pub state: GroupState,
    /// What its members speak with each other: `consumer`, for consumers.
    pub protocol_type: String,
    /// The protocol they have agreed on: for consumers, the assignor. Empty unless the group is
    /// stable, if it is a classic one; else the assignor of the coordinator.
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
    /// The pattern that a consumer has subscribed to, where the coordinator finds the topics
    /// (KIP-848).
    pub topic_regex: Option<String>,
    /// The partitions that a consumer has been given, in order.
    pub partitions: Vec<TopicPartition>,
    /// The partitions that it is to have once all members have given up what others are to have, in
    /// order (Kafka: `MemberDescription.targetAssignment`, KIP-848); `None` in a classic group.
    pub target: Option<Vec<TopicPartition>>,
    /// What the member of a classic group tells whoever assigns, as it came.
    pub metadata: Bytes,
    /// What it has been given in a classic group, as it came.
    pub assignment: Bytes,
}

impl Admin {
    /// Describes groups with their members (Kafka: `Admin.describeConsumerGroups` and
    /// `describeClassicGroups`, `kafka-consumer-groups --describe`): classic ones and those of the
    /// new protocol of consumers (KIP-848, since Kafka 4.0). One that does not exist, or is of
    /// another type, is `GROUP_ID_NOT_FOUND`, whatever the broker's version calls it (KIP-1043).
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
    /// `GROUP_ID_NOT_FOUND`, `GROUP_AUTHORIZATION_FAILED`, and `TOPIC_AUTHORIZATION_FAILED` for a
    /// group of the new protocol whose members read what the user may not see.
    pub async fn describe_groups<S: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = S>,
    ) -> Result<Each<String, GroupDescription>, ClientError> {
        let groups = groups.into_iter().map(|group| (group.into(), ()));
        let groups = named_once("groups", groups)?.into_keys().collect();
        let mut tries = self.cluster.tries(DESCRIBING, self.timeout);
        let mut described = self.classic_groups(groups, &mut tries).await?;
        let other = described
            .iter()
            .filter(|(_, outcome)| is_not_found(outcome));
        let other: Vec<String> = other.map(|(group, _)| group.clone()).collect();
        match self.consumer_groups(other.clone(), &mut tries).await {
            Ok(found) => {
                for (group, outcome) in found {
                    if !is_not_found(&outcome) {
                        described.insert(group, outcome);
                    }
                }
            }
            // They have no such groups.
            Err(ClientError::Call(CallError::Unsupported { .. })) => {}
            // Of none is it known whether it exists.
            Err(error) if other.len() == described.len() => return Err(error),
            Err(error) => {
                for group in other {
                    described.insert(group, Err(error.clone()));
                }
            }
        }
        Ok(described)
    }

    async fn classic_groups(
        &self,
        groups: Vec<String>,
        tries: &mut Tries<'_>,
    ) -> Result<Each<String, GroupDescription>, ClientError> {
        let ask = Ask {
            what: DESCRIBING.to_owned(),
            route: Route::CoordinatorOf(String::as_str),
            versions: 0..=6,
            most: ANY_NUMBER,
        };
        self.each_within(
            tries,
            ask,
            groups,
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
    pub(super) fn asked_coordinator(
        &self,
        round: &Round,
        group: &str,
    ) -> Result<Broker, ClientError> {
        let metadata = self.cluster.metadata();
        let broker = round.broker.and_then(|id| metadata.broker(id));
        broker.cloned().ok_or_else(|| {
            ClientError::broker(describing(group), ErrorCode::CoordinatorNotAvailable)
        })
    }
}

/// A group that is there, but of the other type, is not found, either.
fn is_not_found<T>(outcome: &Result<T, ClientError>) -> bool {
    let code = outcome.as_ref().err().and_then(ClientError::code);
    code == Some(ErrorCode::GroupIdNotFound)
}

pub(super) fn describing(group: &str) -> String {
    format!("describing group {group:?}")
}

fn described(
    version: i16,
    coordinator: Broker,
    group: DescribedGroup,
) -> Result<GroupDescription, ClientError> {
    let what = || describing(&group.group_id);
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
        kind: GroupType::Classic,
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
        topic_regex: None,
        partitions,
        target: None,
        metadata: member.member_metadata,
        assignment: member.member_assignment,
    }
}
