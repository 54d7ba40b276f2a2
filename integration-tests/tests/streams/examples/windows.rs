//! `event_windows`, checked by hand and against plain loops over all events.

use std::collections::BTreeMap;

use integration_tests::harness::cluster::{Cluster, for_each_cluster};
use serde_json::{Value, json};

use super::{client, read_json, run, write_values};
use crate::support::{make, read};

const TEN: i64 = 1_672_567_200_000; // 2023-01-01T10:00:00Z
const MINUTE: i64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_close_on_any_cluster() {
    for_each_cluster(async |cluster| {
        let client = client(cluster);
        make(&client, &[("user_events", 1)]).await;
        let good = |text: &'static str| (0, Some(text.as_bytes()));
        let events = [
            good(r#"{"user_id":"user1","event_type":"click","value":1.0,"timestamp":"2023-01-01 10:00:00"}"#),
            good(r#"{"user_id":"user2","event_type":"purchase","value":99.99,"timestamp":"2023-01-01T10:01:00"}"#),
            good(r#"{"user_id":"user1","event_type":"view","value":0.0,"timestamp":1672567320000}"#),
            good("not JSON"),
            good(r#"{"user_id":"user1","event_type":"click","timestamp":"2023-01-01T12:20:00+02:00"}"#),
            // Out of order, but not late.
            good(r#"{"user_id":"user1","event_type":"click","value":2,"timestamp":"2023-01-01T10:15:00Z"}"#),
            good(r#"{"user_id":"user1","event_type":"click","value":1,"timestamp":"10 o'clock"}"#),
            good(r#"{"event_type":"click","value":1,"timestamp":"2023-01-01T10:15:00"}"#),
            // Seconds that were meant as milliseconds, and a year that is not there yet.
            good(r#"{"user_id":"user1","event_type":"click","value":1,"timestamp":1672567320}"#),
            good(r#"{"user_id":"user1","event_type":"click","value":1,"timestamp":"2523-01-01T10:00:00"}"#),
            good(r#"{"user_id":"user1","event_type":"click","value":1e300,"timestamp":1672567320000}"#),
            (0, None),
            // The watermark comes to 10:59:59.999, and closes the hour.
            good(r#"{"user_id":"user2","event_type":"click","value":0.1,"timestamp":"2023-01-01T11:10:00"}"#),
            good(r#"{"user_id":"user2","event_type":"click","value":5,"timestamp":"2023-01-01T10:59:59.999"}"#),
        ];
        write_values(&client, "user_events", &events).await;
        let bootstrap = cluster.bootstrap();
        let arguments = ["--bootstrap", &bootstrap, "--until-caught-up"];
        assert_eq!(run("event_windows", &arguments).await, "");
        let by_type = |kind: &str, hour: i64, count: u64, total: f64, average: Value| {
            let value = json!({
                "event_type": kind,
                "window_start": TEN + hour * 60 * MINUTE,
                "window_end": TEN + (hour + 1) * 60 * MINUTE,
                "event_count": count,
                "total_value": total,
                "avg_value": average,
            });
            (kind.to_owned(), value)
        };
        let expected = [
            by_type("click", 0, 3, 3.0, json!(1.5)),
            by_type("purchase", 0, 1, 99.99, json!(99.99)),
            by_type("view", 0, 1, 0.0, json!(0.0)),
            by_type("click", 1, 1, 0.1, json!(0.1)),
        ];
        assert_eq!(read_json(&client, "event_windows").await, expected);
        let of_user = |user: &str, window: (i64, i64), count: u64, total: f64, times: (i64, i64)| {
            let value = json!({
                "user_id": user,
                "window_start": TEN + window.0,
                "window_end": TEN + window.1,
                "session_events": count,
                "session_value": total,
                "session_start": TEN + times.0,
                "session_end": TEN + times.1,
            });
            (user.to_owned(), value)
        };
        let half = 30 * MINUTE;
        let expected = [
            of_user("user1", (0, half), 4, 3.0, (0, 20 * MINUTE)),
            of_user("user2", (0, half), 1, 99.99, (MINUTE, MINUTE)),
            of_user("user2", (2 * half, 3 * half), 1, 0.1, (70 * MINUTE, 70 * MINUTE)),
        ];
        assert_eq!(read_json(&client, "user_windows").await, expected);
        // The late event goes on with the session behind it: that is still open.
        let last = 70 * MINUTE;
        let early = 60 * MINUTE - 1;
        let expected = [
            of_user("user2", (MINUTE, MINUTE + half), 1, 99.99, (MINUTE, MINUTE)),
            of_user("user1", (0, 20 * MINUTE + half), 4, 3.0, (0, 20 * MINUTE)),
            of_user("user2", (early, last + half), 2, 5.1, (early, last)),
        ];
        assert_eq!(read_json(&client, "user_sessions").await, expected);
        let late = |output: &str, start: i64| {
            let value = json!({
                "output": output,
                "event": {
                    "user_id": "user2",
                    "event_type": "click",
                    "value": 5.0,
                    "timestamp": TEN + early,
                },
                "window_start": start,
                "window_end": TEN + 60 * MINUTE,
                "watermark": TEN + early,
                "lateness": 1,
                "reason": "window_closed",
            });
            ("user2".to_owned(), value)
        };
        let mut told = read_json(&client, "late_events").await;
        told.sort_by_key(|(_, value)| value["output"].to_string());
        let expected = [late("event_windows", TEN), late("user_windows", TEN + half)];
        assert_eq!(told, expected);
        let dead = read::<Vec<u8>, Option<Vec<u8>>>(&client, "dead_events").await;
        let dead = dead.iter().map(|(_, value)| value.as_deref());
        // Other examples that run on the cluster have a dead letter there, too.
        let dead: Vec<_> = dead.filter(|value| *value != Some(b"not an event")).collect();
        let wrong = [3, 6, 7, 8, 9, 10, 11].map(|at: usize| events[at].1);
        assert_eq!(dead, wrong);
        // What is there has been processed: a second run has nothing to add.
        assert_eq!(run("event_windows", &arguments).await, "");
        assert_eq!(read_json(&client, "event_windows").await.len(), 4);
    })
    .await;
}

/// An event of the model. Values are what floats can hold, as whole numbers of their smallest bit.
#[derive(Clone)]
struct Event {
    user: String,
    kind: String,
    value: Option<f64>,
    at: i64,
}

/// 2^70: times this the values of events are whole numbers.
const SCALE: f64 = 1_180_591_620_717_411_303_424.0;

#[derive(Clone, Default)]
struct Sum {
    count: u64,
    values: u64,
    scaled: i128,
    first: Option<i64>,
    last: i64,
}

impl Sum {
    fn add(&mut self, event: &Event) {
        self.count += 1;
        if let Some(value) = event.value {
            self.values += 1;
            self.scaled += (value * SCALE) as i128;
        }
        self.first = Some(self.first.map_or(event.at, |first| first.min(event.at)));
        self.last = self.last.max(event.at);
    }

    fn total(&self) -> f64 {
        self.scaled as f64 / SCALE
    }
}

/// What has to come out, as sorted lines.
#[derive(Default)]
struct Expected {
    by_type: Vec<String>,
    by_user: Vec<String>,
    sessions: Vec<String>,
    late: Vec<String>,
}

struct Durations {
    window: i64,
    user_window: i64,
    gap: i64,
    delay: i64,
}

/// Goes through all events, one after the other, as if they were in one partition.
fn model(events: &[Event], durations: &Durations) -> Expected {
    let Durations {
        window,
        user_window,
        gap,
        delay,
    } = *durations;
    let mut expected = Expected::default();
    let mut windows: BTreeMap<(&str, &str, i64), Sum> = BTreeMap::new();
    let mut open: Vec<(&str, Vec<&Event>)> = Vec::new();
    let mut over: Vec<(&str, Vec<&Event>)> = Vec::new();
    let mut watermark = i64::MIN;
    let ends = |session: &[&Event]| {
        let times = session.iter().map(|event| event.at);
        (times.clone().min().unwrap(), times.max().unwrap())
    };
    for event in events {
        let fixed = [
            ("event_windows", &event.kind, window),
            ("user_windows", &event.user, user_window),
        ];
        for (output, key, size) in fixed {
            let start = event.at.div_euclid(size) * size;
            if start + size - 1 <= watermark {
                expected.late.push(format!("{output} {} {start}", event.at));
            } else {
                windows.entry((output, key, start)).or_default().add(event);
            }
        }
        let (closed, still): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|(_, session)| ends(session).1 + gap - 1 <= watermark);
        over.extend(closed);
        let (mine, others): (Vec<_>, Vec<_>) = still.into_iter().partition(|(user, session)| {
            let (first, last) = ends(session);
            *user == event.user && first - gap <= event.at && event.at <= last + gap
        });
        open = others;
        if mine.is_empty() && event.at + gap - 1 <= watermark {
            expected
                .late
                .push(format!("user_sessions {} {}", event.at, event.at));
        } else {
            let mut session: Vec<&Event> =
                mine.into_iter().flat_map(|(_, events)| events).collect();
            session.push(event);
            open.push((&event.user, session));
        }
        watermark = watermark.max(event.at - delay - 1);
    }
    for ((output, key, start), sum) in windows {
        let total = sum.total();
        if output == "event_windows" {
            let average = (sum.values > 0).then(|| total / sum.values as f64);
            let end = start + window;
            let line = format!("{key} {start} {end} {} {total:?} {average:?}", sum.count);
            expected.by_type.push(line);
        } else {
            let line = of_user(key, (start, start + user_window), &sum);
            expected.by_user.push(line);
        }
    }
    for (user, session) in over.into_iter().chain(open) {
        let mut sum = Sum::default();
        session.iter().for_each(|event| sum.add(event));
        let (first, last) = ends(&session);
        expected
            .sessions
            .push(of_user(user, (first, last + gap), &sum));
    }
    for lines in [
        &mut expected.by_type,
        &mut expected.by_user,
        &mut expected.sessions,
        &mut expected.late,
    ] {
        lines.sort();
    }
    expected
}

fn of_user(user: &str, (start, end): (i64, i64), sum: &Sum) -> String {
    let (first, last) = (sum.first.unwrap(), sum.last);
    let total = sum.total();
    format!(
        "{user} {start} {end} {} {total:?} {first} {last}",
        sum.count
    )
}

/// Numbers without chance.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Events of some hours, most a little out of order, some by a lot.
fn events(seed: u64, count: u64) -> Vec<Event> {
    let mut numbers = Numbers(seed);
    let all = (0..count).map(|at| {
        let behind = match numbers.next(10) {
            0 => numbers.next(90),
            _ => numbers.next(12),
        };
        let seconds = numbers.next(60);
        let cents = numbers.next(100_000) as f64;
        let (user, kind) = (numbers.next(7), numbers.next(3));
        Event {
            user: format!("user{user}"),
            kind: ["click", "view", "purchase"][kind as usize].to_owned(),
            value: (numbers.next(8) > 0).then_some(cents / 100.0),
            at: TEN + (at as i64 - behind as i64) * MINUTE + seconds as i64 * 1000,
        }
    });
    all.collect()
}

fn written(event: &Event) -> String {
    json!({
        "user_id": event.user,
        "event_type": event.kind,
        "value": event.value,
        "timestamp": event.at,
    })
    .to_string()
}

/// What an example has written, in the model's words.
async fn lines(cluster: &Cluster, topic: &str) -> Vec<String> {
    let records = read_json(&client(cluster), topic).await;
    let mut lines: Vec<String> = Vec::new();
    for (key, value) in records {
        let (start, end) = (&value["window_start"], &value["window_end"]);
        let line = match topic {
            "event_windows" => {
                assert_eq!(value["event_type"], json!(key));
                let total = value["total_value"].as_f64().unwrap();
                let average = value["avg_value"].as_f64();
                let count = &value["event_count"];
                format!("{key} {start} {end} {count} {total:?} {average:?}")
            }
            "late_events" => {
                let output = value["output"].as_str().unwrap();
                format!("{output} {} {start}", value["event"]["timestamp"])
            }
            _ => {
                assert_eq!(value["user_id"], json!(key));
                let total = value["session_value"].as_f64().unwrap();
                let (first, last) = (&value["session_start"], &value["session_end"]);
                let count = &value["session_events"];
                format!("{key} {start} {end} {count} {total:?} {first} {last}")
            }
        };
        lines.push(line);
    }
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_those_of_the_model() {
    // In one partition it is known what is late. In several it is not, so nothing is.
    let cases = [(1, 10 * MINUTE), (4, 24 * 60 * MINUTE)];
    for (partitions, delay) in cases {
        let cluster = Cluster::tidemark(&[]).await;
        let client = client(&cluster);
        make(&client, &[("in", partitions)]).await;
        let events = events(7, 600);
        let texts: Vec<String> = events.iter().map(written).collect();
        let placed: Vec<(i32, Option<&[u8]>)> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| (at as i32 % partitions, Some(text.as_bytes())))
            .collect();
        write_values(&client, "in", &placed).await;
        let bootstrap = cluster.bootstrap();
        let delay_text = format!("{}m", delay / MINUTE);
        let arguments = [
            "--bootstrap",
            &bootstrap,
            "--input",
            "in",
            "--window",
            "45m",
            "--user-window",
            "1200",
            "--gap",
            "6m30s",
            "--watermark-delay",
            &delay_text,
            "--until-caught-up",
        ];
        assert_eq!(run("event_windows", &arguments).await, "");
        let durations = Durations {
            window: 45 * MINUTE,
            user_window: 20 * MINUTE,
            gap: 6 * MINUTE + 30_000,
            delay,
        };
        let expected = model(&events, &durations);
        assert_eq!(expected.late.len() > 20, partitions == 1);
        assert_eq!(lines(&cluster, "event_windows").await, expected.by_type);
        assert_eq!(lines(&cluster, "user_windows").await, expected.by_user);
        assert_eq!(lines(&cluster, "user_sessions").await, expected.sessions);
        assert_eq!(lines(&cluster, "late_events").await, expected.late);
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_close_without_a_cluster() {
    let printed = run("event_windows", &["--until-caught-up"]).await;
    let count = |topic: &str| {
        let lines = printed.lines();
        lines
            .filter(|line| line.split(' ').next() == Some(topic))
            .count()
    };
    let topics = [
        "event_windows",
        "user_windows",
        "user_sessions",
        "late_events",
        "dead_events",
    ];
    assert_eq!(topics.map(count), [5, 4, 3, 3, 1], "{printed}");
}
