//! Cases about windows by themselves.

use serde_json::Value;

use crate::case::Case;
use crate::ops;

pub(crate) fn run(case: &Case) -> Result<(), String> {
    let windows = case
        .other
        .windows
        .as_ref()
        .ok_or("a case without windows")?;
    if let Some(assign) = &case.other.assign {
        return assigned(case, windows, assign);
    }
    Err("nobody runs such a case".to_owned())
}

fn assigned(case: &Case, windows: &Value, assign: &[(i64, Vec<(i64, i64)>)]) -> Result<(), String> {
    let made = ops::time_windows(windows, case.time)?;
    let made = made.ok_or_else(|| format!("no windows {windows}"))?;
    for (timestamp, wanted) in assign {
        let starts = made.starts(*timestamp);
        let got: Vec<(i64, i64)> = starts
            .map(|start| made.window(start))
            .map(|window| (window.start, window.end))
            .collect();
        let mut wanted = wanted.clone();
        wanted.sort_unstable();
        if got != wanted {
            return Err(format!("{timestamp}: wanted {wanted:?}, got {got:?}"));
        }
    }
    Ok(())
}
