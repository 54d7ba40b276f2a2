//! Records that go to the dead letters, and what these say.

use std::time::Duration;

use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::Client;
use tidemark_client::admin::NewTopic;
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{Consumed, OnBadRecord, StreamsBuilder};

use crate::support::{Raw, catch_up, config_at, make, make_as, read, read_raw, write};

/// 2020 began.
const EARLY: i64 = 1_577_836_800_000;
/// The years 2000 to 2100.
const FIRST: i64 = 946_684_800_000;
const LAST: i64 = 4_102_444_800_000;

/// Timestamps of 1970 and of the far future, as they come of wrong units, move no time on. They go to a
/// topic that brokers look after as after any other: with their own timestamps they would be refused
/// there, or deleted at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_timestamps_go_to_the_dead_letters_and_say_why() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = Client::connect(&bootstrap).unwrap();
        let id = unique("absurd");
        let [input, fields, counts, dead] =
            ["in", "fields", "counts", "dead"].map(|name| format!("{id}-{name}"));
        // Whoever writes the far future has a topic that takes it.
        let takes_all = NewTopic::new(&input)
            .partitions(1)
            .config("message.timestamp.after.max.ms", "9223372036854775807");
        make_as(&client, [takes_all]).await;
        make(&client, &[(&fields, 1), (&counts, 1), (&dead, 1)]).await;
        let builder = StreamsBuilder::new();
        let consumed = || {
            let dead = OnBadRecord::DeadLetter(dead.as_str().into());
            let bounds = FIRST..=LAST;
            Consumed::<String, String>::new()
                .timestamp_bounds(bounds)
                .on_bad_record(dead)
        };
        let hours = || TimeWindows::tumbling(Duration::from_secs(3600));
        let own = builder.stream_with([&*input], consumed());
        own.group_by_key()
            .windowed_by(hours())
            .count()
            .values()
            .to(&counts);
        let by_field = consumed().timestamp(|_, value| value.parse().ok());
        let by_field = builder.stream_with([&*fields], by_field);
        by_field
            .group_by_key()
            .windowed_by(hours())
            .count()
            .values()
            .to(&counts);
        let topology = builder.build().unwrap();

        let producer = client.producer(ProducerConfig::new()).unwrap();
        let far = 95_617_584_000_000;
        for (value, timestamp) in [("a", EARLY), ("b", 5), ("c", far), ("d", EARLY + 1000)] {
            let record = ProducerRecord::to(input.clone())
                .key("k")
                .value(value)
                .header("trace", value)
                .timestamp(timestamp);
            producer.send(&record).await.unwrap().await.unwrap();
        }
        let values = [
            EARLY.to_string(),
            "7".to_owned(),
            "soon".to_owned(),
            EARLY.to_string(),
        ];
        write(
            &client,
            &fields,
            values.map(|value| ("f".to_owned(), value, EARLY)),
        )
        .await;
        catch_up(&topology, config_at(&bootstrap, &id)).await;

        let mut found = read::<Windowed<String>, i64>(&client, &counts).await;
        found.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        let found: Vec<_> = found
            .iter()
            .map(|(k, n)| (&*k.key, k.window.start, *n))
            .collect();
        assert_eq!(found, [("f", EARLY, 2), ("k", EARLY, 2)]);

        let mut letters = read_raw(&client, &dead).await;
        letters.sort_by_key(|letter| {
            (
                header(letter, "tidemark.topic"),
                header(letter, "tidemark.offset"),
            )
        });
        let told: Vec<_> = letters.iter().map(|letter| told(letter, &id)).collect();
        let bounds = "is not between 946684800000 and 4102444800000";
        assert_eq!(
            told,
            [
                format!("f=7 fields-0@1: its timestamp 7 {bounds}"),
                "f=soon fields-0@2: it has no time in its payload".to_owned(),
                format!("k=b in-0@1: its timestamp 5 {bounds}"),
                format!("k=c in-0@2: its timestamp {far} {bounds}"),
            ]
        );
        // Those whose own timestamps are fine keep them.
        assert_eq!(letters[0].timestamp, EARLY);
        assert_eq!(letters[1].timestamp, EARLY);
        for (letter, (value, own)) in letters[2..].iter().zip([("b", 5), ("c", far)]) {
            assert_eq!(header(letter, "trace"), value);
            assert_eq!(header(letter, "tidemark.timestamp"), own.to_string());
            let now = tidemark_client::Clock::system().now().wall;
            assert!((now - letter.timestamp).abs() < 86_400_000, "{letter:?}");
        }
    })
    .await;
}

fn header(letter: &Raw, name: &str) -> String {
    let found = letter.headers.iter().find(|(own, _)| own == name);
    let value = found
        .and_then(|(_, value)| value.clone())
        .unwrap_or_default();
    String::from_utf8(value).unwrap()
}

/// Key, value, where it was and why.
fn told(letter: &Raw, id: &str) -> String {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    let topic = header(letter, "tidemark.topic");
    format!(
        "{}={} {}-{}@{}: {}",
        text(&letter.key),
        text(&letter.value),
        topic.strip_prefix(&format!("{id}-")).unwrap(),
        header(letter, "tidemark.partition"),
        header(letter, "tidemark.offset"),
        header(letter, "tidemark.reason"),
    )
}
