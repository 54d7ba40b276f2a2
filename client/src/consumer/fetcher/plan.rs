//! What to ask of whom: from the state of every partition to requests.

use std::collections::HashMap;
use std::time::Duration;

use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use super::session::{Session, Wanted};
use super::{Ask, EpochQuestion, Fetcher, Item, NodeState, OffsetQuestion, Plan, Retry, State};
use crate::clock::Now;
use crate::cluster::Metadata;
use crate::consumer::ConsumerError;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

impl Fetcher {
    /// What to ask now. Everything it gives is on its way from here on.
    pub(crate) fn plan(&mut self, now: Now, metadata: &Metadata) -> Plan {
        let mut plan = Plan::default();
        let mut offsets: HashMap<i32, Vec<OffsetQuestion>> = HashMap::new();
        let mut epochs: HashMap<i32, Vec<EpochQuestion>> = HashMap::new();
        let mut committed = Vec::new();
        let mut fetches: HashMap<i32, Vec<(TopicPartition, Wanted)>> = HashMap::new();
        let (mut leaderless, mut made_again) = (None, Vec::new());
        for name in &self.order {
            let Some(p) = self.partitions.get_mut(name) else {
                continue;
            };
            if p.asked || matches!(p.state, State::Stopped | State::Diverged(_)) {
                continue;
            }
            if p.retry.not_before > now.millis {
                plan.at(p.retry.not_before);
                continue;
            }
            if p.state == State::Committed {
                p.asked = true;
                committed.push((name.clone(), p.turn));
                continue;
            }
            let topic = metadata.topic(&name.topic);
            let described = topic.and_then(|topic| topic.partition(name.partition));
            let Some((leader, described)) = described.and_then(|d| Some((d.leader?, d))) else {
                plan.refresh = true;
                leaderless = Some(name);
                continue;
            };
            let leader_epoch = described.leader_epoch;
            if p.state == State::Fetching && leader_epoch > p.leader_epoch {
                // A new reign: the log may have been cut back (KIP-320). Without an epoch of one's
                // own there is nothing to compare.
                if p.next.epoch >= 0 && leader_epoch > p.next.epoch {
                    p.state = State::Validate;
                } else {
                    p.leader_epoch = leader_epoch;
                }
            }
            if p.state == State::Validate && p.next.epoch < 0 {
                p.state = State::Fetching;
                p.leader_epoch = leader_epoch;
            }
            match p.state {
                State::Reset(to) => {
                    p.asked = true;
                    offsets.entry(leader).or_default().push(OffsetQuestion {
                        partition: name.clone(),
                        turn: p.turn,
                        leader_epoch,
                        to,
                    });
                }
                State::Validate => {
                    p.asked = true;
                    epochs.entry(leader).or_default().push(EpochQuestion {
                        partition: name.clone(),
                        turn: p.turn,
                        leader_epoch,
                        epoch: p.next.epoch,
                    });
                }
                State::Fetching if !p.paused => {
                    let topic_id = topic.map_or_else(Uuid::nil, |topic| topic.id);
                    let known = !p.topic_id.is_nil() && !topic_id.is_nil();
                    if self.settings.pin_topics && known && p.topic_id != topic_id {
                        made_again.push(name.clone());
                        continue;
                    }
                    if !topic_id.is_nil() {
                        p.topic_id = topic_id;
                    }
                    let wanted = Wanted {
                        offset: p.next.offset,
                        leader_epoch,
                        max_bytes: self.settings.max_partition_bytes,
                        topic_id,
                        turn: p.turn,
                    };
                    fetches
                        .entry(leader)
                        .or_default()
                        .push((name.clone(), wanted));
                }
                State::Fetching | State::Stopped | State::Diverged(_) | State::Committed => {}
            }
        }
        self.note_leaderless(leaderless.cloned(), now, metadata);
        for partition in made_again {
            let error = ConsumerError::TopicMadeAgain {
                partition: partition.clone(),
            };
            self.stop(&partition, error);
        }
        if !committed.is_empty() {
            plan.ask.push(Ask::Committed {
                questions: committed,
            });
        }
        let sorted = |map: HashMap<i32, _>| {
            let mut list: Vec<_> = map.into_iter().collect();
            list.sort_by_key(|(node, _)| *node);
            list
        };
        for (node, questions) in sorted(offsets) {
            plan.ask.push(Ask::Offsets { node, questions });
        }
        let mut epochs: Vec<_> = epochs.into_iter().collect();
        epochs.sort_by_key(|(node, _)| *node);
        for (node, questions) in epochs {
            plan.ask.push(Ask::Epochs { node, questions });
        }
        let mut fetches: Vec<_> = fetches.into_iter().collect();
        fetches.sort_by_key(|(node, _)| *node);
        self.plan_fetches(fetches, now, &mut plan);
        plan
    }

    pub(super) fn plan_fetches(
        &mut self,
        fetches: Vec<(i32, Vec<(TopicPartition, Wanted)>)>,
        now: Now,
        plan: &mut Plan,
    ) {
        // Each broker has its share, so that one that holds a request back holds nobody up.
        let share = self.settings.prefetch_bytes / fetches.len().max(1);
        for (node, mut wanted) in fetches {
            let settings = &self.settings;
            let state = self.nodes.entry(node).or_insert_with(|| NodeState {
                session: Session::default(),
                in_flight: false,
                buffered: 0,
                share,
                full_requests: 0,
                retry: Retry::new(settings),
            });
            state.share = share;
            if state.in_flight {
                continue;
            }
            if state.retry.not_before > now.millis {
                plan.at(state.retry.not_before);
                continue;
            }
            if state.is_full() {
                continue;
            }
            let max_bytes = settings.max_bytes.min(share - state.buffered).max(1);
            let by_id = wanted.iter().all(|(_, wanted)| !wanted.topic_id.is_nil());
            state.in_flight = true;
            // Sessions are fair by themselves. Without one the broker serves whoever is named first.
            if state.session.begins(settings.sessions) {
                let first = state.full_requests % wanted.len().max(1);
                wanted.rotate_left(first);
                state.full_requests = state.full_requests.wrapping_add(1);
            }
            let request = state.session.request(&wanted, settings.sessions, by_id);
            plan.ask.push(Ask::Fetch {
                node,
                request,
                max_bytes,
                by_id,
            });
        }
    }

    /// A partition that stays without a leader is told of in the end.
    pub(super) fn note_leaderless(
        &mut self,
        found: Option<TopicPartition>,
        now: Now,
        metadata: &Metadata,
    ) {
        let Some(partition) = found else {
            self.leaderless = None;
            return;
        };
        // What only a change of configuration can cure is told at once, each time it was met.
        if let Some(ClientError::Connect(error)) = &self.trouble
            && !error.retriable()
            && let Some(error) = self.trouble.take()
        {
            return self.tell(Item::Trouble(error.into()));
        }
        let since = *self.leaderless.get_or_insert(now.millis);
        let lasted = now.millis.saturating_sub(since);
        if lasted < self.settings.patience {
            return;
        }
        self.leaderless = Some(now.millis);
        let last = match (
            metadata.topic(&partition.topic),
            metadata.errors.get(&partition.topic),
        ) {
            (_, Some(ErrorCode::UnknownTopicOrPartition)) => Some(ClientError::UnknownTopic {
                topic: partition.topic.to_string(),
            }),
            (_, Some(code)) => Some(ClientError::broker(format!("{partition}"), *code)),
            (Some(topic), None) if topic.partition(partition.partition).is_none() => {
                Some(ClientError::UnknownPartition {
                    topic: partition.topic.to_string(),
                    partition: partition.partition,
                    count: topic.partitions.len(),
                })
            }
            (Some(_), None) => Some(ClientError::broker(
                format!("{partition}"),
                ErrorCode::LeaderNotAvailable,
            )),
            (None, None) => self.trouble.clone(),
        };
        self.late(format!("finding the leader of {partition}"), lasted, last);
    }

    pub(super) fn late(&mut self, what: String, lasted: u64, last: Option<ClientError>) {
        let error = ClientError::Timeout {
            what,
            after: Duration::from_millis(lasted),
            last: last.map(Box::new),
        };
        self.tell(Item::Trouble(error.into()));
    }
}
