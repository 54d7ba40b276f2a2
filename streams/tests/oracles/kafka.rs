//! Kafka Streams itself as the oracle: random topologies over random records, in Kafka's own test driver
//! and in ours by stream time. What comes out has to be the same with each record, also with restarts in
//! between, and the same in all if all records are there at once.
//!
//! `TIDEMARK_STREAMS_SEED` sets the first seed, `TIDEMARK_STREAMS_CASES` how many there are.

mod generate;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_json::{Value, json};
use tidemark_streams::Record;
use tidemark_streams::testing::TestDriver;

use crate::case::{Case, Row};
use crate::{compare, run};
use judge::Judge;

const DEFAULT_CASES: u64 = 400;
/// So many cases that differ are shown.
const SHOWN: usize = 5;
/// So often a case is tried with fewer records.
const TRIES: usize = 400;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value}: a number is wanted")))
}

/// What has been compared, so that nothing does not pass for the same.
#[derive(Default)]
struct Tally {
    /// Cases in which Kafka gave something.
    with_rows: u64,
    /// Cases that ran all at once, too.
    at_once: u64,
}

#[test]
fn random_topologies_give_what_they_give_in_kafka() {
    let mut judge = match Judge::start() {
        Ok(judge) => judge,
        Err(missing) => {
            assert!(std::env::var_os("CI").is_none(), "in CI, {missing}");
            eprintln!("left out: {missing}");
            return;
        }
    };
    let seed = setting("TIDEMARK_STREAMS_SEED");
    let cases = setting("TIDEMARK_STREAMS_CASES");
    let first = seed.unwrap_or(1);
    let cases = cases.unwrap_or(if seed.is_some() { 1 } else { DEFAULT_CASES });
    assert!(cases > 0, "TIDEMARK_STREAMS_CASES=0 shows nothing");
    let mut failures = Vec::new();
    let mut tally = Tally::default();
    for seed in first..first + cases {
        let case = generate::case(seed);
        if difference(&mut judge, &case, &mut tally).is_some() {
            failures.push(report(&mut judge, seed, case));
        }
        if failures.len() == SHOWN {
            break;
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
    let Tally { with_rows, at_once } = tally;
    println!("{cases} cases: {with_rows} with results, {at_once} all at once, too");
    if cases >= DEFAULT_CASES {
        assert!(with_rows > cases * 3 / 4 && at_once > cases / 8);
    }
}

/// What differs, in as few records as it gets, and how to see it again.
fn report(judge: &mut Judge, seed: u64, case: Value) -> String {
    let case = shrink(judge, case);
    let why = difference(judge, &case, &mut Tally::default()).unwrap_or_default();
    let lines = |field: &str| {
        let all = case[field].as_array().into_iter().flatten();
        let lines = all.map(|one| format!("    {one}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    format!(
        "seed {seed}: {why}\n{}\n{}\nTIDEMARK_STREAMS_SEED={seed} cargo test -p tidemark-streams \
         --test oracles kafka::",
        lines("topology"),
        lines("steps"),
    )
}

/// Leaves records out as long as there is a difference without them.
fn shrink(judge: &mut Judge, mut case: Value) -> Value {
    let steps = |case: &Value| case["steps"].as_array().map_or(0, Vec::len);
    let mut tries = 0;
    let mut size = steps(&case).div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut smaller = false;
        while at < steps(&case) && tries < TRIES {
            tries += 1;
            let mut fewer = case.clone();
            if let Some(steps) = fewer["steps"].as_array_mut() {
                steps.drain(at..steps.len().min(at + size));
            }
            if steps(&fewer) > 0 && difference(judge, &fewer, &mut Tally::default()).is_some() {
                case = fewer;
                smaller = true;
            } else {
                at += size;
            }
        }
        if size > 1 || !smaller || tries >= TRIES {
            size /= 2;
        }
    }
    case
}

/// How our results differ from Kafka's, if they do.
fn difference(judge: &mut Judge, case: &Value, tally: &mut Tally) -> Option<String> {
    let answer = match judge.run(case) {
        Ok(answer) => answer,
        Err(why) => return Some(format!("Kafka: {why}")),
    };
    let steps = case["steps"].as_array().map_or(0, Vec::len);
    if answer.len() != steps {
        return Some(format!("Kafka answered {} of {steps} steps", answer.len()));
    }
    let rows = |came: &Value| {
        let mut all = came.as_object().into_iter().flat_map(|came| came.values());
        all.any(|rows| rows.as_array().is_some_and(|rows| !rows.is_empty()))
    };
    tally.with_rows += u64::from(answer.iter().any(rows));
    tally.at_once += u64::from(Case::deserialize(case).is_ok_and(|case| is_of_one_topic(&case)));
    let wanted = with_answer(case, &answer);
    let restarted = with_restarts(&wanted);
    let check = |case: &Value, run: fn(&Case) -> Result<(), String>, how: &str| {
        let case = Case::deserialize(case).map_err(|error| error.to_string());
        let done = case.and_then(|case| run(&case));
        done.err().map(|why| format!("{how}{why}"))
    };
    check(&wanted, run::run, "")
        .or_else(|| check(&restarted, run::run, "with restarts, "))
        .or_else(|| check(&wanted, at_once, "all at once, "))
}

fn is_of_one_topic(case: &Case) -> bool {
    let topics: BTreeSet<_> = case.steps.iter().map(|step| &step.topic).collect();
    topics.len() == 1
}

/// Runs all records together, if there is only one topic that they can be in order in.
fn at_once(case: &Case) -> Result<(), String> {
    if !is_of_one_topic(case) {
        return Ok(());
    }
    let (topology, observed) = run::build(case)?;
    let mut driver = TestDriver::new(&topology);
    let mut wanted: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for step in &case.steps {
        if let (Some(topic), Some((key, value, timestamp))) = (&step.topic, &step.r) {
            let record = Record::new(key.clone(), value.clone(), *timestamp);
            let fed = driver.feed(topic, &record);
            fed.map_err(|error| error.to_string())?;
        }
        for (id, rows) in step.expect.iter().flatten() {
            wanted.entry(id).or_default().extend(rows.iter().cloned());
        }
    }
    driver.run().map_err(|error| error.to_string())?;
    for (id, got) in observed.read(&mut driver)? {
        let wanted = wanted.remove(id.as_str()).unwrap_or_default();
        compare::whole(case, &id, &wanted, &got).map_err(|why| format!("{id} {why}"))?;
    }
    Ok(())
}

/// The case with what has come out in Kafka as what has to come out.
fn with_answer(case: &Value, answer: &[Value]) -> Value {
    let mut case = case.clone();
    // A sliding window that begins right behind one record and ends at another comes out twice in
    // Kafka if one record makes it and is in it; here it does so once.
    let once = case["topology"].as_array().is_some_and(|nodes| {
        nodes
            .iter()
            .any(|node| node["windows"]["kind"] == "sliding")
    });
    let steps = case["steps"].as_array_mut();
    for (step, came) in steps.into_iter().flatten().zip(answer) {
        let mut came = came.clone();
        if once {
            for rows in came.as_object_mut().into_iter().flatten() {
                if let Some(rows) = rows.1.as_array_mut() {
                    rows.dedup();
                }
            }
        }
        step["expect"] = came;
    }
    case
}

/// The same with a restart after every third record. Kafka's own operators forget their time with
/// one, so it is only done here.
fn with_restarts(case: &Value) -> Value {
    let mut case = case.clone();
    if let Some(steps) = case["steps"].as_array_mut() {
        let restart = json!({"restart": true});
        let all = std::mem::take(steps);
        for (at, step) in all.into_iter().enumerate() {
            steps.push(step);
            if at % 3 == 2 {
                steps.push(restart.clone());
            }
        }
    }
    case
}
