//! Membership's calls as requests, and the answers back.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::ErrorCode;

use super::{Failure, Join, Joined, Settings, Sync};
use crate::consumer::commit::CommitIdentity;

/// Kafka's name for the kind of group whose members consume.
const CONSUMER: &str = "consumer";

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}

fn millis(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// JoinGroup, versions 2 to 9.
pub(crate) fn join(
    version: i16,
    group: &str,
    settings: &Settings,
    join: &Join,
) -> JoinGroupRequest {
    let protocols = join.protocols.iter().map(|(name, metadata)| {
        JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(name))
            .with_metadata(metadata.clone())
    });
    let mut request = JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(millis(settings.session_timeout))
        .with_rebalance_timeout_ms(millis(settings.max_poll_interval))
        .with_member_id(text(&join.member_id))
        .with_protocol_type(StrBytes::from_static_str(CONSUMER))
        .with_protocols(protocols.collect());
    if version >= 5 {
        request = request.with_group_instance_id(settings.instance_id.as_deref().map(text));
    }
    if version >= 8 {
        request = request.with_reason(Some(text(join.reason)));
    }
    request
}

/// Its answer.
pub(crate) fn joined(response: &JoinGroupResponse) -> Result<Joined, Failure> {
    match ErrorCode::from(response.error_code) {
        ErrorCode::None => {}
        ErrorCode::MemberIdRequired => {
            return Err(Failure::MemberId(response.member_id.to_string()));
        }
        code => return Err(Failure::Code(code)),
    }
    let members = response.members.iter().map(|member| {
        let instance = member.group_instance_id.as_ref().map(ToString::to_string);
        (
            member.member_id.to_string(),
            instance,
            member.metadata.clone(),
        )
    });
    Ok(Joined {
        member_id: response.member_id.to_string(),
        generation: response.generation_id,
        leader: response.leader.to_string(),
        protocol: response
            .protocol_name
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        skip_assignment: response.skip_assignment,
        members: members.collect(),
    })
}

/// SyncGroup, versions 1 to 5.
pub(crate) fn sync(version: i16, group: &str, sync: &Sync) -> SyncGroupRequest {
    let assignments = sync.assignments.iter().map(|(id, bytes)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(id))
            .with_assignment(bytes.clone())
    });
    let mut request = SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(sync.identity.generation)
        .with_member_id(text(&sync.identity.member_id))
        .with_assignments(assignments.collect());
    if version >= 3 {
        request = request.with_group_instance_id(sync.identity.instance_id.as_deref().map(text));
    }
    if version >= 5 {
        request = request
            .with_protocol_type(Some(StrBytes::from_static_str(CONSUMER)))
            .with_protocol_name(Some(text(&sync.protocol)));
    }
    request
}

/// Heartbeat, versions 1 to 4.
pub(crate) fn heartbeat(version: i16, group: &str, identity: &CommitIdentity) -> HeartbeatRequest {
    let request = HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(identity.generation)
        .with_member_id(text(&identity.member_id));
    if version >= 3 {
        request.with_group_instance_id(identity.instance_id.as_deref().map(text))
    } else {
        request
    }
}

/// LeaveGroup, versions 1 to 5.
pub(crate) fn leave(
    version: i16,
    group: &str,
    member_id: &str,
    reason: &'static str,
) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group_id(group));
    if version < 3 {
        return request.with_member_id(text(member_id));
    }
    let mut member = MemberIdentity::default().with_member_id(text(member_id));
    if version >= 5 {
        member = member.with_reason(Some(StrBytes::from_static_str(reason)));
    }
    request.with_members(vec![member])
}
