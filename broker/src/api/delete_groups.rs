//! DeleteGroups (key 42, versions 0 to 2): empty groups go, with their offsets.
//!
//! A group that is named twice is deleted and answered once. The empty group id is allowed: groups
//! of that name come from old consumers that only store offsets.

use std::collections::HashSet;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::context::{Context, ErrorCodes};
use super::group_call::{Outcome, ask_each, failure, text};
use super::step::{GroupCall, Step};
use super::view::View;
use crate::coordinator::group::{Command, Reply};

pub(super) fn handle(view: &View, context: &Context, request: DeleteGroupsRequest) -> Step {
    let groups = distinct(request.groups_names);
    let call = |group: &GroupId| GroupCall {
        group: group.to_string(),
        command: Command::DeleteGroup {
            group_id: text(group),
        },
    };
    let calls = groups.iter().map(call).collect();
    ask_each(view, context, calls, |_, _, outcomes| {
        respond(groups, &outcomes)
    })
}

fn distinct(mut groups: Vec<GroupId>) -> Vec<GroupId> {
    let mut seen = HashSet::new();
    groups.retain(|group| seen.insert(group.to_string()));
    groups
}

fn respond(groups: Vec<GroupId>, outcomes: &[Outcome]) -> DeleteGroupsResponse {
    let results = groups.into_iter().zip(outcomes).map(|(group, outcome)| {
        let code = match outcome {
            Ok(Reply::DeleteGroup(error)) => error.code(),
            other => failure(other),
        };
        DeletableGroupResult::default()
            .with_group_id(group)
            .with_error_code(code)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

impl ErrorCodes for DeleteGroupsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        self.results
            .iter()
            .for_each(|result| visit(result.error_code));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::protocol::StrBytes;
    use tidemark_protocol::error::ErrorCode;

    use super::super::group_call::testing::{codes, sent, versions};
    use super::*;
    use crate::coordinator::group;

    fn ids(names: &[&'static str]) -> Vec<GroupId> {
        names
            .iter()
            .map(|name| StrBytes::from_static_str(name).into())
            .collect()
    }

    #[test]
    fn a_group_that_is_named_twice_is_asked_for_once() {
        assert_eq!(
            distinct(ids(&["b", "a", "b", "", "a", ""])),
            ids(&["b", "a", ""])
        );
    }

    #[test]
    fn each_group_has_its_result_in_every_version() {
        for version in versions(ApiKey::DeleteGroups) {
            let outcomes = [
                Ok(Reply::DeleteGroup(group::ErrorCode::None)),
                Ok(Reply::DeleteGroup(group::ErrorCode::NonEmptyGroup)),
                Err(ErrorCode::NotCoordinator),
            ];
            let read = sent(version, &respond(ids(&["a", "b", ""]), &outcomes));
            let names: Vec<_> = read
                .results
                .iter()
                .map(|result| &*result.group_id.0)
                .collect();
            assert_eq!((names, codes(&read)), (vec!["a", "b", ""], vec![0, 68, 16]));
        }
    }
}
