//! What answers look like.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::query::QueryError;

pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    text(status, value.to_string())
}

/// JSON that has been written already.
pub(super) fn text(status: StatusCode, text: String) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, text + "\n").into_response()
}

pub(super) fn failed(status: StatusCode, reason: String) -> Response {
    json(status, &serde_json::json!({ "error": reason }))
}

/// Why there is no answer, and the status that says so.
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) reason: String,
}

impl Refused {
    /// What was asked for cannot be meant.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: reason.into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        failed(self.status, self.reason)
    }
}

/// Why a store could not be read: 404 for what there is not, 400 for what cannot be meant, 421 for
/// what another instance has, 503 for what is not there yet.
impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Self {
        let status = match error {
            QueryError::UnknownStore { .. } => StatusCode::NOT_FOUND,
            QueryError::Elsewhere { .. } | QueryError::NoTask { .. } => {
                StatusCode::MISDIRECTED_REQUEST
            }
            QueryError::Restoring { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            reason: error.to_string(),
        }
    }
}
