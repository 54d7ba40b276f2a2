//! Cases about windows by themselves.

use serde_json::{Value, json};
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{WatermarkStrategy, Window, Windowed};
use tidemark_streams::{Consumed, Emit, Fold, StreamsBuilder, StreamsError, Topology};

use crate::case::{Assigned, Case, Time};
use crate::ops;
use crate::run::refused;
use crate::value::Dyn;

pub(crate) fn run(case: &Case) -> Result<(), String> {
    let Some(windows) = &case.other.windows else {
        return Err("nobody runs such a case".to_owned());
    };
    if case.error.is_some() || case.other.accept.is_some() {
        return defined(case, windows);
    }
    if let Some(assign) = &case.other.assign {
        return assigned(case, windows, assign);
    }
    if let Some(relation) = &case.other.relation {
        return related(windows, relation);
    }
    if let Some(sessions) = &case.other.sessions {
        return merged(windows, sessions);
    }
    if case.other.merge.is_some() || case.other.merge_steps.is_some() {
        return Err("nobody makes sessions of windows".to_owned());
    }
    Err("nobody runs such a case".to_owned())
}

/// Whether a definition is refused.
fn defined(case: &Case, windows: &Value) -> Result<(), String> {
    if case.other.retention.is_some() {
        return Err("nobody sets the retention of stores".to_owned());
    }
    let emit = match case.other.emit.as_deref() {
        Some("final") => Emit::Final,
        _ => Emit::Update,
    };
    let made = topology(windows, case.time, emit);
    match (case.error.as_deref(), made) {
        (Some(_), Err(why)) => refused(case.says.as_deref(), &why),
        (None, Ok(_)) => Ok(()),
        (Some(error), Ok(_)) => Err(format!("should have been refused: {error}")),
        (_, Err(why)) => Err(why),
    }
}

/// Topologies that list the records of windows; joins do nothing but join.
fn topology(windows: &Value, time: Time, emit: Emit) -> Result<Topology, String> {
    let builder = StreamsBuilder::new();
    let never = WatermarkStrategy::punctuated(|_| None);
    let consumed = Consumed::<Dyn, Dyn>::new().watermarks(never);
    let stream = builder.stream_with(["in"], consumed);
    let grouped = stream.group_by_key();
    let list = Fold::new(Vec::new, |_: &Dyn, value: Dyn, list: &mut Vec<u8>| {
        list.extend(value.print().bytes());
        list.push(b' ');
    });
    let list = list.merging(|_: &Dyn, list: &mut Vec<u8>, other: Vec<u8>| list.extend(other));
    let table = if let Some(windows) = ops::time_windows(windows, time)? {
        grouped.windowed_by(windows).emit(emit).aggregate(list)
    } else {
        match windows["kind"].as_str() {
            Some("session") => {
                let windows = ops::session_windows(windows, time)?;
                let windowed = grouped.windowed_by_session(windows);
                windowed.emit(emit).aggregate(list)
            }
            Some("sliding") => {
                let windows = ops::sliding_windows(windows, time)?;
                let windowed = grouped.windowed_by_sliding(windows);
                windowed.emit(emit).aggregate(list)
            }
            Some("join") => {
                let windows = ops::join_windows(windows, time)?;
                let other = builder.stream::<Dyn, Dyn>("other");
                let _ = stream.join(&other, |left: &Dyn, _: &Dyn| left.clone(), windows);
                return built(&builder);
            }
            _ => return Err(format!("nobody builds windows {windows}")),
        }
    };
    table.values().to("out");
    built(&builder)
}

fn built(builder: &StreamsBuilder) -> Result<Topology, String> {
    builder
        .build()
        .map_err(|error: StreamsError| error.to_string())
}

/// Puts records with these timestamps through, and gives the windows with the timestamps in them.
fn put(windows: &Value, timestamps: &[i64]) -> Result<Vec<(Window, Vec<i64>)>, String> {
    let topology = topology(windows, Time::Watermark, Emit::Close)?;
    let mut driver = TestDriver::new(&topology);
    let run = |driver: &mut TestDriver| -> Result<Vec<_>, StreamsError> {
        for timestamp in timestamps {
            let value = Dyn::Int(*timestamp);
            driver.pipe("in", Dyn::text("k"), value, *timestamp)?;
        }
        driver.advance_watermark(i64::MAX)?;
        driver.read::<Windowed<Dyn>, Vec<u8>>("out")
    };
    let records = run(&mut driver).map_err(|error| error.to_string())?;
    let listed = records.into_iter().map(|record| {
        let text = String::from_utf8_lossy(&record.value).into_owned();
        let numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
        (record.key.window, numbers.collect())
    });
    Ok(listed.collect())
}

fn assigned(case: &Case, windows: &Value, assign: &[Assigned]) -> Result<(), String> {
    for (timestamp, wanted) in assign {
        let got: Vec<(i64, i64)> = match ops::time_windows(windows, case.time)? {
            Some(made) => {
                let windows = made.starts(*timestamp).map(|start| made.window(start));
                windows.map(|window| (window.start, window.end)).collect()
            }
            None => {
                // Flink's sessions end behind the gap.
                let gap = windows["gap"].as_i64().unwrap_or_default();
                let listed = put(windows, &[*timestamp])?.into_iter();
                listed
                    .map(|(window, _)| (window.start, window.end + gap))
                    .collect()
            }
        };
        let mut wanted = wanted.clone();
        wanted.sort_unstable();
        if got != wanted {
            return Err(format!("{timestamp}: wanted {wanted:?}, got {got:?}"));
        }
    }
    Ok(())
}

fn related(windows: &Value, relation: &[Value]) -> Result<(), String> {
    for entry in relation {
        let window = |at: usize| {
            let bound = |to: usize| entry[at][to].as_i64().ok_or("no window");
            Ok::<_, String>(Window {
                start: bound(0)?,
                end: bound(1)?,
            })
        };
        let (a, b) = (window(0)?, window(1)?);
        let got = match windows["kind"].as_str() {
            Some("session") => a.meets(&b),
            _ => a.overlaps(&b),
        };
        if json!(got) != entry[2]["overlap"] {
            return Err(format!("{entry}: got {got}"));
        }
    }
    Ok(())
}

fn merged(windows: &Value, sessions: &Value) -> Result<(), String> {
    let numbers = |value: &Value| -> Vec<i64> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_i64).collect()
    };
    let gap = windows["gap"].as_i64().unwrap_or_default();
    let mut got = Vec::new();
    for (window, mut timestamps) in put(windows, &numbers(&sessions[0]))? {
        timestamps.sort_unstable();
        got.push((vec![window.start, window.end + gap], timestamps));
    }
    let wanted = sessions[1].as_array().into_iter().flatten();
    let wanted: Vec<_> = wanted
        .map(|session| (numbers(&session[0]), numbers(&session[1])))
        .collect();
    if got != wanted {
        return Err(format!("wanted {wanted:?}, got {got:?}"));
    }
    Ok(())
}
