//! Decides on DeleteTopics (Kafka's `ControllerApis.deleteTopics`).

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{CatalogMachine, MAX_RECORDS_PER_COMMAND};
use crate::catalog::command::{
    DeleteTopicResult, DeleteTopics, ErrorCode, Refusal, Reply, TopicSelector,
};
use crate::catalog::records::{Record, RemoveTopicRecord};

impl CatalogMachine {
    pub(super) fn delete_topics(&self, command: DeleteTopics) -> (Vec<Record>, Reply) {
        if !command.deletion_enabled {
            let refusal = Refusal::bare(ErrorCode::TopicDeletionDisabled);
            return (
                Vec::new(),
                Reply::TopicsDeleted(refuse_all(command.topics, &refusal)),
            );
        }
        let selection = Selection::of(&command.topics);
        let (ids, results) = self.resolve(selection);
        if ids.len() > MAX_RECORDS_PER_COMMAND {
            let refusal = Refusal::bare(ErrorCode::PolicyViolation);
            return (
                Vec::new(),
                Reply::TopicsDeleted(refuse_all(command.topics, &refusal)),
            );
        }
        let records = ids
            .into_iter()
            .map(|topic_id| RemoveTopicRecord { topic_id }.into());
        (records.collect(), Reply::TopicsDeleted(results))
    }

    /// Finds the topics; returns those to delete and a result for each selector.
    fn resolve(&self, selection: Selection<'_>) -> (Vec<Uuid>, Vec<DeleteTopicResult>) {
        let Selection {
            ids,
            names,
            duplicate_ids,
            mut results,
        } = selection;
        // A topic that is named and given by id as well is left alone. Kafka answers for it twice,
        // once for the name and never for the id; so does this.
        let named = names.iter().filter_map(|name| self.image.topic(name));
        let named: BTreeSet<Uuid> = named.map(|topic| topic.id).collect();
        let given: BTreeSet<Uuid> = ids.iter().chain(&duplicate_ids).copied().collect();
        let mut doomed = Vec::new();
        for id in &ids {
            match self.image.topic_by_id(*id) {
                None => {
                    let text = "This server does not host this topic ID.";
                    results.push(refused(None, *id, ErrorCode::UnknownTopicId, text));
                }
                Some(_) if named.contains(id) => {}
                Some(topic) => {
                    let name = Some(topic.name.to_string());
                    doomed.push(*id);
                    results.push(DeleteTopicResult {
                        name,
                        id: *id,
                        result: Ok(()),
                    });
                }
            }
        }
        for name in names {
            let text_name = Some(name.to_owned());
            match self.image.topic(name) {
                None => {
                    let code = ErrorCode::UnknownTopicOrPartition;
                    let text = "This server does not host this topic-partition.";
                    results.push(refused(text_name, Uuid::nil(), code, text));
                }
                Some(topic) if given.contains(&topic.id) => {
                    let text = "The provided topic name maps to an ID that was already supplied.";
                    results.push(refused(
                        text_name,
                        topic.id,
                        ErrorCode::InvalidRequest,
                        text,
                    ));
                }
                Some(topic) => {
                    doomed.push(topic.id);
                    let result = Ok(());
                    results.push(DeleteTopicResult {
                        name: text_name,
                        id: topic.id,
                        result,
                    });
                }
            }
        }
        (doomed, results)
    }
}

/// The selectors that can be looked up, each once and in the order of the request, and the results
/// of those that cannot.
struct Selection<'a> {
    ids: Vec<Uuid>,
    names: Vec<&'a str>,
    duplicate_ids: BTreeSet<Uuid>,
    results: Vec<DeleteTopicResult>,
}

impl<'a> Selection<'a> {
    fn of(topics: &'a [TopicSelector]) -> Self {
        let mut names = Once::default();
        let mut ids = Once::default();
        let mut results = Vec::new();
        let code = ErrorCode::InvalidRequest;
        for topic in topics {
            match (&topic.name, topic.id.is_nil()) {
                (Some(name), true) => names.add(name.as_str()),
                (None, false) => ids.add(topic.id),
                (None, true) => {
                    let text = "Neither topic name nor id were specified.";
                    results.push(refused(None, topic.id, code, text));
                }
                (Some(name), false) => {
                    let text = "You may not specify both topic name and topic id.";
                    results.push(refused(Some(name.clone()), topic.id, code, text));
                }
            }
        }
        for name in &names.repeated {
            let name = Some((*name).to_owned());
            results.push(refused(name, Uuid::nil(), code, "Duplicate topic name."));
        }
        for id in &ids.repeated {
            results.push(refused(None, *id, code, "Duplicate topic id."));
        }
        Self {
            ids: ids.single(),
            names: names.single(),
            duplicate_ids: ids.repeated,
            results,
        }
    }
}

/// Tells what is there once from what is there more often.
struct Once<T> {
    in_order: Vec<T>,
    seen: BTreeSet<T>,
    repeated: BTreeSet<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self {
            in_order: Vec::new(),
            seen: BTreeSet::new(),
            repeated: BTreeSet::new(),
        }
    }
}

impl<T: Ord + Copy> Once<T> {
    fn add(&mut self, value: T) {
        if self.seen.insert(value) {
            self.in_order.push(value);
        } else {
            self.repeated.insert(value);
        }
    }

    fn single(&self) -> Vec<T> {
        self.in_order
            .iter()
            .filter(|value| !self.repeated.contains(value))
            .copied()
            .collect()
    }
}

fn refused(name: Option<String>, id: Uuid, code: ErrorCode, text: &str) -> DeleteTopicResult {
    DeleteTopicResult {
        name,
        id,
        result: Err(Refusal::new(code, text)),
    }
}

fn refuse_all(topics: Vec<TopicSelector>, refusal: &Refusal) -> Vec<DeleteTopicResult> {
    let refuse = |topic: TopicSelector| DeleteTopicResult {
        name: topic.name,
        id: topic.id,
        result: Err(refusal.clone()),
    };
    topics.into_iter().map(refuse).collect()
}
