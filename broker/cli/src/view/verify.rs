//! `tidemark verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::HumanCount;
use serde_json::json;
use tidemark_client::{Client, Clock};
use tidemark_streams::Data;
use tidemark_streams::serving::{
    Aggregate, Coverage, ServedPage, Snapshots, Verdict, VerifyError, VerifyServed, View, verify,
};

use super::http::{self, Address, escaped};
use super::progress::Waiting;
use super::verdict::tell;
use super::{Chosen, SNAPSHOTS, Work, coverage};
use crate::failure::{FAILED, Failure, NOT_COMPARED};
use crate::output::Report;
use crate::remote::{self, Remote};

/// So many keys are asked for at once: the most that a server gives.
const PAGE: usize = 1_000;
/// A longer coverage would make an address that servers do not take.
const MOST_QUERY: usize = 32 << 10;

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
    /// The folder with the snapshots of all views: compares the newest snapshot. tidemark-snapshots, if
    /// neither this nor --served is named.
    #[arg(long, value_name = "DIR")]
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
    let arguments = &arguments;
    remote::run_computing(&arguments.remote, |client| async move {
        let done = arguments.chosen.with(arguments, client).await;
        // Whoever acts on the code has to tell this from a view that is wrong.
        done.map_err(|failure| match failure.code {
            FAILED => Failure {
                code: NOT_COMPARED,
                ..failure
            },
            _ => failure,
        })
    })
}

impl Work for Arguments {
    async fn on<K: Data, A: Aggregate>(
        &self,
        view: View<K, A>,
        client: Client,
    ) -> Result<Report, Failure> {
        let (view, client) = (Arc::new(view), Arc::new(client));
        let mut report = Report::default();
        let mut told = Vec::new();
        let folder = match (&self.snapshots, &self.served) {
            (None, None) => Some(Path::new(SNAPSHOTS)),
            (folder, _) => folder.as_deref(),
        };
        if let Some(folder) = folder {
            let verdict = self.snapshot(&view, &client, folder).await?;
            let of = match verdict.snapshot {
                Some(number) => format!("snapshot {number} of {:?}", view.name()),
                None => format!("the snapshot of {:?}", view.name()),
            };
            told.push(tell(&mut report, "snapshot", &of, &verdict));
        }
        if let Some(address) = &self.served {
            match self.answers(&view, &client, address).await {
                Ok(verdict) => {
                    let of = format!("what {address} answers for {:?}", view.name());
                    told.push(tell(&mut report, "served", &of, &verdict));
                }
                // What is wrong with the snapshot is told all the same.
                Err(failure) if !report.problems.is_empty() => {
                    report.problems.push(failure.message);
                }
                Err(failure) => return Err(failure),
            }
        }
        report.json = json!({ "view": view.name(), "checks": told });
        Ok(report)
    }
}

impl Arguments {
    async fn snapshot<K: Data, A: Aggregate>(
        &self,
        view: &Arc<View<K, A>>,
        client: &Arc<Client>,
        folder: &Path,
    ) -> Result<Verdict, Failure> {
        // A folder that is not there would be made, and have no snapshots.
        if !folder.join(view.name()).is_dir() {
            let fix = format!(
                "there are no snapshots of {} in it: is it the folder that `batch run` is given?",
                view.name()
            );
            return Err(Failure {
                code: FAILED,
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
        let at_least = |own: &Coverage| format!("&at_least={}", escaped(&own.to_string()));
        let mut covered = self.as_of.as_ref().map(at_least).unwrap_or_default();
        loop {
            let from = match &next {
                Some(next) => format!("&next={}", escaped(next)),
                None => String::new(),
            };
            let path = format!("/views/{name}/keys?limit={PAGE}{from}{covered}");
            let body = http::get(address, &path, &clock, self.remote.timeout()).await?;
            let page = ServedPage::from_json(&body)?;
            compared.page(&page).await?;
            let (keys, records) = compared.progress();
            let (keys, records) = (HumanCount(keys), HumanCount(records));
            waiting.say(format!("{keys} keys of {records} records"));
            next = page.next().map(str::to_owned);
            // What a page covers all behind it have to cover, whoever answers: a server that has been started
            // again reads on first.
            covered = at_least(page.coverage());
            if covered.len() > MOST_QUERY {
                covered.clear();
            }
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
