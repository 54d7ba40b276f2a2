//! Views over HTTP. Everything is JSON; errors are `{"error": {"code", "message", "hint"}}`. Only browsers get
//! a page for people, at `/`.

mod asked;
mod number;
mod page;
mod refusal;
mod served;
mod shown;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tidemark_client::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::asked::Asked;
use self::refusal::Refusal;
pub(crate) use self::served::{Desk, Served};
use crate::error::StreamsError;
use crate::query::http::{Doors, Limits, bind};

/// What there is to see.
const PAGES: &[&str] = &[
    "/health",
    "/views",
    "/views/VIEW",
    "/views/VIEW/keys/KEY?window=&parts=&snapshot=&at_least=",
    "/views/VIEW/keys?from=&to=&prefix=&next=&limit=&parts=&snapshot=&at_least=",
    "/views/VIEW/many?key=&key=&window=&parts=&snapshot=&at_least=",
    "/views/VIEW/windows/KEY?from=&to=&next=&limit=&parts=&snapshot=&at_least=",
    "/views/VIEW/top?by=&k=&snapshot=&at_least=",
];

/// So many answers of many keys are made at once. Each takes a thread for as long as it takes.
const MOST_AT_ONCE: usize = 4;

/// What answers are made of.
#[derive(Clone)]
struct Site {
    views: Arc<Vec<Arc<dyn Served>>>,
    turns: Arc<Semaphore>,
    clock: Clock,
}

/// A view that is served beside others ([`Lambda::serve_with`](super::Lambda::serve_with)).
pub struct ServedView(pub(crate) Arc<dyn Served>);

/// A server, until it is dropped.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves views at an address, `127.0.0.1:9780`, say; with port 0 at a free one.
pub(crate) async fn serve(
    address: &str,
    views: Vec<Arc<dyn Served>>,
    clock: Clock,
) -> Result<Server, StreamsError> {
    let bound = bind(address).await?;
    let address = bound.address;
    let patience = views.iter().map(|view| view.patience()).max();
    let limits = Limits::kept(patience.unwrap_or_default());
    let doors = Doors::new(bound.listener, clock.clone(), limits);
    let routes = routes(Site {
        views: Arc::new(views),
        turns: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        clock,
    });
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(doors, routes).await {
            tracing::error!(%error, "HTTP has stopped");
        }
    });
    Ok(Server { address, task })
}

fn routes(site: Site) -> Router {
    Router::new()
        .route("/", get(pages))
        .route("/health", get(health))
        .route("/views", get(all_views))
        .route("/views/{view}", get(one_view))
        .route("/views/{view}/keys/{key}", get(one_key))
        .route("/views/{view}/keys", get(range))
        .route("/views/{view}/many", get(many))
        .route("/views/{view}/windows/{key}", get(windows))
        .route("/views/{view}/top", get(top))
        .merge(page::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(only_get)
        .with_state(site)
}

fn text(status: StatusCode, text: String) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, text).into_response()
}

impl Site {
    fn view(&self, name: &str) -> Result<&Arc<dyn Served>, Refusal> {
        let found = self.views.iter().find(|view| view.name() == name);
        found.ok_or_else(|| {
            let names = self.views.iter().map(|view| view.name());
            Refusal::unknown_view(name, names)
        })
    }

    /// Makes an answer again until it has what is asked for, but not for ever. `answer` is told until when it
    /// may wait.
    async fn answered<F: Future<Output = Result<String, Refusal>>>(
        &self,
        view: &dyn Served,
        asked: &Asked,
        answer: impl Fn(u64) -> F,
    ) -> Result<Response, Refusal> {
        asked.only_of(&view.topics())?;
        let deadline = self.clock.deadline(view.patience());
        let mut before = None;
        loop {
            let changed = view.changed().notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let refusal = match answer(deadline).await {
                Ok(answer) => return Ok(text(StatusCode::OK, answer)),
                // What has been found out before says more.
                Err(refusal) if refusal.is_busy() => before.take().unwrap_or(refusal),
                Err(refusal) => refusal,
            };
            // Something may change all the time: it is not waited for ever for all that.
            let waits = asked.ask.at_least.is_some() && refusal.passes;
            let is_late = self.clock.now().millis >= deadline;
            if !waits || is_late || self.clock.until(deadline, changed).await.is_none() {
                return Err(refusal.after(view.patience()));
            }
            before = Some(refusal);
        }
    }

    /// Makes an answer of many keys where waiting is allowed, as soon as there is a turn.
    async fn look(
        &self,
        view: &Arc<dyn Served>,
        deadline: u64,
        answer: impl FnOnce(&dyn Served) -> Result<String, Refusal> + Send + 'static,
    ) -> Result<String, Refusal> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        // Without a turn in time: the semaphore is never closed.
        let Some(Ok(turn)) = self.clock.until(deadline, turn).await else {
            return Err(Refusal::busy());
        };
        let view = Arc::clone(view);
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            caught(|| answer(&*view))
        });
        made.await
            .unwrap_or_else(|error| Err(Refusal::internal(&error)))
    }
}

/// What is made with code of a view, which may panic: that is an answer, too.
fn caught<T>(make: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(|text| &**text));
        let text = text.unwrap_or("it says no more");
        Err(Refusal::internal(&format!(
            "code of the view has panicked: {text}"
        )))
    })
}

/// The names in a path, if they are text.
type Names<T> = Result<Path<T>, PathRejection>;

fn named<T>(names: Names<T>) -> Result<T, Refusal> {
    let names = names.map_err(|error| Refusal::parameter("path", error.body_text()));
    names.map(|Path(names)| names)
}

async fn pages(headers: HeaderMap, query: RawQuery) -> Result<Response, Refusal> {
    Asked::of(query, &[])?;
    let mut response = if page::is_wanted(&headers) {
        page::index()
    } else {
        text(StatusCode::OK, json!({ "pages": PAGES }).to_string())
    };
    let by = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, by);
    Ok(response)
}

async fn nothing(uri: Uri) -> Refusal {
    Refusal::no_page(uri.path())
}

async fn only_get(method: Method) -> Refusal {
    Refusal::only_get(&method)
}

/// Well as long as no speed layer has ended.
async fn health(State(site): State<Site>, query: RawQuery) -> Result<Response, Refusal> {
    Asked::of(query, &[])?;
    let views = site.views.iter();
    let mut failed = views.filter_map(|view| Some((view.name(), view.failed()?)));
    match failed.next() {
        None => Ok(text(
            StatusCode::OK,
            json!({ "status": "running" }).to_string(),
        )),
        Some((name, error)) => Err(Refusal::failed(name, &error)),
    }
}

async fn all_views(State(site): State<Site>, query: RawQuery) -> Result<Response, Refusal> {
    Asked::of(query, &[])?;
    let wall = site.clock.now().wall;
    let views = site.views.iter();
    let views: Vec<_> = caught(|| Ok(views.map(|view| view.describe(wall)).collect()))?;
    Ok(text(StatusCode::OK, json!({ "views": views }).to_string()))
}

async fn one_view(
    State(site): State<Site>,
    names: Names<String>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let view = named(names)?;
    let view = site.view(&view)?;
    Asked::of(query, &[])?;
    let wall = site.clock.now().wall;
    let described = caught(|| Ok(view.describe(wall)))?;
    Ok(text(StatusCode::OK, described.to_string()))
}

/// It is made where other requests wait: a look-up in each partition takes less than going elsewhere for it.
async fn one_key(
    State(site): State<Site>,
    names: Names<(String, String)>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let (view, key) = named(names)?;
    let view = site.view(&view)?;
    let asked = Asked::of(query, &["window", "parts", "snapshot", "at_least"])?;
    let answer = async |_| caught(|| view.key(&key, &asked, site.clock.now().wall));
    site.answered(&**view, &asked, answer).await
}

/// What answers of many keys are made by.
type Many = fn(&dyn Served, &str, &Asked, i64) -> Result<String, Refusal>;

async fn of_many(
    site: Site,
    (view, key): (String, String),
    query: RawQuery,
    known: &[&str],
    make: Many,
) -> Result<Response, Refusal> {
    let view = site.view(&view)?;
    let asked = Arc::new(Asked::of(query, known)?);
    let answer = async |deadline| {
        let (asked, key, wall) = (Arc::clone(&asked), key.clone(), site.clock.now().wall);
        let look = move |view: &dyn Served| make(view, &key, &asked, wall);
        site.look(view, deadline, look).await
    };
    site.answered(&**view, &asked, answer).await
}

async fn many(
    State(site): State<Site>,
    names: Names<String>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let known = ["key", "window", "parts", "snapshot", "at_least"];
    let make: Many = |view, _, asked, wall| view.many(asked, wall);
    of_many(site, (named(names)?, String::new()), query, &known, make).await
}

async fn range(
    State(site): State<Site>,
    names: Names<String>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let known = [
        "from", "to", "prefix", "next", "limit", "parts", "snapshot", "at_least",
    ];
    let make: Many = |view, _, asked, wall| view.range(asked, wall);
    of_many(site, (named(names)?, String::new()), query, &known, make).await
}

async fn windows(
    State(site): State<Site>,
    names: Names<(String, String)>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let known = [
        "from", "to", "next", "limit", "parts", "snapshot", "at_least",
    ];
    let make: Many = |view, key, asked, wall| view.windows(key, asked, wall);
    of_many(site, named(names)?, query, &known, make).await
}

async fn top(
    State(site): State<Site>,
    names: Names<String>,
    query: RawQuery,
) -> Result<Response, Refusal> {
    let known = ["by", "k", "snapshot", "at_least"];
    let make: Many = |view, _, asked, wall| view.top(asked, wall);
    of_many(site, (named(names)?, String::new()), query, &known, make).await
}
