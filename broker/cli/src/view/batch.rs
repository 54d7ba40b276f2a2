//! `tidemark batch run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tidemark_client::{Client, Clock};
use tidemark_streams::Data;
use tidemark_streams::serving::{
    Aggregate, Batch, BatchConfig, BatchOutcome, Coverage, Manifest, View,
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
    /// How many snapshots are kept: older ones lose their states, raw events stay.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// How many partitions are read at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
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
                let left = "stopped: what has been done is left for the next run, which goes on from there";
                return Ok(Report {
                    problems: vec![left.to_owned()],
                    silent: true,
                    stopped: Some(code),
                    ..Report::default()
                });
            }
        };
        let (manifest, published) = match outcome {
            BatchOutcome::Published(manifest) => (*manifest, true),
            BatchOutcome::NothingNew { snapshot } => {
                (batch.snapshots().manifest(snapshot).await?, false)
            }
        };
        Ok(told(&manifest, published, progress.taken_up()))
    }
}

fn told(manifest: &Manifest, published: bool, again: Option<u64>) -> Report {
    let tally = manifest.tally();
    let states = manifest.states.iter().map(|file| file.bytes);
    let events = manifest.events.iter().map(|file| file.bytes);
    let (files, bytes) = (
        manifest.states.len() + manifest.events.len(),
        states.chain(events).sum::<u64>(),
    );
    let mut report = Report::default();
    if let Some(offsets) = again {
        report.say(taken_up(offsets));
    }
    let (snapshot, view) = (manifest.snapshot, &manifest.view);
    report.say(match (published, manifest.parent) {
        (false, _) => format!("nothing new: snapshot {snapshot} of {view:?} is the newest one"),
        (true, None) => format!("snapshot {snapshot} of {view:?}, from the beginning of the log"),
        (true, Some(parent)) => format!("snapshot {snapshot} of {view:?}, going on from {parent}"),
    });
    report.say(format!("coverage  {}", manifest.coverage()));
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
        "published": published,
        "begin": manifest.begin(),
        "coverage": manifest.coverage(),
        "records": tally.records,
        "bad": tally.bad,
        "files": files,
        "bytes": bytes,
        "taken_up": again,
    });
    report
}
