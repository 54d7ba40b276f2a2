//! What must hold after every step.

use std::collections::BTreeSet;

use super::super::classic::ProtocolCounts;
use super::super::*;
use super::story::Stage;
use crate::coordinator::ReplyToken;

/// Checks a machine together with its timers and the calls that wait.
pub(super) fn check(stage: &Stage) {
    let mut parked = BTreeSet::new();
    for group in stage.machine.groups() {
        check_members(group);
        check_states(group, stage.config.max_size);
        check_timers(stage, group);
        for member in group.members() {
            for token in [member.join, member.sync].into_iter().flatten() {
                assert!(parked.insert(token), "a call is parked twice in {group:?}");
            }
        }
    }
    // A call is parked in a group or has been answered; none is lost.
    let waiting: BTreeSet<ReplyToken> = stage.parked.keys().copied().collect();
    assert_eq!(parked, waiting);
}

fn check_members(group: &Group) {
    for (member_id, member) in &group.members {
        assert_eq!(member_id, &member.member_id);
        if let Some(instance_id) = &member.group_instance_id {
            assert_eq!(
                group.static_members.get(instance_id),
                Some(member_id),
                "{group:?}"
            );
        }
    }
    let mut counts = ProtocolCounts::default();
    group.members().for_each(|member| counts.add(member));
    assert_eq!(group.protocol_counts, counts, "{group:?}");
    let with_instance = group
        .members()
        .filter(|member| member.group_instance_id.is_some())
        .count();
    assert_eq!(group.static_members.len(), with_instance, "{group:?}");
    assert!(
        group
            .pending_join
            .iter()
            .all(|id| !group.members.contains_key(id)),
        "{group:?}"
    );
    assert!(
        group
            .pending_sync
            .iter()
            .all(|id| group.members.contains_key(id)),
        "{group:?}"
    );
    match &group.leader {
        Some(leader) => assert!(group.members.contains_key(leader), "{group:?}"),
        None => assert!(group.members.is_empty(), "{group:?}"),
    }
}

fn check_states(group: &Group, max_size: usize) {
    let joining = group.members().any(|member| member.join.is_some());
    let syncing = group.members().any(|member| member.sync.is_some());
    let protocol_fits = group
        .protocol_name
        .as_deref()
        .is_some_and(|name| group.members().all(|member| member.supports(name)));
    match group.state {
        GroupState::Empty => {
            assert!(
                group.members.is_empty() && group.pending_sync.is_empty(),
                "{group:?}"
            );
            assert_eq!(group.protocol_name, None);
        }
        GroupState::PreparingRebalance => {
            assert!(!syncing && group.pending_sync.is_empty(), "{group:?}");
        }
        GroupState::CompletingRebalance => {
            assert!(!joining && protocol_fits, "{group:?}");
            let leader = group.leader.as_ref().expect("it has members");
            assert!(
                group.pending_sync.contains(leader),
                "nobody assigns: {group:?}"
            );
        }
        GroupState::Stable => assert!(!joining && !syncing && protocol_fits, "{group:?}"),
        GroupState::Dead => panic!("a dead group is kept: {group:?}"),
    }
    let waits_for_first = group.initial_delay.is_some();
    if waits_for_first {
        assert_eq!(group.state, GroupState::PreparingRebalance);
        assert_eq!(group.previous_state, Some(GroupState::Empty));
    }
    if group.state != GroupState::PreparingRebalance && group.previous_state.is_some() {
        // Static members that miss a rebalance keep their place beyond the limit.
        let dynamic = group
            .members()
            .filter(|member| member.group_instance_id.is_none());
        assert!(dynamic.count() <= max_size, "{group:?}");
    }
}

/// Whatever a group waits for, a timer ends the wait.
fn check_timers(stage: &Stage, group: &Group) {
    let group_id = &group.group_id;
    let is_set = |timer: Timer| stage.timers.contains_key(&timer);
    let session = |member_id: &Arc<str>| Timer::Session {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    for member in group.members() {
        let waits = !member.is_new && (member.join.is_some() || member.sync.is_some());
        assert!(
            waits || is_set(session(&member.member_id)),
            "{member:?} is not watched"
        );
    }
    for member_id in &group.pending_join {
        assert!(is_set(session(member_id)), "{member_id} is not watched");
    }
    let preparing = group.state == GroupState::PreparingRebalance;
    let join = Timer::Join {
        group_id: group_id.clone(),
    };
    assert_eq!(is_set(join), preparing, "{group:?}");
    if !group.pending_sync.is_empty() {
        assert!(
            is_set(Timer::Sync {
                group_id: group_id.clone()
            }),
            "{group:?}"
        );
    }
    assert!(is_set(Timer::Expiry));
}
