//! `tidemark cluster`.

use std::process::ExitCode;

use serde_json::{Value, json};
use tidemark_client::admin::{ApiRange, ClusterDescription};
use tidemark_client::{Admin, Broker};

use crate::failure::Failure;
use crate::output::{Report, Table, cell};
use crate::remote::{self, Remote};

/// Options of `tidemark cluster`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Shows the brokers of the cluster.
    Info(Info),
}

#[derive(clap::Args)]
struct Info {
    /// Shows the APIs that each broker serves, too, with their versions.
    #[arg(long)]
    apis: bool,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Command::Info(info) = arguments.command;
    remote::run(
        &arguments.remote,
        |admin| async move { info.run(&admin).await },
    )
}

impl Info {
    async fn run(&self, admin: &Admin) -> Result<Report, Failure> {
        let cluster = admin.describe_cluster().await?;
        let mut report = Report::default();
        report.say(format!("cluster     {}", cell(cluster.cluster_id.as_ref())));
        report.say(format!("controller  {}", cell(cluster.controller)));
        report.say("");
        report.text.push_str(&brokers(&cluster));
        let mut told = Vec::new();
        let all = cluster.brokers.iter().map(|broker| (broker, false));
        for (broker, fenced) in all.chain(cluster.fenced.iter().map(|broker| (broker, true))) {
            let mut one = described(broker, fenced);
            if self.apis && !fenced {
                let ranges = admin.api_versions(broker.id).await;
                let problem = report.note(ranges.as_ref().err());
                if let Ok(ranges) = ranges {
                    report.say(format!("\nAPIs of broker {}", broker.id));
                    report.text.push_str(&apis(&ranges));
                    one["apis"] = ranges.iter().map(api).collect();
                }
                one["error"] = problem;
            }
            told.push(one);
        }
        report.json = json!({
            "cluster_id": cluster.cluster_id,
            "controller": cluster.controller,
            "brokers": told,
        });
        Ok(report)
    }
}

fn brokers(cluster: &ClusterDescription) -> String {
    let mut table = Table::new(["BROKER", "ADDRESS", "RACK", "STATE"]);
    let all = cluster.brokers.iter().map(|broker| (broker, "running"));
    for (broker, state) in all.chain(cluster.fenced.iter().map(|broker| (broker, "fenced"))) {
        table.row([
            broker.id.to_string(),
            format!("{}:{}", broker.host, broker.port),
            cell(broker.rack.as_ref()),
            state.to_owned(),
        ]);
    }
    table.text()
}

fn described(broker: &Broker, fenced: bool) -> Value {
    json!({
        "id": broker.id,
        "host": broker.host,
        "port": broker.port,
        "rack": broker.rack,
        "fenced": fenced,
    })
}

fn apis(ranges: &[ApiRange]) -> String {
    let mut table = Table::new(["KEY", "API", "MIN", "MAX"]);
    for api in ranges {
        table.row([
            api.key.to_string(),
            cell(api.name),
            api.min.to_string(),
            api.max.to_string(),
        ]);
    }
    table.text()
}

fn api(api: &ApiRange) -> Value {
    json!({ "key": api.key, "name": api.name, "min": api.min, "max": api.max })
}
