//! A working copy of a group on which a decision is tried out.
//!
//! A machine decides without changing anything. Group logic, on the other hand, is easiest to
//! read as a sequence of steps that change the group. A [`Draft`] joins the two: a copy of the
//! group (members are shared until touched), plus the answers and timer changes that the steps
//! lead to. In the end it becomes one event that puts the copy in the group's place.

use std::sync::Arc;

use bytes::Bytes;

use super::super::config::GroupConfig;
use super::super::event::{Event, Timer};
use super::super::reply::{Joined, Reply, Synced};
use super::super::{GroupMachine, command::MemberId};
use super::{Group, GroupState, Member};
use crate::coordinator::{Answer, Decision, ReplyToken, TimerChange, When};
use crate::types::Now;
use tidemark_protocol::ErrorCode;

/// A group that is being changed.
pub(super) struct Draft<'a> {
    pub(super) config: &'a GroupConfig,
    pub(super) now: Now,
    pub(super) group: Group,
    durable: bool,
    decision: Decision<GroupMachine>,
}

impl<'a> Draft<'a> {
    /// Starts from `group`.
    pub(super) fn new(config: &'a GroupConfig, now: Now, group: Group) -> Self {
        Self {
            config,
            now,
            group,
            durable: false,
            decision: Decision::default(),
        }
    }

    /// What the steps have led to.
    pub(super) fn finish(mut self) -> Decision<GroupMachine> {
        let group = Arc::new(self.group);
        self.decision.events.push(Event::GroupChanged {
            group,
            durable: self.durable,
        });
        self.decision
    }

    /// The answers and timer changes of steps that have left the group as it was.
    pub(super) fn finish_unchanged(self) -> Decision<GroupMachine> {
        self.decision
    }

    /// Makes the change outlive a restart.
    pub(super) fn persist(&mut self) {
        self.durable = true;
    }

    /// Moves the group to another state.
    pub(super) fn transition_to(&mut self, state: GroupState) {
        let from = self.group.state;
        assert!(
            state.legal_predecessors().contains(&from),
            "a group went from {from} to {state}"
        );
        self.group.previous_state = Some(from);
        self.group.state = state;
        self.group.state_since = Some(self.now.wall);
    }

    /// Answers a caller: refusals at once, everything else when it is on disk.
    pub(super) fn answer(&mut self, token: ReplyToken, when: When, reply: Reply) {
        self.decision.answers.push(Answer { token, when, reply });
    }

    /// Answers the member's parked JoinGroup call, if there is one, with a refusal.
    pub(super) fn refuse_join(&mut self, member_id: &str, told_id: MemberId, error: ErrorCode) {
        if let Some(token) = self
            .member_mut(member_id)
            .and_then(|member| member.join.take())
        {
            self.answer(token, When::Now, Joined::refused(told_id, error));
        }
    }

    /// Answers the member's parked SyncGroup call, if there is one, with a refusal.
    pub(super) fn refuse_sync(&mut self, member_id: &str, error: ErrorCode) {
        if let Some(token) = self
            .member_mut(member_id)
            .and_then(|member| member.sync.take())
        {
            self.answer(token, When::Now, Synced::refused(error));
        }
    }

    /// What a member that has joined the current generation is told.
    pub(super) fn joined(&self, member_id: &MemberId) -> Joined {
        let group = &self.group;
        let members = if group.is_leader(member_id) {
            group.joined_members()
        } else {
            Vec::new()
        };
        Joined {
            error: ErrorCode::None,
            generation_id: group.generation,
            protocol_type: group.protocol_type.clone(),
            protocol_name: group.protocol_name.clone(),
            leader: group.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.clone(),
            members,
        }
    }

    /// The ids of all members.
    pub(super) fn member_ids(&self) -> Vec<MemberId> {
        self.group.members.keys().cloned().collect()
    }

    /// A member, to change it; only now it is copied.
    pub(super) fn member_mut(&mut self, member_id: &str) -> Option<&mut Member> {
        self.group.members.get_mut(member_id).map(Arc::make_mut)
    }

    /// Adds a member.
    pub(super) fn insert_member(&mut self, member: Member) {
        let group = &mut self.group;
        if group.members.is_empty() {
            group.leader = None;
        }
        group.leader.get_or_insert_with(|| member.member_id.clone());
        group.pending_join.remove(&member.member_id);
        if let Some(instance_id) = &member.group_instance_id {
            group
                .static_members
                .insert(instance_id.clone(), member.member_id.clone());
        }
        group.insert_member(member);
    }

    /// Removes a member or a pending member with its timer. The leader's place falls to the first
    /// member by id. The caller has answered the member's parked calls.
    pub(super) fn remove_member(&mut self, member_id: &str) {
        self.stop_session(member_id);
        let group = &mut self.group;
        group.pending_join.remove(member_id);
        group.pending_sync.remove(member_id);
        if let Some(member) = group.remove_member(member_id)
            && let Some(instance_id) = &member.group_instance_id
        {
            group.static_members.remove(instance_id);
        }
        if group.is_leader(member_id) {
            group.leader = group.members.keys().next().cloned();
        }
    }

    /// Takes all assignments back and sends parked SyncGroup calls away with `error`.
    pub(super) fn reset_assignments(&mut self, error: ErrorCode) {
        for member_id in self.member_ids() {
            if let Some(member) = self.member_mut(&member_id) {
                member.assignment = Bytes::new();
                if member.sync.is_some() {
                    self.refuse_sync(&member_id, error);
                    self.restart_session(&member_id);
                }
            }
        }
    }

    /// Gives a member its whole session timeout again.
    pub(super) fn restart_session(&mut self, member_id: &str) {
        if let Some(member) = self.group.members.get(member_id) {
            let timeout_ms = i64::from(member.session_timeout_ms);
            self.set_session(member_id, timeout_ms);
        }
    }

    /// Gives a member, pending ones included, `timeout_ms` to show a sign of life.
    pub(super) fn set_session(&mut self, member_id: &str, timeout_ms: i64) {
        let timer = self.session_timer(member_id);
        self.set_timer(timer, timeout_ms);
    }

    /// Stops watching a member.
    pub(super) fn stop_session(&mut self, member_id: &str) {
        let timer = self.session_timer(member_id);
        self.stop_timer(timer);
    }

    /// Starts a timer, or starts it anew.
    pub(super) fn set_timer(&mut self, timer: Timer, delay_ms: i64) {
        let deadline = Some(self.now.monotonic.plus_ms(delay_ms));
        self.decision.timers.push(TimerChange { timer, deadline });
    }

    /// Stops a timer.
    pub(super) fn stop_timer(&mut self, timer: Timer) {
        self.decision.timers.push(TimerChange {
            timer,
            deadline: None,
        });
    }

    /// The timer of the join phase.
    pub(super) fn join_timer(&self) -> Timer {
        Timer::Join {
            group_id: self.group.group_id.clone(),
        }
    }

    /// The timer of the sync phase.
    pub(super) fn sync_timer(&self) -> Timer {
        Timer::Sync {
            group_id: self.group.group_id.clone(),
        }
    }

    fn session_timer(&self, member_id: &str) -> Timer {
        Timer::Session {
            group_id: self.group.group_id.clone(),
            member_id: member_id.into(),
        }
    }
}
