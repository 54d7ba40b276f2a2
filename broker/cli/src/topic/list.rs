//! `tidemark topic list`.

use serde_json::{Value, json};
use tidemark_client::Admin;

use crate::failure::Failure;
use crate::output::{Report, Table, topic_id};

/// Options of `tidemark topic list`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leaves out the topics that the cluster keeps for itself.
    #[arg(long)]
    exclude_internal: bool,
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let mut topics = admin.list_topics().await?;
    topics.retain(|topic| !(arguments.exclude_internal && topic.internal));
    let mut table = Table::new(["TOPIC", "PARTITIONS", "REPLICATION", "INTERNAL"]);
    for topic in &topics {
        table.row([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.replication_factor.to_string(),
            if topic.internal { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let told: Vec<Value> = topics
        .iter()
        .map(|topic| {
            json!({
                "topic": topic.name,
                "id": topic_id(&topic.id),
                "partitions": topic.partitions,
                "replication_factor": topic.replication_factor,
                "internal": topic.internal,
            })
        })
        .collect();
    Ok(Report {
        text: table.text(),
        json: json!({ "topics": told }),
        ..Report::default()
    })
}
