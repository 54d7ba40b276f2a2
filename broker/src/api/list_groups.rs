//! ListGroups (key 16, versions 0 to 5): the groups of all coordinators.
//!
//! Version 4 adds states and version 5 adds types, to the answer and as filters. A broker on which
//! no group has ever asked for its coordinator has no groups; that is no error. While coordinators
//! are still being loaded the list would lack their groups, so the client is told to come back.

use kafka_protocol::messages::list_groups_response::ListedGroup as WireGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes};
use super::group_call::{Outcome, failure, outcome, wire};
use super::step::Step;
use super::view::{OFFSETS_TOPIC, View};
use crate::coordinator::group::command::ListGroups;
use crate::coordinator::group::{Command, ListedGroup, Reply};

pub(super) fn handle(view: &View, context: &Context, request: ListGroupsRequest) -> Step {
    if !view.groups.is_ready() && view.catalog.topic(OFFSETS_TOPIC).is_some() {
        return context.reply(&respond(vec![Err(ErrorCode::CoordinatorLoadInProgress)]));
    }
    let context = context.clone();
    let filter = filter(&request);
    Step::AllGroups(
        Box::new(move || Command::List(filter.clone())),
        Box::new(move |_, answers| {
            context.reply(&respond(answers.into_iter().map(outcome).collect()))
        }),
    )
}

fn filter(request: &ListGroupsRequest) -> ListGroups {
    fn names(names: &[StrBytes]) -> impl Iterator<Item = &str> {
        names.iter().map(StrBytes::as_str)
    }
    ListGroups::named(names(&request.states_filter), names(&request.types_filter))
}

/// All groups, or an error and none: half of a list would look like the whole.
fn respond(outcomes: Vec<Outcome>) -> ListGroupsResponse {
    let mut groups = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(Reply::List(listed)) => groups.extend(listed.into_iter().map(wire_group)),
            other => return ListGroupsResponse::default().with_error_code(failure(&other)),
        }
    }
    ListGroupsResponse::default().with_groups(groups)
}

/// Fields that a version does not have are left out by the encoder.
fn wire_group(group: ListedGroup) -> WireGroup {
    WireGroup::default()
        .with_group_id(wire(&group.group_id).into())
        .with_protocol_type(wire(&group.protocol_type))
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_group_type(StrBytes::from_static_str(group.group_type.name()))
}

impl ErrorCodes for ListGroupsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::super::group_call::testing::{codes, sent, versions};
    use super::*;
    use crate::coordinator::group::{GroupState, GroupType};

    fn listed(group_id: &str) -> ListedGroup {
        ListedGroup {
            group_id: group_id.into(),
            protocol_type: "consumer".into(),
            state: GroupState::Stable,
            group_type: GroupType::Classic,
        }
    }

    #[test]
    fn the_filters_reach_the_coordinators() {
        let request = ListGroupsRequest::default()
            .with_states_filter(vec![StrBytes::from_static_str("Stable")])
            .with_types_filter(vec![StrBytes::from_static_str("classic")]);
        let expected = ListGroups {
            states: Some(vec![GroupState::Stable]),
            types: Some(vec![GroupType::Classic]),
        };
        assert_eq!(filter(&request), expected);
    }

    #[test]
    fn the_lists_of_all_coordinators_are_one_list_in_every_version() {
        for version in versions(ApiKey::ListGroups) {
            let lists = vec![vec![listed("a")], vec![], vec![listed("b"), listed("c")]];
            let outcomes = lists
                .into_iter()
                .map(|groups| Ok(Reply::List(groups)))
                .collect();
            let read = sent(version, &respond(outcomes));
            let ids: Vec<_> = read
                .groups
                .iter()
                .map(|group| group.group_id.as_str())
                .collect();
            assert_eq!((ids, codes(&read)), (vec!["a", "b", "c"], vec![0]));
            let group = &read.groups[0];
            assert_eq!(group.protocol_type.as_str(), "consumer");
            assert_eq!(
                group.group_state.as_str(),
                if version >= 4 { "Stable" } else { "" }
            );
            assert_eq!(
                group.group_type.as_str(),
                if version >= 5 { "classic" } else { "" }
            );
        }
    }

    #[test]
    fn without_coordinators_there_are_no_groups_and_no_error() {
        assert_eq!(respond(Vec::new()), ListGroupsResponse::default());
    }

    #[test]
    fn a_coordinator_that_fails_makes_the_whole_list_fail() {
        let lists = vec![
            Ok(Reply::List(vec![listed("a")])),
            Err(ErrorCode::CoordinatorNotAvailable),
        ];
        let response = respond(lists);
        assert_eq!((codes(&response), response.groups.len()), (vec![15], 0));
    }
}
