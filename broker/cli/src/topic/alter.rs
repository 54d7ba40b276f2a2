//! `tidemark topic alter`.

use serde_json::json;
use tidemark_client::Admin;
use tidemark_client::admin::{ConfigChange, ConfigResource, Mode, NewPartitions};

use crate::failure::Failure;
use crate::output::Report;
use crate::serve::key_value;

/// Options of `tidemark topic alter`.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(crate) struct Arguments {
    /// The topic.
    topic: String,
    /// Gives it more partitions, so that it has this many.
    #[arg(long, value_name = "COUNT", group = "change", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Sets a config. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", group = "change", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Takes the topic's own value of a config away. May be repeated.
    #[arg(long, value_name = "KEY", group = "change")]
    unset: Vec<String>,
    /// Only checks whether the changes could be made.
    #[arg(long)]
    validate_only: bool,
}

/// Checks all changes before it makes any.
pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    check_keys(&arguments)?;
    change(admin, &arguments, Mode::Validate).await?;
    if !arguments.validate_only {
        change(admin, &arguments, Mode::Apply).await?;
    }
    let mut report = Report::default();
    let verb = match arguments.validate_only {
        true => "could set",
        false => "set",
    };
    let topic = &arguments.topic;
    for (key, value) in &arguments.set {
        report.say(format!("{topic}: {verb} {key}={value}"));
    }
    for key in &arguments.unset {
        report.say(format!("{topic}: {verb} {key} to the default"));
    }
    if let Some(count) = arguments.partitions {
        report.say(format!(
            "{topic}: {verb} the number of partitions to {count}"
        ));
    }
    let set = arguments
        .set
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)));
    report.json = json!({
        "topic": topic,
        "altered": !arguments.validate_only,
        "set": set.collect::<serde_json::Map<_, _>>(),
        "unset": arguments.unset,
        "partitions": arguments.partitions,
    });
    Ok(report)
}

fn check_keys(arguments: &Arguments) -> Result<(), Failure> {
    let keys = arguments
        .set
        .iter()
        .map(|(key, _)| key)
        .chain(&arguments.unset);
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Failure::usage(
                "--set, --unset",
                key,
                "it is named twice: name each key once",
            ));
        }
    }
    Ok(())
}

async fn change(admin: &Admin, arguments: &Arguments, mode: Mode) -> Result<(), Failure> {
    let set = arguments
        .set
        .iter()
        .map(|(key, value)| ConfigChange::set(key, value));
    let unset = arguments.unset.iter().map(ConfigChange::delete);
    let changes: Vec<ConfigChange> = set.chain(unset).collect();
    if !changes.is_empty() {
        let changes = [(ConfigResource::topic(&arguments.topic), changes)];
        admin
            .incremental_alter_configs(changes, mode)
            .await?
            .all()?;
    }
    if let Some(count) = arguments.partitions {
        let more = [(&arguments.topic, NewPartitions::increase_to(count))];
        admin.create_partitions(more, mode).await?.all()?;
    }
    Ok(())
}
