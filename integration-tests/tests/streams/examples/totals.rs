//! `user_totals`: the view of the document's Lambda architecture, over HTTP, through snapshots and restarts.

use std::collections::BTreeMap;
use std::path::Path;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use integration_tests::harness::http::get;
use integration_tests::harness::wait;
use serde_json::{Value, json};

use super::{Running, client, write_values};
use crate::support::make;

const USERS: usize = 7;

/// Events of some users, in the order of time, and one of each kind that the view cannot read.
fn events(part: usize) -> Vec<String> {
    let mut events: Vec<String> = (0..60)
        .map(|number| {
            let at = part * 60 + number;
            json!({
                "user_id": format!("user{}", number % USERS),
                "event": "purchase",
                "value": (number as f64 * 0.1 * 10.0).round() / 10.0,
                "timestamp": format!("2023-01-01T10:{:02}:{:02}", at / 60, at % 60),
            })
            .to_string()
        })
        .collect();
    events.push("not an event".to_owned());
    events.push(json!({ "event": "login", "timestamp": 5 }).to_string());
    events
}

/// What the view has to say of each user.
#[derive(Default)]
struct Model(BTreeMap<String, Vec<Value>>);

impl Model {
    fn add(&mut self, event: &str) {
        let Ok(event) = serde_json::from_str::<Value>(event) else {
            return;
        };
        if let Some(user) = event["user_id"].as_str() {
            self.0.entry(user.to_owned()).or_default().push(event);
        }
    }

    fn value(&self, user: &str) -> Value {
        let events = &self.0[user];
        let tenths = events
            .iter()
            .map(|event| event["value"].as_f64().unwrap() * 10.0);
        let sum = tenths.map(|tenths| tenths.round() as i64).sum::<i64>();
        let number = match sum % 10 {
            0 => json!(sum / 10),
            _ => json!(sum as f64 / 10.0),
        };
        let last = &events.last().unwrap()["timestamp"];
        json!({
            "total_events": events.len(),
            "total_value": number,
            "first_event": events[0]["timestamp"],
            "last_event": last,
            "recent_events": events.len(),
            "last_event_time": last,
        })
    }
}

fn start(bootstrap: &str, input: &str, dir: &Path) -> (Running, String) {
    let (snapshots, state) = (dir.join("snapshots"), dir.join("state"));
    let arguments = [
        "--bootstrap",
        bootstrap,
        "--input",
        input,
        "--listen",
        "127.0.0.1:0",
        "--snapshots",
        snapshots.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
        "--batch-every",
        "200ms",
        "--cut-every",
        "100ms",
    ];
    let running = Running::start("user_totals", &arguments);
    let address = running.line("views: http://");
    (running, address.strip_suffix("/views").unwrap().to_owned())
}

fn json_of(address: &str, path: &str) -> Option<Value> {
    let answer = get(address, path);
    (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
}

/// Each answer is that of the model, and some snapshot has everything.
fn check(address: &str, input: &str, model: &Model, records: [usize; 3]) -> u64 {
    let at_least = records.iter().zip(0..);
    let at_least = at_least.map(|(records, partition)| format!("{input}:{partition}:{records}"));
    let at_least = at_least.collect::<Vec<_>>().join(",");
    for user in model.0.keys() {
        let path = format!("/views/user_totals/keys/{user}?parts=true&at_least={at_least}");
        let answer = wait::until("an answer", || json_of(address, &path));
        assert_eq!(answer["key"], **user);
        assert_eq!(answer["value"], model.value(user), "{answer}");
        for (partition, records) in records.iter().enumerate() {
            assert_eq!(answer["coverage"][input][partition.to_string()], *records);
        }
    }
    wait::until("a snapshot with all of it", || {
        let view = json_of(address, "/views/user_totals")?;
        let covered = |(partition, records): (usize, &usize)| {
            view["snapshot"]["coverage"][input][partition.to_string()] == *records
        };
        let all = records.iter().enumerate().all(covered);
        (all && view["problem"].is_null()).then(|| view["snapshot"]["id"].as_u64().unwrap())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_exact_on_any_cluster() {
    for_each_cluster(async |cluster| {
        let client = client(cluster);
        let input = unique("user-events");
        make(&client, &[(&input, 3)]).await;
        let dir = tempfile::tempdir().unwrap();
        let (mut model, mut records) = (Model::default(), [0; 3]);
        let mut last = 0;
        for part in 0..3 {
            let texts = events(part);
            let values = texts.iter().enumerate();
            let values: Vec<(i32, Option<&[u8]>)> = values
                .map(|(at, text)| (at as i32 % 3, Some(text.as_bytes())))
                .collect();
            for (text, (partition, _)) in texts.iter().zip(&values) {
                model.add(text);
                records[*partition as usize] += 1;
            }
            let (bootstrap, input_name) = (cluster.bootstrap(), input.clone());
            let folder = dir.path().to_owned();
            // Every other time it is there already when the events come.
            if part == 1 {
                write_values(&client, &input, &values).await;
            }
            let started =
                tokio::task::spawn_blocking(move || start(&bootstrap, &input_name, &folder));
            let (running, address) = started.await.unwrap();
            if part != 1 {
                write_values(&client, &input, &values).await;
            }
            let (input_name, at) = (input.clone(), address.clone());
            let (checked, snapshot) = tokio::task::spawn_blocking(move || {
                let snapshot = check(&at, &input_name, &model, records);
                // All of it is in the snapshot: what is newer has nothing.
                for user in model.0.keys() {
                    let path = format!("/views/user_totals/keys/{user}?parts=true");
                    let answer = json_of(&at, &path).unwrap();
                    assert_eq!(answer["value"], model.value(user));
                    assert_eq!(answer["parts"]["batch"], model.value(user));
                    assert_eq!(answer["parts"]["speed"], Value::Null);
                }
                // Once it is killed (kill -9), the other times it is told to end.
                match part {
                    1 => drop(running),
                    _ => running.interrupt(),
                }
                (model, snapshot)
            })
            .await
            .unwrap();
            model = checked;
            assert!(snapshot > last);
            last = snapshot;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_says_why() {
    let probe = tokio::task::spawn_blocking(|| {
        let running = Running::start("user_totals", &["--listen", "127.0.0.1:0"]);
        let address = running.line("views: http://");
        let address = address.strip_suffix("/views").unwrap().to_owned();
        let user = "/views/user_totals/keys/user1";
        let found = wait::until("user1", || json_of(&address, user));
        assert_eq!(found["value"]["total_value"], 99.99);
        let refused = |path: &str| {
            let answer = get(&address, path);
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert!(answer.head.contains("application/json"), "{answer:?}");
            (
                answer.status,
                body["error"]["code"].as_str().unwrap().to_owned(),
            )
        };
        let expected = [
            ("/nothing", 404, "unknown_page"),
            ("/page/other.js", 404, "unknown_page"),
            ("/views/other", 404, "unknown_view"),
            ("/views/other/keys/user1", 404, "unknown_view"),
            ("/views/user_totals/keys/nobody", 404, "unknown_key"),
            ("/views/user_totals/keys/user1?what=1", 400, "bad_parameter"),
            (
                "/views/user_totals/keys/user1?parts=maybe",
                400,
                "bad_parameter",
            ),
            ("/views/user_totals/keys/user1?window=5", 400, "bad_key"),
            (
                "/views/user_totals/keys/user1?at_least=user_events",
                400,
                "bad_coverage",
            ),
            (
                "/views/user_totals/keys/user1?at_least=%7B%22a%22",
                400,
                "bad_coverage",
            ),
            (
                "/views/user_totals/keys/user1?snapshot=77",
                404,
                "unknown_snapshot",
            ),
            (
                "/views/user_totals/keys/user1?snapshot=x",
                400,
                "bad_parameter",
            ),
            ("/views/user_totals/keys/%FF", 400, "bad_parameter"),
            ("/views/user_totals/keys?limit=0", 400, "bad_parameter"),
            ("/views/user_totals/keys?next=%21", 400, "bad_parameter"),
            (
                "/views/user_totals/keys?prefix=u&from=a",
                400,
                "bad_parameter",
            ),
            ("/views/user_totals/many", 400, "bad_parameter"),
            ("/views/user_totals/windows/user1", 400, "bad_key"),
            ("/views/user_totals/top", 400, "bad_parameter"),
            ("/views/user_totals/top?by=nothing", 400, "bad_parameter"),
        ];
        for (path, status, code) in expected {
            assert_eq!(refused(path), (status, code.to_owned()), "{path}");
        }
        // Programs are told what there is; the page that browsers get has its files beside it.
        let pages = json_of(&address, "/").unwrap();
        assert!(pages["pages"].as_array().unwrap().len() > 5);
        let script = get(&address, "/page/page.js");
        assert_eq!(script.status, 200);
        let head = script.head.to_lowercase();
        assert!(head.contains("text/javascript") && head.contains("default-src 'none'"));
        let rows = |path: &str| {
            let page = json_of(&address, path).unwrap();
            let rows = page["rows"].as_array().unwrap().iter();
            rows.map(|row| row["key"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(rows("/views/user_totals/keys"), ["user1", "user2"]);
        assert_eq!(rows("/views/user_totals/keys?prefix=user2"), ["user2"]);
        assert_eq!(
            rows("/views/user_totals/keys?from=user1&to=user2"),
            ["user1"]
        );
        assert_eq!(
            rows("/views/user_totals/top?by=total_events&k=1"),
            ["user1"]
        );
        let first = json_of(&address, "/views/user_totals/keys?limit=1").unwrap();
        let next = first["next"].as_str().unwrap();
        let path = format!("/views/user_totals/keys?limit=1&next={next}");
        assert_eq!(rows(&path), ["user2"]);
        let many = json_of(&address, "/views/user_totals/many?key=user2&key=nobody").unwrap();
        assert_eq!(many["answers"][0]["value"]["total_events"], 1);
        assert_eq!(many["answers"][1]["value"], Value::Null);
        running.interrupt();
    });
    probe.await.unwrap();
}
