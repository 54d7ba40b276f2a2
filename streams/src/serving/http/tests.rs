use std::sync::Weak;
use std::time::Duration;

use axum::body::to_bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidemark_client::ManualClock;
use tokio::sync::Notify;

use super::*;
use crate::data::{Data, Json};
use crate::record::Record;
use crate::serving::aggregate::{Aggregate, Count, Last};
use crate::serving::merged::fixture::site_of;
use crate::serving::merged::{Reader, Site as Merged};
use crate::serving::view::{Keyed, View};

const PATIENCE: Duration = Duration::from_secs(10);

type Event<K> = Json<(K, String)>;

/// The last text of each key.
fn last<K>() -> Last<Event<K>, String>
where
    K: Send + Sync + 'static,
{
    Last::of(|event: &Event<K>| event.0.1.clone())
}

fn site<K, A>(aggregate: A, events: &[(K, String)]) -> Arc<Merged<K, A>>
where
    K: Data + Clone + Serialize + DeserializeOwned,
    A: Aggregate<Event = Event<K>>,
{
    let view = View::new("shown", 1, aggregate).source("events", |record: Record<(), Event<K>>| {
        [Keyed::new(record.value.0.0.clone(), record.value)]
    });
    let events = events.iter();
    let records = events.map(|event| serde_json::to_vec(event).unwrap());
    site_of(view, &[records.collect()])
}

fn texts<K: Clone>(events: &[(K, &str)]) -> Vec<(K, String)> {
    let events = events.iter();
    events
        .map(|(key, text)| (key.clone(), (*text).to_owned()))
        .collect()
}

fn served<K: Data, A: Aggregate>(site: Arc<Merged<K, A>>) -> Site {
    shown(Arc::new(Desk {
        site,
        patience: PATIENCE,
        trouble: Box::new(|| None),
        failed: Box::new(|| None),
    }))
}

fn shown(view: Arc<dyn Served>) -> Site {
    Site {
        views: Arc::new(vec![view]),
        turns: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        clock: Clock::manual(1).0,
    }
}

fn query(text: &str) -> RawQuery {
    RawQuery(Some(text.to_owned()))
}

/// A view's name, and a key.
type Place = (Names<String>, Names<(String, String)>);

fn place(key: &str) -> Place {
    let view = "shown".to_owned();
    (Ok(Path(view.clone())), Ok(Path((view, key.to_owned()))))
}

/// Status and JSON.
async fn read(answer: Result<Response, Refusal>) -> (u16, Value) {
    let answer = answer.into_response();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// What a page answers.
async fn ask(site: &Site, page: &str, text: &str) -> (u16, Value) {
    let (view, key) = place("a");
    let (site, query) = (State(site.clone()), query(text));
    read(match page {
        "key" => one_key(site, key, query).await,
        "many" => many(site, view, query).await,
        "keys" => range(site, view, query).await,
        "windows" => windows(site, key, query).await,
        "top" => top(site, view, query).await,
        "view" => one_view(site, view, query).await,
        "views" => all_views(site, query).await,
        "health" => health(site, query).await,
        "/" => pages(HeaderMap::new(), query).await,
        other => panic!("there is no {other}"),
    })
    .await
}

async fn refused(site: &Site, page: &str, text: &str) -> (u16, String) {
    let (status, body) = ask(site, page, text).await;
    let code = body["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

async fn keys(site: &Site, page: &str, text: &str) -> Vec<Value> {
    let (status, body) = ask(site, page, text).await;
    assert_eq!(status, 200, "{text}: {body}");
    let rows = body["rows"].as_array().unwrap().iter();
    rows.map(|row| row["key"].clone()).collect()
}

#[tokio::test]
async fn the_largest_are_those_that_have_more_digits_than_a_float() {
    let events = texts(&[
        ("a", "9007199254740992"),
        ("b", "9007199254740993"),
        ("c", "10000000000000000.2"),
        ("d", "10000000000000000.1"),
        ("e", "1e400"),
        ("f", "yesterday"),
        ("g", "-1e400"),
    ]);
    let events: Vec<_> = events
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text))
        .collect();
    let site = served(site(last(), &events));
    assert_eq!(keys(&site, "top", "").await, ["e", "c", "d", "b", "a", "g"]);
    let (_, body) = ask(&site, "top", "k=2").await;
    assert_eq!(body["ranked"], 6);
    assert_eq!(body["left_out"], 1);
    assert_eq!(body["by"], Value::Null);
    assert_eq!(body["rows"].as_array().unwrap().len(), 2);
    let (status, body) = ask(&site, "top", "by=total").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &"bad_parameter".into())
    );
}

#[tokio::test]
async fn of_equal_ones_the_first_key_of_the_view_is_first() {
    let events = texts(&[(1_i64, "x"), (-1, "x"), (3, "x"), (-5, "x"), (3, "x")]);
    let site = site(Count::new(), &events);
    let reader = Reader::new(Arc::clone(&site));
    let served = served(site);
    for (k, expected) in [(1, vec![3]), (2, vec![3, -5]), (9, vec![3, -5, -1, 1])] {
        let rows = reader.top(k, |count| *count).unwrap().rows;
        let found: Vec<i64> = rows.into_iter().map(|row| row.key).collect();
        assert_eq!(found, expected);
        assert_eq!(keys(&served, "top", &format!("k={k}")).await, expected);
    }
}

#[tokio::test]
async fn fields_and_places_in_arrays_are_ranked_by() {
    let events = texts(&[("a", "x"), ("b", "x"), ("b", "y"), ("c", "x")]);
    let events: Vec<_> = events
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text))
        .collect();
    let pair = site((Count::new(), last::<String>()), &events);
    assert_eq!(keys(&served(pair), "top", "by=0&k=1").await, ["b"]);
}

/// So that two are more than one answer holds.
fn large() -> Arc<Merged<String, Last<Event<String>, String>>> {
    let text = |number: usize| format!("{number}{}", "0".repeat(3 << 20));
    let events: Vec<_> = ["a", "b", "c", "d", "e"]
        .iter()
        .enumerate()
        .map(|(number, key)| ((*key).to_owned(), text(number + 1)))
        .collect();
    site(last(), &events)
}

#[tokio::test]
async fn a_page_ends_when_it_is_large_and_the_next_one_goes_on() {
    let site = served(large());
    let (mut found, mut next, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (status, body) = ask(&site, "keys", &next).await;
        assert_eq!(status, 200);
        let rows = body["rows"].as_array().unwrap();
        assert!((1..=2).contains(&rows.len()), "{}", rows.len());
        found.extend(rows.iter().map(|row| row["key"].clone()));
        pages += 1;
        match body["next"].as_str() {
            Some(token) => next = format!("next={token}"),
            None => break,
        }
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
    assert!(pages >= 3);
    // A reader in this process gets what it asks for.
    let reader = Reader::new(large());
    assert_eq!(reader.range(.., 99, None).unwrap().rows.len(), 5);
}

#[tokio::test]
async fn the_largest_end_when_they_are_large() {
    let (status, body) = ask(&served(large()), "top", "").await;
    assert_eq!((status, &body["ranked"]), (200, &5.into()));
    let rows = body["rows"].as_array().unwrap().iter();
    let found: Vec<_> = rows.map(|row| row["key"].clone()).collect();
    assert_eq!(found, ["e", "d"]);
}

#[tokio::test]
async fn keys_that_are_too_large_together_are_refused() {
    let site = served(large());
    assert_eq!(ask(&site, "many", "key=a&key=b").await.0, 200);
    let too_large = (400, "too_large".to_owned());
    assert_eq!(refused(&site, "many", "key=a&key=b&key=c").await, too_large);
}

fn small() -> Site {
    let events = ["a", "b", "c", "d"].map(|key| (key.to_owned(), "1".to_owned()));
    served(site(last(), &events))
}

#[tokio::test]
async fn a_page_goes_on_behind_both_its_bounds() {
    let site = small();
    let (_, body) = ask(&site, "keys", "limit=1").await;
    let next = body["next"].as_str().unwrap();
    let text = format!("from=c&next={next}");
    assert_eq!(keys(&site, "keys", &text).await, ["c", "d"]);
    let text = format!("from=a&to=d&next={next}");
    assert_eq!(keys(&site, "keys", &text).await, ["b", "c"]);
    let text = format!("prefix=d&next={next}");
    assert_eq!(keys(&site, "keys", &text).await, ["d"]);
}

#[tokio::test]
async fn what_is_asked_for_in_vain_is_refused_at_once() {
    let site = small();
    let parameter = (400, "bad_parameter".to_owned());
    for page in ["/", "health", "views", "view"] {
        assert_eq!(ask(&site, page, "").await.0, 200, "{page}");
        for text in ["snapshot=3", "at_least=events:0:1", "x"] {
            assert_eq!(refused(&site, page, text).await, parameter, "{page} {text}");
        }
    }
    for (page, text) in [
        ("key", "snapshot="),
        ("key", "window="),
        ("key", "parts="),
        ("keys", "prefix="),
        ("keys", "from="),
        ("keys", "to="),
        ("keys", "next="),
        ("keys", "limit="),
        ("top", "by="),
        ("top", "k="),
        ("many", "key=%FF"),
        ("many", "key=%4"),
    ] {
        assert_eq!(refused(&site, page, text).await, parameter, "{page} {text}");
    }
    let coverage = (400, "bad_coverage".to_owned());
    for at_least in [
        "",
        ",",
        "{}",
        "{\"events\":{}}",
        "events:1:0",
        "events:7:1",
        "other:0:1",
        "{\"events\":{\"0\":1,\"0\":0}}",
    ] {
        for page in ["key", "many", "keys", "top"] {
            let key = if page == "many" { "key=a&" } else { "" };
            let text = format!("{key}at_least={at_least}");
            assert_eq!(refused(&site, page, &text).await, coverage, "{page} {text}");
        }
    }
    assert_eq!(ask(&site, "key", "at_least=events:0:4").await.0, 200);
    assert_eq!(ask(&site, "many", "key=").await.0, 200);
}

#[tokio::test]
async fn a_view_that_panics_says_so() {
    let events = ["a", "b"].map(|key| (key.to_owned(), "1".to_owned()));
    let amiss = last::<String>().map_value(|_| -> u64 { panic!("amiss") });
    let site = served(site(amiss, &events));
    for (page, text) in [("key", ""), ("many", "key=a"), ("keys", ""), ("top", "")] {
        let (status, body) = ask(&site, page, text).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (500, &"internal".into()),
            "{page}"
        );
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.ends_with("amiss"), "{message}");
    }
}

/// What it would answer is not kept up any more.
#[tokio::test]
async fn a_view_that_has_ended_says_why() {
    let inner = site(last(), &texts(&[("a".to_owned(), "1")]));
    let told = Arc::clone(&inner);
    let site = shown(Arc::new(Desk {
        site: Arc::clone(&inner),
        patience: PATIENCE,
        trouble: Box::new(|| None),
        failed: Box::new(move || told.ended().map(str::to_owned)),
    }));
    let pages = [
        ("key", ""),
        ("many", "key=a"),
        ("keys", ""),
        ("top", ""),
        ("health", ""),
    ];
    for (page, text) in pages {
        assert_eq!(ask(&site, page, text).await.0, 200, "{page}");
    }
    inner.end("its topic has gone".to_owned());
    for (page, text) in pages {
        let (status, body) = ask(&site, page, text).await;
        let error = &body["error"];
        assert_eq!((status, &error["code"]), (503, &"failed".into()), "{page}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("its topic has gone"), "{page}: {message}");
    }
    // What there is of it can be looked at.
    assert_eq!(ask(&site, "view", "").await.0, 200);
}

/// A view that never has what is asked for, and tells of something new whenever it is asked. Each time a
/// second passes.
struct Restless {
    changed: Notify,
    hands: ManualClock,
    asked: Mutex<u32>,
    /// There are no more turns once it has been asked.
    turns: Mutex<Weak<Semaphore>>,
}

impl Restless {
    fn site() -> (Arc<Self>, Site) {
        let (clock, hands) = Clock::manual(1);
        let own = Arc::new(Self {
            changed: Notify::new(),
            hands,
            asked: Mutex::default(),
            turns: Mutex::default(),
        });
        let site = Site {
            clock,
            ..shown(Arc::clone(&own) as Arc<dyn Served>)
        };
        (own, site)
    }

    fn answer(&self) -> Result<String, Refusal> {
        *self.asked.lock() += 1;
        self.hands.advance(Duration::from_secs(1));
        self.changed.notify_waiters();
        if let Some(turns) = self.turns.lock().upgrade() {
            turns.close();
        }
        Err(Refusal::behind(&[], Duration::ZERO))
    }
}

impl Served for Restless {
    fn name(&self) -> &str {
        "shown"
    }

    fn topics(&self) -> Vec<(&str, i32)> {
        vec![("events", 1)]
    }

    fn describe(&self, _: i64) -> Value {
        panic!("it cannot be described")
    }

    fn failed(&self) -> Option<String> {
        None
    }

    fn changed(&self) -> &Notify {
        &self.changed
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn key(&self, _: &str, _: &Asked, _: i64) -> Result<String, Refusal> {
        self.answer()
    }

    fn many(&self, _: &Asked, _: i64) -> Result<String, Refusal> {
        self.answer()
    }

    fn range(&self, _: &Asked, _: i64) -> Result<String, Refusal> {
        self.answer()
    }

    fn windows(&self, _: &str, _: &Asked, _: i64) -> Result<String, Refusal> {
        self.answer()
    }

    fn top(&self, _: &Asked, _: i64) -> Result<String, Refusal> {
        self.answer()
    }
}

#[tokio::test]
async fn what_changes_all_the_time_is_not_waited_for_for_ever() {
    for page in ["key", "top"] {
        let (view, site) = Restless::site();
        let behind = (503, "behind".to_owned());
        assert_eq!(refused(&site, page, "at_least=events:0:9").await, behind);
        assert_eq!(*view.asked.lock(), 10);
    }
}

#[tokio::test]
async fn a_turn_is_not_waited_for_for_ever() {
    let (view, mut site) = Restless::site();
    site.turns = Arc::new(Semaphore::new(0));
    let asked = tokio::spawn(async move { refused(&site, "top", "").await });
    tokio::task::yield_now().await;
    view.hands.advance(PATIENCE);
    assert_eq!(asked.await.unwrap(), (503, "busy".to_owned()));
}

#[tokio::test]
async fn who_gets_no_second_turn_is_told_what_is_missing() {
    let (view, site) = Restless::site();
    *view.turns.lock() = Arc::downgrade(&site.turns);
    let asked = tokio::spawn(async move { refused(&site, "top", "at_least=events:0:9").await });
    while !asked.is_finished() {
        tokio::task::yield_now().await;
        view.hands.advance(Duration::from_secs(1));
    }
    assert_eq!(asked.await.unwrap(), (503, "behind".to_owned()));
    assert_eq!(*view.asked.lock(), 1);
}

#[tokio::test]
async fn a_view_that_cannot_be_described_says_so() {
    let (_, site) = Restless::site();
    for page in ["views", "view"] {
        assert_eq!(refused(&site, page, "").await, (500, "internal".to_owned()));
    }
}
