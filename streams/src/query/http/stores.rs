//! Stores over HTTP. Keys are written as [`crate::Data::from_text`] reads them.
#![allow(
    clippy::result_large_err,
    reason = "an answer is made once for a request, whatever it is"
)]

use std::fmt::Write;
use std::ops::Bound;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Site;
use super::answers::{self, Refused};
use super::parameters::{Pairs, Parameters};
use crate::query::{
    Access, AnyReads, Keys, Kind, Next, Page, Place, Query, QueryError, Row, StoreReader,
};
use crate::runtime::shared::Shared;
use crate::time::Window;

/// An answer ends with the row with which its keys and values become larger than so many bytes. Nothing
/// behind it is read.
const MOST_BYTES: usize = 4 << 20;

type Sites = State<Site>;
type Named = Result<Path<String>, PathRejection>;
type NamedKey = Result<Path<(String, String)>, PathRejection>;

pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/stores", get(stores))
        .route("/stores/{name}/keys/{key}", get(one))
        .route("/stores/{name}/range", get(range))
        .route("/stores/{name}/windows", get(windows))
        .route("/stores/{name}/windows/{key}", get(windows_of))
        .route("/stores/{name}/sessions", get(sessions))
        .route("/stores/{name}/sessions/{key}", get(sessions_of))
}

async fn read(
    site: Site,
    work: impl FnOnce(Arc<Shared>) -> Result<Response, Refused> + Send + 'static,
) -> Response {
    let answer = |shared| work(shared).unwrap_or_else(IntoResponse::into_response);
    site.look(answer).await
}

fn name(name: Named) -> Result<String, Refused> {
    let Path(name) = name.map_err(|error| Refused::bad(error.body_text()))?;
    Ok(name)
}

fn name_and_key(both: NamedKey) -> Result<(String, String), Refused> {
    let Path(both) = both.map_err(|error| Refused::bad(error.body_text()))?;
    Ok(both)
}

async fn stores(State(site): Sites) -> Response {
    read(site, move |shared| {
        let stores = Access::Running(shared).stores();
        let stores = stores.iter().map(|store| {
            let tasks: Vec<String> = store.tasks.iter().map(ToString::to_string).collect();
            json!({
                "name": store.name,
                "kind": kind(store.kind),
                "keys": store.keys,
                "values": store.values,
                "entries": store.entries,
                "bytes": store.bytes,
                "tasks": tasks,
            })
        });
        let stores: Vec<Value> = stores.collect();
        Ok(answers::json(StatusCode::OK, &json!({ "stores": stores })))
    })
    .await
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::KeyValue => "key-value",
        Kind::Windows => "windows",
        Kind::Sessions => "sessions",
        Kind::Internal => "internal",
    }
}

/// A store that is read as one of some kind.
struct Opened {
    reader: StoreReader<'static>,
    reads: Arc<dyn AnyReads>,
}

impl Opened {
    fn new(shared: Arc<Shared>, name: &str, kind: Kind) -> Result<Self, Refused> {
        let opened = Access::Running(shared).store(name).and_then(|reader| {
            let reads = reader.readable(kind)?;
            Ok(Self { reader, reads })
        });
        Ok(opened?)
    }

    fn key(&self, text: &str) -> Result<Vec<u8>, Refused> {
        let key = self.reads.key_of_text(text);
        Ok(key.map_err(|error| self.reader.bad(error))?)
    }

    fn find(&self, query: &Query<'_>) -> Result<Page<String>, QueryError> {
        self.reader.json(&*self.reads, query)
    }

    /// A row, whose value is JSON already.
    fn shown(&self, row: &Row<String>) -> String {
        let key = self.reads.key_to_json(&row.key);
        let mut shown = format!("{{\"key\":{key}");
        let timestamp = (row.timestamp > i64::MIN).then_some(row.timestamp);
        let _ = write!(shown, ",\"timestamp\":{}", json!(timestamp));
        let _ = write!(shown, ",\"value\":{}", row.value);
        if let Some(window) = row.window {
            let window = json!({ "start": window.start, "end": window.end });
            let _ = write!(shown, ",\"window\":{window}");
        }
        shown.push('}');
        shown
    }

    /// The rows, and where to go on if there are more behind them.
    fn rows(&self, query: &Query<'_>) -> Result<Response, Refused> {
        let Page { rows, next } = self.find(query)?;
        let mut text = format!("{{\"store\":{},\"rows\":[", json!(self.reader.name()));
        for (at, row) in rows.into_iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&self.shown(&row));
        }
        let _ = write!(text, "],\"more\":{}", next.is_some());
        if next.is_some() {
            let _ = write!(text, ",\"next\":{}", json!(to_text(&next)));
        }
        text.push('}');
        Ok(answers::text(StatusCode::OK, text))
    }
}

/// Where to go on, in letters that a URL can have: the window's start and end, if there is one, and the
/// key.
fn to_text(next: &Next) -> Option<String> {
    let (key, window) = next.as_ref()?;
    let mut bytes = vec![u8::from(window.is_some())];
    if let Some(window) = window {
        bytes.extend(window.start.to_be_bytes());
        bytes.extend(window.end.to_be_bytes());
    }
    bytes.extend(key);
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What [`to_text`] has written.
fn from_text(text: &str) -> Result<Next, Refused> {
    let bad = || Refused::bad("next: what an answer had as its \"next\" is expected");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
    let (kind, mut rest) = bytes.split_first().ok_or_else(bad)?;
    let mut number = || {
        let (number, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        Some(i64::from_be_bytes(*number))
    };
    let window = match kind {
        0 => None,
        _ => Some(Window {
            start: number().ok_or_else(bad)?,
            end: number().ok_or_else(bad)?,
        }),
    };
    Ok(Some((rest.to_vec(), window)))
}

/// Where a request goes on.
fn next(parameters: &Parameters) -> Result<Next, Refused> {
    parameters.get("next").map_or(Ok(None), from_text)
}

fn place(next: &Next) -> Option<Place<'_>> {
    let (key, window) = next.as_ref()?;
    Some(Place {
        key,
        window: *window,
    })
}

async fn one(State(site): Sites, path: NamedKey, pairs: Pairs) -> Response {
    read(site, move |shared| {
        let (name, text) = name_and_key(path)?;
        Parameters::of(pairs, &[]).map_err(Refused::bad)?;
        let store = Opened::new(shared, &name, Kind::KeyValue)?;
        let key = store.key(&text)?;
        let query = Query {
            keys: Keys::One(&key),
            times: (i64::MIN, i64::MAX),
            after: None,
            limit: 1,
            bytes: usize::MAX,
        };
        let found = store.find(&query)?.rows;
        match found.first() {
            Some(row) => Ok(answers::text(StatusCode::OK, store.shown(row))),
            None => {
                let reason = format!("store {name:?} has no key {text:?}");
                Err(Refused {
                    status: StatusCode::NOT_FOUND,
                    reason,
                })
            }
        }
    })
    .await
}

async fn range(State(site): Sites, path: Named, pairs: Pairs) -> Response {
    read(site, move |shared| {
        let store = Opened::new(shared, &name(path)?, Kind::KeyValue)?;
        let known = ["from", "to", "after", "limit", "next"];
        let parameters = Parameters::of(pairs, &known).map_err(Refused::bad)?;
        let key = |name: &str| parameters.get(name).map(|text| store.key(text)).transpose();
        let (from, after, to) = (key("from")?, key("after")?, key("to")?);
        let from = match (&from, &after) {
            (Some(_), Some(_)) => return Err(Refused::bad("from and after: one of them")),
            (Some(from), None) => Bound::Included(&**from),
            (None, Some(after)) => Bound::Excluded(&**after),
            (None, None) => Bound::Unbounded,
        };
        let to = to.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let next = next(&parameters)?;
        store.rows(&Query {
            keys: Keys::Range(from, to),
            times: (i64::MIN, i64::MAX),
            after: place(&next),
            limit: parameters.limit().map_err(Refused::bad)?,
            bytes: MOST_BYTES,
        })
    })
    .await
}

async fn windows(State(site): Sites, path: Named, pairs: Pairs) -> Response {
    read(site, move |shared| {
        in_time(shared, &name(path)?, None, pairs, Kind::Windows)
    })
    .await
}

async fn windows_of(State(site): Sites, path: NamedKey, pairs: Pairs) -> Response {
    read(site, move |shared| {
        let (name, key) = name_and_key(path)?;
        in_time(shared, &name, Some(&key), pairs, Kind::Windows)
    })
    .await
}

async fn sessions(State(site): Sites, path: Named, pairs: Pairs) -> Response {
    read(site, move |shared| {
        in_time(shared, &name(path)?, None, pairs, Kind::Sessions)
    })
    .await
}

async fn sessions_of(State(site): Sites, path: NamedKey, pairs: Pairs) -> Response {
    read(site, move |shared| {
        let (name, key) = name_and_key(path)?;
        in_time(shared, &name, Some(&key), pairs, Kind::Sessions)
    })
    .await
}

/// Windows or sessions, of one key or of all.
fn in_time(
    shared: Arc<Shared>,
    name: &str,
    key: Option<&str>,
    pairs: Pairs,
    kind: Kind,
) -> Result<Response, Refused> {
    let store = Opened::new(shared, name, kind)?;
    let parameters =
        Parameters::of(pairs, &["from", "to", "limit", "next"]).map_err(Refused::bad)?;
    let next = next(&parameters)?;
    let key = key.map(|text| store.key(text)).transpose()?;
    let from = parameters.time("from", i64::MIN).map_err(Refused::bad)?;
    let to = parameters.time("to", i64::MAX).map_err(Refused::bad)?;
    store.rows(&Query {
        keys: key.as_deref().map_or(Keys::ALL, Keys::One),
        times: (from, to),
        after: place(&next),
        limit: parameters.limit().map_err(Refused::bad)?,
        bytes: MOST_BYTES,
    })
}
