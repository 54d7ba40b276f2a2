//! `tidemark topic delete`.

use serde_json::json;
use tidemark_client::{Admin, ClientError, ErrorCode};

use crate::failure::Failure;
use crate::output::Report;

/// Options of `tidemark topic delete`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let deleted = admin.delete_topics(&arguments.topics).await?;
    let mut report = Report::default();
    let mut told = Vec::new();
    for (name, outcome) in deleted {
        let gone = outcome.as_ref().is_err_and(missing) && arguments.if_exists;
        match outcome {
            Ok(()) => report.say(format!("deleted {name}")),
            Err(_) if gone => report.say(format!("{name} does not exist")),
            Err(_) => {}
        }
        told.push(json!({
            "topic": name,
            "deleted": outcome.is_ok(),
            "error": report.note(outcome.as_ref().err().filter(|_| !gone)),
        }));
    }
    report.json = json!({ "topics": told });
    Ok(report)
}

fn missing(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::UnknownTopicOrPartition)
}
