use proptest::prelude::*;

use super::*;

const FINGERPRINT: u64 = 7;

fn assignor() -> TaskAssignor {
    TaskAssignor {
        sources: vec![vec!["a".into(), "b".into()], vec!["c".into()]],
        fingerprint: FINGERPRINT,
        instance: 1,
        on_disk: Arc::default(),
        stranger: Arc::default(),
        gone: Arc::default(),
    }
}

fn topics(a: i32, b: i32, c: i32) -> BTreeMap<Arc<str>, i32> {
    [("a".into(), a), ("b".into(), b), ("c".into(), c)].into()
}

fn member(assignor: &TaskAssignor, owned: &[TopicPartition], generation: i32) -> Member {
    Member {
        topics: vec!["a".into(), "b".into(), "c".into()],
        owned: owned.to_vec(),
        generation,
        user_data: assignor.user_data(&[], generation),
        instance_id: None,
    }
}

#[test]
fn a_task_has_all_its_partitions() {
    let assignor = assignor();
    let members = [("m1", &[][..]), ("m2", &[])]
        .map(|(id, owned)| (id.to_owned(), member(&assignor, owned, -1)))
        .into();
    let assignment = assignor.assign(&topics(2, 2, 2), &members);
    for mine in assignment.values() {
        assert_eq!(mine.len(), 3);
        let of = |topic: &str| {
            mine.iter()
                .find(|p| &*p.topic == topic)
                .map(|p| p.partition)
        };
        assert_eq!(of("a"), of("b"));
    }
    assert_eq!(*assignor.stranger.lock(), None);
}

#[test]
fn another_topology_gets_nothing_and_is_noticed() {
    let assignor = assignor();
    let other = TaskAssignor {
        fingerprint: 8,
        ..self::assignor()
    };
    let members = BTreeMap::from([
        ("m1".to_owned(), member(&assignor, &[], -1)),
        ("m2".to_owned(), member(&other, &[], -1)),
        ("m3".to_owned(), Member::default()),
    ]);
    let assignment = assignor.assign(&topics(2, 2, 2), &members);
    assert_eq!(assignment["m1"].len(), 6);
    assert!(assignment["m2"].is_empty() && assignment["m3"].is_empty());
    assert!(assignor.stranger.lock().is_some());
}

#[test]
fn a_topic_that_is_gone_is_noticed() {
    let assignor = assignor();
    let members = BTreeMap::from([("m1".to_owned(), member(&assignor, &[], -1))]);
    let mut topics = topics(2, 2, 2);
    topics.remove("b");
    assignor.assign(&topics, &members);
    assert_eq!(assignor.gone.lock().as_deref(), Some("b"));
}

#[test]
fn tasks_go_where_their_state_is() {
    let assignor = assignor();
    let with_state = self::assignor();
    for partition in 0..2 {
        let task = TaskId {
            subtopology: 0,
            partition,
        };
        with_state.on_disk.lock().insert(task);
    }
    let members = BTreeMap::from([
        ("m1".to_owned(), member(&assignor, &[], -1)),
        ("m2".to_owned(), member(&with_state, &[], -1)),
    ]);
    let assignment = assignor.assign(&topics(2, 2, 2), &members);
    assert!(assignment["m2"].iter().all(|p| &*p.topic != "c"));
}

proptest! {
    /// Members come and go: rounds end with every task at one member, evenly, and nobody is ever
    /// given what another one has not let go of.
    #[test]
    fn rounds_come_to_an_end(counts in (1_i32..6, 1_i32..6, 1_i32..6), changes in proptest::collection::vec((any::<bool>(), 0_usize..5), 1..12)) {
        let assignor = assignor();
        let partitions = topics(counts.0, counts.1, counts.2);
        let mut owned: BTreeMap<String, Vec<TopicPartition>> = BTreeMap::new();
        let mut generation = 0;
        for (joins, number) in changes {
            let id = format!("m{number}");
            if joins {
                owned.entry(id).or_default();
            } else {
                owned.remove(&id);
            }
            if owned.is_empty() {
                continue;
            }
            for round in 0.. {
                prop_assert!(round < 3, "it does not come to an end");
                let members: BTreeMap<String, Member> = owned.iter()
                    .map(|(id, mine)| (id.clone(), member(&assignor, mine, generation)))
                    .collect();
                generation += 1;
                let assignment = assignor.assign(&partitions, &members);
                let mut settled = true;
                for (id, mine) in &assignment {
                    for partition in mine {
                        let others = owned.iter().filter(|(other, _)| *other != id);
                        for (_, theirs) in others {
                            prop_assert!(!theirs.contains(partition));
                        }
                    }
                    let kept = owned[id].iter().filter(|p| mine.contains(p)).count();
                    settled &= kept == owned[id].len();
                }
                owned = assignment;
                if settled {
                    break;
                }
            }
            let mut all: Vec<_> = owned.values().flatten().cloned().collect();
            all.sort();
            let total = all.len();
            all.dedup();
            prop_assert_eq!(all.len(), total);
            prop_assert_eq!(total as i32, counts.0 + counts.1 + counts.2);
        }
    }

    #[test]
    fn user_data_is_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse(Some(&data.into()));
    }
}
