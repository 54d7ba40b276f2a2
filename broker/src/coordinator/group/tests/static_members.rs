//! Static members: instance ids, replacement and fencing (rule 40).

use super::story::check;

#[test]
fn rule_40_a_static_member_takes_its_place_again_without_a_rebalance() {
    check(
        "
        > join a inst=i protos=range:m1 session=6000
        > join b v=3 protos=range
        > wait 0
        b: joined gen=1 consumer/range leader=i-1 id=b-2
        a: joined gen=1 consumer/range leader=i-1 id=i-1 [b-2: i-1@i:m1]
        > sync id=i-1 inst=i as=a assign=i-1:x,b-2:y
        log: g is Stable gen=1 [b-2:y i-1:x]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > join a2 inst=i protos=range:m2 session=7000 host=/10.0.0.1
        log: g is Stable gen=1 [b-2:y i-3:x]
        a2: joined gen=1 consumer/range leader=i-3 id=i-3 skip [b-2: i-3@i:m2]
        > describe
        -: describe g Stable consumer/range b-2(b/127.0.0.1 '' 'y') i-3@i(a2/10.0.0.1 'm2' 'x')
        > beat id=i-1 inst=i as=a
        a: beat FENCED_INSTANCE_ID
        > beat id=i-1 as=a
        a: beat UNKNOWN_MEMBER_ID
        > beat id=i-3 inst=i as=a2
        a2: beat NONE
        > beat id=b-2 as=b
        b: beat NONE
        > sync id=i-3 inst=i as=a2
        a2: synced consumer/range 'x'
        > join a inst=i id=i-1
        a: join FENCED_INSTANCE_ID id=i-1
        > wait 6999
        > restart
        > describe
        -: describe g Stable consumer/range b-2(b/127.0.0.1 '' 'y') i-3@i(a2/10.0.0.1 'm2' 'x')
        ",
    );
}

#[test]
fn rule_40_a_leader_that_cannot_skip_the_assignment_is_told_of_its_old_self() {
    check(
        "
        > join a inst=i v=8
        > join b v=3
        > wait 0
        b: joined gen=1 consumer/range leader=i-1 id=b-2
        a: joined gen=1 consumer/range leader=i-1 id=i-1 [b-2: i-1@i:]
        > sync id=i-1 inst=i as=a assign=i-1:x,b-2:y
        log: g is Stable gen=1 [b-2:y i-1:x]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > join a inst=i v=8
        log: g is Stable gen=1 [b-2:y i-3:x]
        a: joined gen=1 consumer/range leader=i-1 id=i-3
        > sync id=i-3 inst=i as=a
        a: synced consumer/range 'x'
        > join a id=i-3 inst=i v=8
        ",
    );
}

#[test]
fn rule_40_a_static_follower_gets_the_current_state() {
    check(
        "
        > join a v=3
        > join b inst=i
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: i-2@i:]
        b: joined gen=1 consumer/range leader=a-1 id=i-2
        > sync id=a-1 as=a assign=a-1:x,i-2:y
        log: g is Stable gen=1 [a-1:x i-2:y]
        a: synced consumer/range 'x'
        > sync id=i-2 inst=i as=b
        b: synced consumer/range 'y'
        > join b inst=i
        log: g is Stable gen=1 [a-1:x i-3:y]
        b: joined gen=1 consumer/range leader=a-1 id=i-3
        > sync id=i-3 inst=i as=b
        b: synced consumer/range 'y'
        ",
    );
}

#[test]
fn rule_40_a_replacement_that_changes_the_protocol_rebalances() {
    check(
        "
        > join a v=3 protos=range,sticky
        > join b inst=i protos=range,sticky
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: i-2@i:]
        b: joined gen=1 consumer/range leader=a-1 id=i-2
        > sync id=a-1 as=a assign=a-1:x,i-2:y
        log: g is Stable gen=1 [a-1:x i-2:y]
        a: synced consumer/range 'x'
        > sync id=i-2 inst=i as=b
        b: synced consumer/range 'y'
        > join b inst=i protos=sticky
        > beat id=a-1 as=a
        a: beat REBALANCE_IN_PROGRESS
        > join a id=a-1 protos=range,sticky
        a: joined gen=2 consumer/sticky leader=a-1 id=a-1 [a-1: i-3@i:]
        b: joined gen=2 consumer/sticky leader=a-1 id=i-3
        ",
    );
}

#[test]
fn rule_40_a_replacement_while_the_leader_assigns_rebalances() {
    check(
        "
        > join a v=3
        > join b inst=i
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1: i-2@i:]
        b: joined gen=1 consumer/range leader=a-1 id=i-2
        > sync id=i-2 inst=i as=b
        > join b2 inst=i
        b: sync FENCED_INSTANCE_ID
        > sync id=a-1 as=a assign=a-1:x,i-2:y
        a: sync REBALANCE_IN_PROGRESS
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: i-3@i:]
        b2: joined gen=2 consumer/range leader=a-1 id=i-3
        ",
    );
}

#[test]
fn rule_40_a_replacement_while_the_group_joins_fences_the_one_that_waits() {
    check(
        "
        > join a v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a
        log: g is Stable gen=1 [a-1:]
        a: synced consumer/range ''
        > join b inst=i
        > join b2 inst=i
        b: join FENCED_INSTANCE_ID id=i-2
        > join b inst=i id=i-2
        b: join FENCED_INSTANCE_ID id=i-2
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: i-3@i:]
        b2: joined gen=2 consumer/range leader=a-1 id=i-3
        ",
    );
    // Also in the first rebalance.
    check(
        "
        > join b inst=i
        > join b2 inst=i
        b: join FENCED_INSTANCE_ID id=i-1
        > wait 0
        b2: joined gen=1 consumer/range leader=i-2 id=i-2 [i-2@i:]
        ",
    );
}

#[test]
fn rule_40_every_call_of_a_fenced_member_says_so() {
    check(
        "
        > join a inst=i
        > wait 0
        a: joined gen=1 consumer/range leader=i-1 id=i-1 [i-1@i:]
        > sync id=i-1 inst=i as=a assign=i-1:x
        log: g is Stable gen=1 [i-1:x]
        a: synced consumer/range 'x'
        > join a2 inst=i
        log: g is Stable gen=1 [i-2:x]
        a2: joined gen=1 consumer/range leader=i-2 id=i-2 skip [i-2@i:]
        > join a inst=i id=i-1
        a: join FENCED_INSTANCE_ID id=i-1
        > sync id=i-1 inst=i as=a
        a: sync FENCED_INSTANCE_ID
        > beat id=i-1 inst=i as=a
        a: beat FENCED_INSTANCE_ID
        > commit id=i-1 inst=i gen=1 as=a t-0=5
        a: commit t-0:FENCED_INSTANCE_ID
        > leave i-1@i as=a
        a: leave NONE i-1@i:FENCED_INSTANCE_ID
        > leave i-2@i as=a2
        log: g is Empty gen=2 []
        a2: leave NONE i-2@i:NONE
        ",
    );
}

#[test]
fn rule_40_static_members_need_no_handshake() {
    check(
        "
        > join a inst=i v=9
        > wait 0
        a: joined gen=1 consumer/range leader=i-1 id=i-1 [i-1@i:]
        ",
    );
}

#[test]
fn static_members_keep_their_place_when_they_miss_a_rebalance() {
    check(
        "
        > join a inst=i session=100000 rebalance=8000
        > join b v=3 session=100000 rebalance=8000
        > join c v=3 session=100000 rebalance=8000
        > wait 0
        b: joined gen=1 consumer/range leader=i-1 id=b-2
        c: joined gen=1 consumer/range leader=i-1 id=c-3
        a: joined gen=1 consumer/range leader=i-1 id=i-1 [b-2: c-3: i-1@i:]
        > sync id=i-1 inst=i as=a assign=i-1:x,b-2:y,c-3:z
        log: g is Stable gen=1 [b-2:y c-3:z i-1:x]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > sync id=c-3 as=c
        c: synced consumer/range 'z'
        > join c id=c-3 protos=range:new session=100000 rebalance=8000
        > wait 8000
        c: joined gen=2 consumer/range leader=c-3 id=c-3 [c-3:new i-1@i:]
        > sync id=c-3 as=c gen=2 assign=i-1:x,c-3:z
        log: g is Stable gen=2 [c-3:z i-1:x]
        c: synced consumer/range 'z'
        > beat id=i-1 inst=i as=a
        a: beat ILLEGAL_GENERATION
        > beat id=i-1 inst=i as=a gen=2
        a: beat NONE
        ",
    );
}

#[test]
fn a_group_of_absent_static_members_waits_until_their_sessions_end() {
    check(
        "
        > join a inst=i session=20000 rebalance=8000
        > join b v=3 session=6000
        > wait 0
        b: joined gen=1 consumer/range leader=i-1 id=b-2
        a: joined gen=1 consumer/range leader=i-1 id=i-1 [b-2: i-1@i:]
        > sync id=i-1 inst=i as=a assign=i-1:x,b-2:y
        log: g is Stable gen=1 [b-2:y i-1:x]
        a: synced consumer/range 'x'
        > sync id=b-2 as=b
        b: synced consumer/range 'y'
        > leave as=b b-2
        b: leave NONE b-2:NONE
        > wait 8000
        > describe
        -: describe g PreparingRebalance consumer/ i-1@i(a/127.0.0.1 '' 'x')
        > wait 8000
        > describe
        -: describe g PreparingRebalance consumer/ i-1@i(a/127.0.0.1 '' 'x')
        > wait 4000
        log: g is Empty gen=2 []
        > describe
        -: describe g Empty consumer/
        ",
    );
}
