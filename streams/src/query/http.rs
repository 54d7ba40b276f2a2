//! HTTP: is the application well, what has it counted, where are its tasks, what do its stores hold.
//! Everything is JSON but the metrics and the topology; errors are `{"error": ...}`.

mod answers;
mod doors;
mod parameters;
mod stores;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::answers::{failed, json as answer};
pub(crate) use self::doors::{Doors, Limits};
use self::parameters::{Pairs, Parameters};
use crate::error::StreamsError;
use crate::runtime::metrics;
use crate::runtime::shared::Shared;

/// What there is to see.
const PAGES: &[&str] = &[
    "/health",
    "/metrics",
    "/topology?as=text|mermaid|dot",
    "/tasks",
    "/stores",
    "/stores/NAME/keys/KEY",
    "/stores/NAME/range?from=&to=&after=&limit=&next=",
    "/stores/NAME/windows?from=&to=&limit=&next=",
    "/stores/NAME/windows/KEY?from=&to=&limit=&next=",
    "/stores/NAME/sessions?from=&to=&limit=&next=",
    "/stores/NAME/sessions/KEY?from=&to=&limit=&next=",
];

/// So many answers are made at once out of tasks and stores. Each has what it tells in memory, and takes a
/// thread; others wait their turn.
const MOST_AT_ONCE: usize = 4;

/// What answers are made of.
#[derive(Clone)]
struct Site {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    /// The turn of figures, so that readers of stores do not keep them from whoever watches.
    figures: Arc<Semaphore>,
}

impl FromRef<Site> for Arc<Shared> {
    fn from_ref(site: &Site) -> Self {
        Arc::clone(&site.shared)
    }
}

impl Site {
    /// Makes an answer where waiting is allowed: looking at a task takes as long as it is busy. Who does
    /// not wait for it any more gives the turn back when it is made.
    async fn look(self, answer: impl FnOnce(Arc<Shared>) -> Response + Send + 'static) -> Response {
        let turns = Arc::clone(&self.turns);
        self.look_in_turn(turns, answer).await
    }

    async fn look_in_turn(
        self,
        turns: Arc<Semaphore>,
        answer: impl FnOnce(Arc<Shared>) -> Response + Send + 'static,
    ) -> Response {
        let Ok(turn) = turns.acquire_owned().await else {
            return failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "it is being closed".to_owned(),
            );
        };
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            answer(self.shared)
        });
        match made.await {
            Ok(response) => response,
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// A port that is listened on.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// A server, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes the port, before anything else is done that would have to be undone if it is taken.
pub(crate) async fn bind(address: &str) -> Result<Bound, StreamsError> {
    let failed = |error: std::io::Error| StreamsError::Http {
        address: address.to_owned(),
        reason: error.to_string(),
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

/// Serves until what is returned is dropped.
pub(crate) fn serve(bound: Bound, shared: Arc<Shared>) -> Server {
    let doors = Doors::new(
        bound.listener,
        shared.config.clock.clone(),
        Limits::ONE_ANSWER,
    );
    let routes = Router::new()
        .route("/", get(pages))
        .route("/health", get(health))
        .route("/metrics", get(figures))
        .route("/topology", get(topology))
        .route("/tasks", get(tasks))
        .merge(stores::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(only_get)
        .layer(map_response(last_answer))
        .with_state(Site {
            shared,
            turns: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            figures: Arc::new(Semaphore::new(1)),
        });
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(doors, routes).await {
            tracing::error!(%error, "HTTP has stopped");
        }
    });
    Server {
        address: bound.address,
        task,
    }
}

/// One answer per connection: so there is no idle time to limit.
async fn last_answer(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

async fn pages() -> Response {
    answer(StatusCode::OK, &json!({ "pages": PAGES }))
}

async fn nothing(uri: Uri) -> Response {
    let reason = format!("there is no {}; / lists what there is", uri.path());
    failed(StatusCode::NOT_FOUND, reason)
}

async fn only_get(method: Method) -> Response {
    let reason = format!("{method} is not possible: all there is to do is to GET");
    failed(StatusCode::METHOD_NOT_ALLOWED, reason)
}

/// Well as long as nothing has ended the application; `restoring` says whether all is there.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    if let Some(error) = shared.failed.borrow().clone() {
        return failed(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    }
    if *shared.closing.borrow() {
        return failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "it is being closed".to_owned(),
        );
    }
    let restoring = shared.restoring.lock().len();
    let status = if restoring > 0 {
        "restoring"
    } else {
        "running"
    };
    let tasks = shared.tasks.lock().len();
    let told = json!({
        "status": status,
        "application": shared.config.application,
        "tasks": tasks,
        "restoring": restoring,
    });
    answer(StatusCode::OK, &told)
}

async fn figures(State(site): State<Site>) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    let turns = Arc::clone(&site.figures);
    site.look_in_turn(turns, move |shared| {
        (kind, metrics::text(&shared)).into_response()
    })
    .await
}

async fn topology(State(shared): State<Arc<Shared>>, pairs: Pairs) -> Response {
    let told = Parameters::of(pairs, &["as"]).and_then(|parameters| match parameters.get("as") {
        None | Some("text") => Ok(shared.topology.describe()),
        Some("mermaid") => Ok(shared.topology.to_mermaid()),
        Some("dot") => Ok(shared.topology.to_dot()),
        Some(other) => Err(format!("as={other}: text, mermaid or dot")),
    });
    match told {
        Ok(text) => text.into_response(),
        Err(reason) => failed(StatusCode::BAD_REQUEST, reason),
    }
}

/// Where the tasks of this instance are.
async fn tasks(State(site): State<Site>) -> Response {
    site.look(|shared| answer(StatusCode::OK, &positions(&shared)))
        .await
}

fn positions(shared: &Shared) -> Value {
    let wall = shared.config.clock.now().wall;
    let tasks: Vec<_> = {
        let tasks = shared.tasks.lock();
        tasks
            .iter()
            .map(|(id, task)| (*id, Arc::clone(task)))
            .collect()
    };
    let time = |time: i64| (time > i64::MIN).then_some(time);
    let mut told = Vec::new();
    for (id, task) in tasks {
        let (position, ends) = {
            let task = task.lock();
            (task.position(), task.ends())
        };
        let inputs = position.inputs.iter().zip(ends);
        let inputs: Vec<Value> = inputs
            .map(|((partition, offset, watermark), end)| {
                json!({
                    "topic": &*partition.topic,
                    "partition": partition.partition,
                    "position": offset,
                    "end": end,
                    "lag": end.map(|end| end.saturating_sub(*offset).max(0)),
                    "watermark": time(*watermark),
                })
            })
            .collect();
        let watermark = time(position.watermark);
        told.push(json!({
            "task": id.to_string(),
            "subtopology": id.subtopology,
            "partition": id.partition,
            "watermark": watermark,
            "event_time_lag": watermark.map(|watermark| wall.saturating_sub(watermark)),
            "inputs": inputs,
        }));
    }
    let restoring = shared.restoring.lock().clone();
    let restoring = restoring.iter().map(|(id, own)| {
        json!({
            "task": id.to_string(),
            "restored": own.progress.restored,
            "total": own.progress.total,
        })
    });
    let restoring: Vec<Value> = restoring.collect();
    json!({
        "application": shared.config.application,
        "tasks": told,
        "restoring": restoring,
    })
}
