//! Windows and sessions over the events of users, by the time at which they happened.
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example event_windows -- --until-caught-up
//! ```
//!
//! runs on a few sample events and a broker of its own, and prints the results. With a cluster:
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example event_windows -- --bootstrap 127.0.0.1:9092
//! echo '{"user_id":"user1","event_type":"click","value":1.0,"timestamp":"2023-01-01T10:00:00"}' |
//!     kcat -b 127.0.0.1:9092 -P -t user_events
//! kcat -b 127.0.0.1:9092 -C -t event_windows -f '%k %s\n'
//! ```
//!
//! What comes out, as JSON and with all times in milliseconds since 1970:
//!
//! | topic | key | what |
//! |---|---|---|
//! | `event_windows` | event type | count, sum and average of an hour's events of a type |
//! | `user_windows` | user | count, sum, first and last of a user's events in half an hour |
//! | `user_sessions` | user | the same of a session: until a user does nothing for half an hour |
//! | `late_events` | user | what came too late for one of these, which one, and how late it was |
//! | `dead_events` | as it came | what is no event, with the reason in its headers |
//!
//! A result comes out once, when the watermark passes the end of its window: that is the largest
//! timestamp so far, less ten minutes. So the last windows stay open until later events come;
//! `--until-caught-up` closes them all. The window of a result is from `window_start` to right in
//! front of `window_end`; a session's is from its first event to the gap behind its last one.
//!
//! Sums do not depend on the order in which events come: they are the floats that are nearest to the
//! sums of the values. An event without a value counts, and is left out of sum and average. Timestamps
//! are `2023-01-01T10:00:00`, with a space in place of the T if need be, in UTC unless they say
//! otherwise, or milliseconds since 1970; those before 2000 or from 2100 on make an event a dead one.

#[path = "../common/mod.rs"]
mod common;
mod event;
mod results;
mod sum;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidemark_streams::time::{SessionWindows, TimeWindows};
use tidemark_streams::{
    Consumed, Fold, GroupedStream, OnBadRecord, StreamsBuilder, StreamsError, Topology,
    WindowedTable,
};

use crate::common::{Cluster, Common, Failure, duration};
use crate::event::{EARLIEST, Event, LATEST};
use crate::results::{LateEvent, OfType, OfUser, Stats};

const BY_TYPE: &str = "event_windows";
const BY_USER: &str = "user_windows";
const SESSIONS: &str = "user_sessions";
const LATE: &str = "late_events";
const DEAD: &str = "dead_events";

/// Windows and sessions over the events of users.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// The topic with the events.
    #[arg(long, default_value = "user_events")]
    input: String,
    /// How long windows of event types are.
    #[arg(long, value_parser = duration, default_value = "1h")]
    window: Duration,
    /// How long windows of users are.
    #[arg(long, value_parser = duration, default_value = "30m")]
    user_window: Duration,
    /// How long a user has to do nothing for a session to be over.
    #[arg(long, value_parser = duration, default_value = "30m")]
    gap: Duration,
    /// How far events are out of order, at most, not to be late.
    #[arg(long, value_parser = duration, default_value = "10m")]
    watermark_delay: Duration,
    /// A partition without events for so long does not hold windows open any more; with
    /// --until-caught-up all are waited for.
    #[arg(long, value_parser = duration, default_value = "1m")]
    idle_after: Duration,
}

fn topology(options: &Options) -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<(), Event>::new()
        .timestamp(|_, event| Some(event.timestamp))
        .timestamp_bounds(EARLIEST..=LATEST)
        .watermark_delay(options.watermark_delay)
        .on_bad_record(OnBadRecord::DeadLetter(DEAD.into()));
    let events = builder.stream_with([&*options.input], consumed);

    let by_type = events.group_by(|_, event| event.event_type.clone());
    let of_type = windows(&by_type, options.window);
    let _ = of_type.materialized(BY_TYPE);
    late(&of_type, BY_TYPE, 0);
    of_type.values().map(OfType::of).to(BY_TYPE);

    let by_user = events.group_by(|_, event| event.user_id.clone());
    let of_user = windows(&by_user, options.user_window);
    let _ = of_user.materialized(BY_USER);
    late(&of_user, BY_USER, 0);
    of_user
        .values()
        .map(|key, stats| OfUser::of(key, &stats, 0))
        .to(BY_USER);

    let gap = i64::try_from(options.gap.as_millis()).unwrap_or(i64::MAX);
    let sessions = by_user.windowed_by_session(SessionWindows::with_gap(options.gap));
    let sessions = sessions.aggregate(
        Fold::new(
            Stats::default,
            |_: &String, event: Event, stats: &mut Stats| {
                stats.add(&event);
            },
        )
        .merging(|_: &String, stats: &mut Stats, other: Stats| stats.merge(&other)),
    );
    let _ = sessions.materialized(SESSIONS);
    late(&sessions, SESSIONS, gap);
    let results = sessions.values();
    results
        .map(move |key, stats| OfUser::of(key, &stats, gap))
        .to(SESSIONS);
    builder.build()
}

fn windows(
    grouped: &GroupedStream<String, Event>,
    size: Duration,
) -> WindowedTable<String, Event, Stats> {
    let windows = grouped.windowed_by(TimeWindows::tumbling(size));
    windows.aggregate(Fold::new(
        Stats::default,
        |_: &String, event: Event, stats: &mut Stats| stats.add(&event),
    ))
}

/// Tells which events one of the outputs had to leave out.
fn late(table: &WindowedTable<String, Event, Stats>, output: &'static str, gap: i64) {
    let late = table.late();
    late.map(move |_, late| LateEvent::of(late, output, gap))
        .to(LATE);
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let topology = topology(&options)?;
    let cluster = Cluster::of(&options.common).await?;
    let outputs = [BY_TYPE, BY_USER, SESSIONS, LATE, DEAD];
    cluster.make_topics(&[&options.input]).await?;
    cluster.make_topics(&outputs).await?;
    cluster.write_samples(&options.input, SAMPLES).await?;
    let mut config = cluster.config(&options.common, "event-windows");
    if !options.common.until_caught_up {
        config = config.idle_after(options.idle_after);
    }
    let common = &options.common;
    cluster
        .run(common, &topology, config, &outputs, |_| Ok(()))
        .await
}

/// Three events, one out of order, one that is late when the day has moved on, and one that is none.
const SAMPLES: [(&str, &str); 7] = [
    (
        "user1",
        r#"{"user_id":"user1","event_type":"click","value":1.0,"timestamp":"2023-01-01T10:00:00"}"#,
    ),
    (
        "user2",
        r#"{"user_id":"user2","event_type":"purchase","value":99.99,"timestamp":"2023-01-01 10:01:00"}"#,
    ),
    (
        "user1",
        r#"{"user_id":"user1","event_type":"view","value":0.0,"timestamp":1672567320000}"#,
    ),
    (
        "user1",
        r#"{"user_id":"user1","event_type":"click","value":2.5,"timestamp":"2023-01-01T09:59:30"}"#,
    ),
    (
        "user2",
        r#"{"user_id":"user2","event_type":"click","value":0.1,"timestamp":"2023-01-01T12:30:00"}"#,
    ),
    (
        "user3",
        r#"{"user_id":"user3","event_type":"click","value":7.0,"timestamp":"2023-01-01T10:05:00"}"#,
    ),
    ("user3", r#"{"user_id":"user3","event_type":"#),
];
