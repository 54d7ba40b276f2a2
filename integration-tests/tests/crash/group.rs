//! The consumer group: a static member that reads and commits, and what its commits must be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use integration_tests::harness::wait::until;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::plan::Round;
use super::trigger::Trigger;
use super::{PARTITIONS, TOPICS};

const GROUP: &str = "crash";
/// How long a call of the client may take: longer than a restart by far.
const CALL: Duration = Duration::from_secs(30);
/// How long a poll waits for the next record. The client does next to nothing without waiting.
const PAUSE: Duration = Duration::from_millis(5);
/// Each of so many commits is waited for.
const COMMITS_PER_WAIT: usize = 3;
/// How many records are taken in one go.
const GULP: usize = 200;

type Offsets = BTreeMap<(String, i32), i64>;

/// The group.
pub(crate) struct Members {
    address: String,
    trigger: Arc<Trigger>,
    commits: Commits,
    member: Option<Member>,
    /// Members that are being closed.
    closing: Vec<JoinHandle<()>>,
    /// The committed offsets when the broker had started.
    committed: Offsets,
}

struct Member {
    consumer: BaseConsumer,
    /// Where it goes on: only known once it has read from a partition.
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
            member: None,
            closing: Vec::new(),
            committed: Offsets::new(),
        }
    }

    /// Compares what the restarted broker has with what members know: nothing that a commit has
    /// succeeded with is lost, and nothing is there that nobody tried.
    pub(crate) fn check_commits(&mut self) {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions() {
            list.add_partition(&topic, partition);
        }
        let list = self.observer().committed_offsets(list, CALL);
        let list = list.expect("the broker knows the group's offsets");
        self.committed.clear();
        for element in list.elements() {
            element.error().expect("an offset has no error of its own");
            let partition = (element.topic().to_owned(), element.partition());
            if let Offset::Offset(offset) = element.offset() {
                self.committed.insert(partition, offset);
            }
        }
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

    /// A client of the group that is no member.
    fn observer(&self) -> BaseConsumer {
        config(&self.address).create().expect("a consumer")
    }

    /// Closes the member if the next round replaces it. Without a broker that takes until its
    /// session would have ended, so nobody waits for it.
    pub(crate) fn give_up(&mut self, next: &Round) {
        if let Some(member) = self.member.take_if(|_| next.new_member) {
            self.closing.push(std::thread::spawn(move || drop(member)));
        }
    }

    /// Waits for the members that have been given up.
    pub(crate) fn close(self) {
        for closing in self.closing {
            closing.join().expect("closing does not panic");
        }
    }

    /// Makes a member if there is none. It has the name of the one before it (KIP-345).
    pub(crate) fn renew(&mut self) {
        if self.member.is_some() {
            return;
        }
        let consumer = config(&self.address)
            .set("group.instance.id", "the-member")
            .set("auto.offset.reset", "earliest")
            .create();
        let consumer: BaseConsumer = consumer.expect("a consumer");
        let topics = TOPICS.map(|(name, _)| name);
        consumer.subscribe(&topics).expect("a subscription");
        self.member = Some(Member {
            consumer,
            next: Offsets::new(),
            commits: 0,
        });
    }

    /// Reads what is there and commits it.
    pub(crate) fn work(&mut self) {
        let Some(member) = &mut self.member else {
            return;
        };
        let mut any = false;
        for _ in 0..GULP {
            let Some(message) = member.consumer.poll(PAUSE) else {
                break;
            };
            let Ok(message) = message else {
                // The broker is gone: what the member makes of that is seen by what it reads.
                continue;
            };
            let partition = (message.topic().to_owned(), message.partition());
            let of = |offsets: &Offsets| offsets.get(&partition).copied().unwrap_or(0);
            let (committed, tried) = (of(&self.committed), of(&self.commits.tried));
            member.check_position(committed, tried, &partition, message.offset());
            member.next.insert(partition, message.offset() + 1);
            any = true;
        }
        if any {
            member.commit(&mut self.commits, &self.trigger);
        }
    }

    /// Reads until nothing is left.
    pub(crate) fn read_to_the_end(&mut self) {
        self.renew();
        let observer = self.observer();
        for partition in partitions() {
            let (_, end) = observer
                .fetch_watermarks(&partition.0, partition.1, CALL)
                .expect("the broker knows its partitions");
            until("the group to read to the end", || {
                self.work();
                let member = self.member.as_ref()?;
                let next = member.next.get(&partition);
                // Nothing is read of a partition of which all is committed.
                (next.or(self.committed.get(&partition)) == Some(&end)).then_some(())
            });
        }
    }
}

impl Member {
    /// A member begins where the group has committed and leaves nothing out. One that got over a
    /// restart may go back to what is committed. (A commit of the member before it may have
    /// succeeded since it was asked for.)
    fn check_position(&self, committed: i64, tried: i64, partition: &(String, i32), offset: i64) {
        let (from, to) = match self.next.get(partition) {
            None => (committed, tried),
            Some(next) => (committed.min(*next), *next),
        };
        assert!(
            (from..=to).contains(&offset),
            "{partition:?}: {offset} is read, after {:?}; {committed} is committed",
            self.next.get(partition)
        );
    }

    /// Commits what has been read, sometimes without waiting: such commits are under way when the
    /// broker is killed. The others are known to have succeeded. (The callback for commits is
    /// never called by this version of the client.)
    fn commit(&mut self, commits: &mut Commits, trigger: &Trigger) {
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

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("heartbeat.interval.ms", "200")
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
