//! kill -9 in the middle of producing, again and again, on one data directory.
//!
//! Each round starts the broker, lets two idempotent producers and three group members work, and
//! kills the process at a moment that the seed chooses: inside a delivery report or a commit's
//! callback, between two steps of deleting a topic and making it anew, or before the start, which
//! recovers what the kill before has left, is over. Producers and members live for a random number
//! of rounds, so some see one broker only and some get over several restarts with requests in
//! flight.
//!
//! What must hold: every acknowledged record is there exactly once, at the offset that was
//! acknowledged; no other record is there twice; records of one producer keep their order; offsets
//! have no gaps; what outlives the broker is delivered; committed offsets never go back, and
//! whoever owns a partition next resumes at them; a topic that is made anew is the old one or the
//! new one, never a mix; no directory of a deleted topic stays for ever.
//!
//! `TIDEMARK_CRASH_SEED` repeats the choices of a run (not the scheduling of threads, which decides
//! the rest), `TIDEMARK_CRASH_ROUNDS` changes how many rounds there are.
//!
//! Views, their batch runs and those who serve them, die in [`views`].

mod checker;
mod directories;
mod group;
mod ledger;
mod plan;
mod producers;
mod renewal;
mod trigger;
mod views;

use std::path::PathBuf;
use std::sync::Arc;

use integration_tests::harness::files::is_marked_clean;
use integration_tests::harness::ports::free_port;
use integration_tests::harness::process::{Launch, Running};
use integration_tests::harness::wait::until;
use integration_tests::rounds::Rounds;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use group::Members;
use ledger::Ledger;
use plan::Round;
use producers::Producers;
use renewal::Renewal;
use trigger::{Moment, Trigger};

const DEFAULT_ROUNDS: usize = 100;
/// The whole log is read and checked after so many rounds.
const CHECK_EVERY: usize = 10;
/// After so many rounds the removal of deleted directories is waited for, which takes a second.
const REMOVALS_EVERY: usize = 30;
/// The topics: one rolls its segments all the time, one never does.
const TOPICS: [(&str, &[(&str, &str)]); 2] = [
    ("rolling", &[]),
    ("plain", &[("segment.index.bytes", "1048576")]),
];
const PARTITIONS: i32 = 2;

#[test]
fn acknowledged_records_and_commits_survive_kill_9() {
    let rounds = Rounds::from_environment("crash", DEFAULT_ROUNDS);
    eprintln!("{}", rounds.replay());
    let mut life = Life::new();
    let mut random = rounds.random();
    for number in 0..rounds.count {
        let round = Round::choose(&mut random);
        eprintln!("round {number}: {round:?}");
        life.round(number, &round);
    }
    life.end();
}

/// A broker's data directory, and all who work with it.
struct Life {
    site: Site,
    runtime: Runtime,
    ledger: Arc<Ledger>,
    trigger: Arc<Trigger>,
    producers: Producers,
    members: Members,
    renewal: Renewal,
    /// Whether the topics have been made.
    begun: bool,
}

impl Life {
    fn new() -> Self {
        let site = Site::new();
        let ledger = Arc::new(Ledger::default());
        let trigger = Arc::new(Trigger::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
            producers: Producers::new(site.address(), &ledger, &trigger),
            members: Members::new(site.address(), &trigger),
            renewal: Renewal::new(),
            begun: false,
            site,
            ledger,
            trigger,
        }
    }

    /// Starts the broker, lets everybody work, and kills it.
    fn round(&mut self, number: usize, round: &Round) {
        if let Moment::Starting(looks) = round.moment {
            self.site.kill_while_it_starts(looks);
            return;
        }
        // The broker is gone: who does not get over that leaves now.
        self.producers.give_up(round);
        self.members.give_up(round);
        let broker = self.start();
        if number.is_multiple_of(CHECK_EVERY) {
            checker::check(&self.site.address(), &self.ledger);
        }
        if number % REMOVALS_EVERY == REMOVALS_EVERY - 1 {
            directories::wait_for_removals(&self.site.data_dir());
        }
        self.producers.renew(round);
        self.members.renew(round);
        self.work(broker, round);
    }

    /// Starts the broker and checks all that takes little time.
    fn start(&mut self) -> Running {
        let broker = self.site.start();
        let address = self.site.address();
        if !self.begun {
            create_topics(&self.runtime, &address);
            self.begun = true;
        }
        self.producers.settle();
        self.members.check_commits();
        self.runtime.block_on(async {
            self.renewal.check(&address).await;
            directories::check(&address, &self.site.data_dir()).await;
        });
        broker
    }

    /// Produces and consumes until the trigger has killed the broker.
    fn work(&mut self, mut broker: Running, round: &Round) {
        self.trigger.arm(round.moment, broker.pid());
        self.producers.feed(round);
        if let Some(renewing) = &round.renewing {
            let address = self.site.address();
            let renewed = self.renewal.run(&address, renewing, &self.trigger);
            self.runtime.block_on(renewed);
        }
        // There were fewer steps than that.
        if let Moment::Renewed(_) = round.moment
            && self.trigger.is_armed()
        {
            self.trigger.arm(Moment::Delivered(0), broker.pid());
        }
        until("the broker to be killed", || {
            self.producers.feed(round);
            self.producers.poll();
            self.members.work(|| self.trigger.is_armed());
            broker.exited()
        });
        broker.check_no_panic();
        assert!(!is_marked_clean(&broker.data_dir()));
    }

    /// Everything once more: after the last kill, and after a clean shutdown.
    fn end(&mut self) {
        let broker = self.start();
        self.members.read_to_the_end();
        checker::check(&self.site.address(), &self.ledger);
        directories::wait_for_removals(&self.site.data_dir());
        self.members.close();
        self.producers.close();
        broker.stop();
        assert!(is_marked_clean(&self.site.data_dir()));
        let broker = self.site.start();
        let log = broker.errors();
        assert!(
            !log.contains("recovered"),
            "a clean start recovers nothing: {log}"
        );
        let address = self.site.address();
        checker::check(&address, &self.ledger);
        self.runtime.block_on(async {
            self.renewal.check(&address).await;
            directories::check(&address, &self.site.data_dir()).await;
        });
        eprintln!("{}", self.ledger.summary());
        broker.stop();
    }
}

/// A client of a broker that is gone may take for ever to close.
impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.producers.abandon();
            self.members.abandon();
        }
    }
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
        self.launch().start()
    }

    /// Starts the broker and kills it after so many looks, or when it is ready before that.
    fn kill_while_it_starts(&self, looks: usize) {
        let broker = self.launch().spawn();
        let mut left = looks;
        until("the moment", || {
            let due = left == 0 || !broker.output().is_empty();
            left = left.saturating_sub(1);
            due.then_some(())
        });
        broker.kill();
    }

    fn launch(&self) -> Launch {
        Launch::new(self.dir.path())
            .set("listeners", &format!("PLAINTEXT://{}", self.address()))
            .set("offsets.topic.num.partitions", "4")
            // A full index ends a segment, that of the group's log, too: after 8 to 12 KiB.
            .set("log.index.interval.bytes", "1024")
            .set("log.index.size.max.bytes", "96")
            .set("group.initial.rebalance.delay.ms", "0")
            .set("group.min.session.timeout.ms", "500")
            // Often enough that recovery begins at different places.
            .set("log.flush.offset.checkpoint.interval.ms", "150")
    }
}

fn create_topics(runtime: &Runtime, address: &str) {
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
    let created = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new()));
    for topic in created.expect("CreateTopics is answered") {
        topic.unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
    }
}
