//! Incremental fetch sessions over the wire (rule 23).

use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::support::*;

/// An incremental fetch: session, epoch, and what has changed.
fn step(
    version: i16,
    session: i32,
    epoch: i32,
    changed: Vec<(&Topic, Vec<Place>)>,
) -> FetchRequest {
    let topics = changed
        .into_iter()
        .map(|(topic, places)| fetch_topic(version, topic, &places));
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_id(session)
        .with_session_epoch(epoch)
        .with_topics(topics.collect())
}

async fn call(connection: &mut Connection, version: i16, request: &FetchRequest) -> FetchResponse {
    connection.call(version, request).await.expect("an answer")
}

/// Partition and number of records of everything in an answer.
fn told(response: &FetchResponse) -> Vec<(i32, usize)> {
    fetched(response)
        .into_iter()
        .map(|data| (data.partition_index, values(data).len()))
        .collect()
}

#[tokio::test]
async fn rule_23_a_session_names_what_has_news_and_nothing_else() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "session", 3).await;
    for version in [7, 12, 13, 18] {
        let all = [(0, 0, 1 << 20), (1, 0, 1 << 20), (2, 0, 1 << 20)];
        let start = fetch_all(&mut connection, &topic).await;
        let at = |partition: usize| start[partition];
        let places: Vec<Place> = all
            .iter()
            .map(|(p, _, max)| (*p, at(*p as usize), *max))
            .collect();
        let full = call(
            &mut connection,
            version,
            &step(version, 0, 0, vec![(&topic, places)]),
        )
        .await;
        let id = full.session_id;
        assert_ne!(id, 0, "version {version}");
        assert_eq!(
            told(&full),
            [(0, 0), (1, 0), (2, 0)],
            "the first answer names all"
        );
        let quiet = call(&mut connection, version, &step(version, id, 1, vec![])).await;
        assert_eq!((told(&quiet), quiet.session_id), (vec![], id));
        produce(&mut connection, &topic, 1, batch(&["news"])).await;
        let news = call(&mut connection, version, &step(version, id, 2, vec![])).await;
        assert_eq!(told(&news), [(1, 1)]);
        // It is told again until the consumer moves on.
        let again = call(&mut connection, version, &step(version, id, 3, vec![])).await;
        assert_eq!(told(&again), [(1, 1)]);
        let moved = vec![(&topic, vec![(1, at(1) + 1, 1 << 20)])];
        let quiet = call(&mut connection, version, &step(version, id, 4, moved)).await;
        assert_eq!(told(&quiet), []);
        // Forgotten partitions have no news.
        produce(&mut connection, &topic, 0, batch(&["unheard"])).await;
        produce(&mut connection, &topic, 2, batch(&["heard"])).await;
        let forgotten = ForgottenTopic::default().with_partitions(vec![0]);
        let forgotten = if version >= 13 {
            forgotten.with_topic_id(topic.id)
        } else {
            forgotten.with_topic(topic.name.clone())
        };
        let request = step(version, id, 5, vec![]).with_forgotten_topics_data(vec![forgotten]);
        assert_eq!(
            told(&call(&mut connection, version, &request).await),
            [(2, 1)]
        );
        // Closed: the answer has no session, and the id is unknown from then on.
        let closing = call(&mut connection, version, &step(version, id, -1, vec![])).await;
        assert_eq!((closing.error_code, closing.session_id), (0, 0));
        let gone = call(&mut connection, version, &step(version, id, 6, vec![])).await;
        assert_eq!(gone.error_code, 70, "FETCH_SESSION_ID_NOT_FOUND");
    }
    server.stop().await;
}

/// The end of each partition.
async fn fetch_all(connection: &mut Connection, topic: &Topic) -> Vec<i64> {
    let places: Vec<Place> = (0..3).map(|partition| (partition, 0, 1 << 20)).collect();
    let answer = call(connection, 12, &fetch_request(12, topic, &places)).await;
    fetched(&answer)
        .into_iter()
        .map(|data| data.high_watermark)
        .collect()
}

#[tokio::test]
async fn rule_23_wrong_epochs_and_ids_are_refused_with_an_empty_answer() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "wrong", 1).await;
    let places = || vec![(&topic, vec![(0, 0, 100)])];
    let full = call(&mut connection, 12, &step(12, 0, 0, places())).await;
    let id = full.session_id;
    for (session, epoch, expected) in [
        (id, 2, 71), // INVALID_FETCH_SESSION_EPOCH
        (id, 9, 71),
        (id, 1, 0),
        (id, 1, 71),
        (id, 2, 0),
        (id ^ 1, 3, 70),
        (i32::MAX - 5, 1, 70),
        (-7, 1, 70),
    ] {
        let answer = call(&mut connection, 12, &step(12, session, epoch, vec![])).await;
        assert_eq!(
            answer.error_code, expected,
            "session {session} epoch {epoch}"
        );
        assert!(answer.responses.is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn rule_23_a_session_is_by_name_or_by_id_but_not_both() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "mixed", 1).await;
    for (first, second) in [(12, 13), (13, 12)] {
        let places = vec![(&topic, vec![(0, 0, 100)])];
        let full = call(&mut connection, first, &step(first, 0, 0, places)).await;
        let mixed = step(second, full.session_id, 1, vec![]);
        let answer = call(&mut connection, second, &mixed).await;
        assert_eq!(answer.error_code, 106, "FETCH_SESSION_TOPIC_ID_ERROR");
    }
    server.stop().await;
}

#[tokio::test]
async fn names_that_no_topic_can_have_are_answered_and_not_remembered() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "short", 1).await;
    let long = Topic {
        name: named(&"x".repeat(250)),
        id: topic.id,
    };
    let place = vec![(0, 0, 100)];
    let both = vec![(&topic, place.clone()), (&long, place.clone())];
    let answer = call(&mut connection, 12, &step(12, 0, 0, both)).await;
    let codes: Vec<_> = fetched(&answer)
        .iter()
        .map(|data| data.error_code)
        .collect();
    assert_eq!((answer.session_id, codes), (0, vec![0, 3]));
    // A session that is asked to remember one ends.
    let full = call(
        &mut connection,
        12,
        &step(12, 0, 0, vec![(&topic, place.clone())]),
    )
    .await;
    let session = full.session_id;
    assert_ne!(session, 0);
    let answer = call(
        &mut connection,
        12,
        &step(12, session, 1, vec![(&long, place)]),
    )
    .await;
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    assert_eq!(only_fetched(&answer).error_code, 3);
    let answer = call(&mut connection, 12, &step(12, session, 2, vec![])).await;
    assert_eq!(answer.error_code, 70, "FETCH_SESSION_ID_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn rule_23_without_slots_everything_is_answered_in_full() {
    let server = Server::start(&[("max.incremental.fetch.session.cache.slots", "0")]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "slotless", 1).await;
    let places = vec![(&topic, vec![(0, 0, 100)])];
    let answer = call(&mut connection, 12, &step(12, 0, 0, places)).await;
    assert_eq!((answer.session_id, told(&answer)), (0, vec![(0, 0)]));
    server.stop().await;
}

#[tokio::test]
async fn rule_16_an_incremental_fetch_without_news_waits_too() {
    let (server, clock) = Server::with_clock(&[]).await;
    let (mut consumer, mut producer) = (server.connect().await, server.connect().await);
    let topic = create(&mut producer, "patient", 1).await;
    let places = vec![(&topic, vec![(0, 0, 1 << 20)])];
    let full = call(&mut consumer, 12, &step(12, 0, 0, places)).await;
    let wait = step(12, full.session_id, 1, vec![]).with_max_wait_ms(500);
    park(&mut consumer, 12, &wait).await;
    let mut answer = Box::pin(consumer.receive::<FetchRequest>(12));
    clock.advance(499);
    alive(&mut producer).await;
    assert!(poll(&mut answer).await.is_none());
    clock.advance(1);
    assert_eq!(told(&answer.await.unwrap()), []);
    let wait = step(12, full.session_id, 2, vec![]).with_max_wait_ms(3_600_000);
    park(&mut consumer, 12, &wait).await;
    produce(&mut producer, &topic, 0, batch(&["news"])).await;
    let answer = consumer.receive::<FetchRequest>(12).await.unwrap();
    assert_eq!(told(&answer), [(0, 1)]);
    server.stop().await;
}

#[tokio::test]
async fn rule_24_a_session_serves_its_partitions_in_turn() {
    let server = Server::start(&[]).await;
    let mut consumers = [server.connect().await, server.connect().await];
    let topic = create(&mut consumers[0], "fair", 4).await;
    for partition in 0..4 {
        for _ in 0..5 {
            produce(&mut consumers[0], &topic, partition, batch(&["x"])).await;
        }
    }
    // Two consumers in lockstep, room for one batch per answer, and every partition has more.
    let places: Vec<Place> = (0..4).map(|partition| (partition, 0, 1 << 20)).collect();
    let mut sessions = [0; 2];
    let mut served = [[0; 4]; 2];
    for epoch in 0..=40 {
        let lockstep = consumers.iter_mut().zip(&mut sessions).zip(&mut served);
        for ((consumer, session), served) in lockstep {
            let changed = match epoch {
                0 => vec![(&topic, places.clone())],
                _ => vec![],
            };
            let request = step(12, *session, epoch, changed).with_max_bytes(1);
            let answer = call(consumer, 12, &request).await;
            *session = answer.session_id;
            // The first answer is in the client's order.
            for (partition, records) in told(&answer).into_iter().filter(|_| epoch > 0) {
                served[partition as usize] += records;
            }
        }
    }
    assert_eq!(served, [[10; 4]; 2]);
    server.stop().await;
}

#[tokio::test]
async fn rule_27_a_session_by_id_does_not_follow_a_name_to_another_topic() {
    use kafka_protocol::messages::DeleteTopicsRequest;
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    for version in [13, 18] {
        let old = create(&mut connection, "again", 1).await;
        produce(&mut connection, &old, 0, batch(&["old"])).await;
        let places = vec![(&old, vec![(0, 0, 1 << 20)])];
        let full = call(&mut connection, version, &step(version, 0, 0, places)).await;
        let id = full.session_id;
        assert_eq!(told(&full), [(0, 1)]);
        let delete = DeleteTopicsRequest::default()
            .with_topic_names(vec![old.name.clone()])
            .with_timeout_ms(30_000);
        connection.call(5, &delete).await.unwrap();
        let gone = call(&mut connection, version, &step(version, id, 1, vec![])).await;
        assert_eq!(only_fetched(&gone).error_code, 100, "UNKNOWN_TOPIC_ID");
        let new = create(&mut connection, "again", 1).await;
        produce(&mut connection, &new, 0, batch(&["new", "newer"])).await;
        let still = call(&mut connection, version, &step(version, id, 2, vec![])).await;
        let data = only_fetched(&still);
        assert_eq!(
            (data.error_code, values(data)),
            (100, vec![]),
            "in version {version}"
        );
        // It is told by its own id only.
        let changed = vec![(&new, vec![(0, 0, 1 << 20)])];
        let both = call(&mut connection, version, &step(version, id, 3, changed)).await;
        let mut codes: Vec<_> = fetched(&both)
            .into_iter()
            .map(|data| (data.error_code, values(data).len()))
            .collect();
        codes.sort_unstable();
        assert_eq!(codes, [(0, 2), (100, 0)]);
        let delete = DeleteTopicsRequest::default()
            .with_topic_names(vec![new.name.clone()])
            .with_timeout_ms(30_000);
        connection.call(5, &delete).await.unwrap();
    }
    server.stop().await;
}
