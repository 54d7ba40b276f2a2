use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn topics(list: &[(&str, i32)]) -> BTreeMap<Arc<str>, i32> {
    list.iter()
        .map(|(topic, count)| (Arc::from(*topic), *count))
        .collect()
}

fn member(topics: &[&str]) -> Member {
    Member {
        topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
        generation: -1,
        ..Member::default()
    }
}

fn group(members: &[(&str, &[&str])]) -> BTreeMap<String, Member> {
    members
        .iter()
        .map(|(id, topics)| ((*id).to_owned(), member(topics)))
        .collect()
}

#[track_caller]
fn check(
    assignor: &dyn Assignor,
    partitions: &[(&str, i32)],
    members: &BTreeMap<String, Member>,
    expected: &[(&str, &str)],
) {
    let found = assignor.assign(&topics(partitions), members);
    let shown: Vec<(String, String)> = found
        .into_iter()
        .map(|(id, partitions)| {
            let list: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            (id, list.join(" "))
        })
        .collect();
    let shown: Vec<(&str, &str)> = shown.iter().map(|(id, list)| (&**id, &**list)).collect();
    assert_eq!(shown, expected);
}

#[test]
fn range_gives_neighbours_topic_by_topic() {
    let both: &[&str] = &["a", "b"];
    let two = group(&[("m1", both), ("m2", both)]);
    check(
        &Range,
        &[("a", 3), ("b", 3)],
        &two,
        &[("m1", "a-0 a-1 b-0 b-1"), ("m2", "a-2 b-2")],
    );
    let uneven = group(&[("m1", &["a"]), ("m2", both), ("m3", both)]);
    check(
        &Range,
        &[("a", 4), ("b", 1)],
        &uneven,
        &[("m1", "a-0 a-1"), ("m2", "a-2 b-0"), ("m3", "a-3")],
    );
    check(&Range, &[], &two, &[("m1", ""), ("m2", "")]);
}

#[test]
fn static_members_come_first_by_their_names() {
    let mut members = group(&[("m1", &["a"]), ("m2", &["a"]), ("m3", &["a"])]);
    members.get_mut("m3").unwrap().instance_id = Some("x".to_owned());
    members.get_mut("m2").unwrap().instance_id = Some("y".to_owned());
    check(
        &Range,
        &[("a", 3)],
        &members,
        &[("m1", "a-2"), ("m2", "a-1"), ("m3", "a-0")],
    );
    check(
        &RoundRobin,
        &[("a", 3)],
        &members,
        &[("m1", "a-2"), ("m2", "a-1"), ("m3", "a-0")],
    );
}

#[test]
fn round_robin_takes_turns_and_passes_over_who_does_not_read() {
    // The example of Kafka's own documentation.
    let members = group(&[
        ("C0", &["t0"]),
        ("C1", &["t0", "t1"]),
        ("C2", &["t0", "t1", "t2"]),
    ]);
    check(
        &RoundRobin,
        &[("t0", 1), ("t1", 2), ("t2", 3)],
        &members,
        &[
            ("C0", "t0-0"),
            ("C1", "t1-0"),
            ("C2", "t1-1 t2-0 t2-1 t2-2"),
        ],
    );
}

/// Has the members own what they were given, as of a generation.
fn remember(members: &mut BTreeMap<String, Member>, assignment: &Assignment, generation: i32) {
    for (id, member) in members {
        member.owned = assignment.get(id).cloned().unwrap_or_default();
        member.generation = generation;
        member.user_data = Sticky.user_data(&member.owned, generation);
    }
}

#[test]
fn sticky_leaves_what_it_can() {
    let mut members = group(&[("m1", &["a"]), ("m2", &["a"]), ("m3", &["a"])]);
    let partitions = topics(&[("a", 6)]);
    let first = Sticky.assign(&partitions, &members);
    assert!(first.values().all(|mine| mine.len() == 2), "{first:?}");
    remember(&mut members, &first, 1);
    assert_eq!(Sticky.assign(&partitions, &members), first);
    // One leaves: the others keep theirs and share the rest.
    members.remove("m2");
    let second = Sticky.assign(&partitions, &members);
    for id in ["m1", "m3"] {
        assert!(
            first[id].iter().all(|p| second[id].contains(p)),
            "{second:?}"
        );
        assert_eq!(second[id].len(), 3);
    }
}

#[test]
fn the_later_generation_is_right_and_of_equals_nobody() {
    let mut members = group(&[("m1", &["a"]), ("m2", &["a"])]);
    let owned = vec![TopicPartition::new("a", 0)];
    for (id, generation) in [("m1", 4), ("m2", 5)] {
        let member = members.get_mut(id).unwrap();
        member.owned = owned.clone();
        member.generation = generation;
    }
    check(
        &Sticky,
        &[("a", 2)],
        &members,
        &[("m1", "a-1"), ("m2", "a-0")],
    );
    members.get_mut("m1").unwrap().generation = 5;
    check(
        &Sticky,
        &[("a", 2)],
        &members,
        &[("m1", "a-0"), ("m2", "a-1")],
    );
}

#[test]
fn cooperative_moves_nothing_that_somebody_still_has() {
    let mut members = group(&[("m1", &["a"])]);
    let partitions = topics(&[("a", 4)]);
    let first = CooperativeSticky.assign(&partitions, &members);
    remember(&mut members, &first, 1);
    members.insert("m2".to_owned(), member(&["a"]));
    // Round one: m1 is to let two go, and nobody has them yet.
    let second = CooperativeSticky.assign(&partitions, &members);
    assert_eq!((second["m1"].len(), second["m2"].len()), (2, 0));
    remember(&mut members, &second, 2);
    let third = CooperativeSticky.assign(&partitions, &members);
    assert_eq!((third["m1"].len(), third["m2"].len()), (2, 2));
    assert_eq!(third["m1"], second["m1"]);
}

fn any_group() -> impl Strategy<Value = (BTreeMap<Arc<str>, i32>, BTreeMap<String, Member>)> {
    let topics = prop::collection::vec(0..7_i32, 1..4);
    let members = prop::collection::vec((prop::collection::vec(any::<bool>(), 4), 0..3_i32), 1..6);
    let owned = prop::collection::vec((0..4_usize, 0..8_i32, 0..6_usize), 0..12);
    (topics, members, owned).prop_map(|(counts, readers, owned)| {
        let name = |at: usize| -> Arc<str> { format!("t{at}").into() };
        let topics = counts
            .iter()
            .enumerate()
            .map(|(at, count)| (name(at), *count));
        let mut members: BTreeMap<String, Member> = (0..)
            .zip(&readers)
            .map(|(at, (wants, generation))| {
                let wanted = wants.iter().enumerate().filter(|(_, wants)| **wants);
                let member = Member {
                    topics: wanted.map(|(topic, _)| name(topic)).collect(),
                    generation: *generation,
                    ..Member::default()
                };
                (format!("m{at}"), member)
            })
            .collect();
        for (topic, partition, id) in owned {
            if let Some(member) = members.get_mut(&format!("m{id}")) {
                member
                    .owned
                    .push(TopicPartition::new(name(topic), partition));
            }
        }
        (topics.collect(), members)
    })
}

proptest! {
    #[test]
    fn everybody_gets_what_they_read_and_everything_is_given_once(
        (partitions, members) in any_group()
    ) {
        let all: [&dyn Assignor; 4] = [&Range, &RoundRobin, &Sticky, &CooperativeSticky];
        for assignor in all {
            let found = assignor.assign(&partitions, &members);
            prop_assert_eq!(&found, &assignor.assign(&partitions, &members));
            prop_assert!(found.keys().eq(members.keys()));
            let mut given = BTreeSet::new();
            for (id, mine) in &found {
                for partition in mine {
                    prop_assert!(members[id].topics.contains(&partition.topic));
                    prop_assert!(given.insert(partition.clone()), "{} twice", partition);
                }
            }
            let wanted: usize = partitions
                .iter()
                .filter(|(topic, _)| members.values().any(|m| m.topics.contains(topic)))
                .map(|(_, count)| *count as usize)
                .sum();
            if assignor.name() != "cooperative-sticky" {
                prop_assert_eq!(given.len(), wanted, "{}", assignor.name());
            }
        }
    }

    #[test]
    fn no_move_makes_sticky_more_even((partitions, members) in any_group()) {
        let found = Sticky.assign(&partitions, &members);
        for (id, mine) in &found {
            for partition in mine {
                for (other, theirs) in &found {
                    let reads = members[other].topics.contains(&partition.topic);
                    prop_assert!(
                        other == id || !reads || mine.len() <= theirs.len() + 1,
                        "{} could go from {} to {}", partition, id, other
                    );
                }
            }
        }
    }

    #[test]
    fn cooperative_rounds_come_to_rest((partitions, mut members) in any_group()) {
        for generation in 10..20 {
            let found = CooperativeSticky.assign(&partitions, &members);
            let rest = members.iter().all(|(id, member)| {
                let (mut had, mut has) = (member.owned.clone(), found[id].clone());
                had.sort();
                has.sort();
                had == has
            });
            if rest {
                let given: usize = found.values().map(Vec::len).sum();
                let wanted: usize = partitions
                    .iter()
                    .filter(|(topic, _)| members.values().any(|m| m.topics.contains(topic)))
                    .map(|(_, count)| *count as usize)
                    .sum();
                prop_assert_eq!(given, wanted);
                return Ok(());
            }
            remember(&mut members, &found, generation);
        }
        prop_assert!(false, "still moving after ten rounds");
    }
}
