//! Who may join, and under which id.

use bytes::Bytes;

use super::super::command::{JoinGroup, SyncGroup};
use super::super::config::{MAX_PENDING_MEMBERS, MAX_PROTOCOLS};
use super::super::{Command, Event, GroupConfig, Timer};
use super::story::{Stage, check, check_with};
use crate::coordinator::Machine;
use crate::types::{Monotonic, Offset};

#[test]
fn rule_39_a_new_member_gets_its_id_first() {
    check(
        "
        > join a
        a: join MEMBER_ID_REQUIRED id=a-1
        > describe
        -: describe g Empty /
        > join a id=a-1
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > describe
        -: describe g CompletingRebalance consumer/ a-1(a/127.0.0.1 '' '')
        ",
    );
}

#[test]
fn rule_39_before_version_4_a_new_member_joins_at_once() {
    check(
        "
        > join a v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        ",
    );
}

#[test]
fn rule_39_an_id_that_was_given_out_is_kept_for_the_session_timeout() {
    check(
        "
        > join a session=7000
        a: join MEMBER_ID_REQUIRED id=a-1
        > wait 6999
        > join a id=a-1
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > join b session=7000
        b: join MEMBER_ID_REQUIRED id=b-2
        > beat id=b-2 gen=1 as=b
        b: beat UNKNOWN_MEMBER_ID
        > wait 7000
        > join b id=b-2
        b: join UNKNOWN_MEMBER_ID id=b-2
        ",
    );
}

#[test]
fn rule_39_an_id_that_was_given_out_is_for_dynamic_members() {
    check(
        "
        > join a
        a: join MEMBER_ID_REQUIRED id=a-1
        > join a id=a-1 inst=i
        a: join UNKNOWN_SERVER_ERROR id=a-1
        > join a id=a-1
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        ",
    );
}

#[test]
fn rule_39_ids_that_nobody_gave_out_are_unknown() {
    check(
        "
        > join a id=made-up
        a: join UNKNOWN_MEMBER_ID id=made-up
        > join b v=3
        > wait 0
        b: joined gen=1 consumer/range leader=b-1 id=b-1 [b-1:]
        > join a id=made-up
        a: join UNKNOWN_MEMBER_ID id=made-up
        > join a id=made-up inst=i
        a: join UNKNOWN_MEMBER_ID id=made-up
        ",
    );
}

#[test]
fn a_rebalance_waits_for_those_who_were_given_an_id() {
    check(
        "
        > join a v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > join b
        b: join MEMBER_ID_REQUIRED id=b-2
        > join a id=a-1 protos=range:new
        > join b id=b-2
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1:new b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        ",
    );
}

#[test]
fn a_rebalance_stops_waiting_for_an_id_that_expires() {
    check(
        "
        > join a v=3 session=20000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > join b session=6000
        b: join MEMBER_ID_REQUIRED id=b-2
        > join a id=a-1 protos=range:new session=20000
        > wait 6000
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1:new]
        ",
    );
}

#[test]
fn rule_42_session_timeouts_have_bounds() {
    check(
        "
        > join a session=5999
        a: join INVALID_SESSION_TIMEOUT id=
        > join a session=6000
        a: join MEMBER_ID_REQUIRED id=a-2
        > join a session=1800000
        a: join MEMBER_ID_REQUIRED id=a-3
        > join a session=1800001
        a: join INVALID_SESSION_TIMEOUT id=
        > join a session=-1
        a: join INVALID_SESSION_TIMEOUT id=
        > list
        -: list g(,Empty,classic)
        ",
    );
}

#[test]
fn calls_without_a_group_id_are_refused() {
    check(
        "
        > join a g=
        a: join INVALID_GROUP_ID id=
        > sync g= id=a as=a
        a: sync INVALID_GROUP_ID
        > beat g= id=a as=a
        a: beat INVALID_GROUP_ID
        > leave g= a as=a
        a: leave INVALID_GROUP_ID
        > delete-offsets g= t-0
        -: delete-offsets INVALID_GROUP_ID
        ",
    );
}

#[test]
fn names_that_no_record_can_hold_are_refused() {
    let long = "x".repeat(32_768);
    let fits = "x".repeat(32_767);
    check(&format!(
        "
        > join a g={long}
        a: join INVALID_REQUEST id=
        > join a type={long}
        a: join INVALID_REQUEST id=
        > join a protos={long}
        a: join INVALID_REQUEST id=
        > join a inst={long}
        a: join INVALID_REQUEST id=
        > join a host={long}
        a: join INVALID_REQUEST id=
        > join a type={fits}
        a: join MEMBER_ID_REQUIRED id=a-6
        > join {fits}
        {fits}: join INVALID_REQUEST id=
        > commit g={long} t-0=1
        -: commit t-0:INVALID_GROUP_ID
        > commit {long}-0=1
        -: commit {long}-0:INVALID_REQUEST
        "
    ));
}

#[test]
fn members_must_have_a_protocol_in_common() {
    check(
        "
        > join a type=
        a: join INCONSISTENT_GROUP_PROTOCOL id=
        > join a protos=
        a: join INCONSISTENT_GROUP_PROTOCOL id=
        > join a v=3 protos=range,sticky
        > join b v=3 protos=sticky,robin
        > join c v=3 protos=robin
        c: join INCONSISTENT_GROUP_PROTOCOL id=
        > join c v=3 protos=
        c: join INCONSISTENT_GROUP_PROTOCOL id=
        > join c v=3 protos=range type=connect
        c: join INCONSISTENT_GROUP_PROTOCOL id=
        > wait 0
        a: joined gen=1 consumer/sticky leader=a-3 id=a-3 [a-3: b-4:]
        b: joined gen=1 consumer/sticky leader=a-3 id=b-4
        > join c v=3 protos=range
        c: join INCONSISTENT_GROUP_PROTOCOL id=
        > join a id=a-3 protos=robin
        a: join INCONSISTENT_GROUP_PROTOCOL id=a-3
        ",
    );
}

#[test]
fn rule_43_a_full_group_turns_new_members_away() {
    let config = GroupConfig {
        initial_rebalance_delay_ms: 0,
        max_size: 2,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "
        > join a
        a: join MEMBER_ID_REQUIRED id=a-1
        > join b
        b: join MEMBER_ID_REQUIRED id=b-2
        > join c
        c: join MEMBER_ID_REQUIRED id=c-3
        > join a id=a-1
        > join b id=b-2
        > join c id=c-3
        c: join GROUP_MAX_SIZE_REACHED id=
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > join d
        d: join GROUP_MAX_SIZE_REACHED id=
        > join d inst=i
        d: join GROUP_MAX_SIZE_REACHED id=
        > sync id=a-1 as=a assign=a-1:x,b-2:y
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        > join d
        d: join GROUP_MAX_SIZE_REACHED id=
        > join a id=a-1
        > join b id=b-2
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        ",
    );
}

#[test]
fn rule_43_the_last_to_rejoin_lose_their_place_when_the_limit_was_lowered() {
    check(
        "
        > join a v=3 rebalance=8000
        > join b v=3 rebalance=8000
        > join c v=3 rebalance=8000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2: c-3:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        c: joined gen=1 consumer/range leader=a-1 id=c-3
        > sync id=a-1 as=a
        log: g is Stable gen=1 [a-1: b-2: c-3:]
        a: synced consumer/range ''
        > sync id=b-2 as=b
        b: synced consumer/range ''
        > sync id=c-3 as=c
        c: synced consumer/range ''
        > max-size 2
        > restart
        > beat id=a-1 as=a
        a: beat REBALANCE_IN_PROGRESS
        > join c id=c-3 rebalance=8000
        > join a id=a-1 rebalance=8000
        > join c-again id=c-3 rebalance=8000
        c: join REBALANCE_IN_PROGRESS id=c-3
        > join b id=b-2 rebalance=8000
        b: join GROUP_MAX_SIZE_REACHED id=
        > beat id=b-2 as=b
        b: beat UNKNOWN_MEMBER_ID
        > wait 8000
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: c-3:]
        c-again: joined gen=2 consumer/range leader=a-1 id=c-3
        ",
    );
}

#[test]
fn a_flood_of_handshakes_does_not_grow_a_group_without_end() {
    let mut stage = Stage::new(GroupConfig::default());
    stage.tell("join a");
    let mut group = stage
        .machine
        .group("g")
        .expect("somebody wants to join")
        .clone();
    let pending = (0..MAX_PENDING_MEMBERS - 2).map(|index| format!("m{index}").into());
    group.pending_join.extend(pending);
    for member_id in &group.pending_join {
        let (group_id, member_id) = (group.group_id.clone(), member_id.clone());
        stage.timers.insert(
            Timer::Session {
                group_id,
                member_id,
            },
            Monotonic(6_000),
        );
    }
    let event = Event::GroupChanged {
        group: group.into(),
        durable: false,
    };
    stage.machine.apply(Offset::ZERO, event);
    assert_eq!(stage.tell("join b"), "b: join MEMBER_ID_REQUIRED id=b-2\n");
    assert_eq!(
        stage.tell("join c"),
        "c: join COORDINATOR_LOAD_IN_PROGRESS id=\n"
    );
    // Those who have an id, static members and old clients are not concerned.
    assert_eq!(stage.tell("join a id=a-1"), "");
    assert_eq!(stage.tell("join d inst=i"), "");
    assert_eq!(stage.tell("join e v=3"), "");
}

/// Counts protocols in both directions: what a member supports, and how many support it.
#[test]
fn the_protocol_that_all_support_is_found_whoever_comes_and_goes() {
    check(
        "
        > join a v=3 protos=x,y,x,y
        > join b v=3 protos=z
        b: join INCONSISTENT_GROUP_PROTOCOL id=
        > join b v=3 protos=z,y
        > wait 0
        a: joined gen=1 consumer/y leader=a-1 id=a-1 [a-1: b-3:]
        b: joined gen=1 consumer/y leader=a-1 id=b-3
        > join a id=a-1 v=3 protos=z,y
        > join b id=b-3 v=3 protos=z
        a: joined gen=2 consumer/z leader=a-1 id=a-1 [a-1: b-3:]
        b: joined gen=2 consumer/z leader=a-1 id=b-3
        > leave as=b b-3
        b: leave NONE b-3:NONE
        > join a id=a-1 v=3 protos=y
        a: joined gen=3 consumer/y leader=a-1 id=a-1 [a-1:]
        ",
    );
}

#[test]
fn a_member_brings_a_hundred_protocols_at_most() {
    let names: Vec<_> = (0..=MAX_PROTOCOLS)
        .map(|number| format!("p{number}"))
        .collect();
    let (most, all) = (names[1..].join(","), names.join(","));
    check(&format!(
        "
        > join a v=3 protos={all}
        a: join INVALID_REQUEST id=
        > join a v=3 protos={most}
        > wait 0
        a: joined gen=1 consumer/p1 leader=a-2 id=a-2 [a-2:]
        "
    ));
}

/// A frame may have megabytes, of which a group keeps a few.
#[test]
fn nothing_of_a_request_is_kept_but_copies() {
    let frame = Bytes::from(vec![7; 1_000]);
    let mut stage = Stage::new(GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    });
    let join = JoinGroup {
        group_id: "g".into(),
        member_id: "".into(),
        group_instance_id: None,
        protocol_type: "x".into(),
        protocols: vec![("range".into(), frame.slice(..10))],
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        client_id: "a".into(),
        client_host: "/127.0.0.1".into(),
        require_known_member_id: false,
        supports_skipping_assignment: true,
        reason: None,
        generated_member_id: "a-1".into(),
    };
    stage.call("a", Command::Join(join));
    stage.advance_to(1);
    stage.call(
        "a",
        Command::Sync(SyncGroup {
            group_id: "g".into(),
            generation_id: 1,
            member_id: "a-1".into(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![("a-1".into(), frame.slice(10..20))],
        }),
    );
    let group = stage.machine.groups().next().expect("a group");
    let member = group.members().next().expect("a member");
    assert_eq!(
        (member.protocols[0].1.len(), member.assignment.len()),
        (10, 10)
    );
    assert!(frame.is_unique());
}
