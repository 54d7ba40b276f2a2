use super::*;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;

fn topic(name: &str, id: u128, partitions: &[(i32, i32, i32)]) -> MetadataResponseTopic {
    let partitions = partitions.iter().map(|(index, leader, epoch)| {
        MetadataResponsePartition::default()
            .with_partition_index(*index)
            .with_leader_id(BrokerId(*leader))
            .with_leader_epoch(*epoch)
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_topic_id(Uuid::from_u128(id))
        .with_partitions(partitions.collect())
}

fn failed(name: &str, error: ErrorCode) -> MetadataResponseTopic {
    topic(name, 0, &[]).with_error_code(error.code())
}

fn answer(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(StrBytes::from_static_str("a"))
        .with_port(9092);
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(BrokerId(1))
        .with_topics(topics)
}

fn leaders(metadata: &Metadata, name: &str) -> Vec<(Option<i32>, i32)> {
    let topic = metadata.topic(name).unwrap();
    let partitions = topic.partitions.iter();
    partitions.map(|p| (p.leader, p.leader_epoch)).collect()
}

#[test]
fn an_older_epoch_does_not_count_unless_the_topic_is_another() {
    let first = Metadata::default().updated(
        &answer(vec![topic("t", 7, &[(1, 2, 5), (0, 1, 5)])]),
        Scope::Asked,
    );
    assert_eq!(leaders(&first, "t"), [(Some(1), 5), (Some(2), 5)]);
    assert_eq!(first.name_of(Uuid::from_u128(7)).map(|n| &**n), Some("t"));
    // One broker is behind, the other one ahead.
    let late = answer(vec![topic("t", 7, &[(0, 3, 4), (1, 3, 6)])]);
    let second = first.updated(&late, Scope::Asked);
    assert_eq!(leaders(&second, "t"), [(Some(1), 5), (Some(3), 6)]);
    assert_eq!(second.version, 2);
    // Deleted and made again: epochs begin anew.
    let renewed = second.updated(&answer(vec![topic("t", 8, &[(0, 3, 0)])]), Scope::Asked);
    assert_eq!(leaders(&renewed, "t"), [(Some(3), 0)]);
    assert_eq!(renewed.name_of(Uuid::from_u128(7)), None);
    // Brokers that do not tell epochs are believed.
    let plain = renewed.updated(&answer(vec![topic("t", 8, &[(0, -1, -1)])]), Scope::Asked);
    assert_eq!(leaders(&plain, "t"), [(None, -1)]);
}

#[test]
fn what_is_gone_is_forgotten_and_what_is_in_trouble_is_not() {
    let known = Metadata::default().updated(
        &answer(vec![
            topic("a", 1, &[(0, 1, 0)]),
            topic("b", 2, &[(0, 1, 0)]),
        ]),
        Scope::Asked,
    );
    let next = known.updated(
        &answer(vec![
            failed("a", ErrorCode::UnknownTopicOrPartition),
            failed("b", ErrorCode::TopicAuthorizationFailed),
        ]),
        Scope::Asked,
    );
    assert!(next.topic("a").is_none() && next.topic("b").is_some());
    assert_eq!(next.errors["a"], ErrorCode::UnknownTopicOrPartition);
    assert_eq!(next.errors["b"], ErrorCode::TopicAuthorizationFailed);
    let back = next.updated(&answer(vec![topic("a", 3, &[(0, 1, 0)])]), Scope::Asked);
    assert!(back.topic("a").is_some() && !back.errors.contains_key("a"));
    // An answer about everything.
    let all = back.updated(&answer(vec![topic("c", 4, &[(0, 1, 0)])]), Scope::All);
    assert!(all.topic("a").is_none() && all.topic("c").is_some());
}

#[test]
fn partitions_with_gaps_are_not_believed() {
    for wrong in [&[(1, 1, 0)][..], &[(0, 1, 0), (0, 1, 0)], &[(-1, 1, 0)]] {
        let next = Metadata::default().updated(&answer(vec![topic("t", 1, wrong)]), Scope::Asked);
        assert!(next.topic("t").is_none());
        assert_eq!(next.errors["t"], ErrorCode::UnknownServerError);
    }
}

#[test]
fn a_broker_that_does_not_lead_any_more_tells_who_does() {
    let known = answer(vec![topic("t", 7, &[(0, 1, 5), (1, 1, 5)])]);
    let known = Metadata::default().updated(&known, Scope::Asked);
    let new = |topic: &str, partition, leader, epoch| NewLeader {
        topic: topic.into(),
        partition,
        leader,
        epoch,
    };
    let second = Broker {
        id: 2,
        host: "b".to_owned(),
        port: 9093,
        rack: None,
    };
    let brokers = std::slice::from_ref(&second);
    // Nothing new: old news, nobody that can be reached, or nothing that is known.
    for old in [
        new("t", 0, 2, 5),
        new("t", 0, 3, 6),
        new("t", 9, 2, 6),
        new("u", 0, 2, 6),
    ] {
        let next = known.with_leaders(std::slice::from_ref(&old), brokers);
        assert!(next.is_none(), "{old:?}");
    }
    let news = [new("t", 1, 2, 6), new("t", 0, 2, 5)];
    let next = known.with_leaders(&news, brokers).unwrap();
    assert_eq!(leaders(&next, "t"), [(Some(1), 5), (Some(2), 6)]);
    assert_eq!(next.broker(2), Some(&second));
    assert_eq!(next.version, known.version + 1);
    // A broker that does not know it yet does not count.
    let late = answer(vec![topic("t", 7, &[(0, 1, 5), (1, 1, 5)])]);
    let late = next.updated(&late, Scope::Asked);
    assert_eq!(leaders(&late, "t"), [(Some(1), 5), (Some(2), 6)]);
}

#[test]
fn topics_that_nobody_wants_are_forgotten() {
    let known = Metadata::default().updated(
        &answer(vec![
            topic("a", 1, &[(0, 1, 5)]),
            topic("b", 2, &[(0, 1, 5)]),
            failed("c", ErrorCode::UnknownTopicOrPartition),
        ]),
        Scope::Asked,
    );
    let next = known.updated(&answer(vec![topic("a", 1, &[(0, 2, 4)])]), Scope::Wanted);
    // It is still known which epoch it has had.
    assert_eq!(leaders(&next, "a"), [(Some(1), 5)]);
    assert!(next.topic("b").is_none() && next.name_of(Uuid::from_u128(2)).is_none());
    assert!(next.errors.is_empty());
    assert_eq!(next.brokers().count(), 1);
}
