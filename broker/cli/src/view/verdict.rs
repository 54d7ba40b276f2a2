//! What has come of a comparison, in words and as JSON.

use serde_json::{Value, json};
use tidemark_streams::serving::{Coverage, Difference, OtherRecords, Verdict};

use crate::output::{NOTHING, Report, count};

/// So many keys that differ are told, and so many records of each.
const SHOWN: usize = 20;

/// Tells a verdict in the report; gives it as JSON. `what` is what was looked at in a word, `of` in words.
pub(super) fn tell(report: &mut Report, what: &str, of: &str, verdict: &Verdict) -> Value {
    for why in &verdict.unreadable {
        report.say(format!(
            "left out, although it may be the one that is meant: {why}"
        ));
    }
    let keys = count(verdict.keys, "key");
    let records = count(verdict.records, "record");
    let of_which = match verdict.different {
        0 => format!("{keys} of {records} agree with the log"),
        different => format!("{different} of {keys} of {records} do not agree with the log"),
    };
    let readable = match verdict.damaged.is_empty() {
        true => "",
        false => ", as far as its files can be read",
    };
    let range = range(verdict);
    report.say(format!("{of_which}{readable}: {of}, {range}"));
    for own in &verdict.uncovered {
        report.say(format!(
            "partition {own} is not in it: the topic has been given it since, or its first cut had not been announced yet"
        ));
    }
    if !verdict.is_good() {
        let problem = format!("{of} is not what the log says");
        let same = verdict.different == 0 && verdict.tallies.is_empty();
        report.problems.extend((!same).then_some(problem));
        report.problems.extend(verdict.damaged.iter().cloned());
    }
    for own in &verdict.tallies {
        report.say(other_records(own));
    }
    for own in verdict.differences.iter().take(SHOWN) {
        difference(report, what, own);
    }
    let all = verdict.differences.len() as u64 + verdict.more;
    let more = all.saturating_sub(SHOWN as u64);
    if more > 0 {
        report.say(format!("and {}", count(more, "more difference")));
    }
    let differences = verdict.differences.iter().take(SHOWN);
    json!({
        "of": what,
        "agrees": verdict.is_good(),
        "snapshot": verdict.snapshot,
        "begin": verdict.begin,
        "coverage": verdict.coverage,
        "uncovered": shown(&verdict.uncovered),
        "unreadable": verdict.unreadable,
        "damaged": verdict.damaged,
        "keys": verdict.keys,
        "records": verdict.records,
        "different": verdict.different,
        "differences": differences.map(|own| json!(own)).collect::<Vec<_>>(),
        "partitions": verdict.tallies,
    })
}

fn shown(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Which part of the log has been compared: all up to somewhere, if nothing else is said.
fn range(verdict: &Verdict) -> String {
    let (begin, coverage) = (&verdict.begin, &verdict.coverage);
    let mut late = Coverage::new();
    for (topic, partition, offset) in begin.iter().filter(|(_, _, offset)| *offset != 0) {
        late.set(topic, partition, offset);
    }
    match late.is_empty() {
        true => format!("up to {coverage}"),
        false => format!("from {late} up to {coverage}"),
    }
}

fn other_records(own: &OtherRecords) -> String {
    let (snapshot, log) = (own.snapshot, own.log);
    format!(
        "partition {}-{}: the snapshot is made of {} records ({} bad), the log has {} ({} bad){}",
        own.topic,
        own.partition,
        snapshot.records,
        snapshot.bad,
        log.records,
        log.bad,
        match (snapshot.records, snapshot.bad) == (log.records, log.bad) {
            true => ", and they are others",
            false => "",
        }
    )
}

fn difference(report: &mut Report, what: &str, own: &Difference) {
    let window = own
        .window
        .map(|start| format!(", window {start}"))
        .unwrap_or_default();
    let partition = own.partition.as_ref();
    let partition = partition
        .map(|own| format!(", of {own}"))
        .unwrap_or_default();
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let mut records: Vec<String> = own
        .records
        .iter()
        .take(SHOWN)
        .map(|own| own.to_string())
        .collect();
    let more = (own.records.len() - records.len()) as u64 + own.more_records;
    if more > 0 {
        records.push(format!("and {more} more"));
    }
    if records.is_empty() {
        records.push(NOTHING.to_owned());
    }
    report.say(format!("key {}{window}{partition}", own.key));
    report.say(format!("  {what:<8}  {}", shown(&own.found)));
    report.say(format!("  log       {}", shown(&own.expected)));
    report.say(format!("  records   {}", records.join(" ")));
}
