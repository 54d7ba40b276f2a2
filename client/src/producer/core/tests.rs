//! Stories, and a simulation by seed: the core against a model of a broker's partitions and a
//! network that loses, delays and reorders.

use super::*;
use crate::clock::Now;
use crate::cluster::Metadata;
use crate::error::ClientError;
use crate::producer::batch::finish;
use crate::producer::core::Send;
use crate::producer::record::RecordParts;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tidemark_protocol::records::BatchView;

mod simulation;

fn metadata(leaders: &[i32]) -> Metadata {
    let partitions = (0..).zip(leaders).map(|(index, leader)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(*leader))
    });
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_static_str("t"))))
        .with_partitions(partitions.collect());
    let brokers = [1, 2].map(|id| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_port(1)
    });
    let response = MetadataResponse::default()
        .with_brokers(brokers.to_vec())
        .with_topics(vec![topic]);
    Metadata::default().updated(&response, crate::cluster::metadata::Scope::Asked)
}

struct Story {
    core: Core,
    topic: Arc<str>,
    now: Now,
    sent: Vec<Send>,
}

impl Story {
    fn new(config: ProducerConfig, leaders: &[i32]) -> Self {
        let ms = Duration::from_millis;
        let mut core = Core::new(&config, ms(100), ms(1000));
        let topic: Arc<str> = "t".into();
        core.learn(&metadata(leaders), Some(&topic));
        core.linked(1, true);
        core.linked(2, true);
        core.identified(Ok((7, 0)), Now::default(), 0);
        for queue in &mut core.queues {
            queue.established = true;
        }
        Self {
            core,
            topic,
            now: Now::default(),
            sent: Vec::new(),
        }
    }

    fn append(&mut self, partition: i32, value: &str) -> Delivery {
        let parts = RecordParts {
            partition: Some(partition),
            value: Some(value.as_bytes()),
            ..RecordParts::default()
        };
        match self.core.append(&self.topic, &parts, true, self.now, || 0) {
            Ok((Append::Taken(Some(delivery)), _)) => delivery,
            other => panic!("{other:?}"),
        }
    }

    /// What is sent now, one line per request: partition, epoch, sequence and count of each batch.
    #[track_caller]
    fn sends(&mut self, expected: &[&str]) {
        let plan = self.core.plan(self.now);
        let lines: Vec<String> = plan
            .sends
            .into_iter()
            .map(|mut send| {
                let codec = self.core.codec();
                let mut line = format!("{}:", send.node);
                for item in &mut send.items {
                    let payload = std::mem::replace(&mut item.payload, Payload::Out);
                    let bytes = finish(payload, item.stamp, codec).unwrap();
                    let header = BatchView::parse(&bytes).unwrap().header();
                    line += &format!(
                        " {}/{}/{}+{}",
                        item.partition.partition,
                        header.producer_epoch,
                        header.base_sequence,
                        header.records_count
                    );
                    item.payload = Payload::Built(bytes);
                }
                self.sent.push(send);
                line
            })
            .collect();
        assert_eq!(lines, expected);
    }

    /// Answers the oldest request, each of its batches alike.
    fn answer(&mut self, answer: &Answer) {
        let send = self.sent.remove(0);
        let outcomes = send.items.into_iter().map(|item| Outcome {
            queue: item.queue,
            order: item.order,
            bytes: match item.payload {
                Payload::Built(bytes) => bytes,
                other => panic!("{other:?}"),
            },
            answer: answer.clone(),
        });
        self.core
            .completed(send.node, outcomes.collect(), self.now, 0);
    }

    fn pass(&mut self, millis: u64) {
        self.now.millis += millis;
        self.now.wall += millis as i64;
    }
}

fn written(base_offset: i64) -> Answer {
    Answer::Written(Written {
        base_offset,
        append_time: None,
    })
}

fn refused(code: ErrorCode) -> Answer {
    Answer::Refused {
        code,
        message: None,
        record: None,
    }
}

fn lost() -> Answer {
    Answer::Unknown {
        reason: "the connection broke".to_owned(),
    }
}

/// The outcome, if there is one yet: the offset or the error.
fn outcome(delivery: &mut Delivery) -> Option<Result<i64, String>> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(delivery).poll(&mut context) {
        Poll::Ready(Ok(written)) => Some(Ok(written.offset)),
        Poll::Ready(Err(error)) => Some(Err(error.to_string())),
        Poll::Pending => None,
    }
}

/// One record per batch.
fn single() -> ProducerConfig {
    ProducerConfig::new().batch_size(1)
}

#[test]
fn records_linger_for_company() {
    let mut story = Story::new(ProducerConfig::new(), &[1, 1, 2]);
    let mut first = story.append(0, "a");
    story.sends(&[]);
    assert_eq!(story.core.plan(story.now).deadline, Some(5));
    story.pass(4);
    let mut second = story.append(0, "b");
    story.append(1, "c");
    story.append(2, "d");
    story.sends(&[]);
    story.pass(1);
    // What goes to the same broker goes along; the other broker's record lingers on.
    story.sends(&["1: 1/0/0+1 0/0/0+2"]);
    assert_eq!(outcome(&mut first), None);
    story.answer(&written(40));
    assert_eq!(outcome(&mut first), Some(Ok(40)));
    assert_eq!(outcome(&mut second), Some(Ok(41)));
    story.pass(4);
    story.sends(&["2: 2/0/0+1"]);
    story.answer(&written(0));
    assert_eq!(story.core.counts(), (4, 0));
    assert_eq!(story.core.memory(), 0);
}

#[test]
fn a_broker_is_planned_for_with_what_it_leads_and_nothing_else() {
    let mut story = Story::new(ProducerConfig::new().batch_size(200), &[1, 2, 1, 1, 2]);
    story.append(0, "lingers");
    for partition in [1, 2, 3] {
        story.append(partition, &"x".repeat(200));
    }
    story.core.queues[3].not_before = 80;
    let mut plan = Plan::default();
    let led: Vec<(i32, Vec<usize>)> = story
        .core
        .ready(story.now, &mut plan)
        .into_iter()
        .map(|led| (led.node, led.queues))
        .collect();
    assert_eq!(led, [(1, vec![0, 2]), (2, vec![1])]);
    assert_eq!(plan.deadline, Some(5));
}

/// Neither new batches nor those that are to be sent again leave while a lease does not hold.
#[test]
fn nothing_is_sent_without_a_lease() {
    let lease = Lease::new();
    let mut story = Story::new(single().lease(lease.clone()), &[1]);
    story.append(0, "a");
    let last = story.core.flush().unwrap();
    story.sends(&[]);
    lease.extend(story.now, 1_000);
    story.sends(&["1: 0/0/0+1"]);
    story.append(0, "b");
    story.answer(&lost());
    story.pass(1_000);
    story.sends(&[]);
    lease.extend(story.now, 1_000);
    story.sends(&["1: 0/0/0+1"]);
    story.answer(&written(0));
    assert!(story.core.is_done(last));
    lease.end();
    story.sends(&[]);
}

#[test]
fn a_full_batch_and_a_flush_do_not_linger() {
    let mut story = Story::new(ProducerConfig::new().batch_size(200), &[1]);
    for _ in 0..4 {
        story.append(0, "0123456789012345678901234567890123456789");
    }
    story.sends(&["1: 0/0/0+2"]);
    story.append(0, "x");
    story.sends(&[]);
    let last = story.core.flush().unwrap();
    story.sends(&["1: 0/0/2+3"]);
    story.answer(&written(0));
    assert!(!story.core.is_done(last));
    story.answer(&written(2));
    assert!(story.core.is_done(last));
    assert_eq!(story.core.flush(), None);
}

#[test]
fn what_is_behind_a_full_batch_lingers_no_longer_than_others() {
    let mut story = Story::new(ProducerConfig::new().batch_size(200), &[1]);
    for _ in 0..3 {
        story.append(0, "0123456789012345678901234567890123456789");
    }
    story.sends(&["1: 0/0/0+2"]);
    assert_eq!(story.core.plan(story.now).deadline, Some(5));
    story.pass(5);
    // The answer to the first is not waited for.
    story.sends(&["1: 0/0/2+1"]);
}

#[test]
fn a_topic_that_was_made_anew_with_fewer_partitions_uses_those() {
    let mut story = Story::new(single(), &[1, 1, 1]);
    story.core.learn(&metadata(&[1]), None);
    let parts = |partition| RecordParts {
        partition,
        key: Some(b"21"),
        ..RecordParts::default()
    };
    let gone = story
        .core
        .append(&story.topic, &parts(Some(2)), false, story.now, || 0);
    assert!(matches!(gone, Ok((Append::UnknownPartition, _))));
    // Whatever its hash.
    story
        .core
        .append(&story.topic, &parts(None), false, story.now, || 0)
        .unwrap();
    story.sends(&["1: 0/0/0+1"]);
}

#[test]
fn five_under_way_and_no_more() {
    let mut story = Story::new(single(), &[1]);
    for _ in 0..7 {
        story.append(0, "x");
    }
    story.sends(&[
        "1: 0/0/0+1",
        "1: 0/0/1+1",
        "1: 0/0/2+1",
        "1: 0/0/3+1",
        "1: 0/0/4+1",
    ]);
    story.sends(&[]);
    story.answer(&written(0));
    story.sends(&["1: 0/0/5+1"]);
}

#[test]
fn a_lost_batch_is_sent_again_alone_and_what_came_too_early_after_it() {
    let mut story = Story::new(single(), &[1]);
    let mut deliveries: Vec<_> = (0..3).map(|_| story.append(0, "x")).collect();
    story.sends(&["1: 0/0/0+1", "1: 0/0/1+1", "1: 0/0/2+1"]);
    story.answer(&lost());
    story.answer(&refused(ErrorCode::OutOfOrderSequenceNumber));
    story.answer(&refused(ErrorCode::OutOfOrderSequenceNumber));
    story.append(0, "new");
    story.sends(&[]);
    story.pass(200);
    story.sends(&["1: 0/0/0+1"]);
    story.sends(&[]);
    // It had been written after all.
    story.answer(&refused(ErrorCode::DuplicateSequenceNumber));
    story.sends(&["1: 0/0/1+1"]);
    story.answer(&written(1));
    story.sends(&["1: 0/0/2+1"]);
    story.answer(&written(2));
    story.sends(&["1: 0/0/3+1"]);
    story.answer(&written(3));
    assert_eq!(outcome(&mut deliveries[0]), Some(Ok(-1)));
    assert_eq!(outcome(&mut deliveries[2]), Some(Ok(2)));
    assert_eq!(story.core.counts(), (4, 0));
}

#[test]
fn until_the_broker_has_taken_the_first_batch_there_is_no_second() {
    let mut story = Story::new(single(), &[1]);
    story.core.queues[0].established = false;
    for _ in 0..3 {
        story.append(0, "x");
    }
    story.sends(&["1: 0/0/0+1"]);
    story.sends(&[]);
    story.answer(&written(0));
    story.sends(&["1: 0/0/1+1", "1: 0/0/2+1"]);
}

#[test]
fn a_broker_that_has_forgotten_the_producer_gets_a_new_epoch() {
    let mut story = Story::new(single(), &[1]);
    story.append(0, "x");
    story.sends(&["1: 0/0/0+1"]);
    story.answer(&written(0));
    story.append(0, "x");
    story.append(0, "x");
    story.sends(&["1: 0/0/1+1", "1: 0/0/2+1"]);
    story.answer(&refused(ErrorCode::UnknownProducerId));
    story.pass(1000);
    // Not before the other one's fate is known.
    story.sends(&[]);
    story.answer(&refused(ErrorCode::UnknownProducerId));
    story.pass(1000);
    story.sends(&["1: 0/1/0+1"]);
    story.answer(&written(1));
    story.sends(&["1: 0/1/1+1"]);
    story.answer(&written(2));
    assert_eq!(story.core.counts(), (3, 0));
}

#[test]
fn a_record_that_is_refused_for_good_takes_its_sequence_with_it() {
    let mut story = Story::new(single(), &[1]);
    let mut bad = story.append(0, "bad");
    let mut good = story.append(0, "good");
    story.sends(&["1: 0/0/0+1", "1: 0/0/1+1"]);
    story.answer(&refused(ErrorCode::InvalidTimestamp));
    assert_eq!(
        outcome(&mut bad),
        Some(Err("t-0: INVALID_TIMESTAMP (32)".to_owned()))
    );
    story.answer(&refused(ErrorCode::OutOfOrderSequenceNumber));
    story.pass(1000);
    story.sends(&["1: 0/1/0+1"]);
    story.answer(&written(0));
    assert_eq!(outcome(&mut good), Some(Ok(0)));
}

#[test]
fn a_batch_that_is_too_large_is_split_and_keeps_its_sequences() {
    let mut story = Story::new(ProducerConfig::new().linger(Duration::ZERO), &[1]);
    let mut deliveries: Vec<_> = (0..5).map(|at| story.append(0, &format!("{at}"))).collect();
    story.sends(&["1: 0/0/0+5"]);
    story.answer(&refused(ErrorCode::MessageTooLarge));
    story.sends(&["1: 0/0/0+2"]);
    story.answer(&written(10));
    story.sends(&["1: 0/0/2+3"]);
    story.answer(&refused(ErrorCode::MessageTooLarge));
    story.sends(&["1: 0/0/2+1"]);
    story.answer(&written(12));
    story.sends(&["1: 0/0/3+2"]);
    story.answer(&written(13));
    let offsets: Vec<_> = deliveries
        .iter_mut()
        .map(|d| outcome(d).unwrap().unwrap())
        .collect();
    assert_eq!(offsets, [10, 11, 12, 13, 14]);
    assert_eq!((story.core.counts(), story.core.memory()), ((5, 0), 0));
    // One record cannot be split.
    let mut large = story.append(0, "large");
    story.sends(&["1: 0/0/5+1"]);
    story.answer(&refused(ErrorCode::MessageTooLarge));
    assert_eq!(
        outcome(&mut large),
        Some(Err("t-0: MESSAGE_TOO_LARGE (10)".to_owned()))
    );
}

#[test]
fn what_takes_too_long_has_failed_and_says_whether_it_may_be_there() {
    let timeout = Duration::from_secs(1);
    let mut story = Story::new(single().delivery_timeout(timeout), &[1, -1]);
    let mut under_way = story.append(0, "x");
    let mut homeless = story.append(1, "x");
    let plan = story.core.plan(story.now);
    assert!(plan.refresh);
    story.sent.extend(plan.sends);
    story.pass(1000);
    story.sends(&[]);
    assert_eq!(
        outcome(&mut under_way),
        Some(Err(
            "t-0: not delivered within 1s, though it may have been written".to_owned()
        ))
    );
    assert_eq!(
        outcome(&mut homeless),
        Some(Err("t-1: not delivered within 1s".to_owned()))
    );
    assert_eq!(story.core.counts(), (0, 2));
}

#[test]
fn a_leader_that_moved_gets_what_is_left_once_the_old_one_has_answered() {
    let mut story = Story::new(single(), &[1]);
    story.append(0, "x");
    story.append(0, "x");
    story.sends(&["1: 0/0/0+1", "1: 0/0/1+1"]);
    story.append(0, "x");
    story.core.learn(&metadata(&[2]), None);
    story.sends(&[]);
    story.answer(&refused(ErrorCode::NotLeaderOrFollower));
    story.pass(1000);
    story.sends(&[]);
    story.answer(&refused(ErrorCode::NotLeaderOrFollower));
    story.pass(1000);
    story.sends(&["2: 0/0/0+1"]);
}

#[test]
fn who_knows_the_new_leader_does_not_wait() {
    let mut story = Story::new(single(), &[1]);
    story.append(0, "x");
    story.append(0, "x");
    story.sends(&["1: 0/0/0+1", "1: 0/0/1+1"]);
    story.answer(&refused(ErrorCode::NotLeaderOrFollower));
    // As the answer says, or the next picture.
    story.core.learn(&metadata(&[2]), None);
    story.answer(&refused(ErrorCode::NotLeaderOrFollower));
    story.sends(&["2: 0/0/0+1"]);
    story.answer(&refused(ErrorCode::NotLeaderOrFollower));
    story.sends(&[]);
    story.pass(1000);
    story.sends(&["2: 0/0/0+1"]);
}

#[test]
fn a_broker_that_throttles_is_left_alone() {
    let mut story = Story::new(single(), &[1, 2]);
    story.core.throttled(1, 700);
    story.core.throttled(1, 300);
    story.append(0, "x");
    story.append(1, "x");
    let plan = story.core.plan(story.now);
    assert_eq!(plan.sends.len(), 1);
    assert_eq!((plan.sends[0].node, plan.deadline), (2, Some(700)));
    story.pass(699);
    story.sends(&[]);
    story.pass(1);
    story.sends(&["1: 0/0/0+1"]);
}

#[test]
fn a_topic_that_the_picture_has_forgotten_is_asked_for_again_and_goes_on() {
    let mut story = Story::new(single(), &[1]);
    let parts = RecordParts::default();
    let forgotten = Metadata::default();
    let topic = Arc::clone(&story.topic);
    story.append(0, "x");
    // As long as there is something of it the topic is in use.
    story.core.learn(&forgotten, None);
    assert!(story.core.check(&topic, &parts).unwrap().is_ok());
    assert_eq!(story.core.active_topics(), [Arc::clone(&topic)].into());
    story.sends(&["1: 0/0/0+1"]);
    story.answer(&written(0));
    story.core.learn(&forgotten, None);
    let append = story.core.append(&topic, &parts, false, story.now, || 0);
    assert!(matches!(append, Ok((Append::UnknownTopic, _))));
    // It has moved meanwhile, and its sequences go on.
    story.core.learn(&metadata(&[2]), None);
    story.core.learn(&metadata(&[2]), Some(&topic));
    story.append(0, "x");
    story.sends(&["2: 0/0/1+1"]);
}

#[test]
fn room_runs_out_and_comes_back() {
    let config = single().max_request_size(1000).buffer_memory(1000);
    let mut story = Story::new(config.linger(Duration::from_secs(1)), &[1]);
    let (topic, now) = (Arc::clone(&story.topic), story.now);
    let large = [0; 700];
    let append = |story: &mut Story, value: &[u8]| {
        let parts = RecordParts {
            value: Some(value),
            ..RecordParts::default()
        };
        let append = story.core.append(&topic, &parts, false, now, || 0);
        append.map(|(append, _)| matches!(append, Append::Taken(_)))
    };
    assert!(append(&mut story, &large).unwrap());
    assert!(!append(&mut story, &large).unwrap());
    let error = append(&mut story, &[0; 1000]).unwrap_err().to_string();
    assert!(
        error.starts_with("a record of 1097 bytes for \"t\" is larger than"),
        "{error}"
    );
    story.sends(&["1: 0/0/0+1"]);
    assert!(!append(&mut story, &large).unwrap());
    story.answer(&written(0));
    assert!(append(&mut story, &large).unwrap());
}

#[test]
fn without_an_id_nothing_is_sent_and_without_hope_nothing_is_taken() {
    let mut story = Story::new(single(), &[1]);
    story.core.identity = Identity::None;
    let mut delivery = story.append(0, "x");
    assert!(story.core.plan(story.now).identify);
    assert!(!story.core.plan(story.now).identify);
    let loading = ClientError::broker("InitProducerId", ErrorCode::CoordinatorLoadInProgress);
    story.core.identified(Err((loading, true)), story.now, 0);
    let plan = story.core.plan(story.now);
    assert_eq!((plan.identify, plan.deadline), (false, Some(80)));
    story.pass(80);
    assert!(story.core.plan(story.now).identify);
    let denied = ClientError::broker("InitProducerId", ErrorCode::ClusterAuthorizationFailed);
    story.core.identified(Err((denied, false)), story.now, 0);
    let expected = "no producer id: InitProducerId: CLUSTER_AUTHORIZATION_FAILED (31)";
    assert_eq!(outcome(&mut delivery), Some(Err(expected.to_owned())));
    let parts = RecordParts::default();
    let error = story
        .core
        .append(&story.topic, &parts, false, story.now, || 0);
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[test]
fn partitions_that_are_not_there_are_told() {
    let mut story = Story::new(single(), &[1, 1]);
    let to = |partition| RecordParts {
        partition: Some(partition),
        ..RecordParts::default()
    };
    let mut append = |parts: &RecordParts<'_>| {
        let (topic, now) = (&story.topic, story.now);
        story.core.append(topic, parts, false, now, || 0)
    };
    let error = append(&to(-1)).unwrap_err().to_string();
    assert_eq!(error, "topic \"t\" has no partition -1: it has 2");
    // It may have come meanwhile.
    assert!(matches!(append(&to(2)), Ok((Append::UnknownPartition, _))));
    story.core.learn(&metadata(&[1, 1, 1]), None);
    story.append(2, "x");
    let other = story.core.append(
        &"other".into(),
        &RecordParts::default(),
        false,
        story.now,
        || 0,
    );
    assert!(matches!(other, Ok((Append::UnknownTopic, _))));
}

#[test]
fn everything_ends_with_the_producer() {
    let mut story = Story::new(single(), &[1, -1]);
    let mut deliveries = [story.append(0, "x"), story.append(1, "x")];
    story.sends(&["1: 0/0/0+1"]);
    story.core.refuse_more();
    let closed = ProduceError::Closed {
        maybe_written: false,
    };
    story.core.fail_all(&closed);
    let [under_way, waiting] = deliveries.each_mut().map(outcome);
    let maybe = "the producer has been closed, though the record may have been written";
    assert_eq!(under_way, Some(Err(maybe.to_owned())));
    assert_eq!(waiting, Some(Err(closed.to_string())));
    assert!(story.core.last_error().is_some());
}

#[test]
fn the_first_record_without_a_key_goes_anywhere() {
    let mut story = Story::new(single(), &[1, 1, 1, 1]);
    story.core.learn(&metadata(&[1, 1, 1, 1]), None);
    let parts = RecordParts::default();
    let (topic, now) = (Arc::clone(&story.topic), story.now);
    story.core.append(&topic, &parts, true, now, || 2).unwrap();
    story.sends(&["1: 2/0/0+1"]);
}

#[test]
fn a_batch_is_no_larger_than_a_request() {
    let config = ProducerConfig::new()
        .batch_size(1 << 20)
        .max_request_size(1000)
        .linger(Duration::from_secs(1));
    let mut story = Story::new(config, &[1]);
    for _ in 0..7 {
        story.append(0, &"x".repeat(300));
    }
    // What is full goes; the last one lingers.
    story.sends(&["1: 0/0/0+2", "1: 0/0/2+2", "1: 0/0/4+2"]);
}

/// One bad record does not take the others of its batch with it, and shows by its topic.
#[test]
fn records_that_are_refused_are_found_out() {
    let mut story = Story::new(ProducerConfig::new().linger(Duration::ZERO), &[1]);
    let mut deliveries: Vec<_> = (0..3).map(|at| story.append(0, &format!("{at}"))).collect();
    story.sends(&["1: 0/0/0+3"]);
    story.answer(&refused(ErrorCode::InvalidRecord));
    story.sends(&["1: 0/0/0+1"]);
    story.answer(&written(7));
    story.sends(&["1: 0/0/1+2"]);
    story.answer(&refused(ErrorCode::InvalidRecord));
    story.sends(&["1: 0/0/1+1"]);
    story.answer(&refused(ErrorCode::InvalidRecord));
    story.sends(&["1: 0/0/2+1"]);
    story.answer(&refused(ErrorCode::OutOfOrderSequenceNumber));
    story.pass(1000);
    story.sends(&["1: 0/1/0+1"]);
    story.answer(&written(8));
    let outcomes: Vec<_> = deliveries
        .iter_mut()
        .map(|d| outcome(d).unwrap().ok())
        .collect();
    assert_eq!(outcomes, [Some(7), None, Some(8)]);
    assert_eq!(story.core.counts(), (2, 1));
    assert_eq!(story.core.take_refused(&|topic| topic != "t"), 0);
    assert_eq!(story.core.take_refused(&|topic| topic == "t"), 1);
    assert_eq!(story.core.counts(), (2, 0));
}

/// Of several records that are refused together, after a try without an answer, none counts as one that
/// is to blame.
#[test]
fn what_is_refused_together_is_not_taken_for_refused_by_itself() {
    let mut story = Story::new(ProducerConfig::new().linger(Duration::ZERO), &[1]);
    let mut deliveries: Vec<_> = (0..3).map(|at| story.append(0, &format!("{at}"))).collect();
    story.sends(&["1: 0/0/0+3"]);
    story.answer(&refused(ErrorCode::RequestTimedOut));
    story.pass(1000);
    story.sends(&["1: 0/0/0+3"]);
    story.answer(&refused(ErrorCode::InvalidRecord));
    assert!(deliveries.iter_mut().all(|d| outcome(d).unwrap().is_err()));
    assert_eq!(story.core.take_refused(&|_| true), 0);
    assert_eq!(story.core.counts(), (0, 3));
}
