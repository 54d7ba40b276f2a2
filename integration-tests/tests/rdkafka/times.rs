//! Timestamps, and finding messages by them.

use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};
use tidemark_broker::environment::{Clock, SystemClock};

use super::{CALL, Site, in_order, poll, send, settle};

const HOUR_MS: i64 = 3_600_000;
/// Not in order, on purpose: producers' clocks differ.
const TIMES: [i64; 6] = [
    1_000,
    5_000,
    3_000,
    1_700_000_000_000,
    9_000,
    1_700_000_000_001,
];

fn now() -> i64 {
    SystemClock::start().now().wall.0
}

/// Sends one message for each time, each in a batch of its own or all in one.
fn send_at(site: &Site, topic: &str, times: &[i64], one_batch: bool) {
    let options: &[_] = match one_batch {
        // Well below what is waited for: on a busy machine librdkafka's flush does not always cut it short.
        true => &[("linger.ms", "5000")],
        false => &[("batch.num.messages", "1")],
    };
    let producer = site.producer(options);
    for (number, time) in times.iter().enumerate() {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to(topic, number);
        send(&producer, record.payload("timed").timestamp(*time));
    }
    assert_eq!(settle(&producer), in_order(times.len()));
}

#[tokio::test]
async fn the_producers_timestamps_come_back() {
    let site = Site::start();
    for (topic, one_batch) in [("together", true), ("apart", false)] {
        site.create_topic(topic, 1, &[]).await;
        send_at(&site, topic, &TIMES, one_batch);
        let found: Vec<_> = site.read(topic).iter().map(Message::timestamp).collect();
        let expected = TIMES.map(Timestamp::CreateTime);
        assert_eq!(found, expected, "{topic}");
    }
    site.stop();
}

#[tokio::test]
async fn the_brokers_time_replaces_them_where_the_topic_says_so() {
    let site = Site::start();
    let configs = [("message.timestamp.type", "LogAppendTime")];
    site.create_topic("appended", 1, &configs).await;
    let before = now();
    send_at(&site, "appended", &TIMES, true);
    let after = now();
    for message in site.read("appended") {
        let Timestamp::LogAppendTime(time) = message.timestamp() else {
            panic!("{:?}", message.timestamp());
        };
        assert!((before..=after).contains(&time), "{before} {time} {after}");
    }
    site.stop();
}

#[tokio::test]
async fn a_timestamp_too_far_ahead_is_refused() {
    let site = Site::start();
    site.create_topic("ahead", 1, &[]).await;
    let producer = site.producer(&[]);
    let now = now();
    for (number, time) in [now + HOUR_MS / 2, now + 2 * HOUR_MS]
        .into_iter()
        .enumerate()
    {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to("ahead", number);
        send(&producer, record.payload("timed").timestamp(time));
        settle(&producer);
    }
    let expected = [Ok((0, 0)), Err(RDKafkaErrorCode::InvalidTimestamp)];
    assert_eq!(settle(&producer), expected);
    site.stop();
}

/// The first message that is not older, by offset: inside a batch, too (rule 29).
#[tokio::test]
async fn a_consumer_seeks_by_time() {
    let site = Site::start();
    for (topic, one_batch) in [("together", true), ("apart", false)] {
        site.create_topic(topic, 2, &[]).await;
        let producer = site.producer(&[("batch.num.messages", if one_batch { "6" } else { "1" })]);
        for (number, time) in TIMES.iter().enumerate() {
            let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to(topic, number);
            send(
                &producer,
                record.payload("timed").timestamp(*time).partition(0),
            );
        }
        assert_eq!(settle(&producer), in_order(TIMES.len()));
        let consumer = site.consumer();
        let lookup = |time: i64| {
            let mut list = TopicPartitionList::new();
            for partition in 0..2 {
                list.add_partition_offset(topic, partition, Offset::Offset(time))
                    .expect("a time is an offset here");
            }
            let found = consumer.offsets_for_times(list, CALL).expect("an answer");
            let offset = |partition| {
                let found = found.find_partition(topic, partition).expect("asked for");
                found.error().expect("no error");
                found.offset()
            };
            assert_eq!(
                offset(1),
                Offset::End,
                "an empty partition has nothing at {time}"
            );
            offset(0)
        };
        for (time, expected) in [
            (0, Offset::Offset(0)),
            (1_000, Offset::Offset(0)),
            (1_001, Offset::Offset(1)),
            (5_000, Offset::Offset(1)),
            (5_001, Offset::Offset(3)),
            (1_700_000_000_000, Offset::Offset(3)),
            (1_700_000_000_001, Offset::Offset(5)),
            (1_700_000_000_002, Offset::End),
        ] {
            assert_eq!(lookup(time), expected, "{topic} {time}");
        }

        // And it reads from there.
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning)
            .expect("a good offset");
        consumer.assign(&list).expect("an assignment");
        assert_eq!(poll(&consumer).offset(), 0);
        consumer
            .seek(topic, 0, lookup(5_001), CALL)
            .expect("a partition that is read");
        for offset in 3..6 {
            assert_eq!(poll(&consumer).offset(), offset, "{topic}");
        }
    }
    site.stop();
}
