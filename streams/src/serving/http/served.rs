//! A view as HTTP sees it: text in, JSON out.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::asked::Asked;
use super::refusal::Refusal;
use crate::data::Data;
use crate::serving::Coverage;
use crate::serving::aggregate::Aggregate;
use crate::serving::merged::{Ask, Keys, Merged, Site};

/// A view that can be asked by people.
pub(crate) trait Served: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;

    /// The topics that it reads.
    fn topics(&self) -> Vec<&str>;

    /// What it is and how it is.
    fn describe(&self, wall: i64) -> Value;

    /// What has ended its speed layer, if something has.
    fn failed(&self) -> Option<String>;

    /// Told when answers may be others.
    fn changed(&self) -> &Notify;

    /// How long it is waited for a coverage.
    fn patience(&self) -> Duration;

    /// The answer for a key.
    fn key(&self, key: &str, asked: &Asked, wall: i64) -> Result<String, Refusal>;

    /// The answers for some keys.
    fn many(&self, asked: &Asked, wall: i64) -> Result<String, Refusal>;

    /// A range of keys.
    fn range(&self, asked: &Asked, wall: i64) -> Result<String, Refusal>;

    /// The windows of a key.
    fn windows(&self, key: &str, asked: &Asked, wall: i64) -> Result<String, Refusal>;

    /// The keys with the largest values of a field.
    fn top(&self, asked: &Asked, wall: i64) -> Result<String, Refusal>;
}

/// A view's site with what else is known of it.
pub(crate) struct Desk<K, A: Aggregate> {
    pub(crate) site: Arc<Site<K, A>>,
    pub(crate) patience: Duration,
    /// What keeps the newest snapshot from being used, or from being made.
    pub(crate) trouble: Box<dyn Fn() -> Option<String> + Send + Sync>,
    pub(crate) failed: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

/// One answer.
#[derive(Serialize)]
struct Shown<'a, V> {
    key: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    value: Option<V>,
    #[serde(flatten)]
    about: Option<About<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<Parts<V>>,
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Serialize)]
struct Window {
    start: i64,
    end: i64,
}

/// What an answer is made of.
#[derive(Serialize)]
struct Parts<V> {
    batch: Option<V>,
    speed: Option<V>,
}

/// What belongs to all rows of an answer.
#[derive(Serialize)]
struct About<'a> {
    begin: &'a Coverage,
    coverage: &'a Coverage,
    snapshot: Option<u64>,
    freshness_ms: Option<i64>,
}

impl<'a> About<'a> {
    fn of<S>(merged: &'a Merged<S>, wall: i64) -> Self {
        Self {
            begin: &merged.begin,
            coverage: &merged.coverage,
            snapshot: merged.snapshot,
            freshness_ms: merged.fresh.map(|fresh| wall.saturating_sub(fresh).max(0)),
        }
    }
}

#[derive(Serialize)]
struct Rows<'a, V> {
    rows: Vec<Shown<'a, V>>,
    /// What to ask with for the next ones.
    next: Option<String>,
    #[serde(flatten)]
    about: About<'a>,
}

#[derive(Serialize)]
struct Answers<'a, V> {
    answers: Vec<Shown<'a, V>>,
}

/// The largest ones.
#[derive(Serialize)]
struct Top<'a> {
    by: &'a str,
    rows: Vec<Box<RawValue>>,
    #[serde(flatten)]
    about: About<'a>,
}

fn written<T: Serialize>(value: &T) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal::internal(&error))
}

impl<K: Data, A: Aggregate> Desk<K, A> {
    fn parse(&self, what: &str, text: &str) -> Result<K, Refusal> {
        K::from_text(text).map_err(|error| Refusal::parameter(what, error))
    }

    fn named(&self, key: &str, window: Option<i64>) -> Result<Vec<u8>, Refusal> {
        let key = self.parse("key", key)?;
        Ok(self.site.name(&key, window, &mut Vec::new())?)
    }

    /// One row; `time` is that of what it is a part of.
    fn shown<'a>(
        &self,
        name: &[u8],
        merged: &Merged<A::State>,
        time: Option<i64>,
        parts: bool,
    ) -> Shown<'a, A::Value> {
        let view = &self.site.view;
        let aggregate = view.aggregate();
        let value = |state: &Option<A::State>| state.as_ref().map(|state| aggregate.value(state));
        let (key, _) = view.split(name);
        let window = view.window(name);
        Shown {
            key: view.shown(key),
            window: window.map(|(start, end)| Window { start, end }),
            value: value(&merged.whole(aggregate)),
            about: None,
            parts: parts.then(|| Parts {
                batch: value(&merged.batch),
                speed: value(&merged.speed),
            }),
            is_final: view.is_final(name, time),
        }
    }

    fn rows(&self, keys: &Keys, limit: usize, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let page = self.site.range(keys, limit, &asked.ask)?;
        let last = page.rows.last().filter(|_| page.more);
        let time = page.about.time;
        let rows = page.rows.iter();
        let rows = rows.map(|(name, merged)| self.shown(name, merged, time, asked.parts));
        written(&Rows {
            rows: rows.collect(),
            next: last.map(|(name, _)| URL_SAFE_NO_PAD.encode(name)),
            about: About::of(&page.about, wall),
        })
    }

    /// Behind the last row of the page before.
    fn next(&self, asked: &Asked) -> Result<Option<Vec<u8>>, Refusal> {
        let next = asked.get("next").map(|next| URL_SAFE_NO_PAD.decode(next));
        let next = next.transpose();
        next.map_err(|_| Refusal::parameter("next", "it is not from an answer of this page"))
    }
}

impl<K: Data, A: Aggregate> Served for Desk<K, A> {
    fn name(&self) -> &str {
        self.site.view.name()
    }

    fn topics(&self) -> Vec<&str> {
        self.site.view.topics().collect()
    }

    fn describe(&self, wall: i64) -> Value {
        let view = &self.site.view;
        let current = self.site.current();
        let snapshot = current.as_ref().map(|loaded| {
            let tally = loaded.manifest.tally();
            json!({
                "id": loaded.manifest.snapshot,
                "coverage": loaded.manifest.coverage(),
                "begin": loaded.manifest.begin(),
                "created": loaded.manifest.created,
                "age_ms": wall.saturating_sub(loaded.manifest.created).max(0),
                "records": tally.records,
                "bad": tally.bad,
                "states": loaded.len(),
                "bytes": loaded.bytes(),
            })
        });
        let parts = self.site.parts();
        let (mut segments, mut states, mut bytes) = (0, 0, 0);
        for (_, live) in &parts {
            let own = live.segments.read();
            segments += own.cuts().len();
            states += own.len();
            bytes += own.bytes();
        }
        let now = self.site.range(&Keys::none(), 1, &Ask::default());
        let (about, problem) = match &now {
            Ok(page) => (
                serde_json::to_value(About::of(&page.about, wall)).ok(),
                None,
            ),
            Err(error) => (None, Some(error.to_string())),
        };
        let windows = view.windows().map(|windows| windows.to_string());
        let partitions = parts.iter().map(|((number, partition), _)| {
            let topic = view.topics().nth(*number).unwrap_or_default();
            format!("{topic}-{partition}")
        });
        json!({
            "name": view.name(),
            "definition": view.definition(),
            "fingerprint": view.fingerprint(),
            "topics": view.topics().collect::<Vec<_>>(),
            "windows": windows,
            "now": about,
            "problem": problem.or_else(|| (self.trouble)()),
            "snapshot": snapshot,
            "snapshots": self.site.held(),
            "speed": {
                "partitions": partitions.collect::<Vec<_>>(),
                "segments": segments,
                "states": states,
                "bytes": bytes,
            },
        })
    }

    fn failed(&self) -> Option<String> {
        (self.failed)()
    }

    fn changed(&self) -> &Notify {
        &self.site.changed
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn key(&self, key: &str, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let window = asked.time("window")?;
        if let Some(start) = window {
            self.site.check_start(start)?;
        }
        let name = self.named(key, window)?;
        let merged = self.site.get(&name, &asked.ask)?;
        let mut shown = self.shown(&name, &merged, merged.time, asked.parts);
        if shown.value.is_none() {
            let coverage = json!(merged.coverage);
            return Err(Refusal::unknown_key(self.name(), &shown.key, coverage));
        }
        shown.about = Some(About::of(&merged, wall));
        written(&shown)
    }

    fn many(&self, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let window = asked.time("window")?;
        if let Some(start) = window {
            self.site.check_start(start)?;
        }
        let mut found = Vec::new();
        for key in asked.keys()? {
            let name = self.named(key, window)?;
            let merged = self.site.get(&name, &asked.ask)?;
            found.push((name, merged));
        }
        let shown = found.iter().map(|(name, merged)| {
            let mut shown = self.shown(name, merged, merged.time, asked.parts);
            shown.about = Some(About::of(merged, wall));
            shown
        });
        written(&Answers {
            answers: shown.collect(),
        })
    }

    fn range(&self, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let mut keys = Keys::all();
        let windowed = self.site.view.windows().is_some();
        let window = |start: i64| windowed.then_some(start);
        if let Some(prefix) = asked.get("prefix") {
            if K::format() != String::format() {
                let reason = "the view's keys are not text";
                return Err(Refusal::parameter("prefix", reason));
            }
            keys = Keys::beginning_with(prefix, windowed);
            if asked.get("from").or_else(|| asked.get("to")).is_some() {
                let reason = "a prefix is a range by itself: leave out from and to";
                return Err(Refusal::parameter("prefix", reason));
            }
        }
        if let Some(from) = asked.get("from") {
            keys.from = Bound::Included(self.named(from, window(i64::MIN))?);
        }
        if let Some(to) = asked.get("to") {
            keys.to = Bound::Excluded(self.named(to, window(i64::MIN))?);
        }
        let keys = keys.after(self.next(asked)?);
        self.rows(&keys, asked.limit("limit")?, asked, wall)
    }

    fn windows(&self, key: &str, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let mut keys = Keys::all();
        let first = asked.time("from")?.unwrap_or(i64::MIN);
        let behind = asked.time("to")?.unwrap_or(i64::MAX);
        keys.from = Bound::Included(self.named(key, Some(first))?);
        keys.to = Bound::Excluded(self.named(key, Some(behind))?);
        if let Some(next) = self.next(asked)? {
            let view = &self.site.view;
            let own = self.named(key, Some(first))?;
            if view.split(&next).0 != view.split(&own).0 {
                return Err(Refusal::parameter("next", "it is of another key"));
            }
            keys.from = Bound::Excluded(next);
        }
        self.rows(&keys, asked.limit("limit")?, asked, wall)
    }

    fn top(&self, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let by = asked.get("by");
        let by = by.ok_or_else(|| {
            Refusal::parameter("by", "name a field of the value, as count or a.b")
        })?;
        let k = asked.limit("k")?;
        let keys = Keys::all();
        let mut walk = self.site.walk(&keys, usize::MAX, &asked.ask)?;
        let time = walk.about.time;
        let mut best: BinaryHeap<Reverse<Ranked>> = BinaryHeap::new();
        let (mut seen, mut any) = (false, false);
        while let Some(found) = walk.next()? {
            any = true;
            let mut merged = Merged::empty(None);
            (merged.batch, merged.speed) = (found.batch, found.speed);
            let shown = self.shown(&found.name, &merged, time, false);
            let value = written(&shown.value)?;
            let number = number_in(&value, by).filter(|number| number.is_finite());
            let Some(number) = number else {
                continue;
            };
            seen = true;
            let name = Reverse(found.name);
            let full = best.len() >= k;
            let worst = best.peek().filter(|_| full);
            if worst.is_some_and(|Reverse(worst)| (number, &name) <= (worst.number, &worst.name)) {
                continue;
            }
            let row = serde_json::value::to_raw_value(&shown);
            let row = row.map_err(|error| Refusal::internal(&error))?;
            best.push(Reverse(Ranked { number, name, row }));
            if best.len() > k {
                best.pop();
            }
        }
        if !seen && any {
            let reason = format!("no value has a number in {by}");
            return Err(Refusal::parameter("by", reason));
        }
        let rows = best.into_sorted_vec().into_iter();
        written(&Top {
            by,
            rows: rows.map(|Reverse(ranked)| ranked.row).collect(),
            about: About::of(&walk.about, wall),
        })
    }
}

/// The number in a field of JSON that has been written: digits that no float has are no matter.
fn number_in(json: &str, by: &str) -> Option<f64> {
    let mut json = json;
    for part in by.split('.') {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
        json = fields.get(part)?.get();
    }
    // Text that is a number counts as one, too.
    json.trim_matches('"').parse().ok()
}

/// A row by its number; of equal ones the smaller key is first.
struct Ranked {
    number: f64,
    name: Reverse<Vec<u8>>,
    row: Box<RawValue>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number
            .total_cmp(&other.number)
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
