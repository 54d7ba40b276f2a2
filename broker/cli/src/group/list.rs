//! `tidemark group list`.

use serde_json::json;
use tidemark_client::Admin;
use tidemark_client::admin::{GroupFilter, GroupState, GroupType};

use crate::failure::Failure;
use crate::output::{Report, Table, cell};

/// Options of `tidemark group list`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only groups in this state: Stable, Empty, PreparingRebalance, ... May be repeated.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<GroupState>,
    /// Only groups of this type: classic, consumer, share, streams. May be repeated.
    #[arg(long, value_name = "TYPE", value_parser = kind)]
    r#type: Vec<GroupType>,
}

fn state(text: &str) -> Result<GroupState, String> {
    match GroupState::named(text) {
        GroupState::Other(_) => Err(
            "the states are Stable, Empty, Dead, PreparingRebalance, CompletingRebalance, \
             Assigning, Reconciling and NotReady"
                .to_owned(),
        ),
        state => Ok(state),
    }
}

fn kind(text: &str) -> Result<GroupType, String> {
    match GroupType::named(text) {
        GroupType::Other(_) => Err("the types are classic, consumer, share and streams".to_owned()),
        kind => Ok(kind),
    }
}

pub(crate) async fn run(admin: &Admin, arguments: Arguments) -> Result<Report, Failure> {
    let filter = GroupFilter::new()
        .states(arguments.state)
        .types(arguments.r#type);
    let mut report = Report::default();
    let mut groups = Vec::new();
    for (broker, outcome) in admin.list_groups(filter).await? {
        report.note(outcome.as_ref().err());
        let listed = outcome.unwrap_or_default().into_iter();
        groups.extend(listed.map(|group| (group, broker)));
    }
    groups.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    let mut table = Table::new(["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"]);
    let mut told = Vec::new();
    for (group, broker) in &groups {
        let protocol = Some(&group.protocol_type).filter(|protocol| !protocol.is_empty());
        table.row([
            group.id.clone(),
            cell(group.state.as_ref()),
            cell(group.kind.as_ref()),
            cell(protocol),
            broker.to_string(),
        ]);
        told.push(json!({
            "group": group.id,
            "state": group.state.as_ref().map(GroupState::name),
            "type": group.kind.as_ref().map(GroupType::name),
            "protocol_type": group.protocol_type,
            "coordinator": broker,
        }));
    }
    report.text = table.text();
    report.json = json!({ "groups": told });
    Ok(report)
}
