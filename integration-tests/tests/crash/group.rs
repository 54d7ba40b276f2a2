//! The consumer group: three members that read and commit, and what their commits must be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use integration_tests::harness::rebalance::{Changes, TopicPartition};
use integration_tests::harness::wait::{until, within};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::plan::{Round, Turn};
use super::trigger::Trigger;
use super::{PARTITIONS, TOPICS};

const GROUP: &str = "crash";
const STRATEGY: &str = "roundrobin";
/// How long a call of the client may take: longer than a restart by far.
const CALL: Duration = Duration::from_secs(30);
/// How long a poll waits for the next record. The client does next to nothing without waiting.
const PAUSE: Duration = Duration::from_millis(5);
/// Each of so many commits is waited for.
const COMMITS_PER_WAIT: usize = 3;
/// How many records are taken in one go.
const GULP: usize = 200;
/// The member that has a name of its own (KIP-345): the next in its place takes its partitions
/// over. The others come and go with rebalances.
const STATIC: usize = 0;

type Offsets = BTreeMap<TopicPartition, i64>;

/// The group.
pub(crate) struct Members {
    address: String,
    trigger: Arc<Trigger>,
    commits: Commits,
    members: [Option<Member>; 3],
    /// Members that are being closed.
    closing: Vec<JoinHandle<()>>,
    /// The committed offsets when the broker had started.
    committed: Offsets,
}

struct Member {
    consumer: BaseConsumer<Changes>,
    /// Where it goes on: only known once it has read from a partition since it got it.
    next: Offsets,
    /// How often it has committed.
    commits: usize,
}

/// What has been tried and what has succeeded, by all members so far.
#[derive(Default)]
struct Commits {
    tried: Offsets,
    succeeded: Offsets,
}

impl Members {
    pub(crate) fn new(address: String, trigger: &Arc<Trigger>) -> Self {
        Self {
            address,
            trigger: Arc::clone(trigger),
            commits: Commits::default(),
            members: [const { None }; 3],
            closing: Vec::new(),
            committed: Offsets::new(),
        }
    }

    /// Compares what the restarted broker has with what members know: nothing that a commit has
    /// succeeded with is lost, and nothing is there that nobody tried.
    pub(crate) fn check_commits(&mut self) {
        self.committed = self.committed_now();
        let Commits { tried, succeeded } = &self.commits;
        for (partition, offset) in &self.committed {
            assert!(
                tried.get(partition) >= Some(offset),
                "{partition:?}: {offset} is committed, at most {:?} was tried",
                tried.get(partition)
            );
        }
        for (partition, offset) in succeeded {
            assert!(
                self.committed.get(partition) >= Some(offset),
                "{partition:?}: {offset} was committed, {:?} is left",
                self.committed.get(partition)
            );
        }
    }

    fn committed_now(&self) -> Offsets {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions() {
            list.add_partition(&topic, partition);
        }
        let list = self.observer().committed_offsets(list, CALL);
        let list = list.expect("the broker knows the group's offsets");
        let mut committed = Offsets::new();
        for element in list.elements() {
            element.error().expect("an offset has no error of its own");
            let partition = (element.topic().to_owned(), element.partition());
            if let Offset::Offset(offset) = element.offset() {
                committed.insert(partition, offset);
            }
        }
        committed
    }

    /// A client of the group that is no member.
    fn observer(&self) -> BaseConsumer {
        config(&self.address).create().expect("a consumer")
    }

    /// Gives members up while there is no broker. To close one takes until its session would have
    /// ended, so nobody waits for it.
    pub(crate) fn give_up(&mut self, next: &Round) {
        self.close_those(next, Turn::Vanishes);
    }

    fn close_those(&mut self, round: &Round, turn: Turn) {
        for (member, of_this) in self.members.iter_mut().zip(round.members) {
            if let Some(member) = member.take_if(|_| of_this == turn) {
                self.closing.push(std::thread::spawn(move || drop(member)));
            }
        }
    }

    /// Has all members leave, and waits for that and for those that have been given up. All at
    /// once: one that is not heard of holds the others up. One that the client never comes back from
    /// is let be: it is not the broker's.
    pub(crate) fn close(&mut self) {
        for member in self.members.iter_mut().filter_map(Option::take) {
            self.closing.push(std::thread::spawn(move || drop(member)));
        }
        for closing in self.closing.drain(..) {
            if within(CALL, || closing.is_finished().then_some(())).is_some() {
                closing.join().expect("closing does not panic");
            }
        }
    }

    /// Leaves the members as they are.
    pub(crate) fn abandon(&mut self) {
        self.members
            .iter_mut()
            .for_each(|member| std::mem::forget(member.take()));
    }

    /// Has members leave that are to, and makes those that are missing.
    pub(crate) fn renew(&mut self, round: &Round) {
        self.close_those(round, Turn::Leaves);
        self.fill();
    }

    fn fill(&mut self) {
        for index in 0..self.members.len() {
            if self.members[index].is_some() {
                continue;
            }
            let mut config = config(&self.address);
            config.set("auto.offset.reset", "earliest");
            match index {
                STATIC => config.set("group.instance.id", "the-member"),
                // What one leaves behind that vanishes is waited for.
                _ => config.set("session.timeout.ms", "1500"),
            };
            let consumer = config.create_with_context(Changes::new(STRATEGY));
            let consumer: BaseConsumer<Changes> = consumer.expect("a consumer");
            let topics = TOPICS.map(|(name, _)| name);
            consumer.subscribe(&topics).expect("a subscription");
            self.members[index] = Some(Member {
                consumer,
                next: Offsets::new(),
                commits: 0,
            });
        }
    }

    /// Reads what is there and commits it, one member after the other as long as there is a
    /// broker: a commit that is waited for would wait for the next one.
    pub(crate) fn work(&mut self, there_is_a_broker: impl Fn() -> bool) {
        let Self {
            members,
            committed,
            commits,
            trigger,
            ..
        } = self;
        for member in members.iter_mut().flatten() {
            if there_is_a_broker() {
                member.read(committed, commits, trigger);
            }
        }
    }

    /// Reads until nothing is left, and until each partition has one owner.
    pub(crate) fn read_to_the_end(&mut self) {
        self.fill();
        let observer = self.observer();
        let ends: Offsets = partitions()
            .map(|partition| {
                let watermarks = observer.fetch_watermarks(&partition.0, partition.1, CALL);
                let (_, end) = watermarks.expect("the broker knows its partitions");
                (partition, end)
            })
            .filter(|(_, end)| *end > 0)
            .collect();
        until("the group to read to the end", || {
            self.work(|| true);
            (self.committed_now() == ends).then_some(())
        });
        let all: Vec<TopicPartition> = partitions().collect();
        until("each partition to have one owner", || {
            self.work(|| true);
            let mut owned: Vec<_> = self
                .members
                .iter()
                .flatten()
                .flat_map(Member::owned)
                .collect();
            owned.sort_unstable();
            let mut all = all.clone();
            all.sort_unstable();
            (owned == all).then_some(())
        });
    }
}

impl Member {
    fn owned(&self) -> Vec<TopicPartition> {
        let assignment = self.consumer.assignment();
        let assignment = assignment.expect("a member knows what it owns");
        let elements = assignment.elements();
        let name = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            (element.topic().to_owned(), element.partition())
        };
        elements.iter().map(name).collect()
    }

    fn read(&mut self, committed: &Offsets, commits: &mut Commits, trigger: &Trigger) {
        let mut any = false;
        for _ in 0..GULP {
            let message = self.consumer.poll(PAUSE);
            for partition in self.consumer.context().take() {
                self.next.remove(&partition);
            }
            let Some(message) = message else {
                break;
            };
            let Ok(message) = message else {
                // The broker is gone: what the member makes of that is seen by what it reads.
                continue;
            };
            let partition = (message.topic().to_owned(), message.partition());
            let next = self.next.get(&partition);
            check_position(next, committed, commits, &partition, message.offset());
            self.next.insert(partition, message.offset() + 1);
            any = true;
        }
        if any {
            self.commit(commits, trigger);
        }
    }

    /// Commits what has been read, sometimes without waiting: such commits are under way when the
    /// broker is killed. The others are known to have succeeded. (The callback for commits is
    /// never called by this version of the client.)
    fn commit(&mut self, commits: &mut Commits, trigger: &Trigger) {
        if self.next.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            list.add_partition_offset(&partition.0, partition.1, Offset::Offset(*next))
                .expect("a good offset");
            raise(&mut commits.tried, partition, *next);
        }
        self.commits += 1;
        let wait = self.commits.is_multiple_of(COMMITS_PER_WAIT);
        let mode = if wait {
            CommitMode::Sync
        } else {
            CommitMode::Async
        };
        // Refused while the member is being taken in again: the next commit will do.
        if self.consumer.commit(&list, mode).is_ok() && wait {
            for (partition, next) in &self.next {
                raise(&mut commits.succeeded, partition, *next);
            }
            trigger.committed();
        }
    }
}

/// A member leaves nothing out and never goes back in a partition that it has. One that it got it
/// reads from where the group has committed: at least what is known to have succeeded, at most
/// what was tried.
fn check_position(
    next: Option<&i64>,
    committed: &Offsets,
    commits: &Commits,
    partition: &TopicPartition,
    offset: i64,
) {
    let of = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or(0);
    let from = of(committed).max(of(&commits.succeeded));
    let (from, to) = match next {
        None => (from, of(&commits.tried)),
        Some(next) => (*next, *next),
    };
    assert!(
        (from..=to).contains(&offset),
        "{partition:?}: {offset} is read, after {next:?}; {from} is committed, {to} was tried"
    );
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", GROUP)
        .set("partition.assignment.strategy", STRATEGY)
        .set("enable.auto.commit", "false")
        .set("heartbeat.interval.ms", "100")
        .set("coordinator.query.interval.ms", "100")
        .set("reconnect.backoff.ms", "2")
        .set("reconnect.backoff.max.ms", "10")
        .set("retry.backoff.ms", "2")
        .set("fetch.error.backoff.ms", "2")
        .set("fetch.wait.max.ms", "20");
    config
}

fn raise(offsets: &mut Offsets, partition: &(String, i32), offset: i64) {
    let entry = offsets.entry(partition.clone()).or_insert(offset);
    *entry = offset.max(*entry);
}

fn partitions() -> impl Iterator<Item = (String, i32)> {
    let of_topic = |(name, _): (&str, _)| {
        let name = name.to_owned();
        (0..PARTITIONS).map(move |partition| (name.clone(), partition))
    };
    TOPICS.into_iter().flat_map(of_topic)
}
