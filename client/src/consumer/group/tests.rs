//! Stories as transcripts: each line is one thing that happens, and what membership makes of it.

mod changes;
mod leases;
mod simulation;

use super::*;
use crate::consumer::assignor::{CooperativeSticky, Range, Sticky};
use crate::consumer::protocol::encode_assignment;

/// Chance that is none: the shortest of every spread.
const CHANCE: u64 = 0;
const SESSION: u64 = 10_000;
const BEAT: u64 = 3_000;
const POLL: u64 = 60_000;

fn p(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

fn numbers(partitions: impl IntoIterator<Item = TopicPartition>) -> String {
    let all = partitions.into_iter();
    let all: Vec<String> = all.map(|p| p.partition.to_string()).collect();
    all.join(" ")
}

fn shown(change: &Change) -> String {
    let (what, partitions) = match change {
        Change::Revoke(gone) => ("revoke", gone),
        Change::Lose(gone) => ("lose", gone),
        Change::Assign(new) => ("assign", new),
    };
    format!("{what} {}", numbers(partitions.clone()))
        .trim_end()
        .to_owned()
}

/// One member of a group and its coordinator, whose part the test plays.
struct Story {
    member: Membership,
    now: Now,
    /// Of the last join, sync and heartbeat.
    join: u64,
    sync: u64,
    beat: u64,
}

impl Story {
    fn new(assignor: impl Assignor, instance: Option<&str>) -> Self {
        let settings = Settings {
            instance_id: instance.map(str::to_owned),
            assignors: vec![Arc::new(assignor)],
            session_timeout: SESSION,
            heartbeat_interval: BEAT,
            max_poll_interval: POLL,
            retry_backoff: 100,
            retry_backoff_max: 1_000,
        };
        Self {
            member: Membership::new(settings),
            now: Now::default(),
            join: 0,
            sync: 0,
            beat: 0,
        }
    }

    fn eager() -> Self {
        let mut story = Self::new(Range, None);
        story.subscribe(&["t"]);
        story
    }

    /// A member m of generation 1 that reads these partitions.
    fn stable(assignor: impl Assignor, partitions: &[i32]) -> Self {
        let mut story = Self::new(assignor, None);
        story.subscribe(&["t"]);
        story.steps(&["join ''"]);
        story.refuse_join(Failure::MemberId("m".to_owned()));
        story.steps(&["join m"]);
        story.follows(1);
        story.synced(partitions);
        story.steps(&["change"]);
        let all = partitions.iter().map(|index| p(*index)).collect();
        story.carries_out(&shown(&Change::Assign(all)));
        story.steps(&[]);
        story
    }

    fn subscribe(&mut self, topics: &[&str]) {
        let topics = topics.iter().map(|topic| Arc::from(*topic));
        self.member.subscribe(topics.collect(), self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now.millis += millis;
        self.now.wall += millis as i64;
    }

    fn note(&mut self, call: &Call) -> String {
        match call {
            Call::Join(ticket, join) => {
                self.join = *ticket;
                let data = Subscription::decode(&join.protocols[0].1).unwrap();
                let owned = numbers(data.owned);
                let owns = if owned.is_empty() { "" } else { " owning " };
                let id = if join.member_id.is_empty() {
                    "''"
                } else {
                    &join.member_id
                };
                format!("join {id}{owns}{owned}")
            }
            Call::Sync(ticket, sync) => {
                self.sync = *ticket;
                let shares = sync.assignments.iter().map(|(id, bytes)| {
                    format!(" {id}: {}", numbers(decode_assignment(bytes).unwrap()))
                });
                let shares: String = shares.collect();
                format!(
                    "sync {}/{}{shares}",
                    sync.identity.member_id, sync.identity.generation
                )
            }
            Call::Heartbeat(ticket, identity) => {
                self.beat = *ticket;
                format!("heartbeat {}/{}", identity.member_id, identity.generation)
            }
            Call::Leave { member_id, .. } => format!("leave {member_id}"),
        }
    }

    /// What the member does now, one line each.
    #[track_caller]
    fn steps(&mut self, expected: &[&str]) -> Option<u64> {
        let step = self.member.step(self.now);
        let mut lines: Vec<String> = step.calls.iter().map(|call| self.note(call)).collect();
        if step.find_coordinator {
            lines.push("find coordinator".to_owned());
        }
        if step.change {
            lines.push("change".to_owned());
        }
        assert_eq!(lines, expected);
        step.deadline
    }

    #[track_caller]
    fn begins(&mut self, expected: &str) {
        let change = self.member.begin_change();
        assert_eq!(change.as_ref().map(shown).as_deref(), Some(expected));
    }

    #[track_caller]
    fn carries_out(&mut self, expected: &str) {
        self.begins(expected);
        self.member.changed();
    }

    #[track_caller]
    fn has(&self, partitions: &[i32]) {
        let expected: Vec<_> = partitions.iter().map(|index| p(*index)).collect();
        assert_eq!(self.member.owned(), expected);
    }

    // ---- the coordinator ----

    fn joined(&mut self, joined: Joined, counts: &[(&str, i32)]) -> Option<String> {
        let counts = counts
            .iter()
            .map(|(topic, count)| (Arc::from(*topic), *count));
        let call = self
            .member
            .joined(self.join, joined, counts.collect(), self.now)?;
        Some(self.note(&call))
    }

    /// Taken in as m, with another leader.
    #[track_caller]
    fn follows(&mut self, generation: i32) {
        let sync = self.joined(answer(&self.member, generation, "other", &[]), &[]);
        assert_eq!(sync, Some(format!("sync m/{generation}")));
    }

    fn synced(&mut self, partitions: &[i32]) {
        let partitions: Vec<_> = partitions.iter().map(|index| p(*index)).collect();
        let bytes = encode_assignment(&partitions).unwrap();
        self.member.synced(self.sync, &bytes, self.now);
    }

    fn refuse_join(&mut self, failure: Failure) {
        self.member.failed(self.join, failure, self.now, CHANCE);
    }

    fn refuse_sync(&mut self, code: ErrorCode) {
        let failure = Failure::Code(code);
        self.member.failed(self.sync, failure, self.now, CHANCE);
    }

    fn refuse_beat(&mut self, code: ErrorCode) {
        let failure = Failure::Code(code);
        self.member.failed(self.beat, failure, self.now, CHANCE);
    }

    fn beaten(&mut self) {
        self.member.beaten(self.beat, self.now);
    }

    /// A heartbeat that is due, with this answer.
    #[track_caller]
    fn beats(&mut self, expected: &[&str], answer: ErrorCode) {
        self.pass(BEAT);
        self.member.polled(self.now);
        self.steps(expected);
        match answer {
            ErrorCode::None => self.beaten(),
            code => self.refuse_beat(code),
        }
    }
}

/// A coordinator's answer to a join; the members tell that they read topic t and what they own.
fn answer(
    member: &Membership,
    generation: i32,
    leader: &str,
    members: &[(&str, &[i32])],
) -> Joined {
    let members = members.iter().map(|(id, owned)| {
        let told = Subscription {
            topics: vec!["t".into()],
            owned: owned.iter().map(|index| p(*index)).collect(),
            generation: generation - 1,
            ..Subscription::default()
        };
        ((*id).to_owned(), None, told.encode().unwrap())
    });
    Joined {
        member_id: "m".to_owned(),
        generation,
        leader: leader.to_owned(),
        protocol: member.settings.assignors[0].name().to_owned(),
        skip_assignment: false,
        members: members.collect(),
    }
}

#[test]
fn joins_twice_because_the_coordinator_gives_the_id() {
    let mut story = Story::new(Range, None);
    story.steps(&[]);
    story.subscribe(&["t"]);
    let idle = story.steps(&["join ''"]);
    assert_eq!(idle, Some(POLL));
    story.steps(&[]);
    story.refuse_join(Failure::MemberId("m".to_owned()));
    story.steps(&["join m"]);
    assert!(
        story.member.identity().is_none(),
        "nobody commits as a member before it is one"
    );
    story.follows(1);
    story.steps(&[]);
    story.synced(&[0, 1]);
    story.steps(&["change"]);
    story.has(&[]);
    story.carries_out("assign 0 1");
    story.has(&[0, 1]);
    assert_eq!(story.steps(&[]), Some(BEAT));
    assert!(story.member.is_stable());
}

#[test]
fn the_leader_shares_out() {
    let mut story = Story::eager();
    story.steps(&["join ''"]);
    let joined = answer(&story.member, 1, "m", &[("m", &[]), ("n", &[])]);
    assert_eq!(Membership::topics_of(&joined), BTreeSet::from(["t".into()]));
    let sync = story.joined(joined, &[("t", 3)]);
    assert_eq!(sync.as_deref(), Some("sync m/1 m: 0 1 n: 2"));
    story.synced(&[0, 1]);
    story.carries_out("assign 0 1");
}

#[test]
fn a_member_that_nobody_understands_gets_nothing() {
    let mut story = Story::eager();
    story.steps(&["join ''"]);
    let mut joined = answer(&story.member, 1, "m", &[("m", &[]), ("n", &[])]);
    joined.members[1].2 = Bytes::from_static(&[0]);
    let sync = story.joined(joined, &[("t", 3)]);
    assert_eq!(sync.as_deref(), Some("sync m/1 m: 0 1 2 n: "));
}

#[test]
fn a_static_leader_that_came_back_leaves_the_assignment_as_it_was() {
    let mut story = Story::new(Range, Some("i"));
    story.subscribe(&["t"]);
    story.steps(&["join ''"]);
    let mut joined = answer(&story.member, 5, "m", &[("m", &[]), ("n", &[])]);
    joined.skip_assignment = true;
    assert_eq!(
        story.joined(joined, &[("t", 3)]).as_deref(),
        Some("sync m/5")
    );
    story.synced(&[0, 1]);
    story.carries_out("assign 0 1");
    // It watches the partitions all the same.
    story.member.counted(|_| Some(3));
    story.steps(&[]);
    story.member.counted(|_| Some(4));
    story.steps(&["change"]);
    story.begins("revoke 0 1");
}

#[test]
fn the_leader_sees_new_partitions_and_new_topics() {
    let mut story = Story::new(CooperativeSticky, None);
    story.subscribe(&["t", "u"]);
    story.steps(&["join ''"]);
    let joined = answer(&story.member, 1, "m", &[("m", &[])]);
    story.joined(joined, &[("t", 3), ("u", 0)]);
    story.member.counted(|_| Some(7));
    story.synced(&[0, 1, 2]);
    story.carries_out("assign 0 1 2");
    let known = |topic: &str| if topic == "t" { Some(3) } else { None };
    story.member.counted(known);
    story.steps(&[]);
    story.member.counted(|topic| known(topic).or(Some(1)));
    story.steps(&["join m owning 0 1 2"]);
    // A follower does not look.
    story.follows(2);
    story.synced(&[0, 1, 2]);
    story.carries_out("assign");
    story.member.counted(|_| Some(9));
    story.steps(&[]);
}

#[test]
fn eager_members_give_everything_back_first() {
    let mut story = Story::stable(Range, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["change"]);
    story.begins("revoke 0 1");
    story.steps(&["change"]);
    // Under the old generation, which still holds.
    assert_eq!(story.member.identity().unwrap().generation, 1);
    story.member.changed();
    story.steps(&["join m"]);
    story.follows(2);
    story.synced(&[1]);
    story.carries_out("assign 1");
    story.has(&[1]);
}

#[test]
fn cooperative_members_keep_what_stays_and_join_again_when_something_went() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1, 2]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0 1 2"]);
    story.follows(2);
    story.synced(&[0, 3]);
    story.steps(&["change"]);
    story.carries_out("revoke 1 2");
    story.has(&[0]);
    story.steps(&["change"]);
    story.carries_out("assign 3");
    story.steps(&["join m owning 0 3"]);
    story.follows(3);
    story.synced(&[0, 3]);
    // Nothing new, which is told.
    story.carries_out("assign");
    story.has(&[0, 3]);
    assert!(story.member.is_stable());
}

#[test]
fn heartbeats_go_on_while_the_application_takes_its_time() {
    let mut story = Story::stable(Range, &[0]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["change"]);
    story.begins("revoke 0");
    story.beats(&["heartbeat m/1", "change"], ErrorCode::RebalanceInProgress);
    story.beats(&["heartbeat m/1", "change"], ErrorCode::RebalanceInProgress);
    // The next one is under way when the application is ready, and answered when the join is.
    story.pass(BEAT);
    story.steps(&["heartbeat m/1", "change"]);
    story.member.changed();
    story.steps(&["join m"]);
    story.refuse_beat(ErrorCode::RebalanceInProgress);
    story.steps(&[]);
    story.follows(2);
    story.synced(&[0]);
    story.carries_out("assign 0");
    story.steps(&[]);
    assert!(story.member.is_stable());
}

#[test]
fn a_member_that_is_not_known_loses_everything_and_begins_anew() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::UnknownMemberId);
    assert!(story.member.identity().is_none());
    // First the loss.
    story.steps(&["change"]);
    story.has(&[0, 1]);
    story.carries_out("lose 0 1");
    story.steps(&["join ''"]);
}

#[test]
fn a_generation_that_has_passed_is_forgotten_and_the_id_kept() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::IllegalGeneration);
    story.carries_out("lose 0 1");
    story.steps(&["join m"]);
    story.follows(2);
    story.refuse_sync(ErrorCode::IllegalGeneration);
    story.steps(&["join m"]);
    story.follows(3);
    story.refuse_sync(ErrorCode::UnknownMemberId);
    story.steps(&["join ''"]);
}

#[test]
fn a_sync_that_comes_too_late_for_its_round_joins_the_next() {
    let mut story = Story::stable(CooperativeSticky, &[0, 1]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0 1"]);
    story.follows(2);
    story.refuse_sync(ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0 1"]);
    story.has(&[0, 1]);
}

#[test]
fn commits_bring_bad_news_too() {
    for (code, then) in [
        (ErrorCode::UnknownMemberId, "join ''"),
        (ErrorCode::IllegalGeneration, "join m"),
    ] {
        let mut story = Story::stable(Range, &[0]);
        // Of an earlier generation: no news.
        story.member.commit_refused(code, 0);
        story.steps(&[]);
        story.member.commit_refused(code, 1);
        story.steps(&["change"]);
        story.carries_out("lose 0");
        story.steps(&[then]);
    }
    // A rebalance is for the heartbeat to confirm, which goes at once.
    let mut story = Story::stable(Range, &[0]);
    story
        .member
        .commit_refused(ErrorCode::RebalanceInProgress, 1);
    story.steps(&["heartbeat m/1"]);
    story.refuse_beat(ErrorCode::RebalanceInProgress);
    story.steps(&["change"]);
    story.begins("revoke 0");
    let mut story = Story::stable(Range, &[0]);
    story.member.commit_refused(ErrorCode::FencedInstanceId, 1);
    assert!(story.member.over().is_some());
}

#[test]
fn a_commit_that_is_refused_during_the_join_loses_and_keeps_the_join() {
    let mut story = Story::stable(CooperativeSticky, &[0]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m owning 0"]);
    story.member.commit_refused(ErrorCode::UnknownMemberId, 1);
    story.steps(&["change"]);
    story.begins("lose 0");
    // The coordinator meant another one: the share comes, and waits for the application.
    story.follows(2);
    story.synced(&[0, 1]);
    story.steps(&["change"]);
    story.member.changed();
    story.carries_out("assign 0 1");
    story.has(&[0, 1]);
}

#[test]
fn final_errors_end_it_with_a_reason() {
    for (code, text) in [
        (
            ErrorCode::InconsistentGroupProtocol,
            "assignors cooperative-sticky",
        ),
        (ErrorCode::FencedInstanceId, "instance id"),
        (ErrorCode::InvalidSessionTimeout, "10000 ms"),
        (ErrorCode::GroupMaxSizeReached, "group.max.size"),
        (ErrorCode::GroupAuthorizationFailed, "may not read"),
        (ErrorCode::UnsupportedVersion, ""),
    ] {
        let mut story = Story::stable(CooperativeSticky, &[0]);
        story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
        story.steps(&["join m owning 0"]);
        story.refuse_join(Failure::Code(code));
        let (found, reason) = story.member.over().unwrap();
        assert_eq!(found, code);
        assert!(reason.contains(text), "{reason}");
        story.steps(&["change"]);
        story.carries_out("lose 0");
        story.pass(10 * POLL);
        story.steps(&[]);
    }
    // A heartbeat may bring it, or a call that cannot even be made.
    let mut story = Story::stable(Range, &[0]);
    story.beats(&["heartbeat m/1"], ErrorCode::FencedInstanceId);
    assert!(story.member.over().is_some());
    let mut story = Story::eager();
    story.steps(&["join ''"]);
    story.refuse_join(Failure::Hopeless("no".to_owned()));
    assert_eq!(story.member.over().unwrap().1, "no");
    // Whoever unsubscribes and subscribes again gets another chance.
    story.member.close("");
    assert!(story.member.over().is_none());
    story.subscribe(&["t"]);
    story.steps(&["join ''"]);
}

#[test]
fn who_cannot_go_along_leaves() {
    let cannot: [fn(&mut Story); 3] = [
        |story| {
            let mut joined = answer(&story.member, 1, "m", &[("m", &[])]);
            joined.protocol = "strange".to_owned();
            assert_eq!(story.joined(joined, &[]), None);
        },
        |story| {
            let joined = answer(&story.member, -1, "n", &[]);
            assert_eq!(story.joined(joined, &[]), None);
        },
        |story| {
            story.follows(1);
            let rubbish = Bytes::from_static(&[7]);
            story.member.synced(story.sync, &rubbish, story.now);
        },
    ];
    for cannot in cannot {
        let mut story = Story::eager();
        story.steps(&["join ''"]);
        story.refuse_join(Failure::MemberId("m".to_owned()));
        story.steps(&["join m"]);
        cannot(&mut story);
        story.steps(&["leave m"]);
        let (code, _) = story.member.over().unwrap();
        assert_eq!(code, ErrorCode::InconsistentGroupProtocol);
    }
}

#[test]
fn the_coordinator_moves() {
    let mut story = Story::stable(CooperativeSticky, &[0]);
    story.beats(&["heartbeat m/1"], ErrorCode::NotCoordinator);
    assert!(story.member.trouble().is_some());
    assert_eq!(
        story.steps(&["find coordinator"]),
        Some(story.now.millis + 80)
    );
    story.pass(80);
    story.steps(&["heartbeat m/1"]);
    story.refuse_beat(ErrorCode::CoordinatorLoadInProgress);
    // Loading is no reason to look elsewhere, and waits longer each time.
    assert_eq!(story.steps(&[]), Some(story.now.millis + 160));
    story.pass(160);
    story.steps(&["heartbeat m/1"]);
    story.beaten();
    assert!(story.member.trouble().is_none());
    story.beats(&["heartbeat m/1"], ErrorCode::CoordinatorNotAvailable);
    assert_eq!(
        story.steps(&["find coordinator"]),
        Some(story.now.millis + 80)
    );
    story.has(&[0]);
}

#[test]
fn a_join_without_an_answer_is_tried_again() {
    let mut story = Story::eager();
    story.steps(&["join ''"]);
    story.refuse_join(Failure::Unreachable("down".to_owned()));
    assert_eq!(story.member.trouble(), Some("down"));
    assert_eq!(story.steps(&["find coordinator"]), Some(80));
    story.pass(80);
    story.steps(&["join ''"]);
    story.follows(1);
    assert_eq!(story.member.trouble(), None);
    story.member.failed(
        story.sync,
        Failure::Unreachable("down".to_owned()),
        story.now,
        CHANCE,
    );
    // Meanwhile it lives.
    story.pass(BEAT);
    story.steps(&["join m", "heartbeat m/1", "find coordinator"]);
}

#[test]
fn silence_for_a_session_looks_for_another_coordinator_and_keeps_the_partitions() {
    let mut story = Story::stable(Range, &[0]);
    story.pass(BEAT);
    assert_eq!(story.steps(&["heartbeat m/1"]), Some(SESSION));
    let late = story.beat;
    story.pass(SESSION - BEAT);
    story.steps(&["heartbeat m/1", "find coordinator"]);
    story.steps(&[]);
    // The old heartbeat's answer is nobody's.
    story.member.failed(
        late,
        Failure::Code(ErrorCode::UnknownMemberId),
        story.now,
        CHANCE,
    );
    story.beaten();
    story.has(&[0]);
    assert!(story.member.is_stable());
}

#[test]
fn who_does_not_read_leaves_and_comes_back_with_the_next_read() {
    let mut story = Story::stable(CooperativeSticky, &[0]);
    story.pass(POLL - 1);
    story.steps(&["heartbeat m/1", "find coordinator"]);
    story.pass(1);
    story.steps(&["leave m", "change"]);
    story.refuse_beat(ErrorCode::UnknownMemberId);
    story.pass(POLL);
    story.steps(&["change"]);
    story.member.polled(story.now);
    story.steps(&["change"]);
    story.carries_out("lose 0");
    // Under its old id it would be told only that it has left.
    story.steps(&["join ''"]);
}

#[test]
fn leaves_in_the_middle_of_a_join() {
    let mut story = Story::stable(CooperativeSticky, &[]);
    story.beats(&["heartbeat m/1"], ErrorCode::RebalanceInProgress);
    story.steps(&["join m"]);
    story.pass(POLL);
    story.steps(&["leave m"]);
    assert_eq!(story.joined(answer(&story.member, 2, "m", &[]), &[]), None);
    story.steps(&[]);
}

#[test]
fn static_members_only_go() {
    let mut story = Story::new(Range, Some("i"));
    story.subscribe(&["t"]);
    story.steps(&["join ''"]);
    story.follows(1);
    story.synced(&[0]);
    story.carries_out("assign 0");
    assert_eq!(
        story.member.identity().unwrap().instance_id.as_deref(),
        Some("i")
    );
    story.pass(POLL);
    // Silence has the coordinator miss it.
    story.steps(&["change"]);
    story.carries_out("lose 0");
    story.pass(SESSION);
    story.steps(&[]);
    story.member.polled(story.now);
    story.steps(&["join m"]);
    story.follows(2);
    story.synced(&[0]);
    story.carries_out("assign 0");
    assert_eq!(story.member.close("test"), None);
    story.steps(&[]);
}

#[test]
fn the_others_say_goodbye() {
    let mut story = Story::stable(Range, &[0]);
    let leave = story.member.close("test");
    let expected = Call::Leave {
        member_id: "m".to_owned(),
        reason: "test",
    };
    assert_eq!(leave, Some(expected));
    assert!(story.member.identity().is_none());
    story.has(&[]);
    story.steps(&[]);
    // One that never had an id has nothing to say.
    let mut story = Story::eager();
    assert_eq!(story.member.close("test"), None);
}

#[test]
fn a_subscription_that_changes_waits_for_the_join_under_way() {
    let mut story = Story::eager();
    story.steps(&["join ''"]);
    story.subscribe(&["t", "u"]);
    story.steps(&[]);
    story.follows(1);
    story.subscribe(&["t", "u", "v"]);
    story.steps(&[]);
    story.synced(&[0]);
    story.carries_out("assign 0");
    story.steps(&["change"]);
    story.carries_out("revoke 0");
    story.steps(&["join m"]);
    story.follows(2);
    story.synced(&[0]);
    story.carries_out("assign 0");
    // The same again is nothing new; none at all is a member without a share.
    story.subscribe(&["v", "u", "t"]);
    story.steps(&[]);
    story.subscribe(&[]);
    story.steps(&["change"]);
    story.carries_out("revoke 0");
    story.steps(&["join m"]);
}

#[test]
fn answers_to_earlier_calls_are_nobodys() {
    let mut story = Story::eager();
    story.steps(&["join ''"]);
    let first = story.join;
    story.refuse_join(Failure::Unreachable(String::new()));
    story.pass(1_000);
    story.steps(&["join ''", "find coordinator"]);
    let joined = answer(&story.member, 7, "n", &[]);
    let late = story
        .member
        .joined(first, joined, BTreeMap::new(), story.now);
    assert_eq!(late, None);
    story.member.failed(
        first,
        Failure::Code(ErrorCode::GroupMaxSizeReached),
        story.now,
        CHANCE,
    );
    story.follows(1);
    let first = story.sync;
    story.refuse_sync(ErrorCode::RebalanceInProgress);
    let share = encode_assignment(&[p(5)]).unwrap();
    story.member.synced(first, &share, story.now);
    story.steps(&["join m"]);
    story.member.synced(first, &share, story.now);
    assert_eq!(story.member.begin_change(), None);
}
