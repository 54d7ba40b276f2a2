//! Why there is no answer.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::serving::Missing;
use crate::serving::merged::QueryError;

/// So much of a text that is not as it should be is shown again.
const MOST_SHOWN: usize = 200;
const BUSY: &str = "busy";

/// A typed error with the status that says so.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    more: Option<Box<(&'static str, Value)>>,
    behind: Option<Box<[Missing]>>,
    /// Whether it may be otherwise in a moment.
    pub(super) passes: bool,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: None,
            more: None,
            behind: None,
            passes: false,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn no_page(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_page",
            format!("there is no {path}"),
        )
        .hint("/ lists what there is")
    }

    pub(super) fn only_get(method: &Method) -> Self {
        let message = format!("{method} is not possible");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "only_get", message)
            .hint("all there is to do is to GET")
    }

    pub(super) fn unknown_view<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_view",
            format!("there is no view {name:?}"),
        )
        .hint(format!("there are: {}", known.join(", ")))
    }

    pub(super) fn unknown_key(view: &str, key: &Value, coverage: Value) -> Self {
        let message = format!("view {view:?} has no event of key {key}");
        let mut refusal = Self::new(StatusCode::NOT_FOUND, "unknown_key", message).hint(format!(
            "/views/{view}/keys?limit=10 lists some that there are"
        ));
        refusal.more = Some(Box::new(("coverage", coverage)));
        refusal
    }

    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        let message = format!("parameter {name}: {reason}");
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
    }

    pub(super) fn coverage(error: &dyn std::fmt::Display) -> Self {
        let message = format!("parameter at_least: {error}");
        Self::new(StatusCode::BAD_REQUEST, "bad_coverage", message)
            .hint("the coverage of an answer can be given as it is, too")
    }

    pub(super) fn other_topic(topic: &str, known: &[(&str, i32)]) -> Self {
        let topic: String = topic.chars().take(MOST_SHOWN).collect();
        let message = format!("parameter at_least: the view does not read topic {topic:?}");
        let known: Vec<&str> = known.iter().map(|(topic, _)| *topic).collect();
        Self::new(StatusCode::BAD_REQUEST, "bad_coverage", message)
            .hint(format!("it reads: {}", known.join(", ")))
    }

    /// So many keys have more to say than one answer holds.
    pub(super) fn too_large(keys: usize) -> Self {
        let message = format!("the answers for the first {keys} keys fill one answer");
        Self::new(StatusCode::BAD_REQUEST, "too_large", message).hint("ask for fewer keys at once")
    }

    /// There was no turn in time.
    pub(super) fn busy() -> Self {
        let message = "as many answers of many keys as are made at once take all their time";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, BUSY, message).hint("ask again later")
    }

    pub(super) fn is_busy(&self) -> bool {
        self.code == BUSY
    }

    pub(super) fn behind(missing: &[Missing], waited: std::time::Duration) -> Self {
        let error = QueryError::behind(missing.to_vec(), waited);
        let each = missing.iter().map(|one| {
            json!({
                "topic": &*one.partition.topic,
                "partition": one.partition.partition,
                "covered": one.covered,
                "wanted": one.wanted,
                "missing": one.wanted - one.covered,
            })
        });
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "behind", error.to_string());
        refusal.more = Some(Box::new(("missing", each.collect())));
        refusal.behind = Some(missing.into());
        refusal.passes = true;
        refusal
    }

    pub(super) fn failed(view: &str, error: &str) -> Self {
        let message = format!("the speed layer of view {view:?} has ended: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failed", message)
    }

    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            error.to_string(),
        )
    }

    /// The same, after it has been waited for so long.
    pub(super) fn after(self, waited: std::time::Duration) -> Self {
        match self.behind {
            Some(missing) => Self::behind(&missing, waited),
            None => self,
        }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        let (message, passes) = (error.to_string(), error.may_pass());
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let refusal = match error {
            QueryError::Elsewhere(_) => Self::new(unavailable, "elsewhere", message),
            QueryError::Gap { .. } | QueryError::Unread { .. } => {
                Self::new(unavailable, "gap", message)
            }
            QueryError::NoSnapshot { held, .. } => {
                let mut refusal = Self::new(StatusCode::NOT_FOUND, "unknown_snapshot", message);
                refusal.more = Some(Box::new(("held", json!(held))));
                refusal
            }
            QueryError::Behind { missing, waited } => Self::behind(&missing, waited),
            QueryError::Ended(_) => Self::new(unavailable, "failed", message),
            QueryError::NoWindow(reason) => Self::parameter("window", reason),
            QueryError::Key(_) => Self::new(StatusCode::BAD_REQUEST, "bad_key", message),
            QueryError::State(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "bad_state", message)
            }
        };
        Self { passes, ..refusal }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(hint) = self.hint {
            error["hint"] = hint.into();
        }
        let mut body = json!({ "error": error });
        if let Some(more) = self.more {
            let (name, value) = *more;
            body[name] = value;
        }
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (self.status, kind, body.to_string()).into_response()
    }
}
