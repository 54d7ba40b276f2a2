//! Stores, tasks and figures, in process and over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::harness::http::{Answer, get};
use serde_json::{Value, json};
use tidemark_streams::query::QueryError;
use tidemark_streams::time::{SessionWindows, TimeWindows};
use tidemark_streams::{Consumed, Streams, StreamsBuilder, StreamsError, Topology};

use crate::support::{config, started, until, write};

/// Counts records by key: all, by minute, and by session; nothing closes.
fn counts() -> Topology {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<String, String>::new().watermark_delay(Duration::from_secs(3600));
    let stream = builder.stream_with(["in"], consumed).group_by_key();
    let _ = stream.count().materialized("all");
    let minutes = TimeWindows::tumbling(Duration::from_secs(60));
    let _ = stream.windowed_by(minutes).count().materialized("minutes");
    let sessions = SessionWindows::with_gap(Duration::from_secs(10));
    let _ = stream
        .windowed_by_session(sessions)
        .count()
        .materialized("sessions");
    builder.build().unwrap()
}

/// Gets a page of an application's.
async fn page(streams: &Streams, path: &str) -> Answer {
    let address = streams.http_address().unwrap().to_string();
    let path = path.to_owned();
    let got = tokio::task::spawn_blocking(move || get(&address, &path));
    got.await.unwrap()
}

/// Gets JSON, with its status.
async fn ask(streams: &Streams, path: &str) -> (u16, Value) {
    let answer = page(streams, path).await;
    assert!(
        answer.head.contains("application/json"),
        "{path}: {}",
        answer.head
    );
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_are_read_over_http() {
    let (_dir, broker, client) = started(&[("in", 2)]).await;
    let record = |key: &str, at: i64| (key.to_owned(), "x".to_owned(), at);
    let records = [
        record("ada", 1000),
        record("bob/ö", 2000),
        record("ada", 61_000),
        record("eve", 3000),
        record("ada", 2000),
    ];
    write(&client, "in", records).await;
    let config = config(&broker, "counts").http("127.0.0.1:0");
    let streams = Streams::start(&counts(), config).await.unwrap();
    let all = streams.store("all").unwrap();
    let all = all.key_value::<String, i64>().unwrap();
    until("all to be counted", || {
        let counted = all.all().unwrap_or_default();
        counted.iter().map(|(_, count)| count).sum::<i64>() == 5
    })
    .await;
    let bob = "bob%2F%C3%B6";
    let cases = [
        (
            "/stores/all/keys/ada",
            200,
            json!({ "key": "ada", "value": 3, "timestamp": 61_000 }),
        ),
        (
            &*format!("/stores/all/keys/{bob}"),
            200,
            json!({ "key": "bob/ö", "value": 1, "timestamp": 2000 }),
        ),
        (
            "/stores/all/keys/nobody",
            404,
            json!({ "error": "store \"all\" has no key \"nobody\"" }),
        ),
        (
            "/stores/al/keys/ada",
            404,
            json!({ "error": "there is no store \"al\"; there are: all, minutes, sessions" }),
        ),
        (
            "/stores/minutes/keys/ada",
            400,
            json!({ "error": "store \"minutes\" is a window store, not a key-value store" }),
        ),
        (
            "/stores/all/range?from=b&limit=1",
            200,
            json!({
                "store": "all",
                "rows": [{ "key": "bob/ö", "value": 1, "timestamp": 2000 }],
                "more": true,
            }),
        ),
        (
            &*format!("/stores/all/range?after={bob}"),
            200,
            json!({
                "store": "all",
                "rows": [{ "key": "eve", "value": 1, "timestamp": 3000 }],
                "more": false,
            }),
        ),
        (
            "/stores/all/range?to=a",
            200,
            json!({ "store": "all", "rows": [], "more": false }),
        ),
        (
            "/stores/all/range?limit=0",
            400,
            json!({ "error": "limit: 1 to 10000" }),
        ),
        (
            "/stores/all/range?form=a",
            400,
            json!({ "error": "form: there are only from, to, after, limit, next" }),
        ),
        (
            "/stores/minutes/windows/ada?from=1",
            200,
            json!({
                "store": "minutes",
                "rows": [{
                    "key": "ada",
                    "value": 1,
                    "timestamp": 61_000,
                    "window": { "start": 60_000, "end": 120_000 },
                }],
                "more": false,
            }),
        ),
        (
            "/stores/minutes/windows?to=0&limit=1",
            200,
            json!({
                "store": "minutes",
                "rows": [{
                    "key": "ada",
                    "value": 2,
                    "timestamp": 2000,
                    "window": { "start": 0, "end": 60_000 },
                }],
                "more": true,
            }),
        ),
        (
            "/stores/minutes/windows/ada?from=noon",
            400,
            json!({
                "error": "from: milliseconds since 1970 are expected: invalid digit found in string",
            }),
        ),
        (
            "/stores/sessions/sessions/ada?to=50000",
            200,
            json!({
                "store": "sessions",
                "rows": [{
                    "key": "ada",
                    "value": 2,
                    "timestamp": 2000,
                    "window": { "start": 1000, "end": 2000 },
                }],
                "more": false,
            }),
        ),
        (
            "/nothing",
            404,
            json!({ "error": "there is no /nothing; / lists what there is" }),
        ),
    ];
    for (path, status, expected) in cases {
        let (got, mut told) = ask(&streams, path).await;
        let next = told.as_object_mut().unwrap().remove("next");
        assert_eq!(next.is_some(), told["more"] == true, "{path}");
        assert_eq!((got, &told), (status, &expected), "{path}");
    }
    // Page by page there is the same as at once.
    for path in [
        "/stores/all/range",
        "/stores/minutes/windows",
        "/stores/minutes/windows/ada",
        "/stores/sessions/sessions",
    ] {
        let (_, whole) = ask(&streams, &format!("{path}?limit=100")).await;
        let (mut rows, mut next) = (Vec::new(), String::new());
        loop {
            let (status, page) = ask(&streams, &format!("{path}?limit=1{next}")).await;
            assert_eq!(status, 200, "{page}");
            rows.extend(page["rows"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(behind) => next = format!("&next={behind}"),
                None => break,
            }
        }
        assert!(rows.len() > 1, "{path}: {whole}");
        assert_eq!(whole["rows"], json!(rows), "{path}");
    }
    let (status, told) = ask(&streams, "/stores/all/range?next=!").await;
    assert_eq!(status, 400, "{told}");
    let (_, stores) = ask(&streams, "/stores").await;
    let stores = stores["stores"].as_array().unwrap();
    assert_eq!(stores[0]["name"], "all");
    assert_eq!(stores[0]["kind"], "key-value");
    assert_eq!(stores[0]["entries"], 3);
    assert_eq!(stores[0]["tasks"], json!(["0_0", "0_1"]));
    assert_eq!(stores[2]["kind"], "sessions");
    let (_, tasks) = ask(&streams, "/tasks").await;
    let inputs = tasks["tasks"].as_array().unwrap().iter();
    let inputs: Vec<&Value> = inputs.map(|task| &task["inputs"][0]).collect();
    let sum = |what: &str| {
        inputs
            .iter()
            .map(|input| input[what].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!((sum("position"), sum("end"), sum("lag")), (5, 5, 0));
    assert_eq!(tasks["restoring"], json!([]));
    let (status, health) = ask(&streams, "/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("running")));
    let drawn = page(&streams, "/topology").await;
    assert!(drawn.body.starts_with("subtopology 0\n"), "{}", drawn.body);
    let drawn = page(&streams, "/topology?as=mermaid").await;
    assert!(drawn.body.starts_with("flowchart"), "{}", drawn.body);
    assert_eq!(page(&streams, "/topology?as=svg").await.status, 400);
    streams.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_read_where_its_task_runs() {
    let (_dir, broker, client) = started(&[("in", 2)]).await;
    let keys: Vec<String> = (0..20).map(|at| format!("key{at}")).collect();
    let records = keys.iter().map(|key| (key.clone(), "x".to_owned(), 1000));
    write(&client, "in", records).await;
    let topology = counts();
    let start = || Streams::start(&topology, config(&broker, "counts").http("127.0.0.1:0"));
    let (one, two) = (start().await.unwrap(), start().await.unwrap());
    until("the tasks to be shared", || {
        one.tasks().len() == 1 && two.tasks().len() == 1
    })
    .await;
    let reader = |streams: &Streams| {
        let all = streams.store("all").unwrap();
        all.key_value::<String, i64>().unwrap()
    };
    let (first, second) = (reader(&one), reader(&two));
    until("all to be counted", || {
        let counted = |all: &tidemark_streams::query::KeyValueReader<'_, String, i64>| {
            all.all().map(|all| all.len()).unwrap_or_default()
        };
        counted(&first) + counted(&second) == 20
    })
    .await;
    for key in &keys {
        let (here, there) = (first.get(key), second.get(key));
        let (found, elsewhere) = if here.is_ok() {
            (here, there)
        } else {
            (there, here)
        };
        assert_eq!(found, Ok(Some(1)), "{key}");
        assert!(
            matches!(&elsewhere, Err(QueryError::Elsewhere { task, .. }) if task.subtopology == 0),
            "{key}: {elsewhere:?}"
        );
        let path = format!("/stores/all/keys/{key}");
        let mut told = [ask(&one, &path).await.0, ask(&two, &path).await.0];
        told.sort_unstable();
        assert_eq!(told, [200, 421]);
    }
    two.close(Duration::from_secs(60)).await.unwrap();
    until("one to have them all", || {
        first.all().is_ok_and(|all| all.len() == 20)
    })
    .await;
    assert_eq!(
        second.all(),
        Err(QueryError::NoTask {
            store: "all".to_owned()
        })
    );
    one.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_ends_the_start() {
    let (_dir, broker, _client) = started(&[("in", 1)]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = config(&broker, "counts").http(&address);
    let failed = Streams::start(&counts(), config).await.err().unwrap();
    let StreamsError::Http { address: told, .. } = &failed else {
        panic!("{failed}");
    };
    assert_eq!(*told, address);
    broker.shutdown().await.unwrap();
}

/// A line of the text format.
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Reads Prometheus' text format, and complains of what is not it.
fn samples(text: &str) -> Vec<Sample> {
    let mut family: Option<(String, String)> = None;
    let mut seen = BTreeSet::new();
    let mut helped = String::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.'), "{line}");
            helped = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped);
            assert!(seen.insert(name.to_owned()), "{name} is there twice");
            family = Some((name.to_owned(), kind.to_owned()));
            continue;
        }
        let (front, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match front.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (front, ""),
        };
        let (own, kind) = family.as_ref().unwrap();
        match &**kind {
            "histogram" => {
                let suffix = name.strip_prefix(&**own).unwrap();
                assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            }
            "counter" => assert!(name == own && name.ends_with("_total"), "{line}"),
            "gauge" => assert_eq!(name, own),
            other => panic!("{other}"),
        }
        let labels = labels.split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            (name.to_owned(), value.to_owned())
        });
        samples.push(Sample {
            name: name.to_owned(),
            labels: labels.collect(),
            value: value.parse().unwrap(),
        });
    }
    samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_prometheus_text() {
    let (_dir, broker, client) = started(&[("in", 1)]).await;
    let record = |at: i64| ("k".to_owned(), "x".to_owned(), at);
    write(
        &client,
        "in",
        [record(1000), record(7_200_000), record(2000)],
    )
    .await;
    let config = config(&broker, "counts").http("127.0.0.1:0");
    let streams = Streams::start(&counts(), config).await.unwrap();
    let find = |name: &str, labels: &[(&str, &str)]| {
        let samples = samples(&streams.metrics());
        let found = samples.into_iter().find(|sample| {
            let mut wanted = labels.iter();
            sample.name == format!("tidemark_streams_{name}")
                && wanted.all(|(name, value)| {
                    let mut own = sample.labels.iter();
                    own.any(|(own, is)| own == name && is == value)
                })
        });
        found.map(|sample| sample.value)
    };
    let partition = [("task", "0_0"), ("topic", "in"), ("partition", "0")];
    until("all to be counted and committed", || {
        find("records_in_total", &[]) == Some(3.0)
            && find("lag_records", &partition) == Some(0.0)
            && find("commit_latency_seconds_count", &[]) >= Some(2.0)
    })
    .await;
    let task = [("task", "0_0")];
    // An hour behind the largest timestamp, and one millisecond.
    let watermark = find("watermark_milliseconds", &task);
    assert_eq!(watermark, Some(3_599_999.0));
    assert!(find("event_time_lag_milliseconds", &task) > Some(1e12));
    // Too late for its minute and for a session of its own.
    let late = [("task", "0_0"), ("reason", "late")];
    assert_eq!(find("dropped_records_total", &late), Some(2.0));
    let store = [("task", "0_0"), ("store", "all")];
    assert_eq!(find("state_keys", &store), Some(1.0));
    assert!(find("state_bytes", &store) > Some(0.0));
    assert_eq!(find("waiting_records", &partition), Some(0.0));
    let infinite = find("commit_latency_seconds_bucket", &[("le", "+Inf")]);
    assert!(infinite >= Some(2.0));
    assert!(find("commit_latency_seconds_sum", &[]).is_some());
    let over_http = page(&streams, "/metrics").await;
    assert!(over_http.head.contains("text/plain; version=0.0.4"));
    let names = |text: &str| -> BTreeSet<String> {
        samples(text)
            .into_iter()
            .map(|sample| sample.name)
            .collect()
    };
    assert_eq!(names(&over_http.body), names(&streams.metrics()));
    streams.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}

/// However large values are, an answer has an end, and says where to go on; so many at once that not all
/// are made together are all answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_come_in_parts() {
    const LARGE: usize = 1_000_000;
    let (_dir, broker, client) = started(&[("in", 2)]).await;
    let builder = StreamsBuilder::new();
    let grouped = builder.stream::<String, String>("in").group_by_key();
    let double = |old: String, _| old;
    let _ = grouped.reduce(double).materialized("all");
    let minutes = TimeWindows::tumbling(Duration::from_secs(60));
    let by_minute = grouped.windowed_by(minutes.allowed_lateness(Duration::from_secs(6000)));
    let _ = by_minute.reduce(double).materialized("minutes");
    let topology = builder.build().unwrap();
    // One key by many minutes, and many keys.
    let at = |at: i64| [("one".to_owned(), at * 60_000), (format!("key{at}"), 0)];
    let values = (0..9).flat_map(at);
    let values = values.map(|(key, at)| (key, "x".repeat(LARGE), at));
    write(&client, "in", values).await;
    let config = config(&broker, "large").http("127.0.0.1:0");
    let streams = Streams::start(&topology, config).await.unwrap();
    let minutes = streams.store("minutes").unwrap();
    let minutes = minutes.windows::<String, String>().unwrap();
    until("all that was written", || {
        minutes.all(..).is_ok_and(|all| all.len() == 18)
    })
    .await;
    for (path, expected) in [
        ("/stores/all/range", 10),
        ("/stores/minutes/windows", 18),
        ("/stores/minutes/windows/one", 9),
    ] {
        let (mut places, mut next, mut most) = (BTreeSet::new(), String::new(), 0);
        loop {
            let (status, page) = ask(&streams, &format!("{path}?limit=100{next}")).await;
            assert_eq!(status, 200);
            let rows = page["rows"].as_array().unwrap();
            most = most.max(rows.len());
            for row in rows {
                assert_eq!(row["value"].as_str().unwrap().len(), LARGE);
                assert!(places.insert(format!("{} {}", row["key"], row["window"])));
            }
            match page["next"].as_str() {
                Some(behind) => next = format!("&next={behind}"),
                None => break,
            }
        }
        // Four rows are a little less than 4 MiB, and the fifth goes beyond.
        assert_eq!((places.len(), most), (expected, 5), "{path}");
    }
    let address = streams.http_address().unwrap().to_string();
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let address = address.clone();
        asked.spawn_blocking(move || get(&address, "/stores/all/range").status);
    }
    assert_eq!(asked.join_all().await, [200; 20]);
    streams.close(Duration::from_secs(60)).await.unwrap();
    broker.shutdown().await.unwrap();
}
