use std::path::Path;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Request, StrBytes};
use tidemark_protocol::api::decodable_versions;
use tidemark_protocol::guard::GuardErrorKind;

use super::*;

#[test]
fn the_registry_is_in_order() {
    for pair in REGISTRY.windows(2) {
        assert!((pair[0].key as i16) < pair[1].key as i16, "{:?}", pair[1]);
    }
    for api in REGISTRY {
        assert!(
            api.advertised_min <= api.min && api.min <= api.max,
            "{api:?}"
        );
    }
}

/// What the codec can read, of the APIs that are here; the protocol crate's tests hold that against
/// what its messages are defined for. An API that leaves versions out is named here with the
/// versions that it leaves out.
#[test]
fn every_version_that_the_codec_can_read_is_served() {
    let mut left_out = Vec::new();
    for api in REGISTRY {
        let readable = decodable_versions(api.key as i16).unwrap();
        for version in readable.clone() {
            if !(api.min..=api.max).contains(&version) {
                left_out.push((api.key, version));
            }
        }
        let served = api.min..=api.max;
        assert!(
            readable.contains(served.start()) && readable.contains(served.end()),
            "{api:?}"
        );
    }
    assert_eq!(left_out, []);
}

/// Reads and writes the file itself: the document belongs to the repository, not to a
/// broker, so the broker's disk is not asked.
#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol-coverage.md");
    let expected = protocol_coverage();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the document can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/protocol-coverage.md is stale; run UPDATE_DOCS=1 cargo test -p tidemark-broker \
         --lib api::registry"
    );
}

#[test]
fn only_produce_may_be_large() {
    assert_eq!(frame_cap(0, 100 << 20), 100 << 20);
    assert_eq!(frame_cap(3, 100 << 20), CONTROL_FRAME_CAP);
    assert_eq!(frame_cap(3, 1000), 1000);
}

/// How the guard judges a request in the highest version served.
fn judge<R: Request>(request: &R) -> Result<usize, GuardErrorKind> {
    let api = find(R::KEY).unwrap();
    let mut body = BytesMut::new();
    request.encode(&mut body, api.max).unwrap();
    let size = body.len();
    assert!(size <= frame_cap(R::KEY, 100 << 20), "{api:?}: {size}");
    Checked::new(R::KEY, api.max, body.freeze(), api.max_elements)
        .map(|body| body.elements())
        .map_err(|error| error.kind)
}

/// As many of them as the partitions of a large single node.
fn many<T: Clone>(one: T) -> Vec<T> {
    vec![one; 10_000]
}

#[test]
fn requests_about_ten_thousand_topics_pass() {
    let name = || StrBytes::from_static_str("a-topic-with-a-name-of-usual-length");
    let topic = || m::TopicName(name());
    let passes = |elements: Result<usize, GuardErrorKind>| {
        let elements = elements.unwrap();
        assert!(
            (10_000..=MAX_ELEMENTS / 2).contains(&elements),
            "{elements}"
        );
    };
    use m::produce_request::{PartitionProduceData, TopicProduceData};
    let records = PartitionProduceData::default().with_records(Some(Bytes::from_static(&[0; 70])));
    let data = TopicProduceData::default().with_partition_data(vec![records]);
    passes(judge(
        &m::ProduceRequest::default().with_topic_data(many(data)),
    ));
    use m::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
    let wanted = FetchTopic::default().with_partitions(vec![FetchPartition::default()]);
    let forgotten = ForgottenTopic::default().with_partitions(vec![0]);
    passes(judge(
        &m::FetchRequest::default()
            .with_topics(many(wanted))
            .with_forgotten_topics_data(many(forgotten)),
    ));
    use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let wanted = ListOffsetsTopic::default()
        .with_name(topic())
        .with_partitions(vec![ListOffsetsPartition::default()]);
    passes(judge(
        &m::ListOffsetsRequest::default().with_topics(many(wanted)),
    ));
    use m::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let committed = OffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![OffsetCommitRequestPartition::default()]);
    passes(judge(
        &m::OffsetCommitRequest::default().with_topics(many(committed)),
    ));
    use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
    let wanted = OffsetFetchRequestTopics::default()
        .with_name(topic())
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default().with_topics(Some(many(wanted)));
    passes(judge(
        &m::OffsetFetchRequest::default().with_groups(vec![group]),
    ));
    use m::create_topics_request::{CreatableTopic, CreatableTopicConfig};
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("retention.ms"))
        .with_value(Some(StrBytes::from_static_str("604800000")));
    let created = CreatableTopic::default()
        .with_name(topic())
        .with_configs(vec![config; 10]);
    passes(judge(
        &m::CreateTopicsRequest::default().with_topics(many(created)),
    ));
    use m::describe_configs_request::DescribeConfigsResource;
    let described = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(name())
        .with_configuration_keys(Some(vec![StrBytes::from_static_str("retention.ms"); 10]));
    passes(judge(
        &m::DescribeConfigsRequest::default().with_resources(many(described)),
    ));
}

#[test]
fn lists_longer_than_any_client_sends_are_refused() {
    use m::join_group_request::JoinGroupRequestProtocol;
    let join = |count| {
        let protocols = vec![JoinGroupRequestProtocol::default(); count];
        judge(&m::JoinGroupRequest::default().with_protocols(protocols))
    };
    assert_eq!(join(1_000), Ok(1_000));
    let (elements, max) = (1_001, 1_000);
    assert_eq!(
        join(1_001),
        Err(GuardErrorKind::TooManyElements { elements, max })
    );
    let delete = |count| {
        let names = vec![m::GroupId::default(); count];
        judge(&m::DeleteGroupsRequest::default().with_groups_names(names))
    };
    assert_eq!(delete(MAX_ELEMENTS), Ok(MAX_ELEMENTS));
    assert!(delete(MAX_ELEMENTS + 1).is_err());
}
