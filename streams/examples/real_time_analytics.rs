//! Statistics about the events of users, a new one with each event, and all of them over HTTP.
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example real_time_analytics
//! curl http://127.0.0.1:8080/stats
//! ```
//!
//! runs on a few sample events and a broker of its own until Ctrl-C. With a cluster:
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example real_time_analytics -- --bootstrap 127.0.0.1:9092
//! echo '{"user_id":"user1","event_type":"login","timestamp":"2023-01-01T10:00:00"}' |
//!     kcat -b 127.0.0.1:9092 -P -t user_events
//! kcat -b 127.0.0.1:9092 -C -t analytics_output -f '%k %s\n'
//! ```
//!
//! Each event makes a record in `analytics_output`, the user as its key: how many of the user's last
//! ten events there are and of which types, the last one, and how many events of each type all users
//! have had so far. For the last to be exact whatever the number of partitions, all events go through
//! one partition, and so through one task, wherever it runs. Types are in the order of the alphabet.
//!
//! Events without a user or a type make nothing. What is no event goes to `dead_events` with the
//! reason in its headers. `timestamp` may be anything, and comes out as it was.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidemark_streams::processor::{
    Failure as Refused, KeyValue, Processing, Processor, ProcessorContext, StoreHandle,
};
use tidemark_streams::query::{KeyValueReader, QueryError, StoreReader};
use tidemark_streams::{
    Consumed, OnBadRecord, Record, Repartitioned, Streams, StreamsBuilder, StreamsError, Topology,
};
use tokio::net::TcpListener;

use crate::common::{Cluster, Common, Failure, say};

const DEAD: &str = "dead_events";
const USERS: &str = "users";
const COUNTS: &str = "event_counts";
/// So many events of a user are remembered.
const REMEMBERED: usize = 10;

/// Statistics about the events of users.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// The topic with the events.
    #[arg(long, default_value = "user_events")]
    input: String,
    /// The topic for the statistics.
    #[arg(long, default_value = "analytics_output")]
    output: String,
    /// Where current statistics are served, at /stats.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
}

/// What a user has done.
#[derive(Clone, Deserialize, Serialize)]
struct Event {
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    timestamp: Value,
}

/// What is remembered of an event.
#[derive(Clone, Deserialize, Serialize)]
struct Activity {
    event_type: String,
    timestamp: Value,
}

/// The last events of a user, the earliest first.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
struct Recent(Vec<Activity>);

/// What comes out with each event.
#[derive(Clone, Deserialize, Serialize)]
struct Analytics {
    user_id: String,
    total_events: usize,
    event_types: BTreeSet<String>,
    last_event: String,
    last_timestamp: Value,
    global_event_counts: BTreeMap<String, i64>,
}

tidemark_streams::json_data!(Event, Activity, Recent, Analytics);

/// Keeps what users have done, and counts.
struct Analyst {
    users: StoreHandle<KeyValue<String, Recent>>,
    counts: StoreHandle<KeyValue<String, i64>>,
}

impl Processor<String, Activity, String, Analytics> for Analyst {
    fn process(
        &mut self,
        record: Record<String, Activity>,
        cx: &mut ProcessorContext<'_, String, Analytics>,
    ) -> Result<(), Refused> {
        let (user, activity) = (record.key, record.value);
        let mut users = cx.store(&self.users)?;
        let Recent(mut recent) = users.get(&user)?.unwrap_or_default();
        recent.push(activity.clone());
        let forgotten = recent.len().saturating_sub(REMEMBERED);
        recent.drain(..forgotten);
        users.put(&user, Recent(recent.clone()), record.timestamp)?;
        let mut counts = cx.store(&self.counts)?;
        let count = counts.get(&activity.event_type)?.unwrap_or(0) + 1;
        counts.put(&activity.event_type, count, record.timestamp)?;
        let all = counts.all()?.into_iter();
        let analytics = Analytics {
            user_id: user.clone(),
            total_events: recent.len(),
            event_types: recent.into_iter().map(|event| event.event_type).collect(),
            last_event: activity.event_type,
            last_timestamp: activity.timestamp,
            global_event_counts: all.map(|(name, count, _)| (name, count)).collect(),
        };
        cx.forward(Record::new(user, analytics, record.timestamp));
        Ok(())
    }
}

fn topology(options: &Options) -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let users = builder.add_store(KeyValue::new(USERS));
    let counts = builder.add_store(KeyValue::new(COUNTS));
    let consumed = Consumed::<(), Event>::new().on_bad_record(OnBadRecord::DeadLetter(DEAD.into()));
    let activities = builder
        .stream_with([&*options.input], consumed)
        .flat_map(|_, event| {
            let user = event.user_id.filter(|user| !user.is_empty())?;
            let event_type = event.event_type.filter(|kind| !kind.is_empty())?;
            let timestamp = event.timestamp;
            Some((
                user,
                Activity {
                    event_type,
                    timestamp,
                },
            ))
        });
    let processing = Processing::new().store(&users).store(&counts).keeps_keys();
    activities
        .repartition_with(Repartitioned::new().named("all").partitions(1))
        .process_with(processing, move || Analyst {
            users: users.clone(),
            counts: counts.clone(),
        })
        .to(&options.output);
    builder.build()
}

/// The current statistics.
#[derive(Clone)]
struct Current {
    users: StoreReader<'static>,
    counts: KeyValueReader<'static, String, i64>,
}

impl Current {
    fn of(streams: &Streams) -> Result<Self, QueryError> {
        Ok(Self {
            users: streams.store(USERS)?,
            counts: streams.store(COUNTS)?.key_value()?,
        })
    }

    fn stats(&self) -> Result<Value, QueryError> {
        let counts: BTreeMap<String, i64> = self.counts.all()?.into_iter().collect();
        let users = self.users.info().entries;
        Ok(json!({
            "total_users": users,
            "total_events_processed": counts.values().sum::<i64>(),
            "event_type_distribution": counts,
            // Whoever is known has done something.
            "active_users": users,
        }))
    }
}

/// The statistics, or why they are not here: the task runs in another instance, or is on its way.
async fn stats(current: Current) -> Response {
    let (status, body) = match tokio::task::spawn_blocking(move || current.stats()).await {
        Ok(Ok(stats)) => (StatusCode::OK, stats),
        Ok(Err(error)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "error": error.to_string() }),
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({ "error": error.to_string() }),
        ),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let topology = topology(&options)?;
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", options.listen))?;
    let cluster = Cluster::of(&options.common).await?;
    cluster
        .make_topics(&[&options.input, &options.output, DEAD])
        .await?;
    cluster.write_samples(&options.input, SAMPLES).await?;
    let config = cluster.config(&options.common, "real-time-analytics");
    let outputs = [&*options.output, DEAD];
    let common = &options.common;
    let serve = |streams: &Streams| {
        let current = Current::of(streams)?;
        let routes = Router::new().route("/stats", get(move || stats(current.clone())));
        say(&format!(
            "statistics: http://{}/stats",
            listener.local_addr()?
        ));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(())
    };
    cluster
        .run(common, &topology, config, &outputs, serve)
        .await
}

/// What users do in a shop, and what is no event.
const SAMPLES: [(&str, &str); 5] = [
    (
        "user1",
        r#"{"user_id":"user1","event_type":"login","timestamp":"2023-01-01T10:00:00"}"#,
    ),
    (
        "user2",
        r#"{"user_id":"user2","event_type":"purchase","timestamp":"2023-01-01T10:01:00"}"#,
    ),
    (
        "user1",
        r#"{"user_id":"user1","event_type":"logout","timestamp":"2023-01-01T10:02:00"}"#,
    ),
    (
        "user3",
        r#"{"user_id":"user3","timestamp":"2023-01-01T10:03:00"}"#,
    ),
    ("user3", "not an event"),
];
