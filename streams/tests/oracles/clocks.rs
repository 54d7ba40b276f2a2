//! Cases about watermarks by themselves: generators and combinations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{IdleTimer, Idleness, Seen, WatermarkStrategy, combine};
use tidemark_streams::{Consumed, StreamsBuilder};

use crate::case::Case;
use crate::run::refused;
use crate::value::Dyn;

pub(crate) fn run(case: &Case) -> Result<(), String> {
    let steps = case.other.watermarks.as_deref().unwrap_or_default();
    match (&case.other.generator, &case.other.combine) {
        (Some(generator), _) => match (&case.error, generate(generator, steps)) {
            (None, done) => done,
            (Some(error), Ok(())) => Err(format!("should have been refused: {error}")),
            (Some(_), Err(why)) => refused(case.says.as_deref(), &why),
        },
        (None, Some(_)) => combination(case, steps),
        (None, None) => Err("nobody runs such a case".to_owned()),
    }
}

/// A watermark as cases have it: none is null.
fn said(watermark: i64) -> Value {
    match watermark {
        i64::MIN => Value::Null,
        watermark => json!(watermark),
    }
}

fn check(what: &str, at: usize, wanted: &Value, got: &Value) -> Result<(), String> {
    // The smallest number is what a generator says before the first record: here it is nothing.
    let nothing = wanted.as_i64() == Some(i64::MIN) && got.is_null();
    if wanted == got || wanted == "any" || nothing {
        return Ok(());
    }
    Err(format!("step {at}: {what} {wanted} is wanted, not {got}"))
}

/// Records of one partition; their watermark is that of the task.
fn generate(generator: &Value, steps: &[Value]) -> Result<(), String> {
    let strategy = match generator["kind"].as_str() {
        Some("bounded") => {
            let delay = generator["delay"].as_u64().ok_or("no delay")?;
            WatermarkStrategy::BoundedOutOfOrderness(Duration::from_millis(delay))
        }
        Some("none") => WatermarkStrategy::punctuated(|_| None),
        Some("last_less_1") => WatermarkStrategy::punctuated(|r| Some(r.timestamp - 1)),
        Some("each_record") => WatermarkStrategy::punctuated(|r| Some(r.timestamp)),
        _ => return Err(format!("nobody has a generator {generator}")),
    };
    let after = generator["idle_after"].as_i64().unwrap_or(i64::MAX);
    if after < 0 {
        return Err("nobody writes an idle timeout below nothing".to_owned());
    }
    let builder = StreamsBuilder::new();
    builder
        .stream_with(["in"], Consumed::<Dyn, Dyn>::new().watermarks(strategy))
        .to("out");
    let topology = builder.build().map_err(|error| error.to_string())?;
    let mut driver = TestDriver::new(&topology);
    let (mut wall, mut idle) = (0, IdleTimer::default());
    for (at, step) in steps.iter().enumerate() {
        let before = driver.watermark();
        if let Some(event) = step.get("event") {
            idle.record();
            let timestamp = event.as_i64().unwrap_or_default();
            let done = driver.pipe("in", Dyn::text("k"), Dyn::Int(1), timestamp);
            done.map_err(|error| error.to_string())?;
        }
        wall += step["wall"].as_i64().unwrap_or_default();
        if let Some(wanted) = step.get("emit") {
            let step = i64::MAX;
            idle.check(Seen::Nothing(wall), Idleness { after, step });
            check("the watermark", at, wanted, &said(driver.watermark()))?;
        }
        if let Some(wanted) = step.get("is_idle") {
            check("is_idle", at, wanted, &json!(idle.is_idle()))?;
        }
        if let Some(wanted) = step.get("out") {
            let after = driver.watermark();
            let out = if after > before {
                vec![after]
            } else {
                Vec::new()
            };
            check("out", at, wanted, &json!(out))?;
        }
    }
    Ok(())
}

/// Several inputs, as a task has source partitions.
fn combination(case: &Case, steps: &[Value]) -> Result<(), String> {
    let inputs = case.other.inputs.iter().flatten();
    let mut inputs: BTreeMap<String, (i64, bool)> = inputs
        .map(|input| (input.to_string(), (i64::MIN, false)))
        .collect();
    let had_some = !inputs.is_empty();
    let (mut watermark, mut idle) = (i64::MIN, false);
    let mut out: Vec<Value> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(input) = step.get("add") {
            inputs.insert(input.to_string(), (i64::MIN, false));
        }
        if let Some(input) = step.get("remove") {
            inputs.remove(&input.to_string());
        }
        let input = step
            .get("in")
            .and_then(|name| inputs.get_mut(&name.to_string()));
        if let Some((own, own_idle)) = input {
            *own_idle = step["idle"] == true;
            *own = (*own).max(step["watermark"].as_i64().unwrap_or(i64::MIN));
        }
        let told = step.get("in").is_some() && step["deferred"] != true;
        if told || step.get("emit").is_some() {
            let combined = combine(inputs.values().copied()).unwrap_or(i64::MIN);
            if combined > watermark {
                watermark = combined;
                out.push(said(watermark));
            }
            let all_idle = inputs.values().all(|(_, idle)| *idle);
            let now_idle = all_idle && (had_some || !inputs.is_empty());
            if now_idle != idle {
                idle = now_idle;
                out.push(json!(if idle { "idle" } else { "active" }));
            }
        }
        for field in ["last", "emit"] {
            if let Some(wanted) = step.get(field) {
                check("the watermark", at, wanted, &said(watermark))?;
            }
        }
        if let Some(wanted) = step.get("is_idle") {
            check("is_idle", at, wanted, &json!(idle))?;
        }
        if let Some(wanted) = step.get("out") {
            check("out", at, wanted, &json!(std::mem::take(&mut out)))?;
        }
    }
    Ok(())
}
