//! What happens while the application carries a change out.

use super::*;

#[test]
fn a_rebalance_waits_for_the_assignment_that_the_application_is_at() {
    let mut story = Story::stable(CooperativeSticky, &[0]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0"]);
    story.follows(2);
    story.synced(&[0, 1]);
    story.begins("assign 1");
    story.beats(&["heartbeat m/2", "change"], ErrorCode::RebalanceInProgress);
    story.steps(&["change"]);
    story.has(&[0]);
    story.member.changed();
    story.steps(&["join m owning 0 1"]);
}

#[test]
fn a_rebalance_that_comes_while_a_revocation_is_out_is_one_with_the_next() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0 1"]);
    story.follows(2);
    story.synced(&[0]);
    story.begins("revoke 1");
    story.beats(&["heartbeat m/2", "change"], ErrorCode::RebalanceInProgress);
    story.member.changed();
    story.carries_out("assign");
    story.steps(&["join m owning 0"]);
    story.follows(3);
    story.synced(&[0]);
    story.carries_out("assign");
    story.steps(&[]);
    assert!(story.member.is_stable());
}

#[test]
fn what_is_lost_during_an_assignment_goes_with_it() {
    let mut story = Story::stable(CooperativeSticky, &[0]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0"]);
    story.follows(2);
    story.synced(&[0, 1]);
    story.begins("assign 1");
    story.beats(&["heartbeat m/2", "change"], ErrorCode::UnknownMemberId);
    // The application is at the assignment and has the loss next, of all it has then.
    story.member.changed();
    story.has(&[0, 1]);
    story.steps(&["change"]);
    story.carries_out("lose 0 1");
    story.has(&[]);
    story.steps(&["join ''"]);
}

#[test]
fn what_is_lost_during_a_revocation_is_the_rest() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0 1"]);
    story.follows(2);
    story.synced(&[0]);
    story.begins("revoke 1");
    story.beats(&["heartbeat m/2", "change"], ErrorCode::UnknownMemberId);
    story.member.changed();
    story.carries_out("lose 0");
    story.steps(&["join ''"]);
    // Of an eager one there is no rest.
    let mut story = Story::stable(Range, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["change"]);
    story.begins("revoke 0 1");
    story.beats(&["heartbeat m/1", "change"], ErrorCode::UnknownMemberId);
    story.member.changed();
    story.steps(&["join ''"]);
}

#[test]
fn a_change_that_was_given_up_is_begun_again_or_what_became_of_it() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0 1"]);
    story.follows(2);
    story.synced(&[0, 2]);
    story.begins("revoke 1");
    story.begins("revoke 1");
    story.member.changed();
    story.begins("assign 2");
    story.beats(&["heartbeat m/2", "change"], ErrorCode::UnknownMemberId);
    // The read was dropped in the middle: whatever it has done of it is lost now.
    story.begins("lose 0 2");
    story.member.changed();
    story.has(&[]);
    story.steps(&["join ''"]);
    // Nothing confirms what nobody has begun.
    story.member.changed();
    story.steps(&[]);
}

#[test]
fn sticky_members_tell_what_they_last_had() {
    let mut story = Story::stable(Sticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::UnknownMemberId);
    story.carries_out("lose 0 1");
    let step = story.member.step(story.now);
    let Some(Call::Join(_, join)) = step.calls.first() else {
        panic!("{step:?}")
    };
    let told = Subscription::decode(&join.protocols[0].1).unwrap();
    assert_eq!(told.user_data, Sticky.user_data(&[p(0), p(1)], 1));
    assert_eq!((told.owned, told.generation), (Vec::new(), -1));
}
