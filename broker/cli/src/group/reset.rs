//! `tidemark group reset-offsets`: finds the new offsets, shows them, and with `--execute` sets them.

mod plan;
mod scope;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tidemark_client::admin::{Each, GroupState, ListedOffset, OffsetSpec, OffsetsOf};
use tidemark_client::consumer::{CommittedOffset, IsolationLevel};
use tidemark_client::{Admin, ClientError, Clock, ErrorCode, TopicPartition};

use crate::failure::Failure;
use crate::output::{Report, Table, cell, count};
use crate::time;
use plan::{Place, Target};
use scope::Wanted;

/// Options of `tidemark group reset-offsets`.
///
/// Only shows what it would do unless --execute is there. The group must have no members: they would
/// go on where they are and commit that.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("scope").required(true)))]
#[command(group(clap::ArgGroup::new("target").required(true)))]
#[command(group(clap::ArgGroup::new("run")))]
pub(crate) struct Arguments {
    /// The group.
    group: String,
    /// A topic, or some partitions of it. May be repeated.
    #[arg(long = "topic", value_name = "TOPIC[:0,1,...]", group = "scope", value_parser = scope::wanted)]
    topics: Vec<Wanted>,
    /// All partitions that the group has committed offsets of.
    #[arg(long, group = "scope")]
    all_topics: bool,
    /// To the first record.
    #[arg(long, group = "target")]
    to_earliest: bool,
    /// To the end: only what comes from now on is read.
    #[arg(long, group = "target")]
    to_latest: bool,
    /// To this offset, or the nearest one that the partition has.
    #[arg(long, value_name = "OFFSET", group = "target", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record of this moment (RFC 3339, as in 2024-05-01T12:00:00Z) or later; to the
    /// end if there is none.
    #[arg(long, value_name = "DATETIME", group = "target", value_parser = time::datetime)]
    to_datetime: Option<i64>,
    /// To the first record that is not older than this: 90s, 2h, 7d, PT1H30M.
    #[arg(long, value_name = "DURATION", group = "target", value_parser = time::duration)]
    by_duration: Option<Duration>,
    /// By this many records forward, or back if it is negative.
    #[arg(
        long,
        value_name = "COUNT",
        group = "target",
        allow_negative_numbers = true
    )]
    shift_by: Option<i64>,
    /// Only shows the new offsets (the default).
    #[arg(long, group = "run")]
    dry_run: bool,
    /// Sets the new offsets.
    #[arg(long, group = "run")]
    execute: bool,
}

impl Arguments {
    fn target(&self) -> Target {
        if let Some(offset) = self.to_offset {
            return Target::Offset(offset);
        }
        if let Some(moment) = self.to_datetime {
            return Target::Moment(moment.max(0));
        }
        if let Some(age) = self.by_duration {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let now = Clock::system().now().wall;
            return Target::Moment(now.saturating_sub(age).max(0));
        }
        if let Some(by) = self.shift_by {
            return Target::Shift(by);
        }
        match self.to_earliest {
            true => Target::Earliest,
            false => Target::Latest,
        }
    }
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let group = &arguments.group;
    refuse_members(admin, group).await?;
    let committed = committed(admin, group).await?;
    let partitions = scope::partitions(admin, &arguments, &committed).await?;
    let target = arguments.target();
    let places = places(admin, &partitions, target, &committed).await?;
    let planned = places.into_iter().map(|(partition, place)| {
        let offset = place.and_then(|place| target.offset(&place));
        (partition, offset)
    });
    let planned: Planned = planned.collect();
    // All or nothing, as far as that can be known before.
    let execute = arguments.execute && planned.values().all(Result::is_ok);
    let done = match execute {
        false => None,
        true => {
            let offsets = planned.iter().filter_map(|(partition, offset)| {
                let offset = offset.as_ref().ok()?;
                Some((partition.clone(), CommittedOffset::new(*offset)))
            });
            Some(admin.alter_group_offsets(group, offsets).await?)
        }
    };
    Ok(shown(&arguments, &committed, &planned, done.as_ref()))
}

/// The new offsets, or why there is none.
type Planned = BTreeMap<TopicPartition, Result<i64, String>>;

/// A group with members cannot be moved: each member knows where it is.
async fn refuse_members(admin: &Admin, group: &str) -> Result<(), Failure> {
    let mut described = admin.describe_groups([group]).await?;
    match described.remove(group) {
        Some(Ok(found)) if found.state != GroupState::Empty && found.state != GroupState::Dead => {
            let members = count(found.members.len(), "member");
            Err(Failure::new(format!(
                "group {group:?} is in state {} with {members}: stop them first, offsets of a \
                 group in use cannot be reset",
                found.state
            )))
        }
        // It comes into being with its first offset.
        Some(Err(error)) if error.code() != Some(ErrorCode::GroupIdNotFound) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn committed(
    admin: &Admin,
    group: &str,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    let mut groups = admin
        .group_offsets([(group, OffsetsOf::All)])
        .await?
        .all()?;
    let offsets = groups.remove(group).map(Each::all).transpose()?;
    let offsets = offsets.into_iter().flatten();
    Ok(offsets
        .filter_map(|(partition, committed)| Some((partition, committed?.offset)))
        .collect())
}

/// What the new offsets are made of, for each partition.
async fn places(
    admin: &Admin,
    partitions: &[TopicPartition],
    target: Target,
    committed: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, Result<Place, String>>, ClientError> {
    let ask = async |spec| {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
        admin
            .list_offsets(wanted, IsolationLevel::ReadUncommitted)
            .await
    };
    let mut earliest = ask(OffsetSpec::Earliest).await?;
    let mut latest = ask(OffsetSpec::Latest).await?;
    let mut moment = match target {
        Target::Moment(moment) => Some(ask(OffsetSpec::Timestamp(moment)).await?),
        _ => None,
    };
    let one = |partition: &TopicPartition| {
        let place = (|| {
            Ok(Place {
                earliest: taken(&mut earliest, partition)?.unwrap_or(0),
                latest: taken(&mut latest, partition)?.unwrap_or(0),
                at_moment: match &mut moment {
                    Some(moment) => taken(moment, partition)?,
                    None => None,
                },
                committed: committed.get(partition).copied(),
            })
        })();
        (partition.clone(), place)
    };
    Ok(partitions.iter().map(one).collect())
}

fn taken(
    listed: &mut Each<TopicPartition, ListedOffset>,
    partition: &TopicPartition,
) -> Result<Option<i64>, String> {
    match listed.remove(partition) {
        Some(Ok(listed)) => Ok(listed.offset),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(None),
    }
}

fn shown(
    arguments: &Arguments,
    committed: &BTreeMap<TopicPartition, i64>,
    planned: &Planned,
    done: Option<&Each<TopicPartition, ()>>,
) -> Report {
    let mut report = Report::default();
    let mut table = Table::new(["TOPIC", "PARTITION", "BEFORE", "AFTER"]);
    let mut told = Vec::new();
    for (partition, after) in planned {
        let before = committed.get(partition);
        let error = match after {
            Ok(_) => {
                let outcome = done.and_then(|done| done.get(partition));
                report.note(outcome.and_then(|outcome| outcome.as_ref().err()))
            }
            Err(problem) => {
                report.problems.push(format!("{partition}: {problem}"));
                json!({ "code": null, "message": problem })
            }
        };
        let after = after.as_ref().ok();
        table.row([
            partition.topic.to_string(),
            partition.partition.to_string(),
            cell(before),
            cell(after),
        ]);
        told.push(json!({
            "topic": *partition.topic,
            "partition": partition.partition,
            "before": before,
            "after": after,
            "error": error,
        }));
    }
    report.text.push_str(&table.text());
    if done.is_none() {
        report.say(match report.problems.is_empty() {
            true => "nothing has been changed: add --execute to set these offsets",
            false => "nothing has been changed",
        });
    }
    report.json = json!({
        "group": arguments.group,
        "executed": done.is_some(),
        "offsets": told,
    });
    report
}
