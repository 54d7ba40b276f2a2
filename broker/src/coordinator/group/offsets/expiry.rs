//! The sweep for expired offsets and forgotten groups (Kafka's `cleanupGroupMetadata`).
//!
//! Which offsets may grow too old depends on who could still use them:
//!
//! - A group without members: all, counted from the moment it became empty.
//! - A stable consumer group: those of topics that it does not consume, counted from their commit.
//! - A group that only stores offsets: all, counted from their commit.
//! - Any other group: none.
//!
//! An offset with an expiry time of its own (OffsetCommit v2 to v4) obeys that time instead.

use super::super::classic::{Group, GroupState};
use super::super::event::{Event, Timer};
use super::super::{GroupDecision, GroupMachine};
use super::delete::removal;
use super::{CommittedOffset, TopicOffsets};
use crate::coordinator::{Decision, TimerChange};
use crate::types::{Now, Timestamp};

/// The most tombstones that one sweep writes, so that it does not keep others waiting for long. When
/// more is to be done, the next sweep follows at once.
pub(in super::super) const MAX_TOMBSTONES: usize = 10_000;

/// Decides what has expired.
pub(in super::super) fn on_expiry_timer(machine: &GroupMachine, now: Now) -> GroupDecision {
    let mut decision = Decision {
        in_parts: true,
        ..Decision::default()
    };
    for group in machine.groups() {
        sweep_group(machine, now, group, &mut decision.events);
        if decision.events.len() >= MAX_TOMBSTONES {
            break;
        }
    }
    let more = decision.events.len() >= MAX_TOMBSTONES;
    decision.events.truncate(MAX_TOMBSTONES);
    let delay = if more {
        0
    } else {
        machine.config().offsets_retention_check_interval_ms
    };
    let deadline = Some(now.monotonic.plus_ms(delay));
    decision.timers.push(TimerChange {
        timer: Timer::Expiry,
        deadline,
    });
    decision
}

/// Removes expired offsets of a group, and the group itself when it has nothing left.
fn sweep_group(machine: &GroupMachine, now: Now, group: &Group, events: &mut Vec<Event>) {
    let nothing = TopicOffsets::new();
    let stored = machine
        .offsets
        .of_group(&group.group_id)
        .unwrap_or(&nothing);
    let retention_ms = machine.config().offsets_retention_ms;
    let mut offsets_left = false;
    for (topic, offsets) in stored {
        let in_use = group.is_subscribed_to(topic);
        for (partition, offset) in offsets {
            if !in_use && has_expired(group, offset, now.wall, retention_ms) {
                events.push(removal(&group.group_id, topic, *partition));
            } else {
                offsets_left = true;
            }
        }
    }
    let forgotten = group.state() == GroupState::Empty && group.pending_join.is_empty();
    if forgotten && !offsets_left {
        events.push(Event::GroupRemoved {
            group_id: group.group_id.clone(),
        });
    }
}

fn has_expired(group: &Group, offset: &CommittedOffset, now: Timestamp, retention_ms: i64) -> bool {
    let Some(since) = counted_from(group, offset) else {
        return false;
    };
    match offset.expire_timestamp {
        Some(expires) => now >= expires,
        None => now.0.saturating_sub(since.0) >= retention_ms,
    }
}

/// The moment from which the retention time of an offset is counted; `None` if it cannot expire.
fn counted_from(group: &Group, offset: &CommittedOffset) -> Option<Timestamp> {
    let committed = offset.commit_timestamp;
    match group.state() {
        _ if group.protocol_type.is_none() => Some(committed),
        GroupState::Empty => Some(group.state_since.unwrap_or(committed)),
        GroupState::Stable if group.is_consumer_group() => {
            group.subscribed_topics.as_ref().map(|_| committed)
        }
        _ => None,
    }
}
