//! `tidemark group delete`.

use serde_json::json;
use tidemark_client::Admin;

use crate::failure::Failure;
use crate::output::Report;

/// Options of `tidemark group delete`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut told = Vec::new();
    for (name, outcome) in admin.delete_groups(&arguments.groups).await? {
        if outcome.is_ok() {
            report.say(format!("deleted {name}"));
        }
        told.push(json!({
            "group": name,
            "deleted": outcome.is_ok(),
            "error": report.note(outcome.as_ref().err()),
        }));
    }
    report.json = json!({ "groups": told });
    Ok(report)
}
