//! The client's half of a fetch session (KIP-227): a broker remembers what is fetched, and only
//! changes are sent.

use std::sync::Arc;

use std::collections::HashMap;
use tidemark_protocol::ErrorCode;
use uuid::Uuid;

use crate::topic_partition::TopicPartition;

/// No session.
const NO_SESSION: i32 = 0;
/// The epoch that asks for a new session.
const INITIAL_EPOCH: i32 = 0;

/// What is to be fetched of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// From where on.
    pub(crate) offset: i64,
    /// The leader epoch that the client knows, -1 for none.
    pub(crate) leader_epoch: i32,
    /// At most so many bytes.
    pub(crate) max_bytes: i32,
    /// The topic's id, nil for none.
    pub(crate) topic_id: Uuid,
    /// Tells answers to this position from those to an earlier one. Not sent.
    pub(crate) turn: u64,
}

impl Wanted {
    fn same_on_the_wire(&self, other: &Self) -> bool {
        Self { turn: 0, ..*self } == Self { turn: 0, ..*other }
    }
}

/// What to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    /// New or changed partitions, in the order in which they are to be read.
    pub(crate) fetch: Vec<(TopicPartition, Wanted)>,
    /// Partitions that the session is to leave out from now on.
    pub(crate) forget: Vec<(TopicPartition, Uuid)>,
}

/// The session with one broker.
#[derive(Debug, Default)]
pub(crate) struct Session {
    id: i32,
    epoch: i32,
    sent: HashMap<TopicPartition, Wanted>,
    /// Names of the topics by id, as far as the session has them.
    names: HashMap<Uuid, Arc<str>>,
}

impl Session {
    /// Whether the next request names all partitions.
    pub(crate) fn begins(&self, keep: bool) -> bool {
        self.epoch == INITIAL_EPOCH || !keep
    }

    /// The next request for exactly these partitions. Without `keep` (a broker that knows no
    /// sessions) all are sent every time. `by_id` says whether topics go by their ids.
    pub(crate) fn request(
        &mut self,
        wanted: &[(TopicPartition, Wanted)],
        keep: bool,
        by_id: bool,
    ) -> SessionRequest {
        let full = self.begins(keep);
        let next: HashMap<TopicPartition, Wanted> = wanted.iter().cloned().collect();
        let mut request = SessionRequest {
            id: if keep { self.id } else { NO_SESSION },
            epoch: if keep { self.epoch } else { -1 },
            ..SessionRequest::default()
        };
        if full {
            request.fetch = wanted.to_vec();
        } else {
            for (partition, now) in wanted {
                match self.sent.get(partition) {
                    Some(before) if before.same_on_the_wire(now) => {}
                    Some(before) if before.topic_id != now.topic_id => {
                        // Another topic of the same name: the old one has to go first (KIP-516).
                        // Where names are all that is sent, that would take the new one out too.
                        if by_id {
                            request.forget.push((partition.clone(), before.topic_id));
                        }
                        request.fetch.push((partition.clone(), *now));
                    }
                    _ => request.fetch.push((partition.clone(), *now)),
                }
            }
            for (partition, before) in &self.sent {
                if !next.contains_key(partition) {
                    request.forget.push((partition.clone(), before.topic_id));
                }
            }
            // The order of a hash map is not the same twice.
            request.forget.sort();
        }
        self.sent = next;
        self.names = wanted
            .iter()
            .map(|(partition, wanted)| (wanted.topic_id, Arc::clone(&partition.topic)))
            .collect();
        request
    }

    /// Takes an answer in: the error of the whole, and the session's id as the broker has it.
    /// `false` if the broker has lost the session: nothing in the answer counts.
    pub(crate) fn answered(&mut self, error: ErrorCode, id: i32) -> bool {
        match error {
            ErrorCode::None => {}
            ErrorCode::FetchSessionIdNotFound => {
                self.id = NO_SESSION;
                self.epoch = INITIAL_EPOCH;
                return false;
            }
            _ => {
                // Closes what the broker may have and begins anew.
                self.epoch = INITIAL_EPOCH;
                return false;
            }
        }
        if id == NO_SESSION {
            // The broker has no room for one.
            self.id = NO_SESSION;
            self.epoch = INITIAL_EPOCH;
        } else {
            self.id = id;
            // 0 asks for a new one, so the epoch after the largest is 1.
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        }
        true
    }

    /// No answer came: the next request closes the session, if there is one, and begins anew.
    pub(crate) fn failed(&mut self) {
        self.epoch = INITIAL_EPOCH;
    }

    /// What the last request said of a partition.
    pub(crate) fn wanted(&self, partition: &TopicPartition) -> Option<&Wanted> {
        self.sent.get(partition)
    }

    /// All that the last request asks for.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&TopicPartition, &Wanted)> {
        self.sent.iter()
    }

    /// The name of a topic in the session.
    pub(crate) fn name(&self, id: Uuid) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// The id and the closing epoch of a session that the broker still has.
    pub(crate) fn close(&mut self) -> Option<(i32, i32)> {
        let id = std::mem::take(&mut self.id);
        self.epoch = INITIAL_EPOCH;
        (id != NO_SESSION).then_some((id, -1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(offset: i64, topic: u128) -> Wanted {
        Wanted {
            offset,
            leader_epoch: 0,
            max_bytes: 100,
            topic_id: Uuid::from_u128(topic),
            turn: 0,
        }
    }

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("t", index)
    }

    fn check(
        session: &mut Session,
        partitions: &[(i32, i64, u128)],
        expected: (i32, i32, &[(i32, i64)], &[i32]),
    ) {
        let wanted: Vec<_> = partitions
            .iter()
            .map(|(index, offset, topic)| (partition(*index), wanted(*offset, *topic)))
            .collect();
        let request = session.request(&wanted, true, true);
        let fetch: Vec<_> = request
            .fetch
            .iter()
            .map(|(partition, wanted)| (partition.partition, wanted.offset))
            .collect();
        let forget: Vec<_> = request.forget.iter().map(|(p, _)| p.partition).collect();
        assert_eq!(
            (request.id, request.epoch, &fetch[..], &forget[..]),
            expected
        );
    }

    #[test]
    fn only_changes_are_sent_once_the_broker_has_a_session() {
        let mut session = Session::default();
        check(
            &mut session,
            &[(0, 5, 1), (1, 5, 1)],
            (0, 0, &[(0, 5), (1, 5)], &[]),
        );
        assert!(session.answered(ErrorCode::None, 77));
        check(
            &mut session,
            &[(1, 5, 1), (0, 8, 1)],
            (77, 1, &[(0, 8)], &[]),
        );
        assert!(session.answered(ErrorCode::None, 77));
        check(
            &mut session,
            &[(0, 8, 1), (2, 0, 1)],
            (77, 2, &[(2, 0)], &[1]),
        );
        assert!(session.answered(ErrorCode::None, 77));
        // The topic was made anew.
        check(
            &mut session,
            &[(0, 8, 2), (2, 0, 1)],
            (77, 3, &[(0, 8)], &[0]),
        );
    }

    #[test]
    fn a_lost_session_begins_anew() {
        let mut session = Session::default();
        check(&mut session, &[(0, 5, 1)], (0, 0, &[(0, 5)], &[]));
        assert!(session.answered(ErrorCode::None, 77));
        check(&mut session, &[(0, 5, 1)], (77, 1, &[], &[]));
        assert!(!session.answered(ErrorCode::FetchSessionIdNotFound, 0));
        check(&mut session, &[(0, 5, 1)], (0, 0, &[(0, 5)], &[]));
        assert!(session.answered(ErrorCode::None, 78));
        check(&mut session, &[(0, 5, 1)], (78, 1, &[], &[]));
        // Nobody knows whether the broker counted the request: the session is closed and replaced.
        session.failed();
        check(&mut session, &[(0, 5, 1)], (78, 0, &[(0, 5)], &[]));
        assert!(session.answered(ErrorCode::None, 79));
        check(&mut session, &[(0, 5, 1)], (79, 1, &[], &[]));
        assert!(!session.answered(ErrorCode::InvalidFetchSessionEpoch, 0));
        check(&mut session, &[(0, 5, 1)], (79, 0, &[(0, 5)], &[]));
        assert_eq!(session.close(), Some((79, -1)));
        assert_eq!(session.close(), None);
    }

    #[test]
    fn a_broker_without_room_gets_everything_every_time() {
        let mut session = Session::default();
        for _ in 0..2 {
            check(&mut session, &[(0, 5, 1)], (0, 0, &[(0, 5)], &[]));
            assert!(session.answered(ErrorCode::None, 0));
        }
        assert_eq!(session.close(), None);
        let request = session.request(&[(partition(0), wanted(1, 1))], false, true);
        assert_eq!((request.id, request.epoch, request.fetch.len()), (0, -1, 1));
    }

    #[test]
    fn epochs_wrap_to_one() {
        let mut session = Session {
            id: 5,
            epoch: i32::MAX,
            ..Session::default()
        };
        assert!(session.answered(ErrorCode::None, 5));
        check(&mut session, &[], (5, 1, &[], &[]));
    }
}
