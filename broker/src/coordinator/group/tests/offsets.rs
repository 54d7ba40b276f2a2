//! Committed offsets.

use super::super::GroupConfig;
use super::story::{check, check_with};

#[test]
fn rule_47_who_may_commit() {
    // A consumer that assigns itself makes a group by committing.
    check(
        "
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > list
        -: list g(,Empty,classic)
        > describe
        -: describe g Empty /
        > fetch t-0 t-1
        -: fetch t-0=5 t-1=-1
        > fetch
        -: fetch t-0=5
        > fetch g=other t-0
        -: fetch t-0=-1
        > fetch g=other
        -: fetch
        ",
    );
    // Members of a group that does not exist.
    check(
        "
        > commit id=a-1 gen=1 v=8 t-0=5
        -: commit t-0:ILLEGAL_GENERATION
        > commit id=a-1 gen=1 v=9 t-0=5
        -: commit t-0:GROUP_ID_NOT_FOUND
        > commit id=a-1 gen=0 v=9 t-0=5
        -: commit t-0:GROUP_ID_NOT_FOUND
        ",
    );
    // An empty group takes commits of members only if they do not claim a generation.
    check(
        "
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > commit id=a-1 gen=0 t-0=6
        -: commit t-0:UNKNOWN_MEMBER_ID
        > commit id=a-1 t-0=7
        log: g/t-0 = 7
        -: commit t-0:NONE
        ",
    );
}

#[test]
fn rule_47_commits_of_members_in_every_phase() {
    check(
        "
        > join a v=3
        > commit t-0=1
        -: commit t-0:UNKNOWN_MEMBER_ID
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > commit id=a-1 gen=1 t-0=1
        -: commit t-0:REBALANCE_IN_PROGRESS
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > commit id=a-1 gen=1 t-0=2
        log: g/t-0 = 2
        -: commit t-0:NONE
        > commit id=a-1 gen=0 t-0=3
        -: commit t-0:ILLEGAL_GENERATION
        > commit id=a-1 gen=2 t-0=3
        -: commit t-0:ILLEGAL_GENERATION
        > commit id=a-1 t-0=3
        -: commit t-0:ILLEGAL_GENERATION
        > commit id=b-1 gen=1 t-0=3
        -: commit t-0:UNKNOWN_MEMBER_ID
        > commit id=a-1 inst=i gen=1 t-0=3
        -: commit t-0:UNKNOWN_MEMBER_ID
        > commit t-0=3
        -: commit t-0:UNKNOWN_MEMBER_ID
        > commit inst=i t-0=3
        -: commit t-0:UNKNOWN_MEMBER_ID
        > join b v=3
        > commit id=a-1 gen=1 t-0=4
        log: g/t-0 = 4
        -: commit t-0:NONE
        > commit id=b-2 gen=1 t-0=4
        log: g/t-0 = 4
        -: commit t-0:NONE
        > join a id=a-1
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1: b-2:]
        b: joined gen=2 consumer/range leader=a-1 id=b-2
        > commit id=a-1 gen=1 t-0=5
        -: commit t-0:ILLEGAL_GENERATION
        > commit id=a-1 gen=2 t-0=5
        -: commit t-0:REBALANCE_IN_PROGRESS
        > fetch
        -: fetch t-0=4
        ",
    );
}

#[test]
fn a_commit_is_a_sign_of_life() {
    check(
        "
        > join a v=3 session=6000
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > wait 5000
        > commit id=a-1 gen=1 t-0=2
        log: g/t-0 = 2
        -: commit t-0:NONE
        > wait 5999
        > beat id=a-1 as=a
        a: beat NONE
        ",
    );
}

#[test]
fn rule_47_metadata_epoch_and_topic_id_come_back() {
    check(
        "
        > commit t-0=5:mé epoch=3
        log: g/t-0 = 5
        -: commit t-0:NONE
        > commit t-1=6 tid=7
        log: g/t-1 = 6
        -: commit t-1:NONE
        > fetch t-0 t-1
        -: fetch t-0=5@3:mé t-1=6
        > fetch t-1 tid=7
        -: fetch t-1=6
        > fetch t-1 tid=8
        -: fetch t-1=-1
        > fetch t-0 tid=8
        -: fetch t-0=5@3:mé
        > fetch
        -: fetch t-0=5@3:mé t-1=6
        > restart
        > fetch
        -: fetch t-0=5@3:mé t-1=6
        > fetch t-1 tid=8
        -: fetch t-1=-1
        ",
    );
}

#[test]
fn a_partition_that_is_named_again_is_answered_again_and_written_once() {
    check_with(
        GroupConfig {
            offset_metadata_max_bytes: 4,
            ..GroupConfig::default()
        },
        "
        > commit t-0=5 t-1=6 t-0=7 u-0=8 t-0=9:12345
        log: g/t-0 = 7
        log: g/t-1 = 6
        log: g/u-0 = 8
        -: commit t-0:NONE t-1:NONE t-0:NONE u-0:NONE t-0:OFFSET_METADATA_TOO_LARGE
        > fetch
        -: fetch t-0=7 t-1=6 u-0=8
        > delete-offsets t-0 u-0 t-0 t-2 t-2
        log: g/t-0 is gone
        log: g/u-0 is gone
        -: delete-offsets NONE t-0:NONE u-0:NONE t-0:NONE t-2:NONE t-2:NONE
        ",
    );
}

#[test]
fn rule_47_metadata_has_a_limit_in_utf_16_units() {
    check_with(
        GroupConfig {
            offset_metadata_max_bytes: 4,
            ..GroupConfig::default()
        },
        "
        > commit t-0=5:1234 t-1=5:12345
        log: g/t-0 = 5
        -: commit t-0:NONE t-1:OFFSET_METADATA_TOO_LARGE
        > commit t-2=5:éééé t-3=5:😀😀 t-4=5:😀😀x
        log: g/t-2 = 5
        log: g/t-3 = 5
        -: commit t-2:NONE t-3:NONE t-4:OFFSET_METADATA_TOO_LARGE
        > fetch
        -: fetch t-0=5:1234 t-2=5:éééé t-3=5:😀😀
        ",
    );
    // Whatever the limit, the record must be able to hold it.
    let fits = "x".repeat(32_767);
    check_with(
        GroupConfig {
            offset_metadata_max_bytes: usize::MAX,
            ..GroupConfig::default()
        },
        &format!(
            "
            > commit t-0=5:{fits}
            log: g/t-0 = 5
            -: commit t-0:NONE
            > commit t-0=6:{fits}x
            -: commit t-0:OFFSET_METADATA_TOO_LARGE
            "
        ),
    );
}

#[test]
fn rule_48_offsets_of_an_empty_group_expire_after_it_became_empty() {
    check_with(
        retention(100_000, 10_000),
        "
        > join a v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > commit id=a-1 gen=1 t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > wait 5000
        > beat id=a-1 as=a
        a: beat NONE
        > wait 5000
        > leave as=a a-1
        log: g is Empty gen=2 []
        a: leave NONE a-1:NONE
        > wait 99999
        > fetch
        -: fetch t-0=5
        > wait 1
        log: g/t-0 is gone
        log: g is gone
        > list
        -: list
        ",
    );
}

fn retention(offsets_retention_ms: i64, offsets_retention_check_interval_ms: i64) -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: 0,
        offsets_retention_ms,
        offsets_retention_check_interval_ms,
        ..GroupConfig::default()
    }
}

#[test]
fn rule_48_a_live_group_loses_offsets_of_topics_it_no_longer_consumes() {
    check_with(
        retention(20_000, 1_000),
        "
        > join a v=3 session=1800000 protos=range:[t+u]
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:tu����]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > commit id=a-1 gen=1 t-0=5 u-0=6 v-0=7
        log: g/t-0 = 5
        log: g/u-0 = 6
        log: g/v-0 = 7
        -: commit t-0:NONE u-0:NONE v-0:NONE
        > wait 10000
        > commit id=a-1 gen=1 v-1=7
        log: g/v-1 = 7
        -: commit v-1:NONE
        > wait 10000
        log: g/v-0 is gone
        > fetch
        -: fetch t-0=5 u-0=6 v-1=7
        > join a id=a-1 session=1800000 protos=range:[t]
        a: joined gen=2 consumer/range leader=a-1 id=a-1 [a-1:t����]
        > wait 10000
        > sync id=a-1 as=a gen=2 assign=a-1:x
        log: g is Stable gen=2 [a-1:x]
        a: synced consumer/range 'x'
        > wait 1000
        log: g/u-0 is gone
        log: g/v-1 is gone
        > fetch
        -: fetch t-0=5
        ",
    );
}

#[test]
fn rule_48_while_subscriptions_cannot_be_read_nothing_of_a_live_group_expires() {
    check_with(
        retention(20_000, 1_000),
        "
        > join a v=3 session=1800000 protos=range:unreadable
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:unreadable]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > commit id=a-1 gen=1 t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > join b g=c v=3 session=1800000 type=connect protos=range:unreadable
        > wait 0
        b: joined gen=1 connect/range leader=b-2 id=b-2 [b-2:unreadable]
        > sync g=c id=b-2 as=b assign=b-2:x
        log: c is Stable gen=1 [b-2:x]
        b: synced connect/range 'x'
        > commit g=c id=b-2 gen=1 t-0=5
        log: c/t-0 = 5
        -: commit t-0:NONE
        > wait 90000
        > fetch
        -: fetch t-0=5
        > fetch g=c
        -: fetch t-0=5
        ",
    );
}

#[test]
fn rule_48_offsets_of_simple_consumers_expire_after_their_commit() {
    check_with(
        retention(20_000, 1_000),
        "
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > wait 10000
        > commit t-1=5
        log: g/t-1 = 5
        -: commit t-1:NONE
        > wait 9999
        > wait 1
        log: g/t-0 is gone
        > wait 10000
        log: g/t-1 is gone
        log: g is gone
        ",
    );
}

#[test]
fn rule_48_an_expiry_time_of_its_own_wins() {
    check_with(
        retention(20_000, 1_000),
        "
        > commit t-0=5 keep=3000
        log: g/t-0 = 5
        -: commit t-0:NONE
        > commit t-1=5 keep=50000 epoch=3
        log: g/t-1 = 5
        -: commit t-1:NONE
        > fetch
        -: fetch t-0=5 t-1=5
        > restart
        > wait 2000
        > wait 1000
        log: g/t-0 is gone
        > wait 46000
        > wait 1000
        log: g/t-1 is gone
        log: g is gone
        ",
    );
}

#[test]
fn rule_48_a_group_loaded_without_a_time_counts_from_the_commits() {
    check_with(
        retention(20_000, 1_000),
        "
        > wait 10000
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > restart
        > wait 19999
        > wait 1
        log: g/t-0 is gone
        log: g is gone
        ",
    );
}

#[test]
fn rule_48_a_group_without_offsets_is_forgotten_unless_somebody_is_about_to_join() {
    check_with(
        retention(20_000, 1_000),
        "
        > join a session=6000
        a: join MEMBER_ID_REQUIRED id=a-1
        > wait 1000
        > list
        -: list g(,Empty,classic)
        > wait 5000
        log: g is gone
        > list
        -: list
        ",
    );
}

#[test]
fn rule_49_without_transactions_all_offsets_are_stable() {
    // There is no pending transactional offset that a fetch could have to wait for; the answer
    // always waits until what it tells is on disk (`story` checks that).
    check(
        "
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > fetch t-0
        -: fetch t-0=5
        ",
    );
}

#[test]
fn offsets_of_consumed_topics_are_not_deleted() {
    check(
        "
        > delete-offsets t-0
        -: delete-offsets GROUP_ID_NOT_FOUND
        > commit t-0=5 u-0=6 u-1=7
        log: g/t-0 = 5
        log: g/u-0 = 6
        log: g/u-1 = 7
        -: commit t-0:NONE u-0:NONE u-1:NONE
        > delete-offsets u-1 u-2
        log: g/u-1 is gone
        -: delete-offsets NONE u-1:NONE u-2:NONE
        > join a v=3 protos=range:[t]
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:t����]
        > sync id=a-1 as=a assign=a-1:x
        log: g is Stable gen=1 [a-1:x]
        a: synced consumer/range 'x'
        > delete-offsets t-0 u-0
        log: g/u-0 is gone
        -: delete-offsets NONE t-0:GROUP_SUBSCRIBED_TO_TOPIC u-0:NONE
        > leave as=a a-1
        log: g is Empty gen=2 []
        a: leave NONE a-1:NONE
        > delete-offsets t-0
        log: g/t-0 is gone
        -: delete-offsets NONE t-0:NONE
        > fetch
        -: fetch
        ",
    );
    check(
        "
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > join a v=3 type=connect
        > delete-offsets t-0
        -: delete-offsets NON_EMPTY_GROUP
        > leave as=a a-1
        a: join UNKNOWN_MEMBER_ID id=
        a: leave NONE a-1:NONE
        > wait 0
        log: g is Empty gen=1 []
        > delete-offsets t-0
        log: g/t-0 is gone
        -: delete-offsets NONE t-0:NONE
        ",
    );
    check(
        "
        > commit t-0=5
        log: g/t-0 = 5
        -: commit t-0:NONE
        > join a v=3 protos=range:unreadable
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:unreadable]
        > delete-offsets t-0
        -: delete-offsets NONE t-0:GROUP_SUBSCRIBED_TO_TOPIC
        ",
    );
}

#[test]
fn offsets_of_deleted_topics_go() {
    check(
        "
        > commit t-0=5 t-1=6 u-0=7
        log: g/t-0 = 5
        log: g/t-1 = 6
        log: g/u-0 = 7
        -: commit t-0:NONE t-1:NONE u-0:NONE
        > commit g=h t-0=8
        log: h/t-0 = 8
        -: commit t-0:NONE
        > forget t other
        log: g/t-0 is gone
        log: g/t-1 is gone
        log: h/t-0 is gone
        -: forget 3 offsets
        > fetch
        -: fetch u-0=7
        > fetch g=h
        -: fetch
        ",
    );
}

#[test]
fn a_sweep_writes_its_tombstones_in_portions() {
    use super::super::offsets::MAX_TOMBSTONES;
    use super::story::Stage;

    let mut stage = Stage::new(retention(20_000, 1_000));
    for index in 0..MAX_TOMBSTONES + 5 {
        stage.tell(&format!("commit t-{index}=1"));
    }
    stage.log.clear();
    stage.tell("wait 19999");
    assert_eq!(stage.log.len(), 0);
    stage.tell("wait 1");
    // All offsets and the group itself, in two batches.
    assert_eq!(stage.log.len(), MAX_TOMBSTONES + 6);
    assert_eq!(stage.machine.groups().count(), 0);
}
