//! Rebalances of dynamic members: joining, syncing, staying alive, leaving.

use super::super::GroupConfig;
use super::story::{check, check_with};

fn delayed(initial_rebalance_delay_ms: i32) -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms,
        ..GroupConfig::default()
    }
}

#[test]
fn rule_41_the_first_rebalance_waits_for_more_members() {
    check_with(
        delayed(3000),
        "
        > join a v=3
        > wait 2999
        > wait 1
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        ",
    );
}

#[test]
fn rule_41_the_wait_is_extended_while_members_join_up_to_the_rebalance_timeout() {
    check_with(
        delayed(3000),
        "
        > join a v=3 rebalance=10000
        > wait 2000
        > join b v=3
        > wait 1000
        > wait 2000
        > join c v=3
        > wait 1000
        > join d v=3
        > wait 3000
        > join e v=3
        > wait 999
        > wait 1
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2: c-3: d-4: e-5:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        c: joined gen=1 consumer/range leader=a-1 id=c-3
        d: joined gen=1 consumer/range leader=a-1 id=d-4
        e: joined gen=1 consumer/range leader=a-1 id=e-5
        ",
    );
}

#[test]
fn rule_41_only_an_empty_group_waits() {
    check_with(
        delayed(3000),
        "
        > join a v=3
        > wait 3000
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > join b v=3
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        > leave a-1 as=a
        a: leave NONE a-1:NONE
        > leave b-2 as=b
        log: g is Empty gen=3 []
        b: leave NONE b-2:NONE
        > join c v=3
        > wait 3000
        c: joined gen=4 consumer/range leader=c-3 id=c-3 [c-3:]
        ",
    );
}

#[test]
fn rule_41_a_group_that_is_left_while_it_waits_becomes_empty_in_the_end() {
    check_with(
        delayed(3000),
        "
        > join a v=3
        > leave a-1 as=a2
        a: join UNKNOWN_MEMBER_ID id=
        a2: leave NONE a-1:NONE
        > describe
        -: describe g PreparingRebalance consumer/
        > wait 3000
        log: g is Empty gen=1 []
        > describe
        -: describe g Empty consumer/
        ",
    );
}

#[test]
fn rule_44_followers_wait_for_the_leader() {
    check(
        "
        > join a v=3 protos=range:ma
        > join b v=3 protos=range:mb
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:ma b-2:mb]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=b-2 as=b type=consumer proto=range
        > sync id=a-1 as=a assign=a-1:x,b-2:y,stranger:z
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        b: synced consumer/range 'y'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > describe
        -: describe g Stable consumer/range a-1(a/127.0.0.1 'ma' 'x') b-2(b/127.0.0.1 'mb' 'y')
        ",
    );
}

#[test]
fn rule_44_a_member_without_assignment_gets_an_empty_one() {
    check(
        "
        > join a v=3
        > join b v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x b-2:]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range ''
        > restart
        > sync id=b-2 as=b
        b: synced consumer/range ''
        ",
    );
}

#[test]
fn rule_44_the_protocol_must_be_the_groups() {
    check(
        "
        > join a v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a type=connect
        a: sync INCONSISTENT_GROUP_PROTOCOL
        > sync id=a-1 as=a proto=sticky
        a: sync INCONSISTENT_GROUP_PROTOCOL
        > sync id=a-1 as=a gen=0
        a: sync ILLEGAL_GENERATION
        > sync id=a-1 as=a gen=2
        a: sync ILLEGAL_GENERATION
        > sync id=b as=b
        b: sync UNKNOWN_MEMBER_ID
        > sync id=b as=b inst=i
        b: sync UNKNOWN_MEMBER_ID
        > sync g=other id=a-1 as=a
        a: sync UNKNOWN_MEMBER_ID
        > sync id=a-1 as=a type=consumer proto=range assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        ",
    );
}

#[test]
fn rule_44_members_that_do_not_sync_in_time_are_out() {
    check(
        "
        > join a v=3 rebalance=9000
        > join b v=3 rebalance=9000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=b-2 as=b
        > wait 8999
        > beat id=a-1 as=a
        a: beat NONE
        > wait 1
        b: sync REBALANCE_IN_PROGRESS
        > beat id=a-1 as=a
        a: beat UNKNOWN_MEMBER_ID
        > join b id=b-2
        b: joined gen=2 consumer/range leader=b-2 id=b-2 [b-2:]
        ",
    );
    check(
        "
        > join a v=3 rebalance=9000
        > join b v=3 rebalance=9000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=a-1 as=a assign=a-1:x,b-2:y
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        > wait 8000
        > beat id=a-1 as=a
        a: beat NONE
        > wait 1000
        > beat id=a-1 as=a
        a: beat REBALANCE_IN_PROGRESS
        > beat id=b-2 as=b
        b: beat UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn rule_44_a_second_call_of_a_waiting_member_sends_the_first_away() {
    check(
        "
        > join a v=3
        > join b v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=b-2 as=b-first
        > sync id=b-2 as=b-second
        b-first: sync REBALANCE_IN_PROGRESS
        > sync id=a-1 as=a assign=b-2:y
        log: g is Stable gen=1 [a-1: b-2:y]
        a: synced consumer/range ''
        b-second: synced consumer/range 'y'
        > join b id=b-2 protos=range:new
        > join b-third id=b-2 protos=range:new
        b: join REBALANCE_IN_PROGRESS id=b-2
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:new]
        b-third: joined gen=2 consumer/range leader=a-1 id=b-2
        ",
    );
}

#[test]
fn rule_45_heartbeats_tell_of_rebalances() {
    check(
        "
        > beat id=a-1 as=a
        a: beat UNKNOWN_MEMBER_ID
        > join a v=3
        > beat id=a-1 as=a gen=0
        a: beat REBALANCE_IN_PROGRESS
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > beat id=a-1 as=a
        a: beat NONE
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > beat id=a-1 as=a
        a: beat NONE
        > beat id=a-1 as=a gen=0
        a: beat ILLEGAL_GENERATION
        > beat id=a-1 as=a inst=i
        a: beat UNKNOWN_MEMBER_ID
        > beat id=b-1 as=b
        b: beat UNKNOWN_MEMBER_ID
        > join b v=3
        > beat id=a-1 as=a
        a: beat REBALANCE_IN_PROGRESS
        ",
    );
}

#[test]
fn rule_45_heartbeats_keep_a_member_in_every_phase() {
    check(
        "
        > join a v=3 session=6000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > wait 5000
        > beat id=a-1 as=a
        a: beat NONE
        > wait 5000
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > beat id=a-1 as=a
        a: beat NONE
        > join b v=3
        > wait 5000
        > beat id=a-1 as=a
        a: beat REBALANCE_IN_PROGRESS
        > wait 5000
        > join a id=a-1 session=6000
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        > wait 5999
        > beat id=a-1 as=a gen=2
        a: beat NONE
        > sync id=b-2 as=b gen=2
        > wait 5999
        > beat id=a-1 as=a gen=2
        a: beat NONE
        > wait 6000
        b: sync REBALANCE_IN_PROGRESS
        ",
    );
}

#[test]
fn joining_and_syncing_again_are_signs_of_life() {
    check(
        "
        > join a v=3
        > join b v=3 session=6000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > wait 5000
        > join b id=b-2 session=6000
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=a-1 as=a assign=a-1:x,b-2:y
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > wait 5000
        > beat id=a-1 as=a
        a: beat NONE
        > join b id=b-2 session=6000
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > wait 5000
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > wait 4000
        > beat id=a-1 as=a
        a: beat NONE
        > wait 1999
        > beat id=b-2 as=b
        b: beat NONE
        ",
    );
}

#[test]
fn a_silent_member_is_out() {
    check(
        "
        > join a v=3 session=6000
        > join b v=3 session=20000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=a-1 as=a assign=a-1:x,b-2:y
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > wait 6000
        > beat id=a-1 as=a
        a: beat UNKNOWN_MEMBER_ID
        > beat id=b-2 as=b
        b: beat REBALANCE_IN_PROGRESS
        > join b id=b-2
        b: joined gen=2 consumer/range leader=b-2 id=b-2 [b-2:]
        > sync id=b-2 as=b gen=2 assign=b-2:z
        log: g is Stable gen=2 [b-2:z]
        b: synced consumer/range 'z'
        > wait 10000
        log: g is Empty gen=3 []
        > describe
        -: describe g Empty consumer/
        ",
    );
}

#[test]
fn members_that_do_not_rejoin_in_time_are_out() {
    check(
        "
        > join a v=3 rebalance=8000
        > join b v=3 rebalance=7000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=a-1 as=a assign=a-1:x,b-2:y
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > join b id=b-2 protos=range:new rebalance=7000
        > wait 7999
        > beat id=a-1 as=a
        a: beat REBALANCE_IN_PROGRESS
        > wait 1
        b: joined gen=2 consumer/range leader=b-2 id=b-2 [b-2:new]
        > beat id=a-1 as=a
        a: beat UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn a_new_member_may_wait_for_five_minutes() {
    check(
        "
        > join a v=3 session=1800000 rebalance=900000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > join b v=3
        > wait 299999
        > wait 1
        b: join UNKNOWN_MEMBER_ID id=
        > join a id=a-1 session=1800000
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1:]
        ",
    );
}

#[test]
fn what_joining_anew_does_depends_on_state_and_role() {
    // While the leader assigns: the same metadata repeats the answer, another rebalances.
    check(
        "
        > join a v=3
        > join b v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > join a id=a-1
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        > join b id=b-2
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=b-2 as=b
        > join b id=b-2 protos=range:new
        b: sync REBALANCE_IN_PROGRESS
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:new]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        ",
    );
    // In a stable group: a follower without news gets the current state, the leader rebalances.
    check(
        "
        > join a v=3
        > join b v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=a-1 as=a assign=a-1:x,b-2:y
        log: g is Stable gen=1 [a-1:x b-2:y]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > join b id=b-2
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > join a id=a-1
        > join b id=b-2
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        ",
    );
}

#[test]
fn the_leader_stays_leader_unless_it_stays_away() {
    check(
        "
        > join b v=3 session=100000 rebalance=8000
        > join a v=3 session=100000 rebalance=8000
        > wait 0
        a: joined gen=1 consumer/range leader=b-1 id=a-2
        b: joined gen=1 consumer/range leader=b-1 id=b-1 [a-2: b-1:]
        > sync id=b-1 as=b assign=b-1:x,a-2:y
        log: g is Stable gen=1 [a-2:y b-1:x]
        b: synced consumer/range 'x'
        > sync id=a-2 as=a
        a: synced consumer/range 'y'
        > join a id=a-2 protos=range:new rebalance=8000
        > join b id=b-1 session=100000 rebalance=8000
        a: joined gen=2 consumer/range leader=b-1 id=a-2
        b: joined gen=2 consumer/range leader=b-1 id=b-1 [a-2:new b-1:]
        > sync id=b-1 as=b gen=2
        log: g is Stable gen=2 [a-2: b-1:]
        b: synced consumer/range ''
        > sync id=a-2 as=a gen=2
        a: synced consumer/range ''
        > join a id=a-2 protos=range:newer rebalance=8000
        > wait 8000
        a: joined gen=3 consumer/range leader=a-2 id=a-2 [a-2:newer]
        > beat id=b-1 as=b gen=2
        b: beat UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn members_vote_for_the_protocol() {
    check(
        "
        > join a v=3 protos=range,sticky,robin
        > join b v=3 protos=robin,sticky
        > join c v=3 protos=sticky,robin
        > join d v=3 protos=none,sticky,robin
        > wait 0
        a: joined gen=1 consumer/sticky leader=a-1 id=a-1 [a-1: b-2: c-3: d-4:]
        b: joined gen=1 consumer/sticky leader=a-1 id=b-2
        c: joined gen=1 consumer/sticky leader=a-1 id=c-3
        d: joined gen=1 consumer/sticky leader=a-1 id=d-4
        ",
    );
}

#[test]
fn rule_46_members_leave_alone_or_together() {
    check(
        "
        > join a v=3
        > join b v=3
        > join c v=3
        > join d inst=i
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2: c-3: i-4@i:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        c: joined gen=1 consumer/range leader=a-1 id=c-3
        d: joined gen=1 consumer/range leader=a-1 id=i-4
        > sync id=a-1 as=a
        log: g is Stable gen=1 [a-1: b-2: c-3: i-4:]
        a: synced consumer/range ''
        > sync id=b-2 as=b
        b: synced consumer/range ''
        > sync id=c-3 as=c
        c: synced consumer/range ''
        > sync id=i-4 inst=i as=d
        d: synced consumer/range ''
        > leave as=x b-2 made-up c-3@i
        x: leave NONE b-2:NONE made-up:UNKNOWN_MEMBER_ID c-3@i:FENCED_INSTANCE_ID
        > leave as=x @j @i
        x: leave NONE @j:UNKNOWN_MEMBER_ID @i:NONE
        > beat as=a id=a-1
        a: beat REBALANCE_IN_PROGRESS
        > leave as=a a-1
        a: leave NONE a-1:NONE
        > describe
        -: describe g PreparingRebalance consumer/ c-3(c/127.0.0.1 '' '')
        > leave as=a a-1
        a: leave NONE a-1:UNKNOWN_MEMBER_ID
        > leave as=a g=other a-1 b-2
        a: leave NONE a-1:UNKNOWN_MEMBER_ID b-2:UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn rule_46_pending_members_leave_too() {
    check(
        "
        > join a
        a: join MEMBER_ID_REQUIRED id=a-1
        > leave as=a a-1
        a: leave NONE a-1:NONE
        > join a id=a-1
        a: join UNKNOWN_MEMBER_ID id=a-1
        > join b v=3
        > wait 0
        b: joined gen=1 consumer/range leader=b-2 id=b-2 [b-2:]
        > sync id=b-2 as=b
        log: g is Stable gen=1 [b-2:]
        b: synced consumer/range ''
        > join c
        c: join MEMBER_ID_REQUIRED id=c-3
        > join b id=b-2
        > leave as=c c-3
        c: leave NONE c-3:NONE
        b: joined gen=2 consumer/range leader=b-2 id=b-2 [b-2:]
        ",
    );
}

#[test]
fn rule_46_calls_that_wait_are_answered_when_their_member_leaves() {
    check(
        "
        > join a v=3
        > join b v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        > sync id=b-2 as=b
        > leave as=x b-2
        b: sync UNKNOWN_MEMBER_ID
        x: leave NONE b-2:NONE
        > join c v=3
        > leave as=x c-3
        c: join UNKNOWN_MEMBER_ID id=
        x: leave NONE c-3:NONE
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1:]
        ",
    );
}

#[test]
fn a_follower_leaving_while_the_leader_assigns_starts_over() {
    check(
        "
        > join a v=3
        > join b v=3
        > join c v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: b-2: c-3:]
        b: joined gen=1 consumer/range leader=a-1 id=b-2
        c: joined gen=1 consumer/range leader=a-1 id=c-3
        > sync id=b-2 as=b
        > leave as=c c-3
        c: leave NONE c-3:NONE
        b: sync REBALANCE_IN_PROGRESS
        > sync id=a-1 as=a assign=a-1:x
        a: sync REBALANCE_IN_PROGRESS
        > join a id=a-1
        > join b id=b-2
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        ",
    );
}

#[test]
fn rule_51_a_restart_keeps_the_last_stable_generation() {
    check(
        "
        > join a v=3 protos=range:m,sticky
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:m]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > join b v=3
        > restart
        > describe
        -: describe g Stable consumer/range a-1(a/127.0.0.1 'm' 'x')
        > beat id=a-1 as=a
        a: beat NONE
        > join a id=a-1 protos=range:m,sticky
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1:m]
        > sync id=a-1 as=a gen=2 assign=a-1:z
        log: g is Stable gen=2 [a-1:z]
        a: synced consumer/range 'z'
        > restart
        > wait 10000
        log: g is Empty gen=3 []
        > restart
        > describe
        -: describe g Empty consumer/
        > wait 600000
        log: g is gone
        > list
        -: list
        > restart
        > list
        -: list
        ",
    );
}
