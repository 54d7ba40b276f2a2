//! A view as HTTP sees it: text in, JSON out.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::asked::Asked;
use super::number::Number;
use super::refusal::Refusal;
use super::shown::{About, Answers, Parts, Rows, Shown, Top, Window, part, written};
use crate::data::Data;
use crate::serving::aggregate::Aggregate;
use crate::serving::merged::{Ask, Halves, Keys, Site};

/// An answer ends with the row with which its rows come to so many bytes, and no more than about as many are
/// copied for it. One row may have more by itself.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// A view that can be asked by people.
pub(crate) trait Served: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;

    /// The topics that it reads, with how many partitions each has.
    fn topics(&self) -> Vec<(&str, i32)>;

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

impl<K: Data, A: Aggregate> Desk<K, A> {
    fn parse(&self, what: &str, text: &str) -> Result<K, Refusal> {
        K::from_text(text).map_err(|error| Refusal::parameter(what, error))
    }

    fn named(&self, key: &str, window: Option<i64>) -> Result<Vec<u8>, Refusal> {
        let key = self.parse("key", key)?;
        Ok(self.site.name(&key, window, &mut Vec::new())?)
    }

    /// A key with the window that is asked for.
    fn asked_for(&self, key: &str, asked: &Asked) -> Result<Vec<u8>, Refusal> {
        let window = asked.time("window")?;
        if let Some(start) = window {
            self.site.check_start(start)?;
        }
        self.named(key, window)
    }

    /// The answer for a key, as it is in a row. `time` is how far events have come in the whole answer.
    fn shown<'a>(
        &self,
        name: &[u8],
        halves: &Halves<A::State>,
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
            value: value(&halves.whole(aggregate)),
            about: None,
            parts: parts.then(|| Parts {
                batch: value(&halves.batch),
                speed: value(&halves.speed),
            }),
            is_final: view.is_final(name, time),
        }
    }

    fn rows(&self, keys: &Keys, limit: usize, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let mut walk = self.site.walk(keys, limit + 1, MOST_BYTES, &asked.ask)?;
        let (mut rows, mut size, mut last) = (Vec::new(), 0, None);
        let more = loop {
            let Some(found) = walk.next()? else {
                break walk.is_cut();
            };
            if rows.len() >= limit || size >= MOST_BYTES {
                break true;
            }
            let shown = self.shown(&found.name, &found.halves, walk.about.time, asked.parts);
            let row = part(&shown)?;
            size += row.get().len();
            rows.push(row);
            last = Some(found.name);
        };
        written(&Rows {
            rows,
            next: last
                .filter(|_| more)
                .map(|name| URL_SAFE_NO_PAD.encode(name)),
            about: About::of(&walk.about, wall),
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

    fn topics(&self) -> Vec<(&str, i32)> {
        self.site.topics()
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
        let (about, problem) = match self.site.about(&Ask::default()) {
            Ok(about) => (serde_json::to_value(About::of(&about, wall)).ok(), None),
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
        let name = self.asked_for(key, asked)?;
        let merged = self.site.get(&name, &asked.ask)?;
        let mut shown = self.shown(&name, &merged.halves, merged.time, asked.parts);
        if shown.value.is_none() {
            let coverage = json!(merged.coverage);
            return Err(Refusal::unknown_key(self.name(), &shown.key, coverage));
        }
        shown.about = Some(About::of(&merged, wall));
        written(&shown)
    }

    fn many(&self, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let (mut answers, mut size) = (Vec::new(), 0);
        for key in asked.keys()? {
            if size >= MOST_BYTES {
                return Err(Refusal::too_large(answers.len()));
            }
            let name = self.asked_for(key, asked)?;
            let merged = self.site.get(&name, &asked.ask)?;
            let mut shown = self.shown(&name, &merged.halves, merged.time, asked.parts);
            shown.about = Some(About::of(&merged, wall));
            let answer = part(&shown)?;
            size += answer.get().len();
            answers.push(answer);
        }
        written(&Answers { answers })
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
        let next = self.next(asked)?;
        if let Some(next) = &next {
            let view = &self.site.view;
            let own = self.named(key, Some(first))?;
            if view.split(next).0 != view.split(&own).0 {
                return Err(Refusal::parameter("next", "it is of another key"));
            }
        }
        let keys = keys.after(next);
        self.rows(&keys, asked.limit("limit")?, asked, wall)
    }

    fn top(&self, asked: &Asked, wall: i64) -> Result<String, Refusal> {
        let (by, k) = (asked.get("by"), asked.limit("k")?);
        let keys = Keys::all();
        let mut walk = self.site.walk(&keys, usize::MAX, usize::MAX, &asked.ask)?;
        let time = walk.about.time;
        let aggregate = self.site.view.aggregate();
        let largest = walk.top(
            k,
            MOST_BYTES,
            |found| {
                let value = found
                    .halves
                    .whole(aggregate)
                    .map(|whole| aggregate.value(&whole));
                Ok::<_, Refusal>(Number::of(&written(&value)?, by))
            },
            |found| {
                let row = part(&self.shown(&found.name, &found.halves, time, false))?;
                let bytes = row.get().len();
                Ok((row, bytes))
            },
        )?;
        if largest.ranked == 0 && largest.left_out > 0 {
            return Err(Refusal::parameter(
                "by",
                match by {
                    Some(by) => format!("no value has a number in {by}"),
                    None => "no value is a number: name a field of it, as count or a.b".to_owned(),
                },
            ));
        }
        written(&Top {
            by,
            rows: largest.rows,
            ranked: largest.ranked,
            left_out: largest.left_out,
            about: About::of(&walk.about, wall),
        })
    }
}
