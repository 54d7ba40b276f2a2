//! kill -9 in the middle of producing, again and again, on one data directory.
//!
//! Each round starts the broker, lets two idempotent producers and one group member work, and kills
//! the process at a moment that the seed chooses: inside a delivery report or a commit's callback.
//! Producers and members live for a random number of rounds, so some see one broker only and some
//! get over several restarts with requests in flight.
//!
//! What must hold: every acknowledged record is there exactly once, at the offset that was
//! acknowledged; no other record is there twice; records of one producer keep their order; offsets
//! have no gaps; what outlives the broker is delivered; committed offsets never go back, and a new
//! member resumes at them.
//!
//! `TIDEMARK_CRASH_SEED` repeats the choices of a run (not the scheduling of threads, which decides
//! the rest), `TIDEMARK_CRASH_ROUNDS` changes how many rounds there are.

mod checker;
mod group;
mod ledger;
mod plan;
mod producers;
mod trigger;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use integration_tests::harness::files::is_marked_clean;
use integration_tests::harness::ports::free_port;
use integration_tests::harness::process::{Launch, Running};
use integration_tests::harness::wait::until;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use tempfile::TempDir;

use group::Members;
use ledger::Ledger;
use plan::{Plan, Round};
use producers::Producers;
use trigger::Trigger;

const DEFAULT_ROUNDS: usize = 100;
/// The whole log is read and checked after so many rounds.
const CHECK_EVERY: usize = 10;
/// The topics: one rolls its segments all the time, one never does.
const TOPICS: [(&str, &[(&str, &str)]); 2] = [
    ("rolling", &[]),
    ("plain", &[("segment.index.bytes", "1048576")]),
];
const PARTITIONS: i32 = 2;

#[test]
fn acknowledged_records_and_commits_survive_kill_9() {
    let plan = Plan::from_environment(DEFAULT_ROUNDS);
    eprintln!("TIDEMARK_CRASH_SEED={} {} rounds", plan.seed, plan.rounds);
    let site = Site::new();
    let ledger = Arc::new(Ledger::default());
    let trigger = Arc::new(Trigger::default());
    let mut producers = Producers::new(site.address(), &ledger, &trigger);
    let mut members = Members::new(site.address(), &trigger);
    let mut random = plan.random();
    for number in 0..plan.rounds {
        let round = Round::choose(&mut random);
        eprintln!("round {number}: {round:?}");
        // The broker is gone: who does not get over that leaves now.
        producers.give_up(&round);
        members.give_up(&round);
        let broker = site.start();
        if number == 0 {
            create_topics(&site.address());
        }
        producers.settle();
        members.check_commits();
        if number % CHECK_EVERY == 0 {
            checker::check(&site.address(), &ledger);
        }
        producers.renew(&round);
        members.renew();
        work(broker, &round, &trigger, &mut producers, &mut members);
    }
    finish(&site, &ledger, producers, members);
}

/// Produces and consumes until the trigger has killed the broker.
fn work(
    mut broker: Running,
    round: &Round,
    trigger: &Trigger,
    producers: &mut Producers,
    members: &mut Members,
) {
    trigger.arm(round.moment, broker.pid());
    until("the broker to be killed", || {
        producers.feed(round);
        producers.poll();
        // A commit that is waited for would wait for the next broker.
        if trigger.is_armed() {
            members.work();
        }
        broker.exited()
    });
    let errors = broker.errors();
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(!is_marked_clean(&broker.data_dir()));
}

/// Everything once more: after the last kill, and after a clean shutdown.
fn finish(site: &Site, ledger: &Arc<Ledger>, mut producers: Producers, mut members: Members) {
    let broker = site.start();
    producers.settle();
    drop(producers);
    members.check_commits();
    members.read_to_the_end();
    checker::check(&site.address(), ledger);
    members.close();
    broker.stop();
    assert!(is_marked_clean(&site.data_dir()));
    let broker = site.start();
    let log = broker.errors();
    assert!(
        !log.contains("recovered"),
        "a clean start recovers nothing: {log}"
    );
    checker::check(&site.address(), ledger);
    eprintln!("{}", ledger.summary());
    broker.kill();
}

/// One data directory and one address, over all rounds.
struct Site {
    dir: TempDir,
    port: u16,
}

impl Site {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            port: free_port(),
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("tidemark-data")
    }

    fn start(&self) -> Running {
        let dir: &Path = self.dir.path();
        Launch::new(dir)
            .set("listeners", &format!("PLAINTEXT://{}", self.address()))
            .set("offsets.topic.num.partitions", "4")
            // A full index ends a segment, that of the group's log, too: after 8 to 12 KiB.
            .set("log.index.interval.bytes", "1024")
            .set("log.index.size.max.bytes", "96")
            .set("group.initial.rebalance.delay.ms", "0")
            // Often enough that recovery begins at different places.
            .set("log.flush.offset.checkpoint.interval.ms", "150")
            .start()
    }
}

fn create_topics(address: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .create()
        .expect("an admin client");
    let topics = TOPICS.map(|(name, configs)| {
        let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let set = |topic: NewTopic<'static>, (key, value): &(&'static str, &'static str)| {
            topic.set(key, value)
        };
        configs.iter().fold(topic, set)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let created = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new()));
    for topic in created.expect("CreateTopics is answered") {
        topic.unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
    }
}
