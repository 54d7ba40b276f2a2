//! Membership of a classic consumer group, pure: answers and time in, requests and changes of the
//! assignment out. (The protocol of KIP-848 will have a machine of its own with the same output.)
//!
//! ```text
//!              subscribed                       joined             synced
//!   Outside ---------------> [Unjoined] -> Joining -> Syncing -> Stable
//!                                ^  ^         |           |         |
//!                                |  +---------+-----------+---------+  a rebalance, or an error that
//!                                |                                     a new try can cure
//!                             (a read)
//!                                |
//!   Stable -> Away: the application has not read for too long   (any) -> Over: nothing helps
//! ```
//!
//! Before a member joins again under the eager protocol it gives everything back; under the
//! cooperative one (KIP-429) it keeps what it has and lets go of what the answer takes away. Either
//! way the application has the last word: a [`Change`] is out until [`Membership::changed`], and
//! nothing that depends on it happens before. Heartbeats go on meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidemark_protocol::ErrorCode;

use super::assignor::{Assignor, RebalanceProtocol};
use super::commit::CommitIdentity;
use super::lease::Lease;
use super::protocol::{Subscription, decode_assignment};
use crate::clock::Now;
use crate::retry::Backoff;
use crate::topic_partition::TopicPartition;

mod exchange;
mod leading;
pub(crate) mod messages;

pub(crate) use exchange::{Call, Change, Failure, Join, Joined, Step, Sync};

/// What membership needs of the configuration; times in milliseconds.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) instance_id: Option<String>,
    pub(crate) assignors: Vec<Arc<dyn Assignor>>,
    pub(crate) session_timeout: u64,
    pub(crate) heartbeat_interval: u64,
    pub(crate) max_poll_interval: u64,
    pub(crate) retry_backoff: u64,
    pub(crate) retry_backoff_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is subscribed.
    Outside,
    Unjoined,
    Joining,
    Syncing,
    Stable,
    /// Left because nobody reads. The next read joins again.
    Away,
    Over,
}

impl State {
    /// The states that may come before this one.
    const fn after(self) -> &'static [State] {
        use State::{Away, Joining, Outside, Over, Stable, Syncing, Unjoined};
        match self {
            Outside => &[Unjoined, Joining, Syncing, Stable, Away, Over, Outside],
            Unjoined => &[Outside, Unjoined, Joining, Syncing, Stable, Away],
            Joining => &[Unjoined],
            Syncing => &[Joining],
            Stable => &[Syncing],
            Away => &[Unjoined, Joining, Syncing, Stable],
            Over => &[Outside, Unjoined, Joining, Syncing, Stable, Away, Over],
        }
    }
}

/// The member.
pub(crate) struct Membership {
    settings: Settings,
    protocol: RebalanceProtocol,
    state: State,
    topics: BTreeSet<Arc<str>>,
    member_id: String,
    generation: i32,
    chosen: String,
    /// What the application has.
    owned: BTreeSet<TopicPartition>,
    /// What it last had, and of which generation: sticky assignors ask for it.
    last: (Vec<TopicPartition>, i32),
    /// What the coordinator has given; not yet what the application has.
    target: Option<BTreeSet<TopicPartition>>,
    /// A change that the application is carrying out, or is to.
    change: Option<Change>,
    /// The application is at it: nothing else may take its place until it is done.
    begun: bool,
    /// Everything was lost while the application was at a change.
    lost: bool,
    /// Why the member is to join again, if it is.
    rejoin: Option<&'static str>,
    /// How many calls have had a ticket.
    tickets: u64,
    /// That of the last join or sync, and when that was sent.
    ticket: u64,
    sent: Now,
    heartbeat_ticket: Option<u64>,
    heartbeat_sent: Now,
    heartbeat_at: u64,
    /// When the last request was sent whose answer said that the member is in and has nothing to do.
    settled: Now,
    lease: Lease,
    /// When the coordinator was last heard of.
    heard: u64,
    polled: u64,
    not_before: u64,
    backoff: Backoff,
    find_coordinator: bool,
    leave: Vec<Call>,
    /// As leader: the partition counts that the assignment was made with.
    counts: Option<BTreeMap<Arc<str>, i32>>,
    over: Option<(ErrorCode, String)>,
    /// The last trouble with the coordinator.
    trouble: Option<String>,
}

impl Membership {
    pub(crate) fn new(settings: Settings) -> Self {
        // The best way that all assignors are fit for.
        let all = settings
            .assignors
            .iter()
            .all(|a| a.protocols().contains(&RebalanceProtocol::Cooperative));
        Self {
            protocol: if all {
                RebalanceProtocol::Cooperative
            } else {
                RebalanceProtocol::Eager
            },
            state: State::Outside,
            topics: BTreeSet::new(),
            member_id: String::new(),
            generation: -1,
            chosen: String::new(),
            owned: BTreeSet::new(),
            last: (Vec::new(), -1),
            target: None,
            change: None,
            begun: false,
            lost: false,
            rejoin: None,
            tickets: 0,
            ticket: 0,
            sent: Now::default(),
            heartbeat_ticket: None,
            heartbeat_sent: Now::default(),
            settled: Now::default(),
            lease: Lease::new(),
            heartbeat_at: 0,
            heard: 0,
            polled: 0,
            not_before: 0,
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            find_coordinator: false,
            leave: Vec::new(),
            counts: None,
            over: None,
            trouble: None,
            settings,
        }
    }

    fn become_(&mut self, next: State) {
        debug_assert!(
            next.after().contains(&self.state),
            "from {:?} to {next:?}",
            self.state
        );
        self.state = next;
    }

    // ---- the application ----

    /// The topics to read from now on. With none of them a member stays one, and is given nothing.
    pub(crate) fn subscribe(&mut self, topics: BTreeSet<Arc<str>>, now: Now) {
        if topics == self.topics {
            return;
        }
        self.topics = topics;
        match self.state {
            State::Outside => {
                self.polled = now.millis;
                self.become_(State::Unjoined);
                self.rejoin = Some("the consumer subscribed");
            }
            State::Over => {}
            _ => self.rejoin("the subscription changed"),
        }
    }

    /// The application reads.
    pub(crate) fn polled(&mut self, now: Now) {
        self.polled = now.millis;
        if self.state == State::Away {
            self.become_(State::Unjoined);
            self.rejoin = Some("the consumer reads again");
        }
    }

    /// The change that the application is to carry out now, and to confirm by [`Self::changed`]. If
    /// it has given up in the middle it gets it again, or what has become of it.
    pub(crate) fn begin_change(&mut self) -> Option<Change> {
        if std::mem::take(&mut self.lost) {
            // What it began is void, and how far it came nobody knows.
            if let Some(Change::Assign(new)) = self.change.take() {
                self.owned.extend(new);
            }
            self.lose();
            self.next_change();
        }
        self.begun = self.change.is_some();
        self.change.clone()
    }

    /// The application has carried out what it began.
    pub(crate) fn changed(&mut self) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        match self.change.take() {
            Some(Change::Revoke(gone) | Change::Lose(gone)) => {
                for partition in &gone {
                    self.owned.remove(partition);
                }
            }
            Some(Change::Assign(new)) => {
                self.owned.extend(new);
                if !self.lost {
                    self.last = (self.owned(), self.generation);
                }
            }
            None => {}
        }
        if std::mem::take(&mut self.lost) {
            self.lose();
        }
        self.next_change();
    }

    /// Works towards what the coordinator has given: first let go, then begin.
    fn next_change(&mut self) {
        if self.change.is_some() {
            return;
        }
        let Some(target) = &self.target else { return };
        let gone: Vec<_> = self.owned.difference(target).cloned().collect();
        if !gone.is_empty() {
            self.change = Some(Change::Revoke(gone));
            if self.protocol == RebalanceProtocol::Cooperative {
                // Others wait for them.
                self.rejoin("partitions were revoked");
            }
            return;
        }
        let new: Vec<_> = target.difference(&self.owned).cloned().collect();
        self.target = None;
        // Told even if it is nothing new: the application learns that the rebalance is over.
        self.change = Some(Change::Assign(new));
    }

    /// Everything the application has, for the end.
    pub(crate) fn owned(&self) -> Vec<TopicPartition> {
        self.owned.iter().cloned().collect()
    }

    /// Leaves for good. A static member just goes: it is expected back.
    pub(crate) fn close(&mut self, reason: &'static str) -> Option<Call> {
        let leave = self.leaving(reason);
        self.become_(State::Outside);
        self.topics.clear();
        self.owned.clear();
        (self.begun, self.lost) = (false, false);
        self.reset_identity();
        (self.rejoin, self.over, self.trouble) = (None, None, None);
        self.not_before = 0;
        self.backoff.reset();
        leave
    }

    fn leaving(&self, reason: &'static str) -> Option<Call> {
        (self.settings.instance_id.is_none() && !self.member_id.is_empty()).then(|| Call::Leave {
            member_id: self.member_id.clone(),
            reason,
        })
    }

    /// Under what name to commit; `None` while the member has none.
    pub(crate) fn identity(&self) -> Option<CommitIdentity> {
        (self.generation >= 0).then(|| CommitIdentity {
            generation: self.generation,
            member_id: self.member_id.clone(),
            instance_id: self.settings.instance_id.clone(),
        })
    }

    /// The stay in the group, or the next one.
    pub(crate) fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// The coordinator has answered a request that was sent then: the member is in. Only if it had
    /// nothing to ask is that so for the whole of a session: one that is to join again is thrown out
    /// when the rebalance has waited for it long enough, and that began after it was last settled.
    fn confirmed(&mut self, sent: Now, settled: bool) {
        let session = self.settings.session_timeout / 10 * 9;
        if settled {
            self.settled = sent;
        }
        let waits = self.settings.max_poll_interval;
        let since = sent.millis.saturating_sub(self.settled.millis);
        self.lease
            .extend(sent, session.min(waits.saturating_sub(since)));
    }

    fn new_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Why the member cannot go on, if it cannot.
    pub(crate) fn over(&self) -> Option<(ErrorCode, String)> {
        self.over.clone()
    }

    /// The last trouble with the coordinator, while it lasts.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    pub(crate) fn is_stable(&self) -> bool {
        self.state == State::Stable && self.change.is_none() && self.rejoin.is_none()
    }

    /// The partition counts of all topics have been looked at again.
    pub(crate) fn counted(&mut self, count: impl Fn(&str) -> Option<i32>) {
        let Some(counts) = &self.counts else { return };
        if self.state != State::Stable {
            return;
        }
        let differs = counts
            .iter()
            .any(|(topic, known)| count(topic).unwrap_or(0) != *known);
        if differs {
            self.rejoin("the topics' partitions changed");
        }
    }

    // ---- time ----

    /// What to do now. Calls that it gives are under way from here on.
    pub(crate) fn step(&mut self, now: Now) -> Step {
        let mut step = Step {
            calls: std::mem::take(&mut self.leave),
            find_coordinator: std::mem::take(&mut self.find_coordinator),
            ..Step::default()
        };
        if matches!(self.state, State::Outside | State::Away | State::Over) {
            step.change = self.change.is_some();
            return step;
        }
        let idle_at = self.polled.saturating_add(self.settings.max_poll_interval);
        if now.millis >= idle_at {
            self.go_away();
            step.calls.append(&mut self.leave);
            step.change = self.change.is_some();
            return step;
        }
        step.at(idle_at);
        if self.rejoin.is_some() && matches!(self.state, State::Stable | State::Unjoined) {
            self.prepare_and_join(now, &mut step);
        }
        // While a join waits for others, too: it can wait for longer than a session.
        if self.generation >= 0 {
            self.beat(now, &mut step);
        }
        step.change = self.change.is_some();
        step
    }

    fn prepare_and_join(&mut self, now: Now, step: &mut Step) {
        if self.state == State::Stable {
            self.become_(State::Unjoined);
        }
        // Whatever the last round gave is void, unless the application is at it.
        if self.change.is_some() {
            return;
        }
        if self.protocol == RebalanceProtocol::Eager && !self.owned.is_empty() {
            self.target = None;
            self.change = Some(Change::Revoke(self.owned()));
            return;
        }
        if now.millis < self.not_before {
            step.at(self.not_before);
            return;
        }
        self.target = None;
        let Some(protocols) = self.protocols() else {
            let reason = "the subscription does not fit the protocol".to_owned();
            self.end(ErrorCode::InvalidRequest, reason);
            return;
        };
        let reason = self.rejoin.take().unwrap_or_default();
        // What a heartbeat from before brings to light the join brings too.
        self.heartbeat_ticket = None;
        (self.ticket, self.sent) = (self.new_ticket(), now);
        self.become_(State::Joining);
        step.calls.push(Call::Join(
            self.ticket,
            Join {
                member_id: self.member_id.clone(),
                protocols,
                reason,
            },
        ));
    }

    fn protocols(&self) -> Option<Vec<(&'static str, Bytes)>> {
        let owned = self.owned();
        let assignors = self.settings.assignors.iter();
        assignors
            .map(|assignor| {
                let subscription = Subscription {
                    topics: self.topics.iter().cloned().collect(),
                    user_data: assignor.user_data(&self.last.0, self.last.1),
                    owned: owned.clone(),
                    generation: self.generation,
                };
                Some((assignor.name(), subscription.encode()?))
            })
            .collect()
    }

    fn beat(&mut self, now: Now, step: &mut Step) {
        let silent_at = |heard: u64| heard.saturating_add(self.settings.session_timeout);
        if now.millis >= silent_at(self.heard) {
            // It may have failed over; membership is for the next one to judge.
            self.heard = now.millis;
            self.heartbeat_ticket = None;
            step.find_coordinator = true;
        }
        step.at(silent_at(self.heard));
        if self.heartbeat_ticket.is_some() {
            return;
        }
        if now.millis < self.heartbeat_at {
            step.at(self.heartbeat_at);
            return;
        }
        let Some(identity) = self.identity() else {
            return;
        };
        let ticket = self.new_ticket();
        (self.heartbeat_ticket, self.heartbeat_sent) = (Some(ticket), now);
        self.heartbeat_at = now.millis.saturating_add(self.settings.heartbeat_interval);
        step.calls.push(Call::Heartbeat(ticket, identity));
    }

    fn go_away(&mut self) {
        if let Some(leave) = self.leaving("the application has not read for max.poll.interval.ms") {
            self.leave.push(leave);
            self.member_id.clear();
        }
        self.become_(State::Away);
        self.rejoin = None;
        self.forget_generation();
    }

    // ---- the coordinator ----

    /// The coordinator has taken the member in. `counts` are the partition counts of the group's
    /// topics, for the leader.
    pub(crate) fn joined(
        &mut self,
        ticket: u64,
        joined: Joined,
        counts: BTreeMap<Arc<str>, i32>,
        now: Now,
    ) -> Option<Call> {
        if ticket != self.ticket || self.state != State::Joining {
            return None;
        }
        self.heard = now.millis;
        self.heartbeat_at = now.millis.saturating_add(self.settings.heartbeat_interval);
        self.heartbeat_ticket = None;
        self.backoff.reset();
        self.trouble = None;
        if joined.generation < 0 {
            self.refuse("the coordinator took the member in without a generation");
            return None;
        }
        self.generation = joined.generation;
        self.member_id.clone_from(&joined.member_id);
        self.chosen.clone_from(&joined.protocol);
        self.confirmed(self.sent, true);
        self.counts = None;
        let mut assignments = Vec::new();
        if joined.leader == joined.member_id {
            self.counts = Some(counts.clone());
            if !joined.skip_assignment {
                match self.share_out(&joined, &counts) {
                    Ok(shared) => assignments = shared,
                    Err(reason) => {
                        self.refuse(&reason);
                        return None;
                    }
                }
            }
        }
        (self.ticket, self.sent) = (self.new_ticket(), now);
        self.become_(State::Syncing);
        let identity = self.identity()?;
        Some(Call::Sync(
            self.ticket,
            Sync {
                identity,
                protocol: joined.protocol,
                assignments,
            },
        ))
    }

    /// The coordinator has handed the member its share.
    pub(crate) fn synced(&mut self, ticket: u64, assignment: &Bytes, now: Now) {
        if ticket != self.ticket || self.state != State::Syncing {
            return;
        }
        self.heard = now.millis;
        self.heartbeat_at = now.millis.saturating_add(self.settings.heartbeat_interval);
        let Some(partitions) = decode_assignment(assignment) else {
            self.refuse("the leader's assignment cannot be read");
            return;
        };
        self.become_(State::Stable);
        self.confirmed(self.sent, true);
        self.target = Some(partitions.into_iter().collect());
        self.next_change();
    }

    /// A heartbeat was answered.
    pub(crate) fn beaten(&mut self, ticket: u64, now: Now) {
        if self.heartbeat_ticket == Some(ticket) {
            self.heartbeat_ticket = None;
            self.confirmed(self.heartbeat_sent, true);
            self.heard = now.millis;
            self.trouble = None;
            self.backoff.reset();
        }
    }

    /// A call has failed.
    pub(crate) fn failed(&mut self, ticket: u64, failure: Failure, now: Now, random: u64) {
        let beat = self.heartbeat_ticket == Some(ticket);
        if beat {
            self.heartbeat_ticket = None;
            if failure == Failure::Code(ErrorCode::RebalanceInProgress) {
                self.confirmed(self.heartbeat_sent, false);
                self.heard = now.millis;
            }
            if matches!(self.state, State::Joining | State::Syncing) {
                // All else is for the answer to say that is waited for.
                return;
            }
        } else if ticket != self.ticket || !matches!(self.state, State::Joining | State::Syncing) {
            return;
        }
        match failure {
            Failure::MemberId(id) => {
                self.member_id = id;
                self.join_again("the coordinator gave the member its id");
            }
            Failure::Unreachable(reason) => {
                self.trouble = Some(reason);
                self.find_coordinator = true;
                self.wait(now, random, beat);
            }
            Failure::Hopeless(reason) => self.end(ErrorCode::UnknownServerError, reason),
            Failure::Code(code) => self.refused(code, beat, now, random),
        }
    }

    fn refused(&mut self, code: ErrorCode, beat: bool, now: Now, random: u64) {
        match code {
            ErrorCode::RebalanceInProgress => {
                if beat {
                    self.rejoin("the group is rebalancing");
                } else {
                    self.join_again("the group is rebalancing");
                }
            }
            ErrorCode::UnknownMemberId => {
                self.reset_identity();
                self.begin_anew("the coordinator does not know the member");
            }
            ErrorCode::IllegalGeneration => {
                self.forget_generation();
                self.begin_anew("the member's generation has passed");
            }
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.trouble = Some(code.to_string());
                self.find_coordinator = true;
                self.wait(now, random, beat);
            }
            code if code.retriable() => {
                self.trouble = Some(code.to_string());
                self.wait(now, random, beat);
            }
            code => {
                let reason = explained(code, &self.settings);
                self.end(code, reason);
            }
        }
    }

    /// After a commit: the coordinator has another idea of the group.
    pub(crate) fn commit_refused(&mut self, code: ErrorCode, generation: i32) {
        if generation != self.generation || matches!(self.state, State::Over | State::Outside) {
            return;
        }
        let lost = matches!(
            code,
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
        );
        match code {
            // A heartbeat tells whether that still holds.
            ErrorCode::RebalanceInProgress => self.heartbeat_at = 0,
            // The answer to the join says what becomes of the member.
            _ if lost && self.state == State::Joining => self.forget_generation(),
            ErrorCode::UnknownMemberId => {
                self.reset_identity();
                self.begin_anew("the coordinator does not know the member");
            }
            ErrorCode::IllegalGeneration => {
                self.forget_generation();
                self.begin_anew("the member's generation has passed");
            }
            ErrorCode::FencedInstanceId => {
                let reason = explained(code, &self.settings);
                self.end(code, reason);
            }
            _ => {}
        }
    }

    /// Joins again as soon as there is nothing under way: a join that is given up meanwhile would
    /// leave a member behind for which the others wait.
    fn rejoin(&mut self, reason: &'static str) {
        self.rejoin.get_or_insert(reason);
    }

    fn join_again(&mut self, reason: &'static str) {
        if matches!(self.state, State::Joining | State::Syncing) {
            self.become_(State::Unjoined);
        }
        self.rejoin.get_or_insert(reason);
    }

    /// Whatever the member had may be another one's by now.
    fn begin_anew(&mut self, reason: &'static str) {
        if self.state != State::Unjoined {
            self.become_(State::Unjoined);
        }
        self.rejoin = Some(reason);
    }

    fn forget_generation(&mut self) {
        if self.generation >= 0 {
            self.lease.end();
            self.lease = Lease::new();
        }
        self.generation = -1;
        self.heartbeat_ticket = None;
        self.counts = None;
        self.target = None;
        if self.begun {
            self.lost = true;
        } else {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.change = (!self.owned.is_empty()).then(|| Change::Lose(self.owned()));
    }

    fn reset_identity(&mut self) {
        self.member_id.clear();
        self.forget_generation();
    }

    fn wait(&mut self, now: Now, random: u64, beat: bool) {
        let until = now.millis.saturating_add(self.backoff.next(random));
        if beat {
            self.heartbeat_at = until;
        } else {
            self.not_before = until;
            self.join_again("the coordinator did not answer");
        }
    }

    /// The member cannot go along with what the group has decided.
    fn refuse(&mut self, reason: &str) {
        if let Some(leave) = self.leaving("the member cannot go along with the group") {
            self.leave.push(leave);
            self.member_id.clear();
        }
        self.end(ErrorCode::InconsistentGroupProtocol, reason.to_owned());
    }

    fn end(&mut self, code: ErrorCode, reason: String) {
        self.over = Some((code, reason));
        self.become_(State::Over);
        self.rejoin = None;
        self.forget_generation();
    }
}

/// What an error that nothing helps against means, and what would.
fn explained(code: ErrorCode, settings: &Settings) -> String {
    let names: Vec<&str> = settings.assignors.iter().map(|a| a.name()).collect();
    match code {
        ErrorCode::InconsistentGroupProtocol => format!(
            "{code}: the group's members have none of the assignors {} in common, or are of another \
             kind",
            names.join(", ")
        ),
        ErrorCode::FencedInstanceId => format!(
            "{code}: another member has come under the instance id {:?}",
            settings.instance_id.as_deref().unwrap_or_default()
        ),
        ErrorCode::InvalidSessionTimeout => format!(
            "{code}: session_timeout of {} ms is out of the broker's bounds, \
             group.min.session.timeout.ms to group.max.session.timeout.ms",
            settings.session_timeout
        ),
        ErrorCode::GroupMaxSizeReached => {
            format!("{code}: the group is full, group.max.size of the broker")
        }
        ErrorCode::GroupAuthorizationFailed => {
            format!("{code}: the user may not read as this group")
        }
        code => code.to_string(),
    }
}

#[cfg(test)]
mod tests;
