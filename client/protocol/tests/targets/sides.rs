//! The two sides of the guard: every request type and every response type of the codec crate.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, Message, Request};
use tidemark_protocol::guard::shape::Shape;
use tidemark_protocol::guard::{
    DecodeError, GuardError, Walked, check, check_response, decode_request, decode_response,
    responses, shapes,
};

use super::random::{Random, body};

/// Both.
pub const SIDES: [&Side; 2] = [&REQUESTS, &RESPONSES];

/// What is tested of one direction.
pub struct Side {
    /// What its bodies are called.
    pub name: &'static str,
    /// The guard's walk.
    pub check: fn(i16, i16, &[u8]) -> Result<Walked, GuardError>,
    /// The shape of a key.
    pub find: fn(i16) -> Option<&'static Shape>,
    /// All shapes.
    pub shapes: fn() -> Vec<&'static Shape>,
    throughs: &'static [(i16, Through)],
    versions: &'static [(i16, i16, i16)],
}

impl Side {
    /// Decodes a body through the guard and encodes what came out again. `None` if that cannot be
    /// done: the codec crate counts unknown tags above `i32::MAX` and then does not write them.
    pub fn decode_and_encode(
        &self,
        key: i16,
        version: i16,
        body: Bytes,
    ) -> Result<Option<BytesMut>, DecodeError> {
        match self.throughs.iter().find(|(known, _)| *known == key) {
            Some((_, through)) => through(version, body),
            None => Ok(None),
        }
    }

    /// Key, lowest and highest version of every type.
    pub fn versions(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.versions.iter().copied()
    }

    /// Any shape, any of its versions and a body of it.
    pub fn any(&self, random: &mut Random) -> (&'static Shape, i16, Vec<u8>) {
        let shapes = (self.shapes)();
        let shape = shapes[random.below(shapes.len())];
        let version = shape.min + random.below((shape.max - shape.min + 1) as usize) as i16;
        (shape, version, body(shape, version, random))
    }
}

type Through = fn(i16, Bytes) -> Result<Option<BytesMut>, DecodeError>;

fn request<R: Request>(version: i16, body: Bytes) -> Result<Option<BytesMut>, DecodeError> {
    decode_request::<R>(version, body).map(|request| encode(version, &request))
}

fn response<R: Request>(version: i16, body: Bytes) -> Result<Option<BytesMut>, DecodeError> {
    decode_response::<R>(version, body).map(|response| encode(version, &response))
}

fn encode(version: i16, message: &impl Encodable) -> Option<BytesMut> {
    let mut encoded = BytesMut::new();
    message
        .encode(&mut encoded, version)
        .expect("what was decoded fits its version");
    let size = message
        .compute_size(version)
        .expect("what was encoded has a size");
    (size == encoded.len()).then_some(encoded)
}

macro_rules! sides {
    ($($request:ident),* $(,)?) => {
        /// Every request type.
        pub const REQUESTS: Side = Side {
            name: "request",
            check,
            find: shapes::find,
            shapes: || shapes::all().collect(),
            throughs: &[$((<$request as Request>::KEY, request::<$request>),)*],
            versions: &[$(versions::<$request>(<$request as Request>::KEY),)*],
        };

        /// Every response type, under the key of its request.
        pub const RESPONSES: Side = Side {
            name: "response",
            check: check_response,
            find: responses::find,
            shapes: || responses::all().collect(),
            throughs: &[$((<$request as Request>::KEY, response::<$request>),)*],
            versions: &[$(
                versions::<<$request as Request>::Response>(<$request as Request>::KEY),
            )*],
        };
    };
}

const fn versions<T: Message>(key: i16) -> (i16, i16, i16) {
    (key, T::VERSIONS.min, T::VERSIONS.max)
}

sides!(
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
