use super::*;

/// What is told for a selector: name, id, code and text.
type Told = (
    Option<&'static str>,
    Uuid,
    Option<(ErrorCode, &'static str)>,
);

const NIL: Uuid = Uuid::nil();

/// Checks a request on a catalog with the topics `a` (1001) and `b` (1002).
#[track_caller]
fn check(topics: Vec<TopicSelector>, expected: &[Told], left: &[&str]) {
    let mut catalog = Catalog::new();
    catalog.create(vec![sized("a", 2), new_topic("b")]);
    let results = catalog.delete(topics);
    let told: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_deref(), result.id, told(&result.result)))
        .collect();
    assert_eq!(told, expected);
    let names: Vec<&str> = catalog.image().topics().map(|topic| &*topic.name).collect();
    assert_eq!(names, left);
    assert_eq!(catalog.restarted().image(), catalog.image());
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let [a, b] = [1001, 1002].map(Uuid::from_u128);
    check(vec![by_name("a")], &[(Some("a"), a, None)], &["b"]);
    check(vec![by_id(b)], &[(Some("b"), b, None)], &["a"]);
    check(
        vec![by_name("a"), by_id(b)],
        &[(Some("b"), b, None), (Some("a"), a, None)],
        &[],
    );
}

#[test]
fn refusals_have_kafkas_codes_and_texts() {
    let [a, unknown] = [1001, 77].map(Uuid::from_u128);
    let all = &["a", "b"];
    let text = "This server does not host this topic-partition.";
    check(
        vec![by_name("c")],
        &[(Some("c"), NIL, Some((UnknownTopicOrPartition, text)))],
        all,
    );
    let text = "This server does not host this topic ID.";
    check(
        vec![by_id(unknown)],
        &[(None, unknown, Some((UnknownTopicId, text)))],
        all,
    );
    let text = "Neither topic name nor id were specified.";
    check(
        vec![by_id(NIL)],
        &[(None, NIL, Some((InvalidRequest, text)))],
        all,
    );
    let text = "You may not specify both topic name and topic id.";
    let both = TopicSelector {
        name: Some("a".to_owned()),
        id: a,
    };
    check(
        vec![both],
        &[(Some("a"), a, Some((InvalidRequest, text)))],
        all,
    );
    let text = "Duplicate topic name.";
    check(
        vec![by_name("a"), by_name("b"), by_name("a"), by_name("a")],
        &[
            (Some("a"), NIL, Some((InvalidRequest, text))),
            (Some("b"), Uuid::from_u128(1002), None),
        ],
        &["a"],
    );
    let text = "Duplicate topic id.";
    check(
        vec![by_id(a), by_id(a)],
        &[(None, a, Some((InvalidRequest, text)))],
        all,
    );
    let text = "The provided topic name maps to an ID that was already supplied.";
    let told = (Some("a"), a, Some((InvalidRequest, text)));
    check(vec![by_id(a), by_name("a")], &[told], all);
    check(
        vec![by_id(a), by_name("a"), by_id(a)],
        &[
            (None, a, Some((InvalidRequest, "Duplicate topic id."))),
            told,
        ],
        all,
    );
}

#[test]
fn deletion_can_be_switched_off() {
    let mut catalog = Catalog::new();
    catalog.create_one(new_topic("a"));
    let topics = vec![by_name("a"), by_name("missing")];
    let command = DeleteTopics {
        topics,
        deletion_enabled: false,
    };
    let Reply::TopicsDeleted(results) = catalog.run(Command::DeleteTopics(command)) else {
        panic!("of another kind");
    };
    assert_eq!(results.len(), 2);
    for result in results {
        assert_eq!(
            told(&result.result),
            Some((ErrorCode::TopicDeletionDisabled, "(none)"))
        );
    }
    catalog.topic("a");
}

#[test]
fn rule_27_a_topic_created_again_has_a_new_id_and_nothing_of_the_old() {
    let mut catalog = Catalog::new();
    let topic = configured("t", &[("retention.ms", Some("5"))]);
    let old = catalog.create_one(NewTopic {
        num_partitions: 4,
        ..topic
    });
    catalog.delete(vec![by_name("t")]);
    assert_eq!(catalog.image().topic("t"), None);
    assert_eq!(catalog.image().partition_count(), 0);
    let new = catalog.create_one(sized("t", 1));
    assert_ne!(old, new);
    for catalog in [&catalog, &catalog.restarted()] {
        assert_eq!(catalog.image().topic_by_id(old), None);
        let topic = catalog.topic("t");
        assert_eq!((topic.id, topic.partitions.len()), (new, 1));
        assert!(topic.configs.is_empty());
    }
}
