//! Stories as transcripts: each line is one thing that happens, and what the fetcher makes of it.

use super::*;
use crate::cluster::Metadata;
use crate::config::ClientConfig;
use crate::connection::CallError;
use crate::consumer::config::{ConsumerConfig, IsolationLevel};
use bytes::Bytes;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::records::BatchBuilder;

mod waiting;

/// Chance that is none: the middle of every spread.
const CHANCE: u64 = 0;

struct Story {
    fetcher: Fetcher,
    metadata: Metadata,
    now: Now,
    sessions: HashMap<i32, i32>,
    throttle: u64,
}

fn p(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

/// One batch: base offset, records, leader epoch.
fn batch(base: i64, count: i64, epoch: i32) -> Bytes {
    let mut builder = BatchBuilder::new()
        .base_offset(base)
        .partition_leader_epoch(epoch);
    for _ in 0..count {
        builder.append(0, None, Some(b"value"), &[]).unwrap();
    }
    builder.build().unwrap()
}

impl Story {
    fn new(reset: OffsetReset) -> Self {
        Self::with(ConsumerConfig::new().offset_reset(reset))
    }

    fn with(config: ConsumerConfig) -> Self {
        let settings = config.fetch_settings(&ClientConfig::new("a:1"));
        let mut story = Self {
            fetcher: Fetcher::new(settings),
            metadata: Metadata::default(),
            now: Now::default(),
            sessions: HashMap::new(),
            throttle: 0,
        };
        story.leaders(7, &[(1, 0), (1, 0), (2, 0)]);
        story
    }

    /// Leader and epoch of every partition of topic `t`.
    fn leaders(&mut self, id: u128, leaders: &[(i32, i32)]) {
        let partitions = (0..).zip(leaders).map(|(index, (leader, epoch))| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(*leader))
                .with_leader_epoch(*epoch)
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("t"))))
            .with_topic_id(Uuid::from_u128(id))
            .with_partitions(partitions.collect());
        let brokers = [1, 2].map(|id| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_port(1)
        });
        let response = MetadataResponse::default()
            .with_brokers(brokers.to_vec())
            .with_topics(vec![topic]);
        self.metadata = self
            .metadata
            .updated(&response, crate::cluster::metadata::Scope::Asked);
    }

    /// What the fetcher asks now, one line each.
    #[track_caller]
    fn asks(&mut self, expected: &[&str]) {
        let plan = self.fetcher.plan(self.now, &self.metadata);
        let mut lines = Vec::new();
        for ask in plan.ask {
            lines.push(match ask {
                Ask::Fetch { node, request, .. } => {
                    let fetch: Vec<String> = request
                        .fetch
                        .iter()
                        .map(|(p, w)| format!("{}@{}", p.partition, w.offset))
                        .collect();
                    let forget: Vec<String> = request
                        .forget
                        .iter()
                        .map(|(p, _)| p.partition.to_string())
                        .collect();
                    let forget = match forget.is_empty() {
                        true => String::new(),
                        false => format!(" forget {}", forget.join(" ")),
                    };
                    format!("fetch {node}: {}{forget}", fetch.join(" "))
                }
                Ask::Offsets { node, questions } => {
                    let list: Vec<String> = questions
                        .iter()
                        .map(|q| format!("{}:{:?}", q.partition.partition, q.to))
                        .collect();
                    format!("offsets {node}: {}", list.join(" "))
                }
                Ask::Epochs { node, questions } => {
                    let list: Vec<String> = questions
                        .iter()
                        .map(|q| {
                            format!("{}:{}<{}", q.partition.partition, q.epoch, q.leader_epoch)
                        })
                        .collect();
                    format!("epochs {node}: {}", list.join(" "))
                }
                Ask::Committed { questions } => {
                    let list: Vec<String> = questions
                        .iter()
                        .map(|(p, _)| p.partition.to_string())
                        .collect();
                    format!("committed: {}", list.join(" "))
                }
            });
        }
        if plan.refresh {
            lines.push("refresh".to_owned());
        }
        assert_eq!(lines, expected);
    }

    fn turn(&self, index: i32) -> u64 {
        self.fetcher.partitions[&p(index)].turn
    }

    fn offset(&mut self, index: i32, to: ResetTo, answer: Result<i64, ErrorCode>) {
        let question = OffsetQuestion {
            partition: p(index),
            turn: self.turn(index),
            leader_epoch: 0,
            to,
        };
        let answer = answer.map(|offset| Position { offset, epoch: 0 });
        self.fetcher
            .found_offset(&question, answer, self.now, CHANCE);
    }

    fn epoch(&mut self, index: i32, epochs: (i32, i32), answer: Option<(i64, i32)>) {
        let question = EpochQuestion {
            partition: p(index),
            turn: self.turn(index),
            epoch: epochs.0,
            leader_epoch: epochs.1,
        };
        let answer = answer.map(|(offset, epoch)| Position { offset, epoch });
        self.fetcher
            .found_epoch(&question, Ok(answer), self.now, CHANCE);
    }

    fn committed(&mut self, index: i32, offset: Option<i64>) {
        let answer = offset.map(|offset| Position { offset, epoch: -1 });
        let turn = self.turn(index);
        self.fetcher
            .found_committed(&p(index), turn, Ok(answer), self.now, CHANCE);
    }

    fn part(index: i32, error: ErrorCode, records: Bytes) -> PartitionAnswer {
        PartitionAnswer {
            topic: String::new(),
            topic_id: Uuid::from_u128(7),
            partition: index,
            error,
            high_watermark: 100,
            last_stable_offset: 100,
            log_start_offset: 0,
            aborted: Vec::new(),
            records,
        }
    }

    fn answer(&mut self, node: i32, partitions: Vec<PartitionAnswer>) -> bool {
        let session = *self.sessions.entry(node).or_insert(node * 10);
        let answer = FetchAnswer {
            error: ErrorCode::None,
            session,
            throttle: self.throttle,
            partitions,
        };
        self.fetcher.fetched(node, Ok(answer), self.now, CHANCE)
    }

    fn records(&mut self, node: i32, records: &[(i32, Bytes)]) {
        let parts = records
            .iter()
            .map(|(index, bytes)| Self::part(*index, ErrorCode::None, bytes.clone()));
        let parts = parts.collect();
        self.answer(node, parts);
    }

    fn error(&mut self, node: i32, index: i32, error: ErrorCode) -> bool {
        self.answer(node, vec![Self::part(index, error, Bytes::new())])
    }

    /// What the application gets, one line each; it counts as read at once.
    #[track_caller]
    fn gives(&mut self, expected: &[&str]) {
        let mut lines = Vec::new();
        self.fetcher.settle();
        while let Some(taken) = self.fetcher.take() {
            lines.push(match taken {
                Ok((fetched, turn, end)) => {
                    self.fetcher.advance(&fetched.partition, turn, end);
                    let offsets: Vec<String> = fetched
                        .batches
                        .iter()
                        .map(|b| format!("{}-{}", b.first_offset(), b.next_offset() - 1))
                        .collect();
                    format!("{}: {}", fetched.partition.partition, offsets.join(" "))
                }
                Err(error) => error.to_string(),
            });
        }
        assert_eq!(lines, expected);
    }

    fn position(&self, index: i32) -> Option<i64> {
        Some(self.fetcher.position(&p(index))?.offset)
    }
}

#[test]
fn from_the_beginning_to_the_end() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0), p(1), p(2)], false);
    story.asks(&["offsets 1: 0:Earliest 1:Earliest", "offsets 2: 2:Earliest"]);
    story.asks(&[]);
    story.offset(0, ResetTo::Earliest, Ok(5));
    story.offset(1, ResetTo::Earliest, Ok(0));
    story.offset(2, ResetTo::Earliest, Ok(0));
    assert_eq!(story.position(0), Some(5));
    story.asks(&["fetch 1: 0@5 1@0", "fetch 2: 2@0"]);
    // The fetch offset lies within the first batch; a part of a third one came too.
    let mut bytes = [batch(3, 4, 0), batch(7, 2, 0)].concat();
    bytes.extend_from_slice(&batch(9, 1, 0)[..30]);
    story.records(1, &[(0, bytes.into())]);
    // The next fetch goes out although nobody has read yet, from behind what has come.
    story.asks(&["fetch 1: 0@9"]);
    story.gives(&["0: 5-6 7-8"]);
    assert_eq!((story.position(0), story.position(1)), (Some(9), Some(0)));
    story.records(1, &[]);
    story.asks(&["fetch 1: "]);
    // The other broker is not held up by the first.
    story.records(2, &[(2, batch(0, 1, 0))]);
    story.asks(&["fetch 2: 2@1"]);
    story.gives(&["2: 0-0"]);
}

#[test]
fn the_groups_offsets_come_first_and_the_policy_fills_in() {
    let mut story = Story::new(OffsetReset::Latest);
    story.fetcher.add(&[p(0), p(1)], true);
    story.asks(&["committed: 0 1"]);
    story.committed(0, Some(42));
    story.committed(1, None);
    story.asks(&["offsets 1: 1:Latest", "fetch 1: 0@42"]);
    // Without a policy the application is asked.
    let mut story = Story::new(OffsetReset::Error);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, None);
    story.asks(&[]);
    story.gives(&[
        "t-0: there is no committed offset, and offset_reset says to stop: seek to where \
         reading is to begin",
    ]);
    story.fetcher.seek(
        &p(0),
        Position {
            offset: 3,
            epoch: -1,
        },
    );
    story.asks(&["fetch 1: 0@3"]);
}

#[test]
fn out_of_range() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(42));
    story.asks(&["fetch 1: 0@42"]);
    story.records(1, &[(0, batch(42, 1, 0))]);
    story.asks(&["fetch 1: 0@43"]);
    story.error(1, 0, ErrorCode::OffsetOutOfRange);
    story.asks(&["offsets 1: 0:Earliest"]);
    story.offset(0, ResetTo::Earliest, Ok(60));
    // What had come before is still read, and the position jumps behind it.
    assert_eq!(story.position(0), Some(42));
    story.asks(&["fetch 1: 0@60"]);
    story.records(1, &[(0, batch(60, 1, 0))]);
    story.gives(&["0: 42-42", "0: 60-60"]);
    assert_eq!(story.position(0), Some(61));

    let mut story = Story::new(OffsetReset::Error);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(42));
    story.asks(&["fetch 1: 0@42"]);
    story.error(1, 0, ErrorCode::OffsetOutOfRange);
    story.asks(&[]);
    story.gives(&[
        "t-0: offset 42 is out of range, and offset_reset says to stop: seek to where reading \
         is to go on",
    ]);
    story.asks(&[]);
}

#[test]
fn a_seek_makes_answers_and_buffers_of_before_void() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0), p(1)], true);
    story.asks(&["committed: 0 1"]);
    story.committed(0, Some(0));
    story.committed(1, Some(0));
    story.asks(&["fetch 1: 0@0 1@0"]);
    story.records(1, &[(0, batch(0, 5, 0)), (1, batch(0, 5, 0))]);
    story.asks(&["fetch 1: 0@5 1@5"]);
    story.fetcher.seek(
        &p(0),
        Position {
            offset: 2,
            epoch: -1,
        },
    );
    story.records(1, &[(0, batch(5, 5, 0)), (1, batch(5, 5, 0))]);
    story.gives(&["1: 0-4", "1: 5-9"]);
    assert_eq!(story.position(0), Some(2));
    story.asks(&["fetch 1: 0@2 1@10"]);
    // A seek to the same offset is a seek all the same.
    story.fetcher.seek(
        &p(0),
        Position {
            offset: 2,
            epoch: -1,
        },
    );
    story.records(1, &[(0, batch(2, 1, 0))]);
    story.gives(&[]);
    story.asks(&["fetch 1: "]);
    story.records(1, &[(0, batch(2, 1, 0))]);
    story.gives(&["0: 2-2"]);
    assert!(!story.fetcher.seek(
        &p(9),
        Position {
            offset: 0,
            epoch: -1
        }
    ));
}

#[test]
fn by_time() {
    let mut story = Story::new(OffsetReset::Error);
    story.fetcher.add(&[p(0)], true);
    story.fetcher.reset(&p(0), ResetTo::Time(1000));
    story.asks(&["offsets 1: 0:Time(1000)"]);
    // No record is that young.
    story.offset(0, ResetTo::Time(1000), Ok(-1));
    story.asks(&["offsets 1: 0:Latest"]);
    story.offset(0, ResetTo::Latest, Ok(9));
    story.asks(&["fetch 1: 0@9"]);
}

#[test]
fn paused_partitions_are_neither_fetched_nor_given() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0), p(1)], true);
    story.asks(&["committed: 0 1"]);
    story.committed(0, Some(0));
    story.committed(1, Some(0));
    story.asks(&["fetch 1: 0@0 1@0"]);
    story.records(1, &[(0, batch(0, 1, 0)), (1, batch(0, 1, 0))]);
    story.fetcher.pause(&[p(0)], true).unwrap();
    assert_eq!(story.fetcher.paused(), [p(0)]);
    story.gives(&["1: 0-0"]);
    story.asks(&["fetch 1: 1@1 forget 0"]);
    story.fetcher.pause(&[p(0)], false).unwrap();
    story.gives(&["0: 0-0"]);
    story.records(1, &[]);
    story.asks(&["fetch 1: 0@1"]);
}

#[test]
fn no_more_than_the_share_is_fetched_ahead() {
    let config = ConsumerConfig::new()
        .prefetch_bytes(1000)
        .fetch_max_bytes(800);
    let mut story = Story::with(config.offset_reset(OffsetReset::Earliest));
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    let ask = story.fetcher.plan(story.now, &story.metadata).ask.pop();
    assert!(matches!(ask, Some(Ask::Fetch { max_bytes: 800, .. })));
    let bytes = batch(0, 50, 0);
    assert!(bytes.len() > 500);
    story.records(1, &[(0, bytes)]);
    story.asks(&[]);
    story.gives(&["0: 0-49"]);
    story.asks(&["fetch 1: 0@50"]);
}

#[test]
fn a_new_leader_is_asked_whether_the_log_is_the_same() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    story.records(1, &[(0, batch(0, 5, 0))]);
    story.gives(&["0: 0-4"]);
    story.leaders(7, &[(2, 1), (1, 0), (2, 0)]);
    story.asks(&["epochs 2: 0:0<1"]);
    // The epoch ended further on: all that was read is there.
    story.epoch(0, (0, 1), Some((8, 0)));
    story.asks(&["fetch 2: 0@5"]);
    // The next one cuts the log back below the position.
    story.leaders(7, &[(1, 2), (1, 0), (2, 0)]);
    story.records(2, &[(0, batch(5, 5, 1))]);
    story.asks(&["epochs 1: 0:1<2"]);
    story.epoch(0, (1, 2), Some((3, 0)));
    story.gives(&[]);
    assert_eq!(story.position(0), Some(3));
    story.asks(&["fetch 1: 0@3"]);
}

#[test]
fn what_is_only_fetched_ahead_may_be_cut_back_unseen() {
    let mut story = Story::new(OffsetReset::Error);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    story.records(1, &[(0, batch(0, 5, 0))]);
    story.leaders(7, &[(2, 1), (1, 0), (2, 0)]);
    story.asks(&["epochs 2: 0:0<1"]);
    story.epoch(0, (0, 1), Some((3, 0)));
    story.gives(&[]);
    story.asks(&["fetch 2: 0@0"]);
    // What was read is gone, and there is no policy.
    story.records(2, &[(0, batch(0, 5, 1))]);
    story.gives(&["0: 0-4"]);
    story.leaders(7, &[(1, 2), (1, 0), (2, 0)]);
    story.asks(&["epochs 1: 0:1<2"]);
    story.epoch(0, (1, 2), Some((2, 0)));
    story.gives(&[
        "t-0: the log was truncated below position 5, records differ from offset 2 on: seek to \
         where reading is to go on",
    ]);
    story.asks(&[]);
}

#[test]
fn errors_that_pass_are_waited_out_and_told_of_in_the_end() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    assert!(story.error(1, 0, ErrorCode::NotLeaderOrFollower));
    story.asks(&[]);
    story.now.millis = 200;
    story.asks(&["fetch 1: "]);
    story.error(1, 0, ErrorCode::NotLeaderOrFollower);
    story.gives(&[]);
    story.now.millis = 70_000;
    story.asks(&["fetch 1: "]);
    story.error(1, 0, ErrorCode::NotLeaderOrFollower);
    story.gives(&["t-0: NOT_LEADER_OR_FOLLOWER (6)"]);
    // What does not pass is told at once.
    story.now.millis = 80_000;
    story.asks(&["fetch 1: "]);
    story.error(1, 0, ErrorCode::TopicAuthorizationFailed);
    story.gives(&["t-0: TOPIC_AUTHORIZATION_FAILED (29)"]);
}

#[test]
fn a_broker_that_does_not_answer() {
    let closed = || {
        Err(CallError::Closed {
            address: "a:1".into(),
            error: None,
        })
    };
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    assert!(story.fetcher.fetched(1, closed(), story.now, CHANCE));
    story.asks(&[]);
    story.now.millis = 61_000;
    // A session that may be there or not is begun anew.
    story.asks(&["fetch 1: 0@0"]);
    story.fetcher.fetched(1, closed(), story.now, CHANCE);
    story.gives(&[
        "fetching from broker 1 did not succeed within 61s; last: a:1 closed the connection before \
         it had answered",
    ]);
}

#[test]
fn a_broker_that_throttles_is_left_alone() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    story.throttle = 500;
    story.records(1, &[(0, batch(0, 1, 0))]);
    story.gives(&["0: 0-0"]);
    story.asks(&[]);
    story.now.millis += 500;
    story.asks(&["fetch 1: 0@1"]);
}

#[test]
fn a_topic_that_is_not_there() {
    let mut story = Story::new(OffsetReset::Earliest);
    story
        .fetcher
        .add(&[TopicPartition::new("missing", 0)], false);
    story.asks(&["refresh"]);
    story.now.millis = 60_000;
    story
        .metadata
        .errors
        .insert("missing".into(), ErrorCode::UnknownTopicOrPartition);
    story.asks(&["refresh"]);
    story.gives(&[
        "finding the leader of missing-0 did not succeed within 60s; last: topic \"missing\" does \
         not exist",
    ]);
}

#[test]
fn a_topic_that_was_made_anew_is_fetched_under_its_new_id() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(4));
    story.asks(&["fetch 1: 0@4"]);
    story.records(1, &[]);
    story.leaders(8, &[(1, 0)]);
    story.asks(&["fetch 1: 0@4 forget 0"]);
}

/// Its offsets mean other records than those that have been read.
#[test]
fn a_topic_that_was_made_anew_is_not_fetched_where_topics_are_pinned() {
    let config = ConsumerConfig::new().pin_topics(true);
    let mut story = Story::with(config.offset_reset(OffsetReset::Earliest));
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(4));
    story.asks(&["fetch 1: 0@4"]);
    story.records(1, &[]);
    // The same topic with another leader is the same topic.
    story.leaders(7, &[(2, 0)]);
    story.asks(&["fetch 2: 0@4"]);
    story.records(2, &[]);
    story.leaders(8, &[(1, 0)]);
    story.asks(&[]);
    let error = story.fetcher.take().unwrap().unwrap_err();
    let made_again = ConsumerError::TopicMadeAgain { partition: p(0) };
    assert_eq!(error.to_string(), made_again.to_string());
    story.asks(&[]);
}

/// A partition with an error may have got records since: what is known of it is as old as before.
#[test]
fn a_partition_is_heard_of_when_it_is_answered_without_an_error() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0), p(1)], true);
    story.asks(&["committed: 0 1"]);
    story.committed(0, Some(0));
    story.committed(1, Some(0));
    let heard = |story: &Story| [0, 1].map(|index| story.fetcher.heard(&p(index)));
    story.asks(&["fetch 1: 0@0 1@0"]);
    assert_eq!(heard(&story), [None, None]);
    // What an answer leaves out has nothing new.
    story.now.millis = 10;
    story.records(1, &[(0, batch(0, 1, 0))]);
    assert_eq!(heard(&story), [Some(10), Some(10)]);
    story.asks(&["fetch 1: 0@1"]);
    story.now.millis = 20;
    story.error(1, 0, ErrorCode::NotLeaderOrFollower);
    assert_eq!(heard(&story), [Some(10), Some(20)]);
    // While it waits to be asked for again others go on.
    story.asks(&["fetch 1:  forget 0"]);
    story.now.millis = 30;
    story.records(1, &[]);
    assert_eq!(heard(&story), [Some(10), Some(30)]);
    story.now.millis = 10_000;
    story.asks(&["fetch 1: 0@1"]);
    story.records(1, &[]);
    assert_eq!(heard(&story), [Some(10_000), Some(10_000)]);
    // An answer to where it was before it jumped says nothing of where it is.
    story.asks(&["fetch 1: "]);
    story.fetcher.seek(
        &p(0),
        Position {
            offset: 0,
            epoch: -1,
        },
    );
    story.now.millis = 10_010;
    story.records(1, &[]);
    assert_eq!(heard(&story), [Some(10_000), Some(10_010)]);
}

/// They are asked for again: until then it is not known that there is no more than what has been given.
#[test]
fn a_partition_is_not_heard_of_in_an_answer_that_is_dropped() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    story.now.millis = 10;
    story.records(1, &[(0, batch(0, 5, 0))]);
    story.gives(&["0: 0-4"]);
    story.asks(&["fetch 1: 0@5"]);
    // Whether the log is the same has to be known first.
    story.leaders(7, &[(2, 1), (1, 0), (2, 0)]);
    story.asks(&["epochs 2: 0:0<1"]);
    story.now.millis = 20;
    story.records(1, &[(0, batch(5, 5, 0))]);
    assert_eq!(story.fetcher.heard(&p(0)), Some(10));
    story.epoch(0, (0, 1), Some((5, 0)));
    story.asks(&["fetch 2: 0@5"]);
    story.now.millis = 30;
    story.records(2, &[(0, batch(5, 5, 1))]);
    assert_eq!(story.fetcher.heard(&p(0)), Some(30));
}

#[test]
fn rubbish_between_batches_is_named() {
    let mut story = Story::new(OffsetReset::Earliest);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    let mut second = batch(5, 5, 0).to_vec();
    second[16] = 9;
    let bytes = [&batch(0, 5, 0)[..], &second].concat();
    story.records(1, &[(0, bytes.into())]);
    story.gives(&[
        "0: 0-4",
        "t-0: the batch at offset 5 is corrupt: the batch has magic 9, only 2 is readable here",
    ]);
    // The application may skip it.
    story.fetcher.seek(
        &p(0),
        Position {
            offset: 10,
            epoch: -1,
        },
    );
    story.asks(&["fetch 1: 0@10"]);
}

#[test]
fn control_batches_move_the_position_and_are_not_given() {
    let config = ConsumerConfig::new().isolation_level(IsolationLevel::ReadCommitted);
    let mut story = Story::with(config.offset_reset(OffsetReset::Earliest));
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    let mut builder = BatchBuilder::new()
        .producer(1, 0, -1)
        .transactional(true)
        .control(true);
    builder
        .append(0, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[])
        .unwrap();
    story.records(1, &[(0, builder.build().unwrap())]);
    story.gives(&["0: "]);
    assert_eq!(story.position(0), Some(1));
}
