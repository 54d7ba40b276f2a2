//! `real_time_analytics`, checked against a translation of the Python class that it stands for.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use integration_tests::harness::http::get;
use integration_tests::harness::wait;
use serde_json::{Value, json};

use super::{Running, client, read_json, run, write_values};
use crate::support::make;

/// Works the statistics out, event by event.
#[derive(Default)]
struct Analytics {
    users: BTreeMap<String, Vec<(String, Value)>>,
    counts: BTreeMap<String, i64>,
}

impl Analytics {
    fn process(&mut self, event: &Value) -> Option<(String, Value)> {
        let text = |name: &str| event[name].as_str().filter(|text| !text.is_empty());
        let (user, kind) = (text("user_id")?, text("event_type")?);
        *self.counts.entry(kind.to_owned()).or_default() += 1;
        let recent = self.users.entry(user.to_owned()).or_default();
        recent.push((kind.to_owned(), event["timestamp"].clone()));
        if recent.len() > 10 {
            recent.remove(0);
        }
        let kinds: BTreeSet<&String> = recent.iter().map(|(kind, _)| kind).collect();
        let analytics = json!({
            "user_id": user,
            "total_events": recent.len(),
            "event_types": kinds,
            "last_event": kind,
            "last_timestamp": event["timestamp"],
            "global_event_counts": self.counts,
        });
        Some((user.to_owned(), analytics))
    }

    fn stats(&self) -> Value {
        json!({
            "total_users": self.users.len(),
            "total_events_processed": self.counts.values().sum::<i64>(),
            "event_type_distribution": self.counts,
            "active_users": self.users.values().filter(|events| !events.is_empty()).count(),
        })
    }
}

const KINDS: [&str; 4] = ["login", "view", "purchase", "logout"];

fn events() -> Vec<Value> {
    let mut events: Vec<Value> = (0..60)
        .map(|at| {
            json!({
                "user_id": format!("user{}", at * at % 5),
                "event_type": KINDS[at * 7 % 9 % 4],
                "timestamp": format!("2023-01-01T10:{at:02}:00"),
            })
        })
        .collect();
    events.push(json!({ "user_id": "", "event_type": "view", "timestamp": 1 }));
    events.push(json!({ "user_id": "user1", "timestamp": 2 }));
    events.push(json!({ "user_id": "user9", "event_type": "view", "more": [1] }));
    events
}

async fn stats(address: &str) -> Value {
    let address = address.to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        wait::until("the statistics", || {
            Some(get(&address, "/stats")).filter(|answer| answer.status == 200)
        })
    });
    serde_json::from_str(&answer.await.unwrap().body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_makes_statistics_on_any_cluster() {
    for_each_cluster(async |cluster| {
        let client = client(cluster);
        let (input, output) = (unique("events"), unique("analytics"));
        make(&client, &[(&input, 1)]).await;
        let mut texts: Vec<String> = events().iter().map(Value::to_string).collect();
        texts.insert(5, "not an event".to_owned());
        let values: Vec<(i32, Option<&[u8]>)> = texts
            .iter()
            .map(|text| (0, Some(text.as_bytes())))
            .collect();
        write_values(&client, &input, &values).await;
        let bootstrap = cluster.bootstrap();
        let arguments = [
            "--bootstrap",
            &bootstrap,
            "--input",
            &input,
            "--output",
            &output,
            "--listen",
            "127.0.0.1:0",
            "--application",
            &unique("analyst"),
            "--until-caught-up",
        ];
        run("real_time_analytics", &arguments).await;
        let mut model = Analytics::default();
        let expected: Vec<_> = events()
            .iter()
            .filter_map(|event| model.process(event))
            .collect();
        let mut told = read_json(&client, &output).await;
        // The output may have several partitions: those of a user are in one of them.
        let total = |(_, value): &(String, Value)| -> i64 {
            let counts = value["global_event_counts"].as_object().unwrap().values();
            counts.map(|count| count.as_i64().unwrap()).sum()
        };
        told.sort_by_key(total);
        assert_eq!(told, expected);
    })
    .await;
}

/// Whatever the partitions, counts are over all events, and current ones are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn current_statistics_are_served() {
    let cluster = Cluster::tidemark(&[]).await;
    let client = client(&cluster);
    make(&client, &[("user_events", 3), ("analytics_output", 1)]).await;
    let texts: Vec<String> = events().iter().map(Value::to_string).collect();
    let values: Vec<(i32, Option<&[u8]>)> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (at as i32 % 3, Some(text.as_bytes())))
        .collect();
    let mut model = Analytics::default();
    for (part, all) in values.chunks(40).zip(events().chunks(40)) {
        let bootstrap = cluster.bootstrap();
        let arguments = ["--bootstrap", &bootstrap, "--listen", "127.0.0.1:0"];
        let running = Running::start("real_time_analytics", &arguments);
        let address = running.line("statistics: http://");
        let address = address.strip_suffix("/stats").unwrap().to_owned();
        // A second run begins with what the first one has kept.
        assert_eq!(stats(&address).await, model.stats());
        write_values(&client, "user_events", part).await;
        all.iter().for_each(|event| drop(model.process(event)));
        let expected = model.stats();
        let probe = tokio::task::spawn_blocking(move || {
            wait::until("all to be counted", || {
                let answer = get(&address, "/stats");
                let told: Value = serde_json::from_str(&answer.body).ok()?;
                (told == expected).then_some(())
            });
            running.interrupt();
        });
        probe.await.unwrap();
    }
    let told = read_json(&client, "analytics_output").await;
    let last = &told.last().unwrap().1["global_event_counts"];
    assert_eq!(*last, json!(model.counts));
    for (at, (_, value)) in told.iter().enumerate() {
        let counts = value["global_event_counts"].as_object().unwrap().values();
        let sum: i64 = counts.map(|count| count.as_i64().unwrap()).sum();
        assert_eq!(sum, at as i64 + 1);
    }
    cluster.stop().await;
}
