//! Until when a member is certain to be one.

use super::*;

/// A stay holds from when requests are sent, for nine tenths of a session, also while a join waits for
/// others; what is lost is over.
#[test]
fn a_lease_counts_from_what_was_sent() {
    let mut story = Story::stable(CooperativeSticky, &[0]);
    let lease = story.member.lease();
    assert!(lease.holds(story.now));
    story.pass(BEAT);
    let sent = story.now.millis;
    story.steps(&["heartbeat m/1"]);
    story.pass(1_000);
    story.beaten();
    let until = |story: &mut Story, moment: u64| {
        let mut now = story.now;
        now.wall += (moment - 1 - now.millis) as i64;
        now.millis = moment - 1;
        assert!(lease.holds(now));
        now.millis += 1;
        assert!(!lease.holds(now));
    };
    until(&mut story, sent + 9_000);
    story.pass(BEAT - 1_000);
    story.steps(&["heartbeat m/1"]);
    story.refuse_beat(ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0"]);
    story.pass(BEAT);
    story.member.polled(story.now);
    let sent = story.now.millis;
    story.steps(&["heartbeat m/1"]);
    story.refuse_beat(ErrorCode::RebalanceInProgress);
    until(&mut story, sent + 9_000);
    // What it says of the generation the answer to the join says better.
    story.pass(BEAT);
    story.steps(&["heartbeat m/1"]);
    story.refuse_beat(ErrorCode::IllegalGeneration);
    story.steps(&[]);
    assert!(!lease.is_over());
    story.follows(2);
    let sent = story.now.millis;
    story.synced(&[0]);
    until(&mut story, sent + 9_000);
    story.steps(&["change"]);
    story.carries_out("assign");
    story.pass(BEAT);
    story.steps(&["heartbeat m/2"]);
    story.refuse_beat(ErrorCode::UnknownMemberId);
    assert!(lease.is_over());
    assert!(!story.member.lease().is_over());
    assert!(!story.member.lease().holds(story.now));
}

/// A rebalance does not wait for one that is not done with a change for longer than its time, whatever
/// it says meanwhile.
#[test]
fn a_lease_does_not_outlast_a_rebalance() {
    let mut story = Story::stable(Range, &[0]);
    let lease = story.member.lease();
    story.beats(&["heartbeat m/1"], ErrorCode::None);
    let settled = story.now.millis;
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["change"]);
    story.begins("revoke 0");
    while story.now.millis + BEAT < settled + POLL {
        story.beats(&["heartbeat m/1", "change"], ErrorCode::RebalanceInProgress);
        assert!(lease.holds(story.now));
    }
    story.pass(settled + POLL - 1 - story.now.millis);
    assert!(lease.holds(story.now));
    story.pass(1);
    assert!(!lease.holds(story.now));
}
