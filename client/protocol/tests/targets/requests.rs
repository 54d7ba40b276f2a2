//! Every request type of the codec crate, by key.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Message, Request};
use tidemark_protocol::guard::{DecodeError, decode_request};

/// Decodes a body through the guard and encodes what came out again. `None` if that cannot be done:
/// the codec crate counts unknown tags above `i32::MAX` and then does not write them.
pub fn decode_and_encode(
    key: i16,
    version: i16,
    body: Bytes,
) -> Result<Option<BytesMut>, DecodeError> {
    match BY_KEY.iter().find(|(known, _)| *known == key) {
        Some((_, through)) => through(version, body),
        None => Ok(None),
    }
}

/// Key, lowest and highest version of every request type.
pub fn versions() -> impl Iterator<Item = (i16, i16, i16)> {
    VERSIONS.iter().copied()
}

type Through = fn(i16, Bytes) -> Result<Option<BytesMut>, DecodeError>;

fn through<T: Request>(version: i16, body: Bytes) -> Result<Option<BytesMut>, DecodeError> {
    let request: T = decode_request(version, body)?;
    let mut encoded = BytesMut::new();
    request
        .encode(&mut encoded, version)
        .expect("what was decoded fits its version");
    let size = request
        .compute_size(version)
        .expect("what was encoded has a size");
    Ok((size == encoded.len()).then_some(encoded))
}

macro_rules! by_key {
    ($($request:ident),* $(,)?) => {
        const BY_KEY: &[(i16, Through)] =
            &[$((<$request as Request>::KEY, through::<$request>),)*];
        const VERSIONS: &[(i16, i16, i16)] = &[$((
            <$request as Request>::KEY,
            <$request as Message>::VERSIONS.min,
            <$request as Message>::VERSIONS.max,
        ),)*];
    };
}

by_key!(
    ProduceRequest,
    FetchRequest,
    ListOffsetsRequest,
    MetadataRequest,
    OffsetCommitRequest,
    OffsetFetchRequest,
    FindCoordinatorRequest,
    JoinGroupRequest,
    HeartbeatRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
    DescribeGroupsRequest,
    ListGroupsRequest,
    SaslHandshakeRequest,
    ApiVersionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteRecordsRequest,
    InitProducerIdRequest,
    OffsetForLeaderEpochRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    EndTxnRequest,
    WriteTxnMarkersRequest,
    TxnOffsetCommitRequest,
    DescribeAclsRequest,
    CreateAclsRequest,
    DeleteAclsRequest,
    DescribeConfigsRequest,
    AlterConfigsRequest,
    AlterReplicaLogDirsRequest,
    DescribeLogDirsRequest,
    SaslAuthenticateRequest,
    CreatePartitionsRequest,
    CreateDelegationTokenRequest,
    RenewDelegationTokenRequest,
    ExpireDelegationTokenRequest,
    DescribeDelegationTokenRequest,
    DeleteGroupsRequest,
    ElectLeadersRequest,
    IncrementalAlterConfigsRequest,
    AlterPartitionReassignmentsRequest,
    ListPartitionReassignmentsRequest,
    OffsetDeleteRequest,
    DescribeClientQuotasRequest,
    AlterClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
    AlterUserScramCredentialsRequest,
    VoteRequest,
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    DescribeQuorumRequest,
    AlterPartitionRequest,
    UpdateFeaturesRequest,
    EnvelopeRequest,
    FetchSnapshotRequest,
    DescribeClusterRequest,
    DescribeProducersRequest,
    BrokerRegistrationRequest,
    BrokerHeartbeatRequest,
    UnregisterBrokerRequest,
    DescribeTransactionsRequest,
    ListTransactionsRequest,
    AllocateProducerIdsRequest,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupDescribeRequest,
    ControllerRegistrationRequest,
    GetTelemetrySubscriptionsRequest,
    PushTelemetryRequest,
    AssignReplicasToDirsRequest,
    ListConfigResourcesRequest,
    DescribeTopicPartitionsRequest,
    ShareGroupHeartbeatRequest,
    ShareGroupDescribeRequest,
    ShareFetchRequest,
    ShareAcknowledgeRequest,
    AddRaftVoterRequest,
    RemoveRaftVoterRequest,
    UpdateRaftVoterRequest,
    InitializeShareGroupStateRequest,
    ReadShareGroupStateRequest,
    WriteShareGroupStateRequest,
    DeleteShareGroupStateRequest,
    ReadShareGroupStateSummaryRequest,
    DescribeShareGroupOffsetsRequest,
    AlterShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsRequest
);
