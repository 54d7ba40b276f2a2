//! What has been fetched and not read, when something happens to it.

use super::*;
use crate::consumer::batch::Fetched;

/// A consumer that fetches these partitions of broker 1 from 0 on.
fn fetching(config: ConsumerConfig, partitions: &[i32]) -> Story {
    let mut story = Story::with(config.offset_reset(OffsetReset::Earliest));
    let names: Vec<TopicPartition> = partitions.iter().map(|index| p(*index)).collect();
    story.fetcher.add(&names, true);
    story.fetcher.plan(story.now, &story.metadata);
    for index in partitions {
        story.committed(*index, Some(0));
    }
    story.fetcher.plan(story.now, &story.metadata);
    story
}

fn at(offset: i64, epoch: i32) -> Position {
    Position { offset, epoch }
}

/// Takes the next chunk, and reads as far as `to` of it.
fn read_to(story: &mut Story, to: i64) -> (Fetched, u64, Position) {
    let (fetched, turn, end) = story.fetcher.take().unwrap().unwrap();
    story.fetcher.advance(&fetched.partition, turn, at(to, 0));
    (fetched, turn, end)
}

#[test]
fn a_log_that_is_cut_back_is_read_on_from_where_the_application_is() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    story.records(1, &[(0, batch(0, 10, 0))]);
    let (_, turn, _) = read_to(&mut story, 2);
    story.leaders(7, &[(2, 1), (1, 0), (2, 0)]);
    story.asks(&["epochs 2: 0:0<1"]);
    story.epoch(0, (0, 1), Some((7, 0)));
    // Nothing is decided before the application has said how far it has come since.
    assert!(story.fetcher.has_diverged());
    story.asks(&[]);
    story.fetcher.advance(&p(0), turn, at(6, 0));
    story.fetcher.settle();
    assert!(!story.fetcher.has_diverged());
    assert!(!story.fetcher.is_current(&p(0), turn));
    story.asks(&["fetch 2: 0@6"]);
    assert_eq!(story.position(0), Some(6));
}

#[test]
fn a_seek_outruns_what_was_found_out_about_the_log() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    story.records(1, &[(0, batch(0, 10, 0))]);
    story.leaders(7, &[(2, 1), (1, 0), (2, 0)]);
    story.asks(&["epochs 2: 0:0<1"]);
    story.epoch(0, (0, 1), Some((7, 0)));
    story.fetcher.seek(&p(0), at(4, -1));
    story.fetcher.settle();
    story.asks(&["fetch 2: 0@4"]);
    assert_eq!(story.position(0), Some(4));
}

#[test]
fn without_an_epoch_there_is_nothing_to_compare() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    story.records(1, &[(0, batch(0, 10, 0))]);
    let (_, turn, _) = read_to(&mut story, 3);
    story.leaders(7, &[(2, 1), (1, 0), (2, 0)]);
    // The batch turns out to be broken after the question has been decided upon.
    if let Some(p) = story.fetcher.partitions.get_mut(&p(0)) {
        p.state = State::Validate;
    }
    story.fetcher.step_back(&p(0), turn, 3, story.now, CHANCE);
    story.now.millis += 10_000;
    story.asks(&["fetch 2: 0@3"]);
}

#[test]
fn a_reset_gives_its_own_epoch_to_the_position() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    story.records(1, &[(0, batch(0, 1, 5))]);
    story.gives(&["0: 0-0"]);
    story.asks(&["fetch 1: 0@1"]);
    story.error(1, 0, ErrorCode::OffsetOutOfRange);
    story.asks(&["offsets 1: 0:Earliest"]);
    story.offset(0, ResetTo::Earliest, Ok(60));
    story.asks(&["fetch 1: 0@60"]);
    story.records(1, &[(0, batch(60, 2, 0))]);
    read_to(&mut story, 60);
    assert_eq!(story.fetcher.position(&p(0)), Some(at(60, 0)));
}

#[test]
fn the_position_follows_a_reset_once_all_has_been_read() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    story.records(1, &[(0, batch(0, 5, 0))]);
    let (_, turn, end) = read_to(&mut story, 2);
    story.asks(&["fetch 1: 0@5"]);
    story.error(1, 0, ErrorCode::OffsetOutOfRange);
    story.asks(&["offsets 1: 0:Earliest"]);
    story.offset(0, ResetTo::Earliest, Ok(60));
    // Half of what was there before has yet to be read.
    assert_eq!(story.position(0), Some(2));
    story.fetcher.advance(&p(0), turn, end);
    assert_eq!(story.position(0), Some(60));
}

#[test]
fn paused_partitions_do_not_take_the_room_of_others() {
    let mut story = fetching(ConsumerConfig::new().prefetch_bytes(1000), &[0, 1]);
    story.records(1, &[(0, batch(0, 60, 0))]);
    story.asks(&[]);
    story.fetcher.pause(&[p(0)], true).unwrap();
    story.asks(&["fetch 1:  forget 0"]);
    story.records(1, &[(1, batch(0, 60, 0))]);
    story.gives(&["1: 0-59"]);
    // It counts again once it can be read.
    story.fetcher.pause(&[p(0)], false).unwrap();
    story.asks(&[]);
    story.gives(&["0: 0-59"]);
    assert!(story.fetcher.made_room());
    story.asks(&["fetch 1: 0@60 1@60"]);
}

#[test]
fn more_than_there_is_room_for_is_not_kept_of_paused_partitions() {
    let mut story = fetching(ConsumerConfig::new().prefetch_bytes(1000), &[0, 1]);
    story.records(1, &[(0, batch(0, 60, 0)), (1, batch(0, 60, 0))]);
    story.fetcher.pause(&[p(0), p(1)], true).unwrap();
    assert!(story.fetcher.aside < 1000);
    story.fetcher.pause(&[p(0), p(1)], false).unwrap();
    story.gives(&["0: 0-59"]);
    assert_eq!(story.fetcher.aside, 0);
    story.asks(&["fetch 1: 0@60"]);
    // Nor what comes while they are paused.
    story.fetcher.pause(&[p(0), p(1)], true).unwrap();
    let large = batch(0, 200, 0);
    assert!(large.len() > 1000);
    story.records(1, &[(1, large)]);
    assert_eq!(story.fetcher.aside, 0);
    story.fetcher.pause(&[p(0), p(1)], false).unwrap();
    story.gives(&[]);
    story.asks(&["fetch 1: "]);
}

#[test]
fn what_is_given_back_is_given_again() {
    let mut story = fetching(ConsumerConfig::new(), &[0, 1]);
    story.records(1, &[(0, batch(0, 5, 0)), (1, batch(0, 5, 0))]);
    let (fetched, turn, end) = read_to(&mut story, 3);
    let mut rest = fetched;
    rest.batches[0].from = 3;
    story.fetcher.put_back(rest.clone(), turn, end);
    story.fetcher.pause(&[p(0)], true).unwrap();
    story.gives(&["1: 0-4"]);
    story.fetcher.pause(&[p(0)], false).unwrap();
    story.gives(&["0: 3-4"]);
    assert_eq!(story.position(0), Some(5));
    // It is void after a jump.
    story.fetcher.seek(&p(0), at(1, -1));
    story.fetcher.put_back(rest, turn, end);
    story.gives(&[]);
}

#[test]
fn a_pause_of_what_is_not_assigned_changes_nothing() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    assert_eq!(story.fetcher.pause(&[p(0), p(9)], true), Err(&p(9)));
    assert!(story.fetcher.paused().is_empty());
}

#[test]
fn a_failure_is_told_once_until_it_has_been_heard() {
    let mut story = fetching(ConsumerConfig::new(), &[0]);
    for _ in 0..3 {
        story.error(1, 0, ErrorCode::TopicAuthorizationFailed);
        story.now.millis += 10_000;
        story.asks(&["fetch 1: "]);
    }
    let text = story.fetcher.take().unwrap().unwrap_err().to_string();
    assert!(
        text.starts_with("t-0: TOPIC_AUTHORIZATION_FAILED"),
        "{text}"
    );
    assert!(story.fetcher.take().is_none());
    story.error(1, 0, ErrorCode::TopicAuthorizationFailed);
    assert!(story.fetcher.take().unwrap().is_err());
    // What is gone is not told of.
    story.now.millis += 10_000;
    story.asks(&["fetch 1: "]);
    story.error(1, 0, ErrorCode::TopicAuthorizationFailed);
    story.fetcher.remove(&[p(0)]);
    assert!(!story.fetcher.has_ready());
}

#[test]
fn a_broker_without_sessions_is_asked_in_turns() {
    let mut story = fetching(ConsumerConfig::new(), &[0, 1]);
    story.sessions.insert(1, 0);
    for first in ["1@0 0@0", "0@0 1@0", "1@0 0@0"] {
        story.records(1, &[]);
        story.asks(&[&format!("fetch 1: {first}")]);
    }
}

#[test]
fn a_broken_batch_in_front_of_an_error_is_fetched_again() {
    let mut story = Story::new(OffsetReset::Error);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(0));
    story.asks(&["fetch 1: 0@0"]);
    story.records(1, &[(0, batch(0, 5, 0))]);
    story.asks(&["fetch 1: 0@5"]);
    story.error(1, 0, ErrorCode::OffsetOutOfRange);
    // Its CRC is wrong.
    let (_, turn, _) = read_to(&mut story, 0);
    story.fetcher.step_back(&p(0), turn, 0, story.now, CHANCE);
    story.now.millis += 10_000;
    story.asks(&["fetch 1: 0@0"]);
}

#[test]
fn a_seek_leaves_no_failure_of_before() {
    let mut story = Story::new(OffsetReset::Error);
    story.fetcher.add(&[p(0)], true);
    story.asks(&["committed: 0"]);
    story.committed(0, Some(7));
    story.asks(&["fetch 1: 0@7"]);
    story.error(1, 0, ErrorCode::TopicAuthorizationFailed);
    story.now.millis += 10_000;
    story.asks(&["fetch 1: "]);
    story.error(1, 0, ErrorCode::OffsetOutOfRange);
    let text = story.fetcher.take().unwrap().unwrap_err().to_string();
    assert!(text.contains("offset 7 is out of range"), "{text}");
    story.fetcher.seek(&p(0), at(3, -1));
    assert!(!story.fetcher.has_ready());
}
