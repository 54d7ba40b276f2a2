//! The phases of a rebalance: everybody joins, then everybody learns the assignment.

use super::super::reply::Reply;
use super::super::{GroupDecision, GroupMachine};
use super::draft::Draft;
use super::session::renewed_session;
use super::{Group, GroupState, InitialDelay};
use crate::coordinator::{Decision, When};
use crate::types::Now;
use tidemark_protocol::ErrorCode;

/// The join phase has lasted long enough.
pub(in super::super) fn on_join_timer(
    machine: &GroupMachine,
    now: Now,
    group_id: &str,
) -> GroupDecision {
    match machine.group(group_id) {
        Some(group) if group.state == GroupState::PreparingRebalance => {
            let mut draft = Draft::new(machine.config(), now, group.clone());
            draft.join_phase_timed_out();
            draft.finish()
        }
        _ => Decision::default(),
    }
}

/// The log has been replayed: members get their whole session timeout to report, and a group that
/// is too large for a limit that has been lowered since rebalances.
pub(in super::super) fn on_loaded(
    machine: &GroupMachine,
    now: Now,
    group: &Group,
) -> GroupDecision {
    let mut decision = Decision::default();
    if group.members.len() > machine.config().max_size {
        let mut draft = Draft::new(machine.config(), now, group.clone());
        draft.prepare_rebalance();
        decision = draft.finish();
    }
    decision.timers.extend(
        group
            .members()
            .map(|member| renewed_session(now, group, member)),
    );
    decision
}

impl Draft<'_> {
    /// Somebody has come, gone or changed: starts a rebalance, or looks whether the one under way
    /// can go on.
    pub(super) fn rebalance_or_complete_join(&mut self) {
        if self.group.state == GroupState::PreparingRebalance {
            self.maybe_complete_join_phase();
        } else {
            self.prepare_rebalance();
        }
    }

    /// Starts a rebalance. The first one of an empty group waits for more members to come.
    pub(super) fn prepare_rebalance(&mut self) {
        if self.group.state == GroupState::CompletingRebalance {
            self.reset_assignments(ErrorCode::RebalanceInProgress);
        }
        self.group.pending_sync.clear();
        self.stop_timer(self.sync_timer());
        let initial = self.group.state == GroupState::Empty;
        self.transition_to(GroupState::PreparingRebalance);
        if initial {
            self.start_initial_delay();
        } else if self.group.has_all_joined() {
            self.complete_join_phase();
        } else {
            self.start_join_timer();
        }
    }

    /// Ends the join phase if nobody is missing. The first rebalance of an empty group has no
    /// notion of "everybody" and always waits for its timer.
    pub(super) fn maybe_complete_join_phase(&mut self) {
        let initial = self.group.previous_state == Some(GroupState::Empty);
        if !initial && self.group.has_all_joined() {
            self.complete_join_phase();
        }
    }

    /// Ends the join phase: dynamic members that have not rejoined are out, static ones may be
    /// restarting and stay until their session ends.
    pub(super) fn complete_join_phase(&mut self) {
        self.stop_timer(self.join_timer());
        self.group.initial_delay = None;
        self.remove_absent_dynamic_members();
        if self.group.members.is_empty() {
            self.become_empty();
        } else if self.elect_joined_leader() {
            self.start_generation();
        } else {
            // Only static members are left and none has rejoined: wait on, until they do or their
            // sessions end.
            self.start_join_timer();
        }
    }

    fn start_initial_delay(&mut self) {
        let delay_ms = self.config.initial_rebalance_delay_ms.max(0);
        let remaining_ms = self
            .group
            .rebalance_timeout_ms()
            .saturating_sub(delay_ms)
            .max(0);
        self.group.initial_delay = Some(InitialDelay {
            delay_ms,
            remaining_ms,
            member_added: false,
        });
        self.set_timer(self.join_timer(), i64::from(delay_ms));
    }

    fn join_phase_timed_out(&mut self) {
        match self.group.initial_delay {
            Some(wait) if wait.member_added && wait.remaining_ms != 0 => {
                let delay_ms = self
                    .config
                    .initial_rebalance_delay_ms
                    .max(0)
                    .min(wait.remaining_ms);
                let remaining_ms = wait.remaining_ms.saturating_sub(wait.delay_ms).max(0);
                self.group.initial_delay = Some(InitialDelay {
                    delay_ms,
                    remaining_ms,
                    member_added: false,
                });
                self.set_timer(self.join_timer(), i64::from(delay_ms));
            }
            _ => self.complete_join_phase(),
        }
    }

    fn start_join_timer(&mut self) {
        let timeout_ms = i64::from(self.group.rebalance_timeout_ms());
        self.set_timer(self.join_timer(), timeout_ms);
    }

    fn remove_absent_dynamic_members(&mut self) {
        for member_id in self.member_ids() {
            let absent =
                self.group.members.get(&member_id).is_some_and(|member| {
                    member.join.is_none() && member.group_instance_id.is_none()
                });
            if absent {
                self.remove_member(&member_id);
            }
        }
    }

    /// Makes sure that the leader is one of those who have joined: the one there is, or else the
    /// first by id. Whether there is one.
    fn elect_joined_leader(&mut self) -> bool {
        let group = &mut self.group;
        let leader = group.leader.as_ref().and_then(|id| group.members.get(id));
        if leader.is_some_and(|member| member.join.is_some()) {
            return true;
        }
        let joined = group.members.values().find(|member| member.join.is_some());
        match joined.map(|member| member.member_id.clone()) {
            Some(member_id) => {
                group.leader = Some(member_id);
                true
            }
            None => false,
        }
    }

    /// Everybody is gone. This is written down: from now on the group's offsets grow old.
    fn become_empty(&mut self) {
        self.next_generation();
        self.group.leader = None;
        self.group.protocol_name = None;
        self.group.refresh_subscribed_topics();
        self.transition_to(GroupState::Empty);
        self.persist();
    }

    /// Chooses the protocol and answers all parked JoinGroup calls.
    fn start_generation(&mut self) {
        self.next_generation();
        self.group.protocol_name = self.group.select_protocol();
        self.group.refresh_subscribed_topics();
        self.transition_to(GroupState::CompletingRebalance);
        self.group.pending_sync = self.group.members.keys().cloned().collect();
        for member_id in self.member_ids() {
            self.restart_session(&member_id);
            let Some(member) = self.member_mut(&member_id) else {
                continue;
            };
            member.is_new = false;
            if let Some(token) = member.join.take() {
                let joined = self.joined(&member_id);
                self.answer(token, When::AfterDurable, Reply::Join(joined));
            }
        }
        let timeout_ms = i64::from(self.group.rebalance_timeout_ms());
        self.set_timer(self.sync_timer(), timeout_ms);
    }

    /// Counts up; negative generations mean "no generation", so after the largest comes 0.
    fn next_generation(&mut self) {
        self.group.generation = self.group.generation.checked_add(1).unwrap_or(0);
        self.group.pending_sync.clear();
    }
}
