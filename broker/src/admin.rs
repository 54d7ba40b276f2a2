//! HTTP: is the broker alive, is it ready, what has it counted.

mod doors;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::doors::Doors;
use crate::api::Shared;
use crate::metrics::Snapshot;
use crate::net::Limits;

/// The media type of what `/metrics` answers.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Admin {
    shared: Arc<Shared>,
    limits: Arc<Limits>,
}

/// Serves HTTP until the broker stops.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    mut stopping: watch::Receiver<bool>,
) {
    let doors = Doors::new(listener, Arc::clone(&shared.environment.clock));
    let routes = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .layer(map_response(last_answer))
        .with_state(Admin { shared, limits });
    let stopped = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(doors, routes)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::error!(%error, "HTTP has stopped");
    }
}

/// One answer per connection: so there is no idle time to limit, and a client never finds that the
/// connection it was about to use again has just been closed.
async fn last_answer(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Everything that the broker cannot be without still runs. What does not is named: only a restart
/// helps.
async fn live(State(admin): State<Admin>) -> Response {
    match admin.shared.vitals.failure() {
        None => "live\n".into_response(),
        Some(failed) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failed}\n")).into_response(),
    }
}

/// Clients are served; while the broker shuts down they are not.
async fn ready(State(admin): State<Admin>) -> Response {
    if *admin.shared.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let partitions = admin.shared.partitions.all();
    let now = Snapshot {
        connections: admin.limits.connections(),
        topics: admin.shared.catalog_image.load().topics().count(),
        partitions: partitions.len(),
        log_bytes: partitions
            .iter()
            .filter_map(|partition| partition.size_bytes().ok())
            .sum(),
    };
    match admin.shared.metrics.render(now) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
