//! Events of many users, as the other examples read them: some out of order, some late. The same seed gives the
//! same events.
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example user_events -- --bootstrap 127.0.0.1:9092 --rate 200
//! ```
//!
//! writes `{"user_id":"user1","event":"purchase","event_type":"purchase","value":99.99,
//! "timestamp":"2023-01-01T10:05:00.250"}` and the like to `user_events` until Ctrl-C, or `--count` events, or for the time
//! of `--for`. Few users do most of it. Event time begins at 2023-01-01T10:00:00 and passes by itself, a tenth of a
//! second for each event, however fast they are written: events are a few seconds out of order, and the late ones
//! are minutes behind.

mod common;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, Clock};
use tokio::signal::unix::{SignalKind, signal};

use crate::common::{Cluster, Failure, duration, say};

/// Writes events of users to a topic.
#[derive(Parser)]
struct Options {
    /// The cluster.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// The topic; it is made if it is not there.
    #[arg(long, default_value = "user_events")]
    topic: String,
    /// So many users.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    users: u64,
    /// Events in a second; 0 is as fast as it goes.
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Of a hundred events, so many are up to ten minutes late.
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=100))]
    late: u64,
    /// What the events are drawn from; drawn itself if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Ends after so many events.
    #[arg(long)]
    count: Option<u64>,
    /// Ends after that time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    limit: Option<Duration>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let cluster = Cluster::at(Some(&options.bootstrap)).await?;
    cluster.make_topics(&[&options.topic]).await?;
    let client = Client::connect(&options.bootstrap)?;
    let producer = client.producer(ProducerConfig::new())?;
    let seed = options.seed;
    let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let (users, late) = (options.users, options.late);
    say(&format!(
        "events of {users} users, {late} in 100 late; the same ones: --seed {seed} --users {users} --late {late}"
    ));
    let (clock, events) = (Clock::system(), Events::new(seed, users, late));
    let end = options.limit.map(|limit| clock.deadline(limit));
    let began = clock.now().millis;
    let count = options.count.unwrap_or(u64::MAX);
    for (number, event) in (0..count).zip(events) {
        // One event is due so long after the first one.
        let due = (number * 1_000).checked_div(options.rate);
        let due = began.saturating_add(due.unwrap_or(0));
        if end.is_some_and(|end| end <= due.max(clock.now().millis)) {
            break;
        }
        let record = ProducerRecord::to(&*options.topic)
            .key(event.user())
            .value(event.json())
            .timestamp(event.time);
        // What is to be written goes in; Ctrl-C ends between two events.
        let sent = async {
            clock.sleep_until(due).await;
            producer.send(&record).await
        };
        tokio::select! {
            biased;
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            // Whether it was written is known later: the first one that was not ends this.
            sent = sent => drop(sent?),
        }
        if producer.last_error().is_some() {
            break;
        }
    }
    let counts = producer.close(Duration::from_secs(60)).await;
    let failed = producer.last_error();
    client.close();
    cluster.end().await?;
    say(&format!("{} events have been written", counts.delivered));
    match failed {
        Some(error) => {
            Err(format!("{} events have not been written: {error}", counts.failed).into())
        }
        None => Ok(()),
    }
}

/// When event time begins: 2023-01-01T10:00:00.
const BEGIN: i64 = 1_672_567_200_000;
/// What passes from one event to the next, on average.
const STEP_MS: u64 = 100;
/// How much events are out of order.
const DISORDER_MS: u64 = 3_000;
/// How much late ones are late, at most.
const LATENESS_MS: u64 = 600_000;

/// An event: a user has done something.
struct Event {
    user: u64,
    kind: &'static str,
    cents: u64,
    time: i64,
}

impl Event {
    fn user(&self) -> String {
        format!("user{}", self.user)
    }

    /// Some of the document's programs call what was done `event`, others `event_type`.
    fn json(&self) -> String {
        let (user, kind) = (self.user, self.kind);
        let (whole, cents) = (self.cents / 100, self.cents % 100);
        let time = jiff::Timestamp::from_millisecond(self.time).unwrap_or_default();
        let time = time.strftime("%Y-%m-%dT%H:%M:%S%.3f");
        format!(
            r#"{{"user_id":"user{user}","event":"{kind}","event_type":"{kind}","value":{whole}.{cents:02},"timestamp":"{time}"}}"#
        )
    }
}

/// Events without an end, by their seed.
struct Events {
    state: u64,
    users: u64,
    late: u64,
    time: i64,
}

impl Events {
    fn new(seed: u64, users: u64, late: u64) -> Self {
        Self {
            state: seed,
            users,
            late,
            time: BEGIN,
        }
    }

    /// A number below `end` (Steele, Lea, Flood: SplitMix64).
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.time += self.below(2 * STEP_MS + 1) as i64;
        let back = match self.below(100) {
            number if number < self.late => self.below(LATENESS_MS),
            _ => self.below(DISORDER_MS),
        };
        // A number up to one that is drawn, up to one that is drawn: small ones come up far more often.
        let mut user = self.users;
        for _ in 0..3 {
            user = self.below(user) + 1;
        }
        let (kind, cents) = match self.below(20) {
            0..=2 => ("login", 0),
            3..=9 => ("view", 0),
            10..=15 => ("click", 100),
            16..=18 => ("purchase", 99 + self.below(25_000)),
            _ => ("logout", 0),
        };
        Some(Event {
            user,
            kind,
            cents,
            time: self.time - back as i64,
        })
    }
}
