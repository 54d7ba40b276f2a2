//! LeaveGroup (key 13, versions 0 to 5), said for others: removing members.

use std::fmt;

use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::leave_group_request::MemberIdentity;

use crate::admin::ask::{Ask, Route};
use crate::admin::{Admin, Each, group_id, named_once, text};
use crate::cluster::api_error;
use crate::error::ClientError;

/// A member that is to go (Kafka: `MemberToRemove`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberToRemove {
    /// A static member, by the id that it has given itself (KIP-345, since Kafka 2.4).
    Instance(String),
    /// Any member, by the id that the coordinator has given it.
    Id(String),
}

impl fmt::Display for MemberToRemove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) => write!(f, "static member {id:?}"),
            Self::Id(id) => write!(f, "member {id:?}"),
        }
    }
}

impl MemberToRemove {
    fn wire(&self) -> MemberIdentity {
        match self {
            Self::Instance(id) => MemberIdentity::default().with_group_instance_id(Some(text(id))),
            Self::Id(id) => MemberIdentity::default().with_member_id(text(id)),
        }
    }
}

impl Admin {
    /// Removes members from a group, which rebalances without them; one that is alive joins again
    /// (Kafka: `Admin.removeMembersFromConsumerGroup`, KIP-345). The coordinator's log tells
    /// `reason` (KIP-800).
    ///
    /// ```no_run
    /// # use tidemark_client::{Client, ClientError};
    /// use tidemark_client::admin::MemberToRemove;
    /// # async fn example(client: &Client) -> Result<(), ClientError> {
    /// let gone = [MemberToRemove::Instance("billing-3".to_owned())];
    /// client.admin().remove_members("billing", gone, "its machine is gone").await?.all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As in [this module](crate::admin#errors); for each member [`ClientError::Broker`], as with
    /// `UNKNOWN_MEMBER_ID`. A static member with brokers before Kafka 2.4 is a
    /// [`ClientError::Call`].
    pub async fn remove_members(
        &self,
        group: &str,
        members: impl IntoIterator<Item = MemberToRemove>,
        reason: &str,
    ) -> Result<Each<MemberToRemove, ()>, ClientError> {
        let members = members.into_iter().map(|member| (member, ()));
        let members = named_once("members", members)?;
        let any_static = members
            .keys()
            .any(|member| matches!(member, MemberToRemove::Instance(_)));
        let what = format!("removing members of group {group:?}");
        let ask = Ask {
            what: what.clone(),
            route: Route::Coordinator(group),
            // Static members came with the batch.
            versions: if any_static { 3..=5 } else { 0..=5 },
            most: |version| match version {
                ..=2 => 1,
                _ => usize::MAX,
            },
        };
        self.each(
            ask,
            members.into_keys(),
            |round, members: &[MemberToRemove]| {
                let request = LeaveGroupRequest::default().with_group_id(group_id(group));
                let identities = members.iter().map(|member| match round.version {
                    5.. => member.wire().with_reason(Some(text(reason))),
                    _ => member.wire(),
                });
                match round.version {
                    ..=2 => {
                        let only = identities.map(|member| member.member_id).next();
                        request.with_member_id(only.unwrap_or_default())
                    }
                    _ => request.with_members(identities.collect()),
                }
            },
            |round, members, response| {
                let whole = api_error(|| what.clone(), response.error_code, None);
                if whole.is_err() || round.version <= 2 {
                    let members = members.iter();
                    return members
                        .map(|member| (member.clone(), whole.clone()))
                        .collect();
                }
                // They are told in the order in which they were named.
                let told = members.iter().zip(&response.members);
                told.map(|(member, told)| {
                    let what = || format!("removing {member} of group {group:?}");
                    (member.clone(), api_error(what, told.error_code, None))
                })
                .collect()
            },
        )
        .await
    }

    /// Removes all members that a group has at the moment (Kafka:
    /// `RemoveMembersFromConsumerGroupOptions` without members, KIP-571), static ones by their
    /// instance ids.
    ///
    /// # Errors
    ///
    /// Those of [`Admin::describe_groups`], of which `GROUP_ID_NOT_FOUND` is the error of the call,
    /// and of [`Admin::remove_members`].
    pub async fn remove_all_members(
        &self,
        group: &str,
        reason: &str,
    ) -> Result<Each<MemberToRemove, ()>, ClientError> {
        let described = self.describe_groups([group]).await?.all()?;
        let members = described
            .into_values()
            .flat_map(|group| group.members)
            .map(|member| match member.instance_id {
                Some(instance) => MemberToRemove::Instance(instance),
                None => MemberToRemove::Id(member.id),
            });
        self.remove_members(group, members, reason).await
    }
}
