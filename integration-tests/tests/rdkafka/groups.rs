//! Consumer groups: rebalances while members come, go and are killed, and where members resume.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::harness::rebalance::Changes;
use integration_tests::harness::wait::until;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

use super::members::{Member, Place, Read, Said, Writer};
use super::{CALL, LOOK, Site, poll, send, settle};

const TOPIC: &str = "shared";
const GROUP: &str = "group";
const PARTITIONS: i32 = 6;

/// A group whose members read what a producer writes all the time.
struct Story<'a> {
    site: &'a Site,
    strategy: &'a str,
    members: Vec<Member>,
    /// What members said that are no more.
    said: Vec<Said>,
    writer: Option<Writer>,
}

impl<'a> Story<'a> {
    async fn begin(site: &'a Site, strategy: &'a str) -> Self {
        site.create_topic(TOPIC, PARTITIONS, &[]).await;
        let producer = site.producer(&[("enable.idempotence", "true")]);
        Self {
            site,
            strategy,
            members: Vec::new(),
            said: Vec::new(),
            writer: Some(Writer::start(producer, TOPIC, PARTITIONS)),
        }
    }

    fn join(&mut self) {
        self.join_as(&[]);
    }

    fn join_as(&mut self, instance: &[&str]) {
        let arguments = [self.site.address(), GROUP, TOPIC, self.strategy];
        let arguments = [&arguments, instance].concat();
        self.members.push(Member::start(&arguments));
    }

    /// Waits until the broker and the members agree on who owns what, and until everybody has read
    /// something since.
    #[track_caller]
    fn settle(&mut self) -> Vec<BTreeSet<i32>> {
        let observer = self.site.consumer();
        let owned = until("the group to settle", || self.owned_as_agreed(&observer));
        let sizes = owned.iter().map(BTreeSet::len);
        let most = sizes.clone().max().unwrap_or_default();
        assert!(sizes.clone().all(|size| size + 1 >= most), "{owned:?}");
        let read = |member: &Member| member.said().read.len();
        let before: Vec<usize> = self.members.iter().map(read).collect();
        until("everybody to read on", || {
            let mut members = self.members.iter().zip(&before);
            members
                .all(|(member, before)| read(member) > *before)
                .then_some(())
        });
        owned
    }

    /// What each member owns, if each partition has one owner, and the broker knows the same of as
    /// many members.
    fn owned_as_agreed(&self, observer: &BaseConsumer) -> Option<Vec<BTreeSet<i32>>> {
        let owned: Vec<_> = self.members.iter().map(Member::owned).collect();
        if !is_a_division(&owned) {
            return None;
        }
        let groups = observer.fetch_group_list(Some(GROUP), CALL);
        let groups = groups.expect("the group can be described");
        let group = groups.groups().iter().find(|group| group.name() == GROUP)?;
        if group.state() != "Stable" || group.protocol() != self.strategy {
            return None;
        }
        let known: BTreeSet<_> = group.members().iter().map(assigned).collect();
        let told: BTreeSet<_> = owned.iter().cloned().collect();
        (known == told && group.members().len() == owned.len()).then_some(owned)
    }

    fn kill(&mut self, index: usize) {
        self.said.push(self.members.remove(index).kill());
    }

    fn leave(&mut self, index: usize) {
        self.said.push(self.members.remove(index).leave());
    }

    /// Everything that was written has been read by somebody, as it was written; each member read
    /// a partition forwards, unless it got it anew.
    fn end(mut self) {
        let writer = self.writer.take().expect("a story ends once");
        let written = writer.finish();
        until("the group to read to the end", || {
            let read = self
                .members
                .iter()
                .map(Member::said)
                .chain(self.said.iter().cloned());
            let read: BTreeSet<Place> = read.flat_map(|said| places(&said)).collect();
            (read.len() == written.len()).then_some(())
        });
        // Nothing more comes, so nothing moves any more.
        let observer = self.site.consumer();
        until("the group to be settled", || {
            self.owned_as_agreed(&observer)
        });
        let gone = self.members.drain(..).map(Member::leave);
        self.said.extend(gone);
        for said in &self.said {
            for Read { place, value, .. } in &said.read {
                assert_eq!(written.get(place), Some(value), "{place:?}");
            }
            check_order(said);
        }
        let read: BTreeSet<Place> = self.said.iter().flat_map(places).collect();
        let written: BTreeSet<Place> = written.into_keys().collect();
        assert!(read == written, "{:?}", written.difference(&read));
    }
}

fn places(said: &Said) -> Vec<Place> {
    said.read.iter().map(|read| read.place).collect()
}

/// Whether each partition is in exactly one of the sets.
fn is_a_division(owned: &[BTreeSet<i32>]) -> bool {
    let mut all: Vec<i32> = owned.iter().flatten().copied().collect();
    all.sort_unstable();
    all.into_iter().eq(0..PARTITIONS)
}

/// As long as nothing is given or taken, a member leaves nothing out and never goes back.
fn check_order(said: &Said) {
    let mut last: BTreeMap<i32, Read> = BTreeMap::new();
    for read in &said.read {
        let (partition, offset) = read.place;
        let owned = &said.owned[read.changes - 1];
        assert!(owned.contains(&partition), "{read:?} of {owned:?}");
        if let Some(before) = last.insert(partition, *read)
            && before.changes == read.changes
        {
            assert_eq!(offset, before.place.1 + 1, "{read:?} follows {before:?}");
        }
    }
}

/// The partitions in a member's assignment as the group's leader wrote it: a version, topics with
/// their partitions, user data.
fn assigned(member: &GroupMemberInfo) -> BTreeSet<i32> {
    let mut bytes = member.assignment().unwrap_or_default();
    let mut take = |count: usize| {
        let (taken, rest) = bytes.split_at(count);
        bytes = rest;
        taken.to_vec()
    };
    let mut int = |size: usize| {
        let bytes = take(size);
        bytes
            .into_iter()
            .fold(0, |value, byte| value << 8 | usize::from(byte))
    };
    let mut partitions = BTreeSet::new();
    let _version = int(2);
    for _ in 0..int(4) {
        let name = int(2);
        int(name);
        for _ in 0..int(4) {
            partitions.insert(int(4) as i32);
        }
    }
    partitions
}

/// Members join, one is killed, one leaves, one comes; the producer goes on all the time.
async fn rebalances(strategy: &str) {
    let site = Site::with(&[("group.min.session.timeout.ms", "500")]);
    let mut story = Story::begin(&site, strategy).await;
    story.join();
    story.settle();
    story.join();
    let two = story.settle();
    if strategy == "cooperative-sticky" {
        // What the first member keeps it never had to give away, not even for a moment.
        let kept = &two[0];
        let history = story.members[0].said().owned;
        let since = history.iter().skip_while(|owned| !kept.is_subset(owned));
        assert!(since.clone().count() > 0, "{history:?}");
        for owned in since {
            assert!(kept.is_subset(owned), "{history:?}");
        }
    }
    story.join();
    story.settle();
    story.kill(1);
    story.settle();
    story.join();
    story.join();
    story.settle();
    story.leave(0);
    story.settle();
    // Two at once: one that joins while the session of a dead one still runs.
    story.kill(0);
    story.join();
    story.settle();
    story.end();
    site.stop();
}

#[tokio::test]
async fn range_members_come_go_and_are_killed() {
    rebalances("range").await;
}

#[tokio::test]
async fn roundrobin_members_come_go_and_are_killed() {
    rebalances("roundrobin").await;
}

#[tokio::test]
async fn cooperative_sticky_members_come_go_and_are_killed() {
    rebalances("cooperative-sticky").await;
}

/// A member with a name of its own comes back within its session: nobody else notices (KIP-345).
#[tokio::test]
async fn a_static_member_that_is_killed_and_comes_back_moves_nothing() {
    let site = Site::start();
    let mut story = Story::begin(&site, "range").await;
    story.join_as(&["one"]);
    story.join_as(&["two"]);
    let before = story.settle();
    let history = story.members[0].said().owned.len();
    story.kill(1);
    story.join_as(&["two"]);
    let after = story.settle();
    assert_eq!(before, after);
    let owned = story.members[0].said().owned;
    assert_eq!(owned.len(), history, "{owned:?}");
    story.end();
    site.stop();
}

fn member(site: &Site, options: &[(&str, &str)]) -> BaseConsumer<Changes> {
    site.member(GROUP, TOPIC, options)
}

async fn ten_messages(site: &Site) {
    site.create_topic(TOPIC, 1, &[]).await;
    let producer = site.producer(&[]);
    for number in 0..10 {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to(TOPIC, number);
        send(&producer, record.payload("message"));
    }
    settle(&producer);
}

#[tokio::test]
async fn the_next_member_resumes_where_the_last_has_committed() {
    let site = Site::start();
    ten_messages(&site).await;
    let first = member(&site, &[]);
    for offset in 0..4 {
        assert_eq!(poll(&first).offset(), offset);
    }
    {
        // A list that outlives its consumer keeps it from ending.
        let mut list = TopicPartitionList::new();
        let mut partition = list.add_partition(TOPIC, 0);
        partition
            .set_offset(Offset::Offset(3))
            .expect("a good offset");
        partition.set_metadata("up to here, überall");
        first.commit(&list, CommitMode::Sync).expect("a commit");
    }
    // Read, but not committed: read again.
    drop(first);

    let second = member(&site, &[]);
    for offset in 3..6 {
        assert_eq!(poll(&second).offset(), offset);
    }
    {
        let committed = second.committed(CALL).expect("the offsets are told");
        let partition = committed.find_partition(TOPIC, 0);
        let partition = partition.expect("it was committed");
        assert_eq!(partition.offset(), Offset::Offset(3));
        assert_eq!(partition.metadata(), "up to here, überall");
    }
    second
        .commit_consumer_state(CommitMode::Sync)
        .expect("a commit");
    drop(second);

    // A group of another name knows nothing of it.
    let other = member(&site, &[("group.id", "other")]);
    assert_eq!(poll(&other).offset(), 0);
    let third = member(&site, &[]);
    assert_eq!(poll(&third).offset(), 6);
    drop((other, third));
    site.stop();
}

/// The client commits what has been stored when it leaves. (It stores by itself what is polled, but
/// closing a consumer polls, too: how far, nobody knows.)
#[tokio::test]
async fn a_member_that_leaves_commits_by_itself() {
    let site = Site::start();
    ten_messages(&site).await;
    let options = [
        ("enable.auto.commit", "true"),
        ("enable.auto.offset.store", "false"),
        ("auto.commit.interval.ms", "3600000"),
    ];
    let first = member(&site, &options);
    for offset in 0..7 {
        assert_eq!(poll(&first).offset(), offset);
        if offset < 5 {
            let stored = first.store_offset(TOPIC, 0, offset);
            stored.expect("a partition that is read");
        }
    }
    drop(first);
    let second = member(&site, &[]);
    assert_eq!(poll(&second).offset(), 5);
    drop(second);
    site.stop();
}

#[tokio::test]
async fn without_a_commit_the_reset_policy_says_where_to_begin() {
    let site = Site::start();
    ten_messages(&site).await;
    let earliest = member(&site, &[("group.id", "earliest")]);
    assert_eq!(poll(&earliest).offset(), 0);
    let latest = member(
        &site,
        &[("group.id", "latest"), ("auto.offset.reset", "latest")],
    );
    // Nobody says when it has found the end, so more is written until it reads of it.
    let producer = site.producer(&[]);
    let mut number = 10;
    let first = until("the member to read something new", || {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to(TOPIC, number);
        send(&producer, record.payload("new"));
        settle(&producer);
        number += 1;
        latest.poll(LOOK)
    });
    let first = first.expect("messages, no errors");
    assert!(first.offset() >= 10, "{}", first.offset());
    drop(first);
    drop((earliest, latest));
    site.stop();
}
