//! `tidemark batch run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tidemark_client::{Client, Clock};
use tidemark_streams::Data;
use tidemark_streams::serving::{
    Aggregate, Batch, BatchConfig, BatchOutcome, Coverage, LeftOut, Manifest, View,
};

use super::progress::{Progress, taken_up};
use super::{Chosen, SNAPSHOTS, Work, coverage};
use crate::failure::Failure;
use crate::output::{Report, count};
use crate::process::signals::Signals;
use crate::remote::{self, Remote};

/// Options of `tidemark batch`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Reads a view's topic and writes a snapshot of the view.
    ///
    /// It goes on from the newest snapshot, and ends at the newest cuts that the view's speed layer has
    /// announced; at the end of the log if the view has no speed layer yet. A run that was killed is taken
    /// up again by the next one.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    #[command(flatten)]
    chosen: Chosen,
    /// The folder with the snapshots of all views; it is made if it is not there.
    #[arg(long, value_name = "DIR", default_value = SNAPSHOTS)]
    snapshots: PathBuf,
    /// Where the snapshot is to end: topic:partition:offset, several with commas, or JSON. It has to be a
    /// cut that the speed layer has announced, if there is one. Partitions that are not named stay as they
    /// are.
    #[arg(long, value_name = "COVERAGE", value_parser = coverage)]
    cut: Option<Coverage>,
    /// Computes the view from the beginning of the log, whatever snapshots there are.
    #[arg(long)]
    from_scratch: bool,
    /// How many snapshots are kept: older ones lose their states, raw events stay. With 1 there is none to
    /// fall back to.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// How many partitions are read at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// How many MiB the states of what has been read may take in memory, over all workers, until they are put
    /// aside in the folder.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// Writes states only, and no files of raw events.
    #[arg(long)]
    no_events: bool,
    /// Shows no progress. It is shown only on a terminal anyway.
    #[arg(long, short = 'q')]
    quiet: bool,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Command::Run(run) = arguments.command;
    remote::run_computing(&arguments.remote, |client| async move {
        run.chosen.with(&run, client).await
    })
}

impl Work for Run {
    async fn on<K: Data, A: Aggregate>(
        &self,
        view: View<K, A>,
        client: Client,
    ) -> Result<Report, Failure> {
        let view = Arc::new(view);
        let progress = Arc::new(Progress::start(self.quiet));
        let shown = Arc::clone(&progress);
        let config = BatchConfig::new()
            .workers(self.workers.into())
            .memory(usize::try_from(u64::from(self.memory) << 20).unwrap_or(usize::MAX))
            .keep(self.keep.into())
            .archive(!self.no_events)
            .from_scratch(self.from_scratch)
            .on_progress(move |progress| shown.show(progress));
        let batch = Batch::local(
            Arc::clone(&view),
            Arc::new(client),
            Clock::system(),
            &self.snapshots,
            config,
        )?;
        if let Some(cut) = &self.cut {
            batch.check(cut).await?;
        }
        let mut signals = Signals::listen()
            .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
        let outcome = tokio::select! {
            biased;
            code = signals.next() => Err(code),
            outcome = batch.run(self.cut.as_ref()) => Ok(outcome),
        };
        progress.end();
        let outcome = match outcome {
            Ok(outcome) => outcome?,
            Err(code) => {
                let left = "stopped: the next run goes on from what this one has put aside, which it does with every \
                            4,000,000 records of a partition, and when its memory is full";
                return Ok(Report {
                    problems: vec![left.to_owned()],
                    silent: true,
                    stopped: Some(code),
                    ..Report::default()
                });
            }
        };
        let told = match outcome {
            BatchOutcome::Published(own) => Told {
                manifest: own.manifest,
                published: true,
                left_out: own.left_out,
                changed_since: own.changed_since,
                held_up: own.held_up,
                taken_up: own.taken_up,
            },
            BatchOutcome::NothingNew {
                snapshot: Some(snapshot),
                left_out,
            } => Told {
                manifest: batch.snapshots().manifest(snapshot).await?,
                published: false,
                left_out,
                changed_since: None,
                held_up: None,
                taken_up: None,
            },
            BatchOutcome::NothingNew {
                snapshot: None,
                left_out,
            } => return Ok(none_yet(view.name(), &left_out)),
        };
        Ok(told.report(self.cut.as_ref()))
    }
}

/// What is told where there is nothing that a snapshot could be made of yet.
fn none_yet(view: &str, left_out: &[LeftOut]) -> Report {
    let mut report = Report::default();
    let left_out = all_left_out(left_out, &mut report);
    report.say(format!(
        "no snapshot of {view:?} yet: its speed layer has not announced where one may end. It does when it has \
         saved what it has read, and may write to its topic of cuts"
    ));
    report.json = json!({
        "view": view,
        "snapshot": null,
        "parent": null,
        "published": false,
        "left_out": left_out,
        "changed_since": null,
        "held_up": null,
        "begin": {},
        "coverage": {},
        "records": 0,
        "bad": 0,
        "files": 0,
        "bytes": 0,
        "taken_up": null,
    });
    report
}

/// Says which snapshots are left out, and gives them for JSON.
fn all_left_out(left_out: &[LeftOut], report: &mut Report) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for LeftOut { snapshot, reason } in left_out {
        report.say(format!("snapshot {snapshot} is left out: {reason}"));
        all.push(json!({ "snapshot": snapshot, "reason": reason }));
    }
    all
}

/// What is told of a run.
struct Told {
    /// The new snapshot, or the newest one if nothing was new.
    manifest: Manifest,
    published: bool,
    left_out: Vec<LeftOut>,
    changed_since: Option<u64>,
    held_up: Option<String>,
    taken_up: Option<u64>,
}

impl Told {
    fn report(&self, cut: Option<&Coverage>) -> Report {
        let manifest = &self.manifest;
        let tally = manifest.tally();
        let states = manifest.states.iter().map(|file| file.bytes);
        let events = manifest.events.iter().map(|file| file.bytes);
        let (files, bytes) = (
            manifest.states.len() + manifest.events.len(),
            states.chain(events).sum::<u64>(),
        );
        let mut report = Report::default();
        if let Some(offsets) = self.taken_up {
            report.say(taken_up(offsets));
        }
        let left_out = all_left_out(&self.left_out, &mut report);
        let (snapshot, view) = (manifest.snapshot, &manifest.view);
        report.say(match (self.published, manifest.parent) {
            (false, _) => format!("nothing new: snapshot {snapshot} of {view:?} is the newest one"),
            (true, None) => {
                format!("snapshot {snapshot} of {view:?}, from the beginning of the log")
            }
            (true, Some(parent)) => {
                format!("snapshot {snapshot} of {view:?}, going on from {parent}")
            }
        });
        if let Some(before) = self.changed_since {
            report.say(format!(
                "the view is not what it was when snapshot {before} was made: everything has been computed anew"
            ));
        }
        let covered = manifest.coverage();
        report.say(format!("coverage  {covered}"));
        for (topic, partition, offset) in cut.iter().flat_map(|cut| cut.iter()) {
            let end = covered.get(topic, partition);
            if end > offset {
                report.say(format!(
                    "          {topic}-{partition} does not end at {offset}: a snapshot that has more was there"
                ));
            }
        }
        if let Some(reason) = &self.held_up {
            report.problems.push(format!(
                "snapshot {snapshot} is that of a run that was taken up again; it goes no further: {reason}"
            ));
        }
        report.say(format!(
            "contents  {} ({} bad), {}, {bytes} bytes",
            count(tally.records, "record"),
            tally.bad,
            count(files, "file"),
        ));
        report.json = json!({
            "view": manifest.view,
            "snapshot": manifest.snapshot,
            "parent": manifest.parent,
            "published": self.published,
            "left_out": left_out,
            "changed_since": self.changed_since,
            "held_up": self.held_up,
            "begin": manifest.begin(),
            "coverage": covered,
            "records": tally.records,
            "bad": tally.bad,
            "files": files,
            "bytes": bytes,
            "taken_up": self.taken_up,
        });
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        let json =
            include_bytes!("../../../../streams/src/serving/snapshot/manifest/format-1.json");
        Told {
            manifest: Manifest::from_json(json).unwrap(),
            published: true,
            left_out: Vec::new(),
            changed_since: None,
            held_up: None,
            taken_up: None,
        }
    }

    #[test]
    fn a_run_that_was_held_up_has_published_and_failed() {
        let fine = told().report(None);
        assert_eq!(fine.problems, Vec::<String>::new());
        assert_eq!(fine.json["held_up"], json!(null));
        let mut told = told();
        told.held_up = Some("the log ends there".to_owned());
        let held_up = told.report(None);
        assert_eq!(held_up.text, fine.text);
        let [problem] = &held_up.problems[..] else {
            panic!("{:?}", held_up.problems);
        };
        assert!(problem.starts_with("snapshot 7 is "), "{problem}");
        assert!(problem.ends_with(": the log ends there"), "{problem}");
        assert_eq!(held_up.json["published"], json!(true));
        assert_eq!(held_up.json["held_up"], json!("the log ends there"));
    }

    #[test]
    fn without_a_snapshot_all_fields_are_there() {
        let left_out = [LeftOut {
            snapshot: 2,
            reason: "it is damaged".to_owned(),
        }];
        let none = none_yet("words", &left_out);
        assert_eq!(none.problems, Vec::<String>::new());
        let mut lines = none.text.lines();
        assert_eq!(lines.next(), Some("snapshot 2 is left out: it is damaged"));
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with("no snapshot of \"words\" yet: ")
        );
        let own = json!([{ "snapshot": 2, "reason": "it is damaged" }]);
        assert_eq!(
            (&none.json["left_out"], &none.json["snapshot"]),
            (&own, &json!(null))
        );
        let fields = |report: &Report| -> Vec<String> {
            let fields = report.json.as_object().unwrap();
            fields.keys().cloned().collect()
        };
        assert_eq!(fields(&none), fields(&told().report(None)));
    }
}
