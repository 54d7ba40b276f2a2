//! Topics: made, listed, described, enlarged, deleted.

use std::path::Path;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use integration_tests::harness::embedded;
use tidemark_broker::environment::Environment;
use tidemark_client::admin::{Mode, NewPartitions, NewTopic};
use tidemark_client::{Admin, Client, ClientError, Uuid};
use tidemark_protocol::ErrorCode;

use super::{admin, code, codes, make, refusal, says, settled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_come_grow_and_go() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let name = unique("topic");
        let wanted = || {
            NewTopic::new(&name)
                .partitions(3)
                .config("retention.ms", "777")
        };
        let checked = admin.create_topics([wanted()], Mode::Validate).await;
        checked.unwrap().all().unwrap();
        assert!(!names(&admin).await.contains(&name), "only validated");
        let made = admin.create_topics([wanted()], Mode::Apply).await.unwrap();
        let made = made.all().unwrap().remove(&name).unwrap();
        assert_eq!(
            (made.partitions, made.replication_factor),
            (Some(3), Some(1))
        );
        let configs = made.configs.unwrap();
        let retention = configs.iter().find(|entry| entry.name == "retention.ms");
        assert_eq!(retention.unwrap().value.as_deref(), Some("777"));
        let described = settled(async || {
            let mut described = admin.describe_topics([&*name]).await.unwrap();
            described.remove(&name).unwrap().ok()
        })
        .await;
        assert_eq!((described.id, described.internal), (made.id, false));
        assert_eq!(described.partitions.len(), 3);
        for (index, partition) in (0..).zip(&described.partitions) {
            assert_eq!(partition.index, index);
            let leader = partition.leader.unwrap();
            assert_eq!(
                (&partition.replicas, &partition.isr),
                (&vec![leader], &vec![leader])
            );
            assert_eq!(partition.error, ErrorCode::None);
            assert!(partition.leader_epoch >= 0);
        }
        let listed = admin.list_topics().await.unwrap();
        let listed = listed.iter().find(|topic| topic.name == name).unwrap();
        assert_eq!(
            (listed.id, listed.partitions, listed.replication_factor),
            (made.id, 3, 1)
        );
        grow(&admin, &name).await;
        admin.delete_topics([&*name]).await.unwrap().all().unwrap();
        settled(async || (!names(&admin).await.contains(&name)).then_some(())).await;
    })
    .await;
}

async fn names(admin: &Admin) -> Vec<String> {
    let topics = admin.list_topics().await.unwrap();
    topics.into_iter().map(|topic| topic.name).collect()
}

async fn grow(admin: &Admin, name: &str) {
    let to = |total| [(name, NewPartitions::increase_to(total))];
    let checked = admin
        .create_partitions(to(5), Mode::Validate)
        .await
        .unwrap();
    checked.all().unwrap();
    let fewer = admin.create_partitions(to(2), Mode::Apply).await.unwrap();
    let fewer = refusal(fewer);
    assert_eq!(code(&fewer), ErrorCode::InvalidPartitions);
    says(&fewer, &[name, "3"]);
    let nowhere = NewPartitions::increase_to(4).assignment(vec![vec![999]]);
    let nowhere = admin
        .create_partitions([(name, nowhere)], Mode::Apply)
        .await;
    assert_eq!(
        code(&refusal(nowhere.unwrap())),
        ErrorCode::InvalidReplicaAssignment
    );
    admin
        .create_partitions(to(5), Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    settled(async || {
        let described = admin.describe_topics([name]).await.unwrap().all().unwrap();
        (described[name].partitions.len() == 5).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_topic_has_its_own_outcome() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let [there, new, missing] = ["there", "new", "missing"].map(unique);
        make(&admin, &there, 1).await;
        let wanted = [
            NewTopic::new(&there),
            NewTopic::new(&new),
            NewTopic::new("no/name"),
            NewTopic::new(unique("many")).partitions(0),
            NewTopic::new(unique("wide")).replication_factor(2),
            NewTopic::new(unique("odd")).config("retention.ms", "soon"),
            NewTopic::new(unique("unknown")).config("retention.hours", "1"),
        ];
        let many = wanted[3].name().to_owned();
        let made = admin.create_topics(wanted, Mode::Apply).await.unwrap();
        for (name, outcome) in made {
            let expected = match name.split('-').next().unwrap() {
                "there" => ErrorCode::TopicAlreadyExists,
                "new" => ErrorCode::None,
                "no/name" => ErrorCode::InvalidTopicException,
                "many" => ErrorCode::InvalidPartitions,
                "wide" => ErrorCode::InvalidReplicationFactor,
                _ => ErrorCode::InvalidConfig,
            };
            match outcome {
                Ok(_) => assert_eq!(expected, ErrorCode::None, "{name}"),
                Err(error) => {
                    assert_eq!(code(&error), expected, "{name}: {error}");
                    says(&error, &["creating topic", &name]);
                    match name.split('-').next().unwrap() {
                        "odd" => says(&error, &["retention.ms", "soon"]),
                        "unknown" => says(&error, &["retention.hours"]),
                        _ => {}
                    }
                }
            }
        }
        let wanted = [&*there, &*missing];
        let described = admin.describe_topics(wanted).await.unwrap();
        let unknown = described.get(&missing).unwrap();
        assert!(
            matches!(unknown, Err(ClientError::UnknownTopic { topic }) if *topic == missing),
            "{unknown:?}"
        );
        assert!(described.get(&there).unwrap().is_ok());
        let more = [(&*missing, NewPartitions::increase_to(2))];
        let more = admin.create_partitions(more, Mode::Apply).await.unwrap();
        let unknown = ErrorCode::UnknownTopicOrPartition;
        assert_eq!(codes(more), [(missing.clone(), unknown)]);
        let deleted = admin.delete_topics([&*there, &*missing, &*new]).await;
        let mut expected = [
            (missing.clone(), unknown),
            (there.clone(), ErrorCode::None),
            (new.clone(), ErrorCode::None),
        ];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(codes(deleted.unwrap()), expected);
        assert!(!names(&admin).await.contains(&many));
        let twice = [NewTopic::new("same"), NewTopic::new("same")];
        let error = admin.create_topics(twice, Mode::Apply).await.unwrap_err();
        says(&error, &["topics", "same", "twice"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_go_by_their_ids() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let [again, other] = ["again", "other"].map(unique);
        make(&admin, &again, 2).await;
        make(&admin, &other, 1).await;
        let by_name = admin.describe_topics([&*again, &*other]).await.unwrap();
        let by_name = by_name.all().unwrap();
        let (old, other_id) = (by_name[&again].id, by_name[&other].id);
        let missing = Uuid::from_u128(7);
        let described = admin.describe_topics_by_id([old, other_id, missing]).await;
        let mut described = described.unwrap();
        assert_eq!(described.len(), 3);
        let error = described.remove(&missing).unwrap().unwrap_err();
        assert_eq!(code(&error), ErrorCode::UnknownTopicId);
        says(&error, &[&missing.to_string()]);
        for (id, found) in described.all().unwrap() {
            let mut expected = by_name[&found.name].clone();
            assert_eq!(id, expected.id);
            // Metadata does not tell them.
            for partition in &mut expected.partitions {
                partition.eligible_leaders = None;
            }
            assert_eq!(found, expected);
        }

        let deleted = admin.delete_topics_by_id([old, missing]).await.unwrap();
        assert!(deleted.get(&old).unwrap().is_ok());
        let error = deleted.get(&missing).unwrap().as_ref().unwrap_err();
        assert_eq!(code(error), ErrorCode::UnknownTopicId);
        says(error, &[&missing.to_string()]);
        settled(async || (!names(&admin).await.contains(&again)).then_some(())).await;
        // The new topic of the same name is another one.
        make(&admin, &again, 1).await;
        let error = refusal(admin.describe_topics_by_id([old]).await.unwrap());
        assert_eq!(code(&error), ErrorCode::UnknownTopicId);
        let error = refusal(admin.delete_topics_by_id([old]).await.unwrap());
        assert_eq!(code(&error), ErrorCode::UnknownTopicId);
        let there = names(&admin).await;
        assert!(there.contains(&again) && there.contains(&other));

        let error = admin.delete_topics_by_id([old, old]).await.unwrap_err();
        says(&error, &["ids", "twice"]);
        let error = admin.describe_topics_by_id([Uuid::nil()]).await;
        says(&error.unwrap_err(), &["ids", "no topic has this id"]);
        assert!(admin.delete_topics_by_id([]).await.unwrap().is_empty());
    })
    .await;
}

/// More than one page, and topics that are torn by its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptions_come_in_pages() {
    let broker = embedded::start(Path::new("/data"), Environment::in_memory(), &[]).await;
    let admin = Client::connect(&broker.bootstrap()).unwrap().admin();
    let names = ["a", "b", "c"];
    let wanted = names.map(|name| NewTopic::new(name).partitions(900));
    admin
        .create_topics(wanted, Mode::Apply)
        .await
        .unwrap()
        .all()
        .unwrap();
    let wanted = names.into_iter().chain(["missing"]);
    let described = admin.describe_topics(wanted).await.unwrap();
    assert_eq!(described.len(), 4);
    for (name, outcome) in described {
        match outcome {
            Ok(topic) => {
                let found: Vec<i32> = topic.partitions.iter().map(|p| p.index).collect();
                assert!(found.into_iter().eq(0..900), "{name}");
            }
            Err(error) => assert_eq!(
                (&*name, code(&error)),
                ("missing", ErrorCode::UnknownTopicOrPartition)
            ),
        }
    }
    // An orderly end would sync each of the partitions.
    broker.kill().await;
}
