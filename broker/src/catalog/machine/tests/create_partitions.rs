use super::*;
use crate::catalog::records::{PartitionChangeRecord, Record};

fn widened(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> NewPartitions {
    let assignments = assignments.map(|all| all.iter().map(|brokers| brokers.to_vec()).collect());
    NewPartitions {
        name: name.to_owned(),
        count,
        assignments,
    }
}

fn ask(catalog: &mut Catalog, topics: Vec<NewPartitions>, validate_only: bool) -> Reply {
    catalog.run(Command::CreatePartitions(CreatePartitions {
        topics,
        validate_only,
    }))
}

fn results(reply: Reply) -> Vec<CreatePartitionsResult> {
    match reply {
        Reply::PartitionsCreated(results) => results,
        other => panic!("{other:?}"),
    }
}

/// Checks a request on a catalog with the topic `t` of two partitions.
#[track_caller]
fn check(request: NewPartitions, expected: Option<(ErrorCode, &str)>) {
    let mut catalog = Catalog::new();
    catalog.create_one(sized("t", 2));
    let wanted = if expected.is_none() {
        request.count as usize
    } else {
        2
    };
    let validated = ask(&mut catalog, vec![request.clone()], true);
    assert_eq!(catalog.topic("t").partitions.len(), 2, "only validated");
    let reply = ask(&mut catalog, vec![request], false);
    assert_eq!(validated, reply);
    assert_eq!(told(&results(reply)[0].result), expected);
    assert_eq!(catalog.topic("t").partitions.len(), wanted);
    assert_eq!(catalog.image().partition_count(), wanted);
    assert_eq!(catalog.restarted().image(), catalog.image());
}

#[test]
fn partitions_are_added() {
    check(widened("t", 3, None), None);
    check(widened("t", 4, Some(&[&[NODE], &[NODE]])), None);
    check(widened("t", 10_002, None), None);
}

#[test]
fn refusals_have_kafkas_codes_and_texts() {
    let check = |request, code: ErrorCode, text: &str| check(request, Some((code, text)));
    check(
        widened("missing", 3, None),
        UnknownTopicOrPartition,
        "(none)",
    );
    check(
        widened("t", 2, None),
        InvalidPartitions,
        "Topic already has 2 partition(s).",
    );
    for count in [1, 0, -1, i32::MIN] {
        let text =
            format!("The topic t currently has 2 partition(s); {count} would not be an increase.");
        check(widened("t", count, None), InvalidPartitions, &text);
    }
    check(
        widened("t", 4, Some(&[&[NODE]])),
        InvalidReplicaAssignment,
        "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
    );
    check(
        widened("t", 3, Some(&[&[7]])),
        InvalidReplicaAssignment,
        "The manual partition assignment includes broker 7, but no such broker is registered.",
    );
    check(
        widened("t", 3, Some(&[&[]])),
        InvalidReplicaAssignment,
        "The manual partition assignment includes an empty replica list.",
    );
    let text = "Unable to perform excessively large batch operation.";
    check(widened("t", 10_003, None), PolicyViolation, text);
    check(widened("t", i32::MAX, None), PolicyViolation, text);
}

#[test]
fn each_topic_of_a_request_has_its_own_result() {
    let mut catalog = Catalog::new();
    catalog.create(["a", "b", "c"].map(|name| sized(name, 1)).into());
    let topics = vec![
        widened("a", 5, None),
        widened("b", 1, None),
        widened("c", 5, None),
        widened("c", 6, None),
    ];
    let results = results(ask(&mut catalog, topics, false));
    let told: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_str(), told(&result.result)))
        .collect();
    let expected = [
        ("c", Some((InvalidRequest, "Duplicate topic name."))),
        ("a", None),
        (
            "b",
            Some((InvalidPartitions, "Topic already has 1 partition(s).")),
        ),
    ];
    assert_eq!(told, expected);
    let sizes = ["a", "b", "c"].map(|name| catalog.topic(name).partitions.len());
    assert_eq!(sizes, [5, 1, 1]);
}

#[test]
fn internal_topics_keep_their_number_of_partitions() {
    for name in [
        "__consumer_offsets",
        "__transaction_state",
        "__share_group_state",
    ] {
        let mut catalog = Catalog::new();
        catalog.create_one(sized(name, 2));
        let before = catalog.log.len();
        let text = format!("{name} keeps its number of partitions.");
        let expected = Some((InvalidPartitions, text.as_str()));
        for (count, assignments) in [(3, None), (3, Some(&[&[NODE][..]][..]))] {
            let asked = vec![widened(name, count, assignments)];
            let results = results(ask(&mut catalog, asked, false));
            assert_eq!(told(&results[0].result), expected);
        }
        let same = results(ask(&mut catalog, vec![widened(name, 2, None)], false));
        let text = "Topic already has 2 partition(s).";
        assert_eq!(told(&same[0].result), Some((InvalidPartitions, text)));
        assert_eq!(catalog.log.len(), before);
    }
}

#[test]
fn a_topic_that_once_spanned_nodes_cannot_be_widened() {
    let mut catalog = Catalog::new();
    let id = catalog.create_one(sized("t", 1));
    let replicas = Some(vec![NODE, 2, 3]);
    catalog.write_record(Record::from(PartitionChangeRecord {
        replicas,
        ..PartitionChangeRecord::unchanged(id, 0)
    }));
    let results = results(ask(&mut catalog, vec![widened("t", 2, None)], false));
    let text = "The target replication factor of 3 cannot be reached because only 1 broker(s) are \
                registered.";
    let expected = Some((ErrorCode::InvalidReplicationFactor, text));
    assert_eq!(told(&results[0].result), expected);
}
