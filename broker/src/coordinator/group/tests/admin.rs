//! Describing, listing and deleting groups.

use super::story::check;

#[test]
fn describe_tells_what_it_knows() {
    check(
        "
        > describe
        -: describe GROUP_ID_NOT_FOUND Dead: there is no group 'g'
        > describe v=5
        -: describe g Dead /
        > join a v=3 protos=range:ma
        > describe
        -: describe g PreparingRebalance consumer/ a-1(a/127.0.0.1 '' '')
        > join b inst=i protos=range:mb host=/10.0.0.1
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:ma i-2@i:mb]
        b: joined gen=1 consumer/range leader=a-1 id=i-2
        > describe
        -: describe g CompletingRebalance consumer/ a-1(a/127.0.0.1 '' '') i-2@i(b/10.0.0.1 '' '')
        > sync id=a-1 as=a assign=a-1:x,i-2:y
        log: g is Stable gen=1 [a-1:x i-2:y]
        a: synced consumer/range 'x'
        > describe
        -: describe g Stable consumer/range a-1(a/127.0.0.1 'ma' 'x') i-2@i(b/10.0.0.1 'mb' 'y')
        ",
    );
}

#[test]
fn list_filters_by_state_and_type() {
    check(
        "
        > commit g=s t-0=1
        log: s/t-0 = 1
        -: commit t-0:NONE
        > join a g=t v=3
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > sync g=t id=a-1 as=a
        log: t is Stable gen=1 [a-1:]
        a: synced consumer/range ''
        > join b g=j v=3 type=connect
        > list
        -: list j(connect,PreparingRebalance,classic) s(,Empty,classic) t(consumer,Stable,classic)
        > list states=stable,PREPARINGREBALANCE
        -: list j(connect,PreparingRebalance,classic) t(consumer,Stable,classic)
        > list states=dead,nonsense
        -: list
        > list states=Stable,stable,STABLE,stable
        -: list t(consumer,Stable,classic)
        > list types=Classic
        -: list j(connect,PreparingRebalance,classic) s(,Empty,classic) t(consumer,Stable,classic)
        > list types=consumer,share
        -: list
        > list types=nonsense
        -: list
        > list states=EMPTY types=CLASSIC,consumer
        -: list s(,Empty,classic)
        ",
    );
}

#[test]
fn only_empty_groups_are_deleted() {
    check(
        "
        > delete-group
        -: delete-group GROUP_ID_NOT_FOUND
        > commit t-0=1 t-1=2 u-0=3
        log: g/t-0 = 1
        log: g/t-1 = 2
        log: g/u-0 = 3
        -: commit t-0:NONE t-1:NONE u-0:NONE
        > join a v=3
        > delete-group
        -: delete-group NON_EMPTY_GROUP
        > wait 0
        a: joined gen=1 consumer/range leader=a-1 id=a-1 [a-1:]
        > delete-group
        -: delete-group NON_EMPTY_GROUP
        > sync id=a-1 as=a
        log: g is Stable gen=1 [a-1:]
        a: synced consumer/range ''
        > delete-group
        -: delete-group NON_EMPTY_GROUP
        > leave a-1 as=a
        log: g is Empty gen=2 []
        a: leave NONE a-1:NONE
        > delete-group
        log: g/t-0 is gone
        log: g/t-1 is gone
        log: g/u-0 is gone
        log: g is gone
        -: delete-group NONE
        > delete-group
        -: delete-group GROUP_ID_NOT_FOUND
        > fetch
        -: fetch
        > restart
        > list
        -: list
        > fetch
        -: fetch
        ",
    );
}

#[test]
fn rule_51_the_log_alone_makes_the_same_groups() {
    check(
        "
        > commit g=gone t-0=1
        log: gone/t-0 = 1
        -: commit t-0:NONE
        > delete-group g=gone
        log: gone/t-0 is gone
        log: gone is gone
        -: delete-group NONE
        > commit t-0=1:m epoch=4
        log: g/t-0 = 1
        -: commit t-0:NONE
        > commit t-0=2:n epoch=5
        log: g/t-0 = 2
        -: commit t-0:NONE
        > commit t-1=3
        log: g/t-1 = 3
        -: commit t-1:NONE
        > delete-offsets t-1
        log: g/t-1 is gone
        -: delete-offsets NONE t-1:NONE
        > restart
        > list
        -: list g(,Empty,classic)
        > fetch
        -: fetch t-0=2@5:n
        > delete-group
        log: g/t-0 is gone
        log: g is gone
        -: delete-group NONE
        > restart
        > list
        -: list
        ",
    );
}
