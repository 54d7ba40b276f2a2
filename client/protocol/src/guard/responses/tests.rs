use super::*;
use crate::guard::ReadError;
use bytes::BytesMut;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse,
    OffsetFetchRequest, OffsetFetchResponse, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

fn kind_of(api_key: i16, version: i16, body: &[u8]) -> GuardErrorKind {
    check_response(api_key, version, body).unwrap_err().kind
}

/// Encodes a response and decodes it again behind the guard.
fn through<R: Request>(version: i16, response: &R::Response) -> R::Response {
    let mut body = BytesMut::new();
    response.encode(&mut body, version).unwrap();
    decode_response::<R>(version, body.freeze()).unwrap()
}

#[test]
fn counts_without_bytes_are_refused() {
    let huge = |count, remaining| GuardErrorKind::TooMany { count, remaining };
    // Metadata v0: brokers; v12: the same behind the throttle time; topics behind no brokers.
    let body = [0x7f, 0xff, 0xff, 0xff, 0, 0];
    assert_eq!(kind_of(3, 0, &body), huge(0x7fff_ffff, 2));
    let body = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(kind_of(3, 12, &body), huge(0xffff_fffe, 0));
    let body = [0, 0, 0, 0, 0x03, 0x3c, 0x0c, 0x00, 0xb6];
    assert_eq!(kind_of(3, 0, &body), huge(0x033c_0c00, 1));
}

#[test]
fn bad_values_have_typed_errors() {
    use GuardErrorKind::*;
    assert_eq!(kind_of(4, 0, &[]), UnknownApi);
    assert_eq!(kind_of(3, 14, &[]), UnsupportedVersion { min: 0, max: 13 });
    // The codec crate's response reaches one version higher than its request.
    assert_eq!(kind_of(9, 11, &[]), UnsupportedVersion { min: 1, max: 10 });
    assert_eq!(kind_of(3, 0, &[0xff; 4]), UnexpectedNull);
    let short = ReadError::Short { need: 4, have: 2 };
    assert_eq!(kind_of(3, 0, &[0, 0]), Read(short));
    assert_eq!(
        kind_of(17, 0, &[0, 0, 0, 0, 0, 1, 0xff, 0xfe]),
        NegativeLength(-2)
    );
    // ApiVersions v3: the tag of the features' epoch, which takes 8 bytes, claims 7.
    let body = [0, 0, 1, 0, 0, 0, 0, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    let (tag, size, read) = (1, 7, 8);
    assert_eq!(kind_of(18, 3, &body), TagSize { tag, size, read });
}

#[test]
fn errors_say_that_it_is_a_response() {
    // SaslHandshake v0: one mechanism that claims 5 bytes of 1.
    let error = check_response(17, 0, &[0, 0, 0, 0, 0, 1, 0, 5, b'P']).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SaslHandshake v0 response, mechanisms[0] at byte 6: length 5 with 1 bytes left"
    );
    let error = check_response(999, 1, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "api key 999 v1 response, byte 0: no such API"
    );
    let body = Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, 0xff]);
    let error = decode_response::<SaslHandshakeRequest>(0, body).unwrap_err();
    assert!(matches!(error, DecodeError::Decoder { .. }));
    let text = error.to_string();
    assert!(text.starts_with("response 17 v0: "), "{text}");
}

#[test]
fn bytes_after_a_response_are_an_error() {
    // ApiVersions v1 with an answer of v0 and 9 more bytes than v0 has.
    let body = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7]);
    let walked = check_response(18, 1, &body).unwrap();
    assert_eq!((walked.consumed, walked.trailing), (10, 3));
    let error = decode_response::<ApiVersionsRequest>(1, body).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ApiVersions v1 response, byte 10: 3 bytes follow the body"
    );
}

#[test]
fn elements_have_a_limit() {
    // SaslHandshake v0: that many mechanisms, each an empty name of two bytes.
    let body = |count: usize| {
        let mut body = vec![0, 0];
        body.extend_from_slice(&(count as i32).to_be_bytes());
        body.resize(6 + 2 * count, 0);
        body
    };
    let limit = MAX_RESPONSE_ELEMENTS;
    let walked = check_response(17, 0, &body(limit)).unwrap();
    assert_eq!((walked.elements, walked.numbers), (limit, 0));
    let elements = limit + 1;
    let refused = GuardErrorKind::TooManyElements {
        elements,
        max: limit,
    };
    assert_eq!(kind_of(17, 0, &body(elements)), refused);
}

#[test]
fn the_metadata_of_200_000_partitions_passes() {
    let nodes = |count: i32| (0..count).map(BrokerId).collect::<Vec<_>>();
    let partition = MetadataResponsePartition::default()
        .with_replica_nodes(nodes(5))
        .with_isr_nodes(nodes(5))
        .with_offline_replicas(nodes(2));
    let topic = MetadataResponseTopic::default()
        .with_name(Some(StrBytes::from_static_str("topic").into()))
        .with_partitions(vec![partition; 10]);
    let response = MetadataResponse::default().with_topics(vec![topic; 20_000]);
    for version in [1, 9, 13] {
        let mut asked = response.clone();
        if version < 5 {
            for topic in &mut asked.topics {
                for partition in &mut topic.partitions {
                    partition.offline_replicas.clear();
                }
            }
        }
        assert_eq!(through::<MetadataRequest>(version, &asked), asked);
    }
}

#[test]
fn a_fetch_answer_with_10_000_partitions_passes() {
    let partition = PartitionData::default()
        .with_aborted_transactions(Some(vec![Default::default(); 10]))
        .with_records(Some(Bytes::from_static(&[7; 1000])));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition; 10_000]);
    let response = FetchResponse::default().with_responses(vec![topic]);
    for version in [4, 12, 18] {
        assert_eq!(through::<FetchRequest>(version, &response), response);
    }
}

#[test]
fn the_offsets_of_100_000_partitions_pass() {
    let partition = OffsetFetchResponsePartitions::default();
    let topic = OffsetFetchResponseTopics::default().with_partitions(vec![partition; 100_000]);
    let group = OffsetFetchResponseGroup::default().with_topics(vec![topic]);
    let response = OffsetFetchResponse::default().with_groups(vec![group]);
    for version in [8, 9, 10] {
        assert_eq!(through::<OffsetFetchRequest>(version, &response), response);
    }
}
