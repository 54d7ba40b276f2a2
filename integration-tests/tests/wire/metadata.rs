//! Metadata: what is known, what is made on demand, what is refused.

use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::support::*;

fn by_name(names: &[&str]) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(named(name))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn by_id(ids: &[Uuid]) -> MetadataRequest {
    let topics = ids.iter().map(|id| {
        MetadataRequestTopic::default()
            .with_name(None)
            .with_topic_id(*id)
    });
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

async fn ask(
    connection: &mut Connection,
    version: i16,
    request: &MetadataRequest,
) -> MetadataResponse {
    connection.call(version, request).await.expect("an answer")
}

/// Error and number of partitions per topic.
fn told(response: &MetadataResponse) -> Vec<(i16, usize)> {
    let topics = response.topics.iter();
    topics
        .map(|topic| (topic.error_code, topic.partitions.len()))
        .collect()
}

#[tokio::test]
async fn rule_64_a_missing_topic_is_made_only_if_both_sides_allow_it() {
    for allowed in ["true", "false"] {
        let config = [
            ("auto.create.topics.enable", allowed),
            ("num.partitions", "3"),
        ];
        let server = Server::start(&config).await;
        let mut connection = server.connect().await;
        for version in 0..=13 {
            for wanted in [true, false] {
                if version < 4 && !wanted {
                    continue; // These versions cannot say no.
                }
                let name = format!("topic-{version}-{wanted}");
                let request = by_name(&[&name]).with_allow_auto_topic_creation(wanted);
                let made = allowed == "true" && wanted;
                let expected = if made { (0, 3) } else { (3, 0) };
                for _ in 0..2 {
                    let answer = ask(&mut connection, version, &request).await;
                    assert_eq!(told(&answer), [expected], "{name}, broker: {allowed}");
                }
                if made {
                    let topic = Topic {
                        name: named(&name),
                        id: Uuid::nil(),
                    };
                    produce(&mut connection, &topic, 2, batch(&["at once"])).await;
                }
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn rule_63_bad_names_are_invalid_everywhere_and_never_made() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let (long, longest) = ("x".repeat(250), "x".repeat(249));
    let bad = [
        "",
        ".",
        "..",
        "a b",
        "a/b",
        "a\0b",
        "caf\u{e9}",
        "a,b",
        "a:b",
        &long,
    ];
    for name in bad {
        for version in [1, 9, 12] {
            let answer = ask(&mut connection, version, &by_name(&[name])).await;
            assert_eq!(told(&answer), [(17, 0)], "Metadata {name:?} v{version}");
        }
        let request = create_request(vec![creatable(name, 1, &[])]);
        let answer = connection.call(7, &request).await.unwrap();
        assert_eq!(answer.topics[0].error_code, 17, "CreateTopics {name:?}");
    }
    create(&mut connection, &longest, 1).await;
    create(&mut connection, "A-Z_a-z.0", 1).await;
    let all = MetadataRequest::default().with_topics(None);
    assert_eq!(ask(&mut connection, 12, &all).await.topics.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn rule_63_dots_and_underscores_collide() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    create(&mut connection, "a.b", 1).await;
    let made = async |connection: &mut Connection, names: &[&str]| -> Vec<i16> {
        let topics = names.iter().map(|name| creatable(name, 1, &[]));
        let request: CreateTopicsRequest = create_request(topics.collect());
        let answer = connection.call(7, &request).await.unwrap();
        answer.topics.iter().map(|topic| topic.error_code).collect()
    };
    assert_eq!(
        made(&mut connection, &["a_b"]).await,
        [17],
        "with one that is there"
    );
    assert_eq!(made(&mut connection, &["a.b"]).await, [36], "itself");
    assert_eq!(made(&mut connection, &["x.y_z", "a-b"]).await, [0, 0]);
    assert_eq!(made(&mut connection, &["x_y.z"]).await, [17]);
    // A topic made on demand collides as well, and the client hears of it.
    let answer = ask(&mut connection, 12, &by_name(&["a_b"])).await;
    assert_ne!(told(&answer)[0].0, 0);
    server.stop().await;
}

#[tokio::test]
async fn topics_named_twice_are_answered_once() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "once", 5).await;
    let answer = ask(
        &mut connection,
        12,
        &by_name(&["once", "new", "once", "new"]),
    )
    .await;
    assert_eq!(told(&answer), [(0, 5), (0, 1)]);
    let strange = Uuid::from_u128(5);
    let answer = ask(
        &mut connection,
        12,
        &by_id(&[topic.id, strange, topic.id, strange]),
    )
    .await;
    assert_eq!(told(&answer), [(0, 5), (100, 0)]);
    let names = vec!["once"; 1_000];
    assert_eq!(
        ask(&mut connection, 9, &by_name(&names)).await.topics.len(),
        1
    );
    server.stop().await;
}

#[tokio::test]
async fn topics_are_found_by_id_and_unknown_ids_are_told() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "by-id", 2).await;
    for version in [12, 13] {
        let answer = ask(&mut connection, version, &by_id(&[topic.id])).await;
        let found = &answer.topics[0];
        assert_eq!(
            (found.error_code, found.name.clone()),
            (0, Some(topic.name.clone()))
        );
        assert_eq!(found.topic_id, topic.id);
        let answer = ask(&mut connection, version, &by_id(&[Uuid::from_u128(77)])).await;
        assert_eq!(told(&answer), [(100, 0)]);
    }
    server.stop().await;
}

/// They have room for ids and null names, which Kafka refuses in them to this day.
#[tokio::test]
async fn versions_10_and_11_find_topics_by_name_only() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "named", 2).await;
    for version in [10, 11] {
        let mut request = by_name(&["named"]);
        assert_eq!(
            told(&ask(&mut connection, version, &request).await),
            [(0, 2)]
        );
        // One such topic refuses them all, and nothing is told of the cluster.
        for wrong in [by_id(&[topic.id]), by_id(&[Uuid::nil()])] {
            request = by_name(&["named"]);
            let topics = request.topics.as_mut().expect("topics");
            topics.extend(wrong.topics.into_iter().flatten());
            let answer = ask(&mut connection, version, &request).await;
            assert_eq!(told(&answer), [(42, 0), (42, 0)], "version {version}");
            assert_eq!(
                answer.topics[1].name.as_ref().map(|name| &***name),
                Some("")
            );
            assert!(answer.brokers.is_empty());
            assert_eq!((answer.controller_id.0, answer.cluster_id), (-1, None));
        }
        let mut with_id = by_name(&["named"]);
        with_id.topics.as_mut().expect("topics")[0].topic_id = topic.id;
        assert_eq!(
            told(&ask(&mut connection, version, &with_id).await),
            [(42, 0)]
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn no_topics_and_all_topics_differ_by_version() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    create(&mut connection, "one", 1).await;
    for version in 0..=13 {
        let none = MetadataRequest::default().with_topics(Some(Vec::new()));
        let answer = ask(&mut connection, version, &none).await;
        assert_eq!(
            answer.topics.len(),
            usize::from(version == 0),
            "version {version}"
        );
        assert_eq!(answer.brokers.len(), 1);
        if version >= 1 {
            let all = MetadataRequest::default().with_topics(None);
            let answer = ask(&mut connection, version, &all).await;
            assert_eq!(answer.topics.len(), 1, "version {version}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_address_told_is_the_one_that_was_bound() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let answer = ask(&mut connection, 12, &MetadataRequest::default()).await;
    let broker = &answer.brokers[0];
    assert_eq!(
        format!("{}:{}", &*broker.host, broker.port),
        server.address()
    );
    assert_eq!(answer.controller_id, broker.node_id);
    server.stop().await;
}
