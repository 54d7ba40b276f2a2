//! A member of a consumer group, made of bare requests.

use bytes::{BufMut, Bytes, BytesMut};
use integration_tests::harness::calls::Connection;
use integration_tests::harness::cluster::Cluster;
use tidemark_protocol::StrBytes;
use tidemark_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use tidemark_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use tidemark_protocol::messages::{
    FindCoordinatorRequest, GroupId, JoinGroupRequest, SyncGroupRequest,
};

/// A member that has joined; it keeps its connection and says nothing more.
pub(super) struct Member {
    pub(super) id: String,
    _connection: Connection,
}

/// How long it may be silent, in milliseconds: longer than any test.
const SESSION: i32 = 60_000;

/// Joins a group that has nobody else, as the consumer of all partitions of a topic.
pub(super) async fn join(
    cluster: &Cluster,
    group: &str,
    instance: Option<&str>,
    topic: &str,
    partitions: &[i32],
) -> Member {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let mut connection = Connection::connect(cluster.bootstrap(), "member")
        .await
        .unwrap();
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(subscription(topic));
    // Version 5 is the first with static members; it wants a member to come back with its id.
    let mut request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(SESSION)
        .with_rebalance_timeout_ms(SESSION)
        .with_group_instance_id(instance.map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    // Until there is a coordinator.
    let (id, generation) = loop {
        let joined = connection.call(5, &request).await.unwrap();
        match joined.error_code {
            0 => break (joined.member_id, joined.generation_id),
            79 => request.member_id = joined.member_id,
            14..=16 => {
                let request = FindCoordinatorRequest::default().with_key(text(group));
                connection.call(3, &request).await.unwrap();
            }
            other => panic!("joining ended with {other}"),
        }
    };
    let given = SyncGroupRequestAssignment::default()
        .with_member_id(id.clone())
        .with_assignment(assignment(topic, partitions));
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(generation)
        .with_member_id(id.clone())
        .with_group_instance_id(instance.map(text))
        .with_assignments(vec![given]);
    let synced = connection.call(3, &request).await.unwrap();
    assert_eq!(synced.error_code, 0);
    Member {
        id: id.to_string(),
        _connection: connection,
    }
}

fn subscription(topic: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    put_text(&mut bytes, topic);
    bytes.put_i32(-1);
    bytes.freeze()
}

fn assignment(topic: &str, partitions: &[i32]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    put_text(&mut bytes, topic);
    bytes.put_i32(partitions.len() as i32);
    for partition in partitions {
        bytes.put_i32(*partition);
    }
    bytes.put_i32(-1);
    bytes.freeze()
}

fn put_text(bytes: &mut BytesMut, text: &str) {
    bytes.put_i16(text.len() as i16);
    bytes.put_slice(text.as_bytes());
}
