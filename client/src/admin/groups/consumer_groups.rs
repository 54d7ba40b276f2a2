//! ConsumerGroupDescribe (key 69, versions 0 and 1): groups of the new protocol of consumers
//! (KIP-848), asked of each group's coordinator.

use bytes::Bytes;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member,
};
use tidemark_protocol::ErrorCode;

use super::describe::{DESCRIBING, GroupDescription, MemberDescription, describing};
use super::kinds::{GroupState, GroupType};
use super::membership::CONSUMER;
use crate::admin::ask::{ANY_NUMBER, Ask, Route};
use crate::admin::{Admin, Each, group_id};
use crate::cluster::metadata::Broker;
use crate::cluster::{Tries, api_error};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

impl Admin {
    pub(super) async fn consumer_groups(
        &self,
        groups: Vec<String>,
        tries: &mut Tries<'_>,
    ) -> Result<Each<String, GroupDescription>, ClientError> {
        let ask = Ask {
            what: DESCRIBING.to_owned(),
            route: Route::CoordinatorOf(String::as_str),
            versions: 0..=1,
            most: ANY_NUMBER,
        };
        self.each_within(
            tries,
            ask,
            groups,
            |_, groups: &[String]| {
                let groups = groups.iter().map(|group| group_id(group));
                ConsumerGroupDescribeRequest::default().with_group_ids(groups.collect())
            },
            |round, _, response| {
                let told = response.groups.into_iter();
                told.map(|group| {
                    let id = group.group_id.to_string();
                    let coordinator = self.asked_coordinator(round, &id);
                    (id, coordinator.and_then(|broker| described(broker, group)))
                })
                .collect()
            },
        )
        .await
    }
}

fn described(coordinator: Broker, group: DescribedGroup) -> Result<GroupDescription, ClientError> {
    let what = || describing(&group.group_id);
    let code = match ErrorCode::from(group.error_code) {
        // The protocol is switched off: there are no such groups.
        ErrorCode::UnsupportedVersion => ErrorCode::GroupIdNotFound,
        code => code,
    };
    api_error(what, code.code(), group.error_message.as_deref())?;
    let mut members: Vec<_> = group.members.into_iter().map(described_member).collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(GroupDescription {
        id: group.group_id.to_string(),
        coordinator,
        kind: GroupType::Consumer,
        state: GroupState::named(&group.group_state),
        protocol_type: CONSUMER.to_owned(),
        protocol: group.assignor_name.to_string(),
        members,
    })
}

fn described_member(member: Member) -> MemberDescription {
    let topics = member.subscribed_topic_names.iter();
    let regex = member.subscribed_topic_regex;
    MemberDescription {
        id: member.member_id.to_string(),
        instance_id: member.instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        topics: topics.map(|topic| topic.to_string()).collect(),
        topic_regex: regex
            .map(|regex| regex.to_string())
            .filter(|regex| !regex.is_empty()),
        partitions: partitions(&member.assignment),
        target: Some(partitions(&member.target_assignment)),
        metadata: Bytes::new(),
        assignment: Bytes::new(),
    }
}

/// The partitions in order.
fn partitions(assignment: &Assignment) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.iter();
    let mut found: Vec<TopicPartition> = topics
        .flat_map(|topic| {
            let name: std::sync::Arc<str> = topic.topic_name.as_str().into();
            let partitions = topic.partitions.iter();
            partitions.map(move |index| TopicPartition::new(std::sync::Arc::clone(&name), *index))
        })
        .collect();
    found.sort();
    found
}
