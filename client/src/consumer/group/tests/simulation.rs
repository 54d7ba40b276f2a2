//! Members, a model of the coordinator and a network that loses and delays, by seed: nobody reads
//! what another one reads, or writes by a lease what another one may write, and in the end everything
//! is read. `TIDEMARK_SEED=n` replays one seed.

mod coordinator;

use super::*;
use coordinator::{Answer, Asker, Coordinator};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const SEEDS: u64 = 300;
/// In milliseconds.
const TICK: u64 = 50;
/// How long things go wrong, and how long the group then has to come to rest: longer than a
/// rebalance waits for somebody who has gone, and a session after that.
const CHAOS: u64 = 200_000;
const QUIET: u64 = 3 * POLL;

/// A member and the application that it belongs to.
struct Actor {
    member: Membership,
    instance: Option<String>,
    alive: bool,
    life: u32,
    /// What the application reads.
    reads: BTreeSet<TopicPartition>,
    /// The stay under which it writes.
    lease: Lease,
    /// What it is at, and until when.
    busy: Option<(Change, u64)>,
    /// It does not read until then.
    sleeps: u64,
    /// The coordinator has given it up, and it may not know that yet.
    excused: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Request(Asker, Call),
    Answer(Asker, Answer),
    Count(usize),
}

struct World {
    rng: SmallRng,
    now: Now,
    settings: Settings,
    actors: Vec<Actor>,
    coordinator: Coordinator,
    /// Until then nobody coordinates.
    moving: u64,
    counts: BTreeMap<Arc<str>, i32>,
    events: Vec<(u64, Event)>,
    /// Somebody was told to leave the assignment as it was.
    skipped: bool,
    trace: Vec<String>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.trace.len().saturating_sub(120);
            eprintln!("{}", self.trace[from..].join("\n"));
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let assignors: [Arc<dyn Assignor>; 3] = [
            Arc::new(Range),
            Arc::new(CooperativeSticky),
            Arc::new(Sticky),
        ];
        let assignor = Arc::clone(&assignors[rng.random_range(0..assignors.len())]);
        let protocol = assignor.name();
        let settings = Settings {
            instance_id: None,
            assignors: vec![assignor],
            session_timeout: SESSION,
            heartbeat_interval: BEAT,
            max_poll_interval: POLL,
            retry_backoff: 100,
            retry_backoff_max: 1_000,
        };
        let counts = [("t", rng.random_range(1..8)), ("u", rng.random_range(1..4))];
        let counts = counts.map(|(topic, count)| (Arc::from(topic), count));
        let mut world = Self {
            now: Now::default(),
            coordinator: Coordinator::new(protocol),
            moving: 0,
            counts: counts.into(),
            events: Vec::new(),
            skipped: false,
            trace: vec![format!("assignor {protocol}")],
            actors: Vec::new(),
            settings,
            rng,
        };
        for at in 0..world.rng.random_range(2..6) {
            let instance = world.chance(300).then(|| format!("i{at}"));
            let member = world.new_member(instance.as_deref());
            world.actors.push(Actor {
                lease: member.lease(),
                member,
                instance,
                alive: false,
                life: 0,
                reads: BTreeSet::new(),
                busy: None,
                sleeps: 0,
                excused: false,
            });
        }
        world
    }

    fn new_member(&self, instance: Option<&str>) -> Membership {
        Membership::new(Settings {
            instance_id: instance.map(str::to_owned),
            ..self.settings.clone()
        })
    }

    /// One in a thousand so many times.
    fn chance(&mut self, of_thousand: u32) -> bool {
        self.rng.random_range(0..1_000) < of_thousand
    }

    fn is_quiet(&self) -> bool {
        self.now.millis >= CHAOS
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>7} {}", self.now.millis, line());
        self.trace.push(line);
    }

    fn later(&mut self, event: Event) {
        let most = if self.is_quiet() { 100 } else { 600 };
        let at = self.now.millis + self.rng.random_range(0..most);
        self.events.push((at, event));
    }

    fn run(mut self) -> Vec<String> {
        while self.now.millis < CHAOS + QUIET {
            self.now.millis += TICK;
            self.now.wall += TICK as i64;
            if !self.is_quiet() {
                self.trouble();
            } else if std::mem::take(&mut self.skipped) {
                // A static leader that came back under the old assignment does not know by how many
                // partitions that was made, in Kafka neither: only a change from there on is seen.
                self.grow();
            }
            self.deliver();
            self.coordinator.tick(self.now.millis);
            self.hear_the_coordinator();
            for at in 0..self.actors.len() {
                self.act(at);
            }
            self.check();
        }
        self.check_the_end();
        std::mem::take(&mut self.trace)
    }

    /// Whatever goes wrong, or changes.
    fn trouble(&mut self) {
        let at = self.rng.random_range(0..self.actors.len());
        if !self.actors[at].alive {
            if self.chance(40) {
                self.begin(at);
            }
            return;
        }
        match self.rng.random_range(0..4_000) {
            0..8 => self.end(at, true),
            8..16 => self.end(at, false),
            16..24 => {
                let sleep = self.rng.random_range(0..2 * POLL);
                self.note(|| format!("{at} sleeps {sleep}"));
                self.actors[at].sleeps = self.now.millis + sleep;
            }
            24..32 => self.subscribe(at),
            32..36 => {
                self.coordinator.move_away(self.now.millis);
                self.moving = self.now.millis + self.rng.random_range(0..15_000);
                self.note(|| "the coordinator moves".to_owned());
            }
            36..38 => self.grow(),
            _ => {}
        }
    }

    fn grow(&mut self) {
        let count = self.counts.values_mut().next();
        *count.unwrap() += 1;
        self.note(|| "one partition more".to_owned());
        for at in 0..self.actors.len() {
            self.later(Event::Count(at));
        }
    }

    fn begin(&mut self, at: usize) {
        let member = self.new_member(self.actors[at].instance.as_deref());
        let actor = &mut self.actors[at];
        actor.lease = member.lease();
        actor.member = member;
        actor.life += 1;
        actor.alive = true;
        actor.busy = None;
        actor.sleeps = 0;
        actor.excused = false;
        self.note(|| format!("{at} begins"));
        self.subscribe(at);
    }

    fn subscribe(&mut self, at: usize) {
        let choice = match &self.actors[at].instance {
            // The coordinator takes a static member back whatever it subscribes to: its group would
            // hear of another choice with the next rebalance only.
            Some(_) => at % 3,
            None => self.rng.random_range(0..3),
        };
        let topics: &[&str] = match choice {
            0 => &["t"],
            _ => &["t", "u"],
        };
        let topics = topics.iter().map(|topic| Arc::from(*topic));
        self.actors[at].member.subscribe(topics.collect(), self.now);
    }

    fn end(&mut self, at: usize, in_order: bool) {
        self.note(|| format!("{at} {}", if in_order { "closes" } else { "dies" }));
        let actor = &mut self.actors[at];
        actor.alive = false;
        actor.reads.clear();
        let leave = if in_order {
            actor.member.close("")
        } else {
            None
        };
        self.send(at, leave);
    }

    fn send(&mut self, at: usize, calls: impl IntoIterator<Item = Call>) {
        for call in calls {
            let ticket = match &call {
                Call::Join(ticket, _) | Call::Sync(ticket, _) | Call::Heartbeat(ticket, _) => {
                    *ticket
                }
                Call::Leave { .. } => 0,
            };
            let life = self.actors[at].life;
            let from = Asker {
                actor: at,
                life,
                ticket,
            };
            if !matches!(call, Call::Heartbeat(..)) {
                self.note(|| format!("{at} asks {call:?}"));
            }
            if !self.is_quiet() && self.chance(20) {
                self.lose(from);
            } else {
                self.later(Event::Request(from, call));
            }
        }
    }

    /// The connection breaks.
    fn lose(&mut self, asker: Asker) {
        let at = self.now.millis + self.rng.random_range(0..8_000);
        let broken = Answer::Failed(Failure::Unreachable(String::new()));
        self.events.push((at, Event::Answer(asker, broken)));
    }

    fn deliver(&mut self) {
        let now = self.now.millis;
        let mut due = Vec::new();
        self.events.retain(|(at, event)| {
            if *at <= now {
                due.push((*at, event.clone()));
            }
            *at > now
        });
        due.sort_by_key(|(at, _)| *at);
        for (_, event) in due {
            match event {
                Event::Request(from, call) => {
                    if now < self.moving {
                        let code = ErrorCode::NotCoordinator;
                        let answer = Answer::Failed(Failure::Code(code));
                        self.later(Event::Answer(from, answer));
                        continue;
                    }
                    let instance = self.actors[from.actor].instance.clone();
                    self.coordinator.take(now, from, instance.as_deref(), &call);
                    self.hear_the_coordinator();
                }
                Event::Answer(to, answer) => {
                    let actor = &self.actors[to.actor];
                    if actor.alive && actor.life == to.life {
                        self.hear(to, answer);
                    }
                }
                Event::Count(at) => {
                    let counts = self.counts.clone();
                    let member = &mut self.actors[at].member;
                    member.counted(|topic| counts.get(topic).copied());
                }
            }
        }
    }

    fn hear_the_coordinator(&mut self) {
        for (to, answer) in std::mem::take(&mut self.coordinator.answers) {
            if !self.is_quiet() && self.chance(20) {
                self.lose(to);
            } else {
                self.later(Event::Answer(to, answer));
            }
        }
        for id in std::mem::take(&mut self.coordinator.thrown_out) {
            self.note(|| format!("{id} is out"));
            for actor in &mut self.actors {
                actor.excused |= actor.alive && actor.member.member_id == id;
            }
        }
    }

    fn hear(&mut self, to: Asker, answer: Answer) {
        if !matches!(answer, Answer::Beaten) {
            self.note(|| format!("{} hears {answer:?}", to.actor));
        }
        let (now, chance) = (self.now, self.rng.random());
        let member = &mut self.actors[to.actor].member;
        let then = match answer {
            Answer::Joined(joined) => {
                self.skipped |= joined.skip_assignment;
                let counts = Membership::topics_of(&joined).into_iter();
                let counts = counts.map(|topic| (topic.clone(), self.counts[&topic]));
                member.joined(to.ticket, joined, counts.collect(), now)
            }
            Answer::Share(share) => {
                member.synced(to.ticket, &share, now);
                let counts = self.counts.clone();
                member.counted(|topic| counts.get(topic).copied());
                None
            }
            Answer::Beaten => {
                member.beaten(to.ticket, now);
                None
            }
            Answer::Failed(failure) => {
                member.failed(to.ticket, failure, now, chance);
                None
            }
        };
        self.send(to.actor, then);
    }

    /// One look of the member's driver, and of its application.
    fn act(&mut self, at: usize) {
        let now = self.now;
        if !self.actors[at].alive {
            return;
        }
        let awake = self.is_quiet() || self.actors[at].sleeps <= now.millis;
        if awake {
            self.actors[at].member.polled(now);
            self.apply(at);
            self.begin_after_the_end(at);
        }
        let step = self.actors[at].member.step(now);
        assert!(
            step.deadline.is_none_or(|at| at > now.millis),
            "a step for nothing"
        );
        self.send(at, step.calls);
    }

    /// A coordinator that takes over may know a static member only by the id that it had before it
    /// came back, and fences it. Its application is told, loses everything and begins anew.
    fn begin_after_the_end(&mut self, at: usize) {
        let actor = &self.actors[at];
        let Some((code, reason)) = actor.member.over() else {
            return;
        };
        let fenced = code == ErrorCode::FencedInstanceId && self.moving > 0;
        assert!(fenced && actor.instance.is_some(), "{at}: {reason}");
        if actor.reads.is_empty() && actor.busy.is_none() {
            self.begin(at);
        }
    }

    /// The application carries changes out, in its own time.
    fn apply(&mut self, at: usize) {
        let now = self.now.millis;
        let again = !self.is_quiet() && self.chance(10);
        let slow = match self.is_quiet() {
            true => 200,
            false if self.chance(50) => 2 * POLL,
            false => 2_000,
        };
        let until = now + self.rng.random_range(0..slow);
        let actor = &mut self.actors[at];
        match actor.busy.take() {
            Some(busy) if !again && !self.now.millis.ge(&busy.1) => {
                actor.busy = Some(busy);
                return;
            }
            Some((change, _)) if !again => {
                if let Change::Revoke(gone) = change {
                    actor.reads.retain(|partition| !gone.contains(partition));
                }
                actor.member.changed();
                let owned: BTreeSet<_> = actor.member.owned().into_iter().collect();
                assert_eq!(actor.reads, owned, "{at} reads what it has");
            }
            // Given up in the middle, or there is nothing yet.
            _ => {}
        }
        let known = actor.member.identity().is_some();
        let Some(change) = actor.member.begin_change() else {
            return;
        };
        assert!(
            known || actor.reads.is_empty() || matches!(change, Change::Lose(_)),
            "{at} has to hear of the loss first, not {change:?}"
        );
        match &change {
            Change::Assign(new) => {
                if actor.lease.is_over() {
                    actor.lease = actor.member.lease();
                }
                actor.reads.extend(new.iter().cloned());
            }
            Change::Lose(gone) => {
                actor.reads.retain(|partition| !gone.contains(partition));
                assert!(actor.reads.is_empty(), "{at} loses everything");
            }
            Change::Revoke(gone) => {
                assert!(gone.iter().all(|partition| actor.reads.contains(partition)));
            }
        }
        let line = format!("{at} {} until {until}", shown(&change));
        actor.busy = Some((change, until));
        self.note(|| line);
    }

    /// By its lease, a member that the coordinator has given up writes nothing that somebody else may
    /// write, whether it knows of that or not. (A static one is gone when another one has its name.)
    fn check_leases(&self) {
        let mut writers: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        for (at, actor) in self.actors.iter().enumerate() {
            if actor.alive && actor.instance.is_none() && actor.lease.holds(self.now) {
                for partition in &actor.reads {
                    let other = writers.insert(partition, at);
                    assert_eq!(other, None, "{partition} is written by {at} too");
                }
            }
        }
    }

    fn check(&mut self) {
        self.check_leases();
        let mut readers: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        for (at, actor) in self.actors.iter_mut().enumerate() {
            let member = &actor.member;
            if actor.excused
                && member.is_stable()
                && self
                    .coordinator
                    .is_settled(&member.member_id, member.generation)
            {
                actor.excused = false;
            }
            if !actor.alive || actor.excused || actor.member.identity().is_none() {
                continue;
            }
            for partition in &actor.reads {
                let other = readers.insert(partition, at);
                assert_eq!(other, None, "{partition} is read by {at} too");
            }
        }
    }

    fn check_the_end(&self) {
        assert!(
            matches!(
                self.coordinator.phase(),
                coordinator::Phase::Stable | coordinator::Phase::Empty
            ),
            "the group has not come to rest: {:?}",
            self.coordinator.phase()
        );
        let alive = || self.actors.iter().filter(|actor| actor.alive);
        let mut reads: Vec<TopicPartition> = Vec::new();
        for actor in alive() {
            assert_eq!(actor.member.over(), None);
            assert!(actor.member.is_stable(), "{:?}", actor.member.state);
            assert!(
                actor.reads.is_empty() || actor.lease.holds(self.now),
                "it writes"
            );
            reads.extend(actor.reads.iter().cloned());
        }
        reads.sort();
        let mut expected = Vec::new();
        for (topic, count) in &self.counts {
            if alive().any(|actor| actor.member.topics.contains(topic)) {
                let all = (0..*count).map(|index| TopicPartition::new(Arc::clone(topic), index));
                expected.extend(all);
            }
        }
        assert_eq!(reads, expected, "everything is read once");
    }
}

#[test]
fn nobody_reads_what_another_one_reads_and_in_the_end_everything_is_read() {
    let seeds = match std::env::var("TIDEMARK_SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).unwrap(),
        Err(_) => 0..SEEDS,
    };
    for seed in seeds {
        let run = || std::panic::catch_unwind(|| World::new(seed).run());
        let agree = run().is_ok_and(|trace| run().is_ok_and(|again| again == trace));
        assert!(
            agree,
            "seed {seed} fails; replay: TIDEMARK_SEED={seed} cargo test -p tidemark-client --lib \
             consumer::group::tests::simulation"
        );
    }
}
