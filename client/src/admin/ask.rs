//! How calls find their brokers: what is asked about is sorted by the broker that knows, the brokers
//! are asked at the same time, and what they could not answer yet is asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use kafka_protocol::protocol::Request;
use tidemark_protocol::ErrorCode;

use super::Admin;
use super::each::Each;
use super::together::together;
use crate::cluster::{CoordinatorKind, Lane, Node, Tries};
use crate::error::ClientError;
use crate::retry::{Remedy, remedy};
use crate::topic_partition::TopicPartition;

/// How often a partition that its cluster does not know is asked for again: brokers hear of a new
/// topic one after the other.
const UNKNOWN_TRIES: usize = 3;

/// Who knows.
pub(super) enum Route<'a, K> {
    /// Any broker.
    Any,
    /// The broker that takes changes.
    Controller,
    /// The broker with the number that a key gives; any broker for a key without.
    Broker(fn(&K) -> Option<i32>),
    /// The leader of the partition.
    Leader(fn(&K) -> &TopicPartition),
    /// The coordinator of this group.
    Coordinator(&'a str),
    /// The coordinator of the group that a key names.
    CoordinatorOf(fn(&K) -> &str),
}

/// What one request is made for.
#[derive(Clone, Copy, Default)]
pub(super) struct Round {
    /// The version that client and broker speak.
    pub(super) version: i16,
    /// How long the broker may take, in milliseconds.
    pub(super) timeout_ms: i32,
    /// Which broker is asked; `None` if any will do, or the controller.
    pub(super) broker: Option<i32>,
}

/// A call about many things of the type `K`.
pub(super) struct Ask<'a, K> {
    /// What is done, for errors: as in "deleting topics".
    pub(super) what: String,
    /// Who knows.
    pub(super) route: Route<'a, K>,
    /// The versions that the client speaks.
    pub(super) versions: RangeInclusive<i16>,
    /// How many things one request of a version can be about.
    pub(super) most: fn(i16) -> usize,
}

/// Most requests name as many things as one likes.
pub(super) const ANY_NUMBER: fn(i16) -> usize = |_| usize::MAX;

/// A thing's answer.
type Answer<K, T> = (K, Result<T, ClientError>);

impl Admin {
    /// Asks about each of `keys`. `read` gives an answer for each key that the request was about.
    pub(super) async fn each<K, R, T>(
        &self,
        ask: Ask<'_, K>,
        keys: impl IntoIterator<Item = K>,
        request: impl Fn(&Round, &[K]) -> R,
        read: impl Fn(&Round, &[K], R::Response) -> Vec<Answer<K, T>>,
    ) -> Result<Each<K, T>, ClientError>
    where
        K: Ord + Clone + fmt::Display,
        R: Request,
    {
        let mut tries = self.cluster.tries(ask.what.clone(), self.timeout);
        self.each_within(&mut tries, ask, keys, request, read).await
    }

    /// The same within the patience of a call that asks more than this.
    pub(super) async fn each_within<K, R, T>(
        &self,
        tries: &mut Tries<'_>,
        ask: Ask<'_, K>,
        keys: impl IntoIterator<Item = K>,
        request: impl Fn(&Round, &[K]) -> R,
        read: impl Fn(&Round, &[K], R::Response) -> Vec<Answer<K, T>>,
    ) -> Result<Each<K, T>, ClientError>
    where
        K: Ord + Clone + fmt::Display,
        R: Request,
    {
        let mut open: Vec<K> = keys.into_iter().collect();
        let mut done: BTreeMap<K, Result<T, ClientError>> = BTreeMap::new();
        let mut tried = 0;
        while !open.is_empty() {
            let (nodes, mut answers) = self.locate(&ask.route, open, tries).await;
            let asked = nodes
                .into_iter()
                .map(|(node, keys)| self.ask_node(&ask, node, keys, tries, &request, &read));
            for found in together(asked).await {
                answers.extend(found);
            }
            open = Vec::new();
            let mut why = None;
            for (node, key, answer) in answers {
                let remedy = match &answer {
                    Ok(_) => Remedy::Final,
                    Err(error) => ask.route.remedy(error, tried < UNKNOWN_TRIES),
                };
                match (answer, remedy) {
                    (answer, Remedy::Final) => {
                        done.insert(key, answer);
                    }
                    (Err(error), remedy) => {
                        // One that asks for time is still the coordinator.
                        if remedy != Remedy::Wait
                            && let (Some(group), Some(node)) = (ask.route.group(&key), node)
                        {
                            let kind = CoordinatorKind::Group;
                            self.cluster.forget_coordinator(kind, group, node);
                        }
                        // A stale picture of the cluster may be the reason for the others, too.
                        if !matches!(why, Some((_, Remedy::RefreshMetadata))) {
                            why = Some((error, remedy));
                        }
                        open.push(key);
                    }
                    (Ok(_), _) => {}
                }
            }
            tried += 1;
            if let Some((error, remedy)) = why
                && let Err(last) = tries.again_by(error, remedy).await
            {
                done.extend(open.drain(..).map(|key| (key, Err(last.clone()))));
            }
        }
        match first_failure_of_all(&done) {
            Some(error) => Err(error),
            None => Ok(done.into_iter().collect()),
        }
    }

    /// Asks one thing.
    pub(super) async fn one<R, T>(
        &self,
        what: String,
        route: Route<'_, One>,
        versions: RangeInclusive<i16>,
        request: impl Fn(&Round) -> R,
        read: impl Fn(R::Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError>
    where
        R: Request,
    {
        let ask = Ask {
            what: what.clone(),
            route,
            versions,
            most: ANY_NUMBER,
        };
        let mut answers = self
            .each(
                ask,
                [One],
                |round, _| request(round),
                |_, _, response| vec![(One, read(response))],
            )
            .await?;
        answers
            .remove(&One)
            .unwrap_or_else(|| Err(not_answered(&what, &One)))
    }

    /// Sorts keys by who knows; answers for those of whom that cannot be told.
    async fn locate<K: Ord + Clone, T>(
        &self,
        route: &Route<'_, K>,
        keys: Vec<K>,
        tries: &mut Tries<'_>,
    ) -> (Vec<(Node, Vec<K>)>, Vec<Located<K, T>>) {
        let mut nodes: BTreeMap<i32, Vec<K>> = BTreeMap::new();
        let mut lost = Vec::new();
        match route {
            Route::Any => return (vec![(Node::Any, keys)], lost),
            Route::Controller => return (vec![(Node::Controller, keys)], lost),
            Route::Broker(number) => {
                let (named, any): (Vec<K>, Vec<K>) =
                    keys.into_iter().partition(|key| number(key).is_some());
                if let Err(error) = self.know_brokers(!named.is_empty(), tries).await {
                    lost.extend(named.into_iter().map(|key| (None, key, Err(error.clone()))));
                } else {
                    for key in named {
                        let node = number(&key).unwrap_or(-1);
                        nodes.entry(node).or_default().push(key);
                    }
                }
                let mut found = by_id(nodes);
                if !any.is_empty() {
                    found.push((Node::Any, any));
                }
                return (found, lost);
            }
            Route::Leader(partition) => {
                let topics = keys.iter().map(|key| partition(key).topic.to_string());
                match self.topics_now(Some(topics.collect()), tries).await {
                    Ok(topics) => {
                        for key in keys {
                            match topics.leader(partition(&key)) {
                                Ok(node) => nodes.entry(node).or_default().push(key),
                                Err(error) => lost.push((None, key, Err(error))),
                            }
                        }
                    }
                    Err(error) => {
                        lost.extend(keys.into_iter().map(|key| (None, key, Err(error.clone()))));
                    }
                }
            }
            Route::Coordinator(group) => {
                match self.coordinator(group, tries).await {
                    Ok(node) => {
                        nodes.insert(node, keys);
                    }
                    Err(error) => {
                        lost.extend(keys.into_iter().map(|key| (None, key, Err(error.clone()))));
                    }
                };
            }
            Route::CoordinatorOf(group) => {
                for key in keys {
                    match self.coordinator(group(&key), tries).await {
                        Ok(node) => nodes.entry(node).or_default().push(key),
                        Err(error) => lost.push((None, key, Err(error))),
                    }
                }
            }
        }
        (by_id(nodes), lost)
    }

    async fn coordinator(&self, group: &str, tries: &mut Tries<'_>) -> Result<i32, ClientError> {
        let kind = CoordinatorKind::Group;
        self.cluster.coordinator_within(kind, group, tries).await
    }

    /// Asks one broker, in as many requests as it takes, one after the other.
    async fn ask_node<K, R, T>(
        &self,
        ask: &Ask<'_, K>,
        node: Node,
        keys: Vec<K>,
        tries: &Tries<'_>,
        request: &impl Fn(&Round, &[K]) -> R,
        read: &impl Fn(&Round, &[K], R::Response) -> Vec<Answer<K, T>>,
    ) -> Vec<Located<K, T>>
    where
        K: Ord + Clone + fmt::Display,
        R: Request,
    {
        let id = match node {
            Node::Id(id) => Some(id),
            Node::Any | Node::Controller => None,
        };
        let mut answers = Vec::with_capacity(keys.len());
        let mut rest: &[K] = &keys;
        while !rest.is_empty() {
            let timeout = tries.timeout();
            let mut round = Round {
                version: 0,
                timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
                broker: id,
            };
            let mut now = rest;
            let versions = ask.versions.clone();
            let call = self
                .cluster
                .call(&node, Lane::General, versions, timeout, |version| {
                    round.version = version;
                    now = rest.get(..(ask.most)(version)).unwrap_or(rest);
                    request(&round, now)
                });
            match tries.attempt(call).await {
                Ok(response) => {
                    let found = read(&round, now, response);
                    let mut found: BTreeMap<K, _> = found.into_iter().collect();
                    answers.extend(now.iter().map(|key| {
                        let answer = found.remove(key);
                        let answer = answer.unwrap_or_else(|| Err(not_answered(&ask.what, key)));
                        (id, key.clone(), answer)
                    }));
                    rest = rest.get(now.len()..).unwrap_or_default();
                }
                Err(error) => {
                    let failed = rest.iter();
                    answers.extend(failed.map(|key| (id, key.clone(), Err(error.clone()))));
                    break;
                }
            }
        }
        answers
    }
}

/// An answer, and which broker gave it.
type Located<K, T> = (Option<i32>, K, Result<T, ClientError>);

impl<K> Route<'_, K> {
    /// What helps against an error, for those who know: a request that changes something is not
    /// sent again because of an answer that leaves open whether it has been carried out.
    fn remedy(&self, error: &ClientError, unknown_may_come: bool) -> Remedy {
        let code = match error {
            ClientError::Connect(error) if error.retriable() => return Remedy::RefreshMetadata,
            ClientError::Call(error) if error.retriable() => return Remedy::RefreshMetadata,
            ClientError::Broker { code, .. } => *code,
            ClientError::UnknownTopic { .. } | ClientError::UnknownPartition { .. } => {
                ErrorCode::UnknownTopicOrPartition
            }
            _ => return Remedy::Final,
        };
        match self {
            Self::Leader(_) => match code {
                ErrorCode::UnknownTopicOrPartition if !unknown_may_come => Remedy::Final,
                // The epoch is the caller's: it would be the same the next time.
                ErrorCode::FencedLeaderEpoch | ErrorCode::UnknownLeaderEpoch => Remedy::Final,
                code => remedy(code),
            },
            Self::Any
            | Self::Controller
            | Self::Broker(_)
            | Self::Coordinator(_)
            | Self::CoordinatorOf(_) => match code {
                ErrorCode::NotController => Remedy::RefreshMetadata,
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                    Remedy::FindCoordinator
                }
                ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::UnstableOffsetCommit
                | ErrorCode::ThrottlingQuotaExceeded => Remedy::Wait,
                _ => Remedy::Final,
            },
        }
    }

    /// The group whose coordinator is asked.
    fn group<'k>(&'k self, key: &'k K) -> Option<&'k str> {
        match self {
            Self::Coordinator(group) => Some(group),
            Self::CoordinatorOf(group) => Some(group(key)),
            _ => None,
        }
    }
}

/// The only thing that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct One;

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it")
    }
}

fn by_id<K>(nodes: BTreeMap<i32, Vec<K>>) -> Vec<(Node, Vec<K>)> {
    let nodes = nodes.into_iter();
    nodes.map(|(id, keys)| (Node::Id(id), keys)).collect()
}

fn not_answered(what: &str, key: &impl fmt::Display) -> ClientError {
    ClientError::Broker {
        what: what.to_owned(),
        code: ErrorCode::UnknownServerError,
        message: Some(format!("the broker's answer does not speak of {key}")),
    }
}

/// Why the call failed as a whole: for no thing is there an answer of a broker.
fn first_failure_of_all<K, T>(done: &BTreeMap<K, Result<T, ClientError>>) -> Option<ClientError> {
    let failed = |outcome: &Result<T, ClientError>| {
        matches!(
            outcome,
            Err(ClientError::Connect(_)
                | ClientError::Call(_)
                | ClientError::Closed
                | ClientError::Timeout { .. })
        )
    };
    if !done.values().all(failed) {
        return None;
    }
    done.values()
        .find_map(|outcome| outcome.as_ref().err().cloned())
}
