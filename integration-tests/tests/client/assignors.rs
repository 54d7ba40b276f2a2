//! Kafka's own assignors and this client's share the same cases out: range and round-robin alike to
//! the partition, the sticky ones as evenly, with as little moved, and with nothing given to two.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidemark_client::TopicPartition;
use tidemark_client::consumer::assignor::{
    Assignor, CooperativeSticky, Member, Range, RoundRobin, Sticky,
};

use crate::foreign::{Process, java};

/// Random, and the same each time.
const SEED: u64 = 7;
const CASES: usize = 200;

type Shares = BTreeMap<String, BTreeSet<String>>;

struct Case {
    partitions: BTreeMap<Arc<str>, i32>,
    members: BTreeMap<String, Member>,
}

impl Case {
    /// `alike` has all members read all topics.
    fn new(rng: &mut SmallRng, alike: bool) -> Self {
        let topics = rng.random_range(1..5);
        let name = |number: i32| -> Arc<str> { format!("t{number}").into() };
        let partitions: BTreeMap<_, _> = (0..topics)
            .map(|number| (name(number), rng.random_range(1..9)))
            .collect();
        let members = (0..rng.random_range(1..7)).map(|number| {
            let mut wants: Vec<Arc<str>> = partitions.keys().cloned().collect();
            if !alike {
                wants.retain(|_| rng.random_range(0..3) > 0);
            }
            let is_static = rng.random_range(0..3) == 0;
            let member = Member {
                topics: wants,
                generation: -1,
                // Not in the order of the ids.
                instance_id: is_static.then(|| format!("i{}", rng.random_range(0..1_000))),
                ..Member::default()
            };
            (format!("m{number}"), member)
        });
        let members = members.collect();
        Self {
            partitions,
            members,
        }
    }

    fn lines(&self, assignor: &str) -> String {
        let list = |words: Vec<String>| match words.is_empty() {
            true => "-".to_owned(),
            false => words.join(","),
        };
        let mut lines = String::new();
        for (topic, count) in &self.partitions {
            lines += &format!("topic {topic} {count}\n");
        }
        for (id, member) in &self.members {
            let topics = list(member.topics.iter().map(ToString::to_string).collect());
            let owned = list(member.owned.iter().map(ToString::to_string).collect());
            let instance = member.instance_id.as_deref().unwrap_or("-");
            let generation = member.generation;
            lines += &format!("member {id} {instance} {topics} {owned} {generation}\n");
        }
        lines + &format!("assign {assignor}\n")
    }

    fn ours(&self, assignor: &dyn Assignor) -> Shares {
        let shared = assignor.assign(&self.partitions, &self.members).into_iter();
        shared
            .map(|(id, partitions)| (id, partitions.iter().map(ToString::to_string).collect()))
            .collect()
    }

    /// Has the members own these shares.
    fn remember(&mut self, shares: &Shares, generation: i32) {
        for (id, member) in &mut self.members {
            let mine = shares.get(id).into_iter().flatten();
            member.owned = mine.map(|name| parse(name)).collect();
            member.generation = generation;
            member.user_data = None;
        }
    }
}

fn parse(name: &str) -> TopicPartition {
    let (topic, index) = name.rsplit_once('-').unwrap();
    TopicPartition::new(topic, index.parse().unwrap())
}

/// Kafka's assignors in a process.
struct Judge {
    process: Process,
    answers: BufReader<std::process::ChildStdout>,
}

impl Judge {
    fn start() -> Option<Self> {
        let mut process = Process::start(java("Assignors.java")?);
        let answers = BufReader::new(process.child().stdout.take().unwrap());
        Some(Self { process, answers })
    }

    fn assign(&mut self, case: &Case, assignor: &str) -> Shares {
        let input = self.process.child().stdin.as_mut().unwrap();
        input.write_all(case.lines(assignor).as_bytes()).unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let shares = line.split_whitespace().map(|word| {
            let (id, partitions) = word.split_once('=').unwrap();
            let partitions = partitions.split(',').filter(|name| !name.is_empty());
            (id.to_owned(), partitions.map(str::to_owned).collect())
        });
        shares.collect()
    }
}

fn sizes(shares: &Shares) -> Vec<usize> {
    let mut sizes: Vec<usize> = shares.values().map(BTreeSet::len).collect();
    sizes.sort_unstable();
    sizes
}

fn kept(before: &Shares, after: &Shares) -> usize {
    let kept = before
        .iter()
        .map(|(id, had)| after.get(id).map_or(0, |has| had.intersection(has).count()));
    kept.sum()
}

#[test]
fn range_and_round_robin_share_out_alike() {
    let Some(mut judge) = Judge::start() else {
        return;
    };
    let mut rng = SmallRng::seed_from_u64(SEED);
    for number in 0..CASES {
        let case = Case::new(&mut rng, number % 2 == 0);
        let all: [&dyn Assignor; 2] = [&Range, &RoundRobin];
        for assignor in all {
            let name = assignor.name();
            let theirs = judge.assign(&case, name);
            assert_eq!(case.ours(assignor), theirs, "{}", case.lines(name));
        }
    }
}

/// One member more or less than before, from the same shares.
#[test]
fn sticky_ones_share_out_as_evenly_and_keep_as_much() {
    let Some(mut judge) = Judge::start() else {
        return;
    };
    let mut rng = SmallRng::seed_from_u64(SEED);
    let all: [&dyn Assignor; 2] = [&Sticky, &CooperativeSticky];
    for _ in 0..CASES / 2 {
        let mut case = Case::new(&mut rng, true);
        for assignor in all {
            let name = assignor.name();
            case.remember(&Shares::new(), -1);
            let before = judge.assign(&case, name);
            assert_eq!(
                sizes(&case.ours(assignor)),
                sizes(&before),
                "{}",
                case.lines(name)
            );
            case.remember(&before, 3);
            if rng.random_range(0..2) == 0 && case.members.len() > 1 {
                case.members.pop_first();
            } else {
                let newest = Member {
                    topics: case.partitions.keys().cloned().collect(),
                    generation: -1,
                    ..Member::default()
                };
                case.members.insert("newest".to_owned(), newest);
            }
            let (ours, theirs) = (case.ours(assignor), judge.assign(&case, name));
            let context = case.lines(name);
            assert_eq!(sizes(&ours), sizes(&theirs), "{context}");
            assert_eq!(kept(&before, &ours), kept(&before, &theirs), "{context}");
        }
    }
}
