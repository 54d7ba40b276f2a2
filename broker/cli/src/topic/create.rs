//! `tidemark topic create`.

use serde_json::json;
use tidemark_client::admin::{CreatedTopic, Mode, NewTopic};
use tidemark_client::{Admin, ClientError, ErrorCode};

use crate::failure::Failure;
use crate::output::{Report, count, topic_id};
use crate::serve::key_value;

/// Options of `tidemark topic create`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// How many partitions they have; without it the cluster decides.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// On how many brokers each partition is kept; without it the cluster decides.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Sets a config of the topics. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// A topic that is there already is no error; it stays as it is.
    #[arg(long)]
    if_not_exists: bool,
    /// Only checks whether the topics could be created.
    #[arg(long)]
    validate_only: bool,
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let new = |name: &String| {
        let mut topic = NewTopic::new(name)
            .partitions(arguments.partitions.unwrap_or(-1))
            .replication_factor(arguments.replication_factor.unwrap_or(-1));
        for (key, value) in &arguments.set {
            topic = topic.config(key, value);
        }
        topic
    };
    let mode = match arguments.validate_only {
        true => Mode::Validate,
        false => Mode::Apply,
    };
    let made = admin
        .create_topics(arguments.topics.iter().map(new), mode)
        .await?;
    let mut report = Report::default();
    let mut told = Vec::new();
    for (name, outcome) in made {
        let there = outcome.as_ref().is_err_and(exists) && arguments.if_not_exists;
        let error = report.note(outcome.as_ref().err().filter(|_| !there));
        let topic = outcome.ok();
        if there {
            report.say(format!("{name} exists already"));
        }
        if let Some(topic) = &topic {
            let verb = match mode {
                Mode::Apply => "created",
                Mode::Validate => "could create",
            };
            report.say(format!("{verb} {name}{}", size(topic)));
        }
        told.push(json!({
            "topic": name,
            "created": topic.is_some() && mode == Mode::Apply,
            "id": topic.as_ref().and_then(|topic| topic_id(&topic.id)),
            "partitions": topic.as_ref().and_then(|topic| topic.partitions),
            "replication_factor": topic.as_ref().and_then(|topic| topic.replication_factor),
            "error": error,
        }));
    }
    report.json = json!({ "topics": told });
    Ok(report)
}

fn exists(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::TopicAlreadyExists)
}

fn size(topic: &CreatedTopic) -> String {
    match (topic.partitions, topic.replication_factor) {
        (Some(partitions), Some(factor)) => {
            format!(
                ": {}, replication factor {factor}",
                count(partitions, "partition")
            )
        }
        _ => String::new(),
    }
}
