//! Groups as a consumer meets them: join, sync, heartbeat, leave, offsets, restarts.

use bytes::Bytes;
use integration_tests::harness::calls::Connection;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest,
};

use super::support::*;

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

/// Has the offsets topic made; until then no group has a coordinator.
pub(crate) async fn find(connection: &mut Connection) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let answer = connection.call(4, &request).await.expect("an answer");
    assert_eq!(answer.coordinators[0].error_code, 0, "{answer:?}");
}

fn join_as(name: &str, member: &str, instance: Option<&str>) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"subscription"));
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(20_000)
        .with_member_id(text(member))
        .with_group_instance_id(instance.map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

async fn try_join(connection: &mut Connection, name: &str, member: &str) -> JoinGroupResponse {
    let request = join_as(name, member, None);
    connection.call(9, &request).await.expect("an answer")
}

/// Joins a group that has nobody else to wait for. Member id and generation.
async fn join(connection: &mut Connection, name: &str) -> (String, i32) {
    let first = try_join(connection, name, "").await;
    assert_eq!(first.error_code, 79, "MEMBER_ID_REQUIRED");
    assert!(!first.member_id.is_empty());
    let joined = try_join(connection, name, &first.member_id).await;
    assert_eq!(joined.error_code, 0, "{joined:?}");
    (joined.member_id.to_string(), joined.generation_id)
}

fn sync_as(
    name: &str,
    member: &str,
    generation: i32,
    given: &[(&str, &'static [u8])],
) -> SyncGroupRequest {
    let assignments = given.iter().map(|(member, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::from_static(assignment))
    });
    SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(assignments.collect())
}

/// Error and assignment.
async fn sync(
    connection: &mut Connection,
    name: &str,
    member: &str,
    generation: i32,
    given: &[(&str, &'static [u8])],
) -> (i16, Bytes) {
    let request = sync_as(name, member, generation, given);
    let answer = connection.call(5, &request).await.expect("an answer");
    (answer.error_code, answer.assignment)
}

/// A member of a stable group of its own.
async fn settle(connection: &mut Connection, name: &str) -> (String, i32) {
    let (member, generation) = join(connection, name).await;
    let told = sync(connection, name, &member, generation, &[(&member, b"all")]).await;
    assert_eq!(told, (0, Bytes::from_static(b"all")));
    (member, generation)
}

async fn beat(connection: &mut Connection, name: &str, member: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group(name))
        .with_member_id(text(member))
        .with_generation_id(generation);
    connection
        .call(4, &request)
        .await
        .expect("an answer")
        .error_code
}

pub(crate) async fn commit(
    connection: &mut Connection,
    name: &str,
    (member, generation): (&str, i32),
    topic: &Topic,
    (partition, offset, note): (i32, i64, &str),
) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(note)));
    let asked = OffsetCommitRequestTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![asked]);
    let answer = connection.call(9, &request).await.expect("an answer");
    answer.topics[0].partitions[0].error_code
}

/// Error, offset and note of partition 0.
pub(crate) async fn committed(
    connection: &mut Connection,
    name: &str,
    topic: &Topic,
) -> (i16, i64, String) {
    let asked = OffsetFetchRequestTopics::default()
        .with_name(topic.name.clone())
        .with_partition_indexes(vec![0]);
    let one = OffsetFetchRequestGroup::default()
        .with_group_id(group(name))
        .with_topics(Some(vec![asked]));
    let request = OffsetFetchRequest::default()
        .with_groups(vec![one])
        .with_require_stable(true);
    let answer = connection.call(9, &request).await.expect("an answer");
    assert_eq!(answer.groups[0].error_code, 0, "{answer:?}");
    let told = &answer.groups[0].topics[0].partitions[0];
    let note = told.metadata.clone().unwrap_or_default().to_string();
    (told.error_code, told.committed_offset, note)
}

async fn state(connection: &mut Connection, name: &str) -> String {
    let request = DescribeGroupsRequest::default().with_groups(vec![group(name)]);
    let answer = connection.call(5, &request).await.expect("an answer");
    answer.groups[0].group_state.to_string()
}

#[tokio::test]
async fn rule_39_rule_44_rule_45_rule_46_one_member_comes_works_and_goes() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let (member, generation) = settle(&mut connection, "g").await;
    assert_eq!(beat(&mut connection, "g", &member, generation).await, 0);
    assert_eq!(
        beat(&mut connection, "g", &member, generation + 1).await,
        22
    );
    assert_eq!(
        beat(&mut connection, "g", &member, generation - 1).await,
        22
    );
    assert_eq!(beat(&mut connection, "g", "nobody", generation).await, 25);
    assert_eq!(
        beat(&mut connection, "other", &member, generation).await,
        25
    );
    assert_eq!(state(&mut connection, "g").await, "Stable");
    let wrong = sync_as("g", &member, generation, &[]).with_protocol_name(Some(text("sticky")));
    let answer = connection.call(5, &wrong).await.unwrap();
    assert_eq!(answer.error_code, 23, "INCONSISTENT_GROUP_PROTOCOL");
    let leave = LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(vec![
            MemberIdentity::default().with_member_id(text("nobody")),
            MemberIdentity::default().with_member_id(text(&member)),
        ]);
    let answer = connection.call(5, &leave).await.unwrap();
    let codes: Vec<_> = answer.members.iter().map(|told| told.error_code).collect();
    assert_eq!((answer.error_code, codes), (0, vec![25, 0]));
    assert_eq!(beat(&mut connection, "g", &member, generation).await, 25);
    assert_eq!(state(&mut connection, "g").await, "Empty");
    server.stop().await;
}

#[tokio::test]
async fn rule_44_rule_45_a_second_member_has_the_first_rejoin_and_waits_for_the_leader() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    find(&mut one).await;
    let (leader, first) = settle(&mut one, "g").await;
    let pending = try_join(&mut two, "g", "").await;
    assert_eq!(pending.error_code, 79);
    let request = join_as("g", &pending.member_id, None);
    two.send(9, &request).await.unwrap();
    // The first member hears of it with its next heartbeat.
    while beat(&mut one, "g", &leader, first).await == 0 {}
    assert_eq!(
        beat(&mut one, "g", &leader, first).await,
        27,
        "REBALANCE_IN_PROGRESS"
    );
    let led = try_join(&mut one, "g", &leader).await;
    let followed = two.receive::<JoinGroupRequest>(9).await.unwrap();
    assert_eq!((led.error_code, followed.error_code), (0, 0));
    let generation = led.generation_id;
    assert_eq!(generation, first + 1);
    assert_eq!(followed.generation_id, generation);
    assert_eq!(
        (led.members.len(), followed.members.len()),
        (2, 0),
        "the leader is told"
    );
    assert_eq!(led.leader, followed.leader);
    // The follower's sync waits for the leader's; a member the leader forgot gets empty bytes.
    let follower = followed.member_id.to_string();
    park(&mut two, 5, &sync_as("g", &follower, generation, &[])).await;
    assert_eq!(
        beat(&mut one, "g", &leader, generation).await,
        0,
        "in CompletingRebalance"
    );
    let told = sync(&mut one, "g", &leader, generation, &[(&leader, b"mine")]).await;
    assert_eq!(told, (0, Bytes::from_static(b"mine")));
    let answer = two.receive::<SyncGroupRequest>(5).await.unwrap();
    assert_eq!((answer.error_code, answer.assignment), (0, Bytes::new()));
    server.stop().await;
}

#[tokio::test]
async fn rule_41_the_first_rebalance_waits_for_its_delay() {
    let delay = [("group.initial.rebalance.delay.ms", "3000")];
    let (server, clock) = Server::with_clock(&delay).await;
    let mut one = server.connect().await;
    let mut other = server.connect().await;
    find(&mut one).await;
    let pending = try_join(&mut one, "g", "").await;
    park(&mut one, 9, &join_as("g", &pending.member_id, None)).await;
    let mut answer = Box::pin(one.receive::<JoinGroupRequest>(9));
    assert_eq!(state(&mut other, "g").await, "PreparingRebalance");
    clock.advance(2_999);
    alive(&mut other).await;
    assert!(poll(&mut answer).await.is_none());
    clock.advance(1);
    assert_eq!(answer.await.unwrap().error_code, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_member_that_falls_silent_is_out_after_its_session_timeout() {
    let (server, clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let (member, generation) = settle(&mut connection, "g").await;
    clock.advance(9_999);
    assert_eq!(beat(&mut connection, "g", &member, generation).await, 0);
    clock.advance(9_999);
    assert_eq!(state(&mut connection, "g").await, "Stable");
    clock.advance(1);
    assert_eq!(beat(&mut connection, "g", &member, generation).await, 25);
    assert_eq!(state(&mut connection, "g").await, "Empty");
    server.stop().await;
}

#[tokio::test]
async fn rule_42_rule_43_bounds_of_sessions_and_groups() {
    let server = Server::start(&[("group.max.size", "1")]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    for (timeout, expected) in [
        (5_999, 26),
        (6_000, 79),
        (1_800_000, 79),
        (1_800_001, 26),
        (-1, 26),
        (i32::MAX, 26),
    ] {
        let request = join_as("bounds", "", None).with_session_timeout_ms(timeout);
        let answer = connection.call(9, &request).await.unwrap();
        assert_eq!(answer.error_code, expected, "{timeout} ms");
    }
    settle(&mut connection, "full").await;
    let mut other = server.connect().await;
    let first = try_join(&mut other, "full", "").await;
    let told = match first.error_code {
        79 => {
            try_join(&mut other, "full", &first.member_id)
                .await
                .error_code
        }
        other => other,
    };
    assert_eq!(told, 81, "GROUP_MAX_SIZE_REACHED");
    let bad = join_as("", "", None);
    assert_eq!(
        connection.call(9, &bad).await.unwrap().error_code,
        24,
        "INVALID_GROUP_ID"
    );
    let stranger = try_join(&mut connection, "bounds", "made-up").await;
    assert_eq!(stranger.error_code, 25, "UNKNOWN_MEMBER_ID");
    let nothing = join_as("bounds", "", None).with_protocols(vec![]);
    let answer = connection.call(9, &nothing).await.unwrap();
    assert_eq!(answer.error_code, 23, "INCONSISTENT_GROUP_PROTOCOL");
    server.stop().await;
}

#[tokio::test]
async fn rule_40_a_static_member_takes_its_place_again_and_fences_its_old_self() {
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let joined = connection
        .call(9, &join_as("g", "", Some("one")))
        .await
        .unwrap();
    assert_eq!(joined.error_code, 0, "no handshake");
    let (old, generation) = (joined.member_id.to_string(), joined.generation_id);
    let sync = sync_as("g", &old, generation, &[(&old, b"mine")])
        .with_group_instance_id(Some(text("one")));
    assert_eq!(connection.call(5, &sync).await.unwrap().error_code, 0);
    let again = connection
        .call(9, &join_as("g", "", Some("one")))
        .await
        .unwrap();
    assert_eq!(
        (again.error_code, again.generation_id),
        (0, generation),
        "no rebalance"
    );
    assert_ne!(again.member_id.to_string(), old);
    let beat = HeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text(&old))
        .with_group_instance_id(Some(text("one")))
        .with_generation_id(generation);
    let told = connection.call(4, &beat).await.unwrap().error_code;
    assert_eq!(told, 82, "FENCED_INSTANCE_ID");
    // An administrator removes it by its instance id alone.
    let leave = LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(vec![
            MemberIdentity::default().with_group_instance_id(Some(text("one"))),
        ]);
    let answer = connection.call(5, &leave).await.unwrap();
    assert_eq!(answer.members[0].error_code, 0);
    assert_eq!(state(&mut connection, "g").await, "Empty");
    server.stop().await;
}

#[tokio::test]
async fn rule_47_who_may_commit_and_how_much_may_be_noted() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let topic = create(&mut connection, "commits", 2).await;
    let (member, generation) = settle(&mut connection, "g").await;
    let member = member.as_str();
    let (longest, long) = ("n".repeat(4_096), "n".repeat(4_097));
    let cases = [
        ((member, generation), (0, 5, "a note"), 0),
        ((member, generation), (0, 6, longest.as_str()), 0),
        ((member, generation), (0, 7, long.as_str()), 12),
        ((member, generation + 1), (0, 7, ""), 22),
        (("nobody", generation), (0, 7, ""), 25),
        (("", -1), (0, 7, ""), 25),
        ((member, generation), (9, 7, ""), 3),
        ((member, generation), (-1, 7, ""), 3),
    ];
    for (number, (who, what, expected)) in cases.into_iter().enumerate() {
        let told = commit(&mut connection, "g", who, &topic, what).await;
        assert_eq!(told, expected, "case {number}");
    }
    assert_eq!(
        committed(&mut connection, "g", &topic).await,
        (0, 6, longest)
    );
    assert_eq!(
        committed(&mut connection, "nobody's", &topic).await,
        (0, -1, String::new())
    );
    let simple = commit(
        &mut connection,
        "simple",
        ("", -1),
        &topic,
        (0, 3, "by hand"),
    )
    .await;
    assert_eq!(simple, 0, "a consumer without a group");
    assert_eq!(
        committed(&mut connection, "simple", &topic).await,
        (0, 3, "by hand".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn rule_51_offsets_and_generations_survive_restarts_and_crashes_and_groups_can_be_deleted() {
    let mut server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let topic = create(&mut connection, "kept", 1).await;
    let (member, generation) = settle(&mut connection, "g").await;
    for round in 0..3 {
        let what = (0, round, "kept");
        let told = commit(&mut connection, "g", (&member, generation), &topic, what).await;
        assert_eq!(told, 0, "the member is still a member in round {round}");
        drop(connection);
        server = match round {
            1 => server.restart().await,
            _ => server.crash(round as u64).await,
        };
        connection = server.connect().await;
        find(&mut connection).await;
        assert_eq!(
            committed(&mut connection, "g", &topic).await,
            (0, round, "kept".into())
        );
        let state = state(&mut connection, "g").await;
        assert_eq!(state, "Stable", "round {round}");
        assert_eq!(beat(&mut connection, "g", &member, generation).await, 0);
    }
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g"), group("none")]);
    let answer = connection.call(2, &delete).await.unwrap();
    let codes: Vec<_> = answer.results.iter().map(|told| told.error_code).collect();
    assert_eq!(codes, [68, 69], "NON_EMPTY_GROUP and GROUP_ID_NOT_FOUND");
    let leave = LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(vec![
            MemberIdentity::default().with_member_id(text(&member)),
        ]);
    connection.call(5, &leave).await.unwrap();
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    assert_eq!(
        connection.call(2, &delete).await.unwrap().results[0].error_code,
        0
    );
    drop(connection);
    let server = server.crash(9).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    assert_eq!(state(&mut connection, "g").await, "Dead");
    assert_eq!(
        committed(&mut connection, "g", &topic).await,
        (0, -1, String::new())
    );
    server.stop().await;
}

#[tokio::test]
async fn rule_48_offsets_of_a_group_that_is_gone_expire() {
    let retention = [
        ("offsets.retention.minutes", "10"),
        ("offsets.retention.check.interval.ms", "60000"),
    ];
    let (server, clock) = Server::with_clock(&retention).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let topic = create(&mut connection, "expiring", 1).await;
    assert_eq!(
        commit(&mut connection, "g", ("", -1), &topic, (0, 5, "x")).await,
        0
    );
    for _ in 0..9 {
        clock.advance(60_000);
        alive(&mut connection).await;
    }
    assert_eq!(committed(&mut connection, "g", &topic).await.1, 5);
    for _ in 0..3 {
        clock.advance(60_000);
        alive(&mut connection).await;
    }
    assert_eq!(committed(&mut connection, "g", &topic).await.1, -1);
    server.stop().await;
}

#[tokio::test]
async fn rule_49_without_transactions_stable_offsets_are_always_there() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    find(&mut connection).await;
    let topic = create(&mut connection, "stable", 1).await;
    assert_eq!(
        commit(&mut connection, "g", ("", -1), &topic, (0, 5, "")).await,
        0
    );
    // `committed` asks with require_stable.
    assert_eq!(
        committed(&mut connection, "g", &topic).await,
        (0, 5, String::new())
    );
    server.stop().await;
}

#[tokio::test]
async fn rule_50_three_members_that_rejoin_at_once_are_all_known() {
    // The clock stands still: nobody can be late.
    let (server, _clock) = Server::with_clock(&[]).await;
    let mut admin = server.connect().await;
    find(&mut admin).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut connection = server.connect().await;
        let pending = try_join(&mut connection, "g", "").await;
        assert_eq!(pending.error_code, 79);
        members.push((connection, pending.member_id.to_string()));
    }
    for round in 0..5 {
        // All ask at once; whoever hears of a rebalance asks again.
        let mut generations = [None; 3];
        let mut asking = [false; 3];
        let mut newest = -1;
        while generations.iter().any(|known| *known != Some(newest)) {
            for (number, (connection, member)) in members.iter_mut().enumerate() {
                let over = match generations[number] {
                    _ if asking[number] => false,
                    Some(generation) => beat(connection, "g", member, generation).await != 0,
                    None => true,
                };
                if over {
                    let request = join_as("g", member, None);
                    connection.send(9, &request).await.unwrap();
                    asking[number] = true;
                }
            }
            alive(&mut admin).await;
            for (number, (connection, _)) in members.iter_mut().enumerate() {
                if !asking[number] {
                    continue;
                }
                let mut answer = Box::pin(connection.receive::<JoinGroupRequest>(9));
                if let Some(answer) = poll(&mut answer).await {
                    let answer = answer.unwrap();
                    assert_eq!(answer.error_code, 0, "round {round}, member {number}");
                    generations[number] = Some(answer.generation_id);
                    newest = newest.max(answer.generation_id);
                    asking[number] = false;
                }
            }
        }
        for (connection, member) in &mut members {
            let told = beat(connection, "g", member, newest).await;
            assert_ne!(told, 25, "UNKNOWN_MEMBER_ID in round {round}");
        }
    }
    server.stop().await;
}

/// A commit of offset 7 for these partitions.
fn commit_all(name: &str, topic: &Topic, partitions: std::ops::Range<i32>) -> OffsetCommitRequest {
    let partitions = partitions.map(|index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(7)
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect());
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn commit_codes(answer: &OffsetCommitResponse) -> Vec<i16> {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|told| told.error_code).collect()
}

/// How many partitions the group has offsets for.
async fn count_committed(connection: &mut Connection, name: &str) -> usize {
    let all = OffsetFetchRequestGroup::default()
        .with_group_id(group(name))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![all]);
    let answer = connection.call(9, &request).await.expect("an answer");
    let topics = answer.groups[0].topics.iter();
    topics.map(|topic| topic.partitions.len()).sum()
}

/// Each offset is a record that carries the group's id.
#[tokio::test]
async fn what_does_not_fit_into_one_batch_is_refused_and_leaves_nothing() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "wide", 60).await;
    find(&mut connection).await;
    let long = "g".repeat(32_000);
    let answer = connection.call(9, &commit_all(&long, &topic, 0..60)).await;
    let codes = commit_codes(&answer.expect("an answer"));
    assert_eq!(codes, [-1; 60], "UNKNOWN_SERVER_ERROR, as in Kafka");
    assert_eq!(count_committed(&mut connection, &long).await, 0);
    for half in [0..30, 30..60] {
        let answer = connection.call(9, &commit_all(&long, &topic, half)).await;
        assert_eq!(commit_codes(&answer.expect("an answer")), [0; 30]);
    }
    let partitions =
        (0..60).map(|index| OffsetDeleteRequestPartition::default().with_partition_index(index));
    let all = OffsetDeleteRequestTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect());
    let delete = OffsetDeleteRequest::default()
        .with_group_id(group(&long))
        .with_topics(vec![all]);
    let answer = connection.call(0, &delete).await.expect("an answer");
    assert_eq!(answer.error_code, -1);
    assert_eq!(count_committed(&mut connection, &long).await, 60);
    // A group can be deleted whatever it holds: that is written in as many batches as it takes.
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group(&long)]);
    let answer = connection.call(2, &delete).await.expect("an answer");
    assert_eq!(answer.results[0].error_code, 0);
    assert_eq!(count_committed(&mut connection, &long).await, 0);
    let server = server.restart().await;
    let mut connection = server.connect().await;
    assert_eq!(count_committed(&mut connection, &long).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_partition_that_is_committed_again_and_again_is_answered_each_time_and_written_once() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "once", 1).await;
    find(&mut connection).await;
    // Written as often as it is named, this would be 32 MB.
    let long = "g".repeat(32_000);
    let mut request = commit_all(&long, &topic, 0..1);
    let partitions = &mut request.topics[0].partitions;
    *partitions = vec![partitions[0].clone(); 1_000];
    partitions[999].committed_offset = 8;
    let answer = connection.call(9, &request).await.expect("an answer");
    assert_eq!(commit_codes(&answer), [0; 1_000]);
    assert_eq!(committed(&mut connection, &long, &topic).await.1, 8);
    server.stop().await;
}

#[tokio::test]
async fn groups_that_are_named_again_are_answered_once() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "t", 2).await;
    find(&mut connection).await;
    let noted = (0, 7, "note");
    assert_eq!(
        commit(&mut connection, "g", ("", -1), &topic, noted).await,
        0
    );
    let names = vec![group("g"), group("none"), group("g"), group("g")];
    let request = DescribeGroupsRequest::default().with_groups(names);
    let answer = connection.call(5, &request).await.expect("an answer");
    let told: Vec<_> = answer
        .groups
        .iter()
        .map(|told| told.group_id.as_str())
        .collect();
    assert_eq!(told, ["g", "none"]);
    let asked = |name: &str, partitions: &[i32]| {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic.name.clone())
            .with_partition_indexes(partitions.to_vec());
        OffsetFetchRequestGroup::default()
            .with_group_id(group(name))
            .with_topics(Some(vec![topic.clone(), topic]))
    };
    let groups = vec![
        asked("g", &[0, 0]),
        asked("none", &[0]),
        asked("g", &[1, 0]),
    ];
    let request = OffsetFetchRequest::default().with_groups(groups);
    let answer = connection.call(9, &request).await.expect("an answer");
    let told = answer.groups.iter().map(|told| {
        assert_eq!(told.topics.len(), 1);
        let partitions = told.topics[0].partitions.iter();
        let offsets = partitions.map(|told| (told.partition_index, told.committed_offset));
        (told.group_id.as_str(), offsets.collect::<Vec<_>>())
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [("g", vec![(0, 7), (1, -1)]), ("none", vec![(0, -1)])]
    );
    server.stop().await;
}

#[tokio::test]
async fn groups_begin_anew_when_their_topic_is_deleted() {
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let topic = create(&mut connection, "kept", 1).await;
    find(&mut connection).await;
    let (member, generation) = settle(&mut connection, "g").await;
    let place = (member.as_str(), generation);
    assert_eq!(
        commit(&mut connection, "g", place, &topic, (0, 5, "")).await,
        0
    );
    let offsets = DeleteTopicsRequest::default()
        .with_topic_names(vec![named("__consumer_offsets")])
        .with_timeout_ms(30_000);
    let answer = connection.call(5, &offsets).await.expect("an answer");
    assert_eq!(answer.responses[0].error_code, 0);
    // Until somebody asks for a coordinator there is none, and clients are sent to ask.
    assert_eq!(beat(&mut connection, "g", &member, generation).await, 16);
    find(&mut connection).await;
    assert_eq!(
        beat(&mut connection, "g", &member, generation).await,
        25,
        "UNKNOWN_MEMBER_ID: the group is gone with the topic"
    );
    assert_eq!(committed(&mut connection, "g", &topic).await.1, -1);
    let (member, generation) = settle(&mut connection, "g").await;
    assert_eq!(generation, 1);
    let place = (member.as_str(), generation);
    assert_eq!(
        commit(&mut connection, "g", place, &topic, (0, 6, "")).await,
        0
    );
    // And what came after the deletion is what a restart finds.
    let server = server.restart().await;
    let mut connection = server.connect().await;
    assert_eq!(committed(&mut connection, "g", &topic).await.1, 6);
    server.stop().await;
}
