//! `tidemark verify`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tidemark_client::{Client, Clock};
use tidemark_streams::Data;
use tidemark_streams::serving::{
    Aggregate, Coverage, Difference, OtherRecords, ServedPage, Snapshots, Verdict, VerifyError,
    VerifyServed, View, verify,
};

use super::http::{self, Address, escaped};
use super::{Chosen, Work, coverage};
use crate::failure::Failure;
use crate::output::{NOTHING, Report, count};
use crate::remote::{self, Remote};

/// So many keys that differ are told, and so many records of each.
const SHOWN: usize = 20;
/// So many keys are asked for at once: the most that a server gives.
const PAGE: usize = 1_000;

/// Options of `tidemark verify`.
///
/// Computes a view from the log alone, and compares it with a snapshot, with what a server answers, or with
/// both. Says which keys differ, and of which records they are made. The states of all keys have to fit into
/// memory.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    chosen: Chosen,
    /// The folder with the snapshots of all views: compares the newest snapshot.
    #[arg(long, value_name = "DIR", required_unless_present = "served")]
    snapshots: Option<PathBuf>,
    /// Compares the newest snapshot that covers no more than this, and answers of a server that cover no
    /// less: topic:partition:offset, several with commas, or JSON.
    #[arg(long, value_name = "COVERAGE", value_parser = coverage)]
    as_of: Option<Coverage>,
    /// Compares the answers of the server at this address.
    #[arg(long, value_name = "http://HOST:PORT")]
    served: Option<Address>,
    /// Shows no progress. It is shown only on a terminal anyway.
    #[arg(long, short = 'q')]
    quiet: bool,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let remote = arguments.remote.clone();
    remote::run_computing(&remote, |client| async move {
        let checking = Checking {
            arguments: &arguments,
            client,
        };
        arguments.chosen.with(checking).await
    })
}

/// A comparison of whatever view.
struct Checking<'a> {
    arguments: &'a Arguments,
    client: Client,
}

impl Work for Checking<'_> {
    async fn on<K: Data, A: Aggregate>(self, view: View<K, A>) -> Result<Report, Failure> {
        self.arguments.check(view, self.client).await
    }
}

impl Arguments {
    async fn check<K: Data, A: Aggregate>(
        &self,
        view: View<K, A>,
        client: Client,
    ) -> Result<Report, Failure> {
        let (view, client) = (Arc::new(view), Arc::new(client));
        let mut report = Report::default();
        let mut told = Vec::new();
        if let Some(folder) = &self.snapshots {
            let verdict = self.snapshot(&view, &client, folder).await?;
            let of = match verdict.snapshot {
                Some(number) => format!("snapshot {number} of {:?}", view.name()),
                None => format!("the snapshot of {:?}", view.name()),
            };
            told.push(tell(&mut report, "snapshot", &of, &verdict));
        }
        if let Some(address) = &self.served {
            let verdict = self.answers(&view, &client, address).await?;
            let of = format!("what {address} answers for {:?}", view.name());
            told.push(tell(&mut report, "served", &of, &verdict));
        }
        report.json = json!({ "view": view.name(), "checks": told });
        Ok(report)
    }

    async fn snapshot<K: Data, A: Aggregate>(
        &self,
        view: &Arc<View<K, A>>,
        client: &Arc<Client>,
        folder: &std::path::Path,
    ) -> Result<Verdict, Failure> {
        // A folder that is not there would be made, and have no snapshots.
        if !folder.join(view.name()).is_dir() {
            let fix = format!(
                "there are no snapshots of {} in it: is it the folder that `batch run` is given?",
                view.name()
            );
            return Err(Failure {
                code: crate::failure::FAILED,
                ..Failure::usage("--snapshots", &folder.display().to_string(), fix)
            });
        }
        let snapshots = Snapshots::local(folder, view.name())?;
        let waiting = Waiting::start(self.quiet, "the log is read and compared with the snapshot");
        let client = Arc::clone(client);
        let as_of = self.as_of.as_ref();
        let verdict = verify(view, client, Clock::system(), &snapshots, as_of).await;
        waiting.end();
        Ok(verdict?)
    }

    /// Asks for all keys, page by page.
    async fn answers<K: Data, A: Aggregate>(
        &self,
        view: &Arc<View<K, A>>,
        client: &Arc<Client>,
        address: &Address,
    ) -> Result<Verdict, Failure> {
        let clock = Clock::system();
        let mut compared = VerifyServed::new(Arc::clone(view), Arc::clone(client), clock.clone());
        let waiting = Waiting::start(self.quiet, "the server is asked for its keys");
        let (name, mut next): (_, Option<String>) = (escaped(view.name()), None);
        let at_least = match &self.as_of {
            Some(as_of) => format!("&at_least={}", escaped(&as_of.to_string())),
            None => String::new(),
        };
        loop {
            let from = match &next {
                Some(next) => format!("&next={}", escaped(next)),
                None => String::new(),
            };
            let path = format!("/views/{name}/keys?limit={PAGE}{from}{at_least}");
            let body = http::get(address, &path, &clock, self.remote.timeout()).await?;
            let page = ServedPage::from_json(&body)?;
            compared.page(&page).await?;
            let (keys, records) = compared.progress();
            let (keys, records) = (HumanCount(keys), HumanCount(records));
            waiting.say(format!("{keys} keys of {records} records"));
            next = page.next;
            if next.is_none() {
                waiting.end();
                return Ok(compared.end().await?);
            }
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Log(error) => error.into(),
            VerifyError::Snapshot(error) => error.into(),
            error @ VerifyError::NoSnapshot { .. } => {
                Self::new(format!("{error}\n  `tidemark batch run` makes one"))
            }
            error => Self::new(error.to_string()),
        }
    }
}

/// Says on a terminal that something is being done.
struct Waiting(ProgressBar);

impl Waiting {
    fn start(quiet: bool, what: &str) -> Self {
        let bar = match quiet {
            true => ProgressBar::hidden(),
            false => ProgressBar::new_spinner(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.tick();
        Self(bar)
    }

    fn say(&self, what: String) {
        self.0.set_message(what);
        self.0.tick();
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Tells a verdict in the report; gives it as JSON. `what` is what was looked at in a word, `of` in words.
fn tell(report: &mut Report, what: &str, of: &str, verdict: &Verdict) -> Value {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let keys = count(number(verdict.keys), "key");
    let records = count(number(verdict.records), "record");
    let coverage = &verdict.coverage;
    let different = verdict.differences.len() as u64 + verdict.more;
    if verdict.is_good() {
        report.say(format!(
            "{keys} of {records} agree with the log: {of}, up to {coverage}"
        ));
    } else {
        let keys = format!("{different} of {keys}");
        report.say(format!(
            "{keys} of {records} do not agree with the log: {of}, up to {coverage}"
        ));
        report
            .problems
            .push(format!("{of} is not what the log says"));
        for own in &verdict.tallies {
            report.say(other_records(own));
        }
        for own in verdict.differences.iter().take(SHOWN) {
            difference(report, what, own);
        }
        let more = different.saturating_sub(SHOWN as u64);
        if more > 0 {
            report.say(format!("and {} more", count(number(more), "key")));
        }
    }
    let differences = verdict.differences.iter().take(SHOWN);
    json!({
        "of": what,
        "agrees": verdict.is_good(),
        "snapshot": verdict.snapshot,
        "begin": verdict.begin,
        "coverage": verdict.coverage,
        "keys": verdict.keys,
        "records": verdict.records,
        "different": different,
        "differences": differences.map(|own| json!(own)).collect::<Vec<_>>(),
        "partitions": verdict.tallies,
    })
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
    if own.records.len() > SHOWN {
        records.push(format!("and {} more", own.records.len() - SHOWN));
    }
    if records.is_empty() {
        records.push(NOTHING.to_owned());
    }
    report.say(format!("key {}{window}{partition}", own.key));
    report.say(format!("  {what:<8}  {}", shown(&own.found)));
    report.say(format!("  log       {}", shown(&own.expected)));
    report.say(format!("  records   {}", records.join(" ")));
}
