//! Runs the cases of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;
use tidemark_streams::testing::TestDriver;
use tidemark_streams::{Counts, StreamsError};

use crate::build::Built;
use crate::case::{Case, Row, Step, WatermarkIs};
use crate::observe::Observed;
use crate::{arithmetic, clocks, compare, departures};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/data")
}

/// All files there are.
pub(crate) fn files() -> Vec<String> {
    let mut files = Vec::new();
    for folder in fs::read_dir(data()).unwrap() {
        let folder = folder.unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let (folder, file) = (folder.file_name(), file.unwrap().file_name());
            let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
            files.push(format!("{folder}/{}", file.strip_suffix(".json").unwrap()));
        }
    }
    files
}

/// A file's cases, as they stand there.
pub(crate) fn cases(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(data().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Runs all cases of a file, and fails with all that do not come out as they should.
pub(crate) fn file(name: &str) {
    let mut failures = Vec::new();
    let (cases, mut names) = (cases(name), BTreeSet::new());
    for value in &cases {
        let case = Case::deserialize(value).unwrap();
        let done = match &case.here {
            None => run(&case),
            Some(here) => departures::check(value, &case, here),
        };
        failures.extend(done.err().map(|why| format!("  {}: {why}", case.name)));
        if !names.insert(case.name.clone()) {
            failures.push(format!("  {}: there are two of it", case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{name}: {} of {} cases\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Runs a case.
pub(crate) fn run(case: &Case) -> Result<(), String> {
    if case.other.watermarks.is_some() || case.other.generator.is_some() {
        return clocks::run(case);
    }
    if case.topology.is_empty() {
        return arithmetic::run(case);
    }
    let built = build(case);
    let (topology, observed) = match (&case.error, built) {
        (Some(error), Ok(_)) => return Err(format!("should have been refused: {error}")),
        (Some(_), Err(why)) => return refused(case.says.as_deref(), &why),
        (_, built) => built?,
    };
    let mut driver = TestDriver::new(&topology);
    let mut all: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (at, step) in case.steps.iter().enumerate() {
        let here = |why: String| format!("step {at}: {why}");
        take(case, step, &mut driver).map_err(here)?;
        for (id, rows) in observed.read(&mut driver).map_err(here)? {
            check_step(case, step, &id, &rows).map_err(|why| here(format!("{id} {why}")))?;
            all.entry(id).or_default().extend(rows);
        }
        for (id, wanted) in step.stores.iter().flatten() {
            let got = observed.store(&mut driver, id).map_err(here)?;
            let same = compare::any_order(wanted, &got);
            same.map_err(|why| here(format!("store {id} {why}")))?;
        }
    }
    let none = Vec::new();
    for (id, wanted) in case.expect_final.iter().flatten() {
        let got = all.get(id).unwrap_or(&none);
        let same = compare::whole(case, id, wanted, got);
        same.map_err(|why| format!("at the end: {id} {why}"))?;
    }
    for (id, wanted) in case.latest.iter().flatten() {
        let got = compare::last(all.get(id).unwrap_or(&none));
        let same = compare::any_order(wanted, &got);
        same.map_err(|why| format!("the latest: {id} {why}"))?;
    }
    for (id, wanted) in case.stores.iter().flatten() {
        let got = observed.store(&mut driver, id)?;
        let same = compare::any_order(wanted, &got);
        same.map_err(|why| format!("at the end: store {id} {why}"))?;
    }
    if let Some(wanted) = case.dropped {
        let counts = driver.counts();
        let Counts {
            late,
            null_key,
            null_value,
            ..
        } = counts;
        let got = late + null_key + null_value;
        if got != wanted {
            return Err(format!(
                "dropped {got} where {wanted} are wanted: {counts:?}"
            ));
        }
    }
    Ok(())
}

/// A case's topology, and what is looked at.
pub(crate) fn build(case: &Case) -> Result<(tidemark_streams::Topology, Observed), String> {
    let built = Built::new(case)?;
    let observed = Observed::new(case, &built)?;
    let topology = built.builder.build().map_err(|error| error.to_string())?;
    Ok((topology, observed))
}

/// Does what a step says.
fn take(case: &Case, step: &Step, driver: &mut TestDriver) -> Result<(), String> {
    let mut done: Result<(), StreamsError> = Ok(());
    if let (Some(topic), Some((key, value, timestamp))) = (&step.topic, &step.r) {
        done = driver.pipe(topic, key.clone(), value.clone(), *timestamp);
    }
    if let Some(watermark) = step.watermark {
        let exclusive = case.watermark_is == Some(WatermarkIs::Exclusive);
        done = driver.advance_watermark(watermark.saturating_sub(i64::from(exclusive)));
    }
    if let Some(by) = step.wall {
        done = driver.advance_wall(Duration::from_millis(by));
    }
    if step.restart == Some(true) {
        done = driver.restart();
    }
    match (&step.error, done) {
        (None, Ok(())) => Ok(()),
        (Some(_), Err(error)) => refused(step.says.as_deref(), &error.to_string()),
        (None, Err(error)) => Err(error.to_string()),
        (Some(error), Ok(())) => Err(format!("should have failed: {error}")),
    }
}

/// Whether something is refused in the words that it has to be.
pub(crate) fn refused(says: Option<&str>, why: &str) -> Result<(), String> {
    match says {
        Some(says) if says == why => Ok(()),
        // What nobody builds has not been refused for the case's reason.
        _ if why.starts_with("nobody") => Err(why.to_owned()),
        _ => Err(format!("refused with {why:?} where {says:?} is wanted")),
    }
}

fn check_step(case: &Case, step: &Step, id: &str, got: &[Row]) -> Result<(), String> {
    if case.expect_final.is_some() || case.latest.is_some() || step.unread == Some(true) {
        return Ok(());
    }
    let named = step.expect.as_ref().and_then(|expect| expect.get(id));
    let listed = case.observe.iter().flatten().any(|listed| listed == id);
    match named {
        Some(wanted) => compare::step(case, wanted, got),
        None if listed => compare::step(case, &[], got),
        None => Ok(()),
    }
}
