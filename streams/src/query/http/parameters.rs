//! What stands behind the `?` of a URL.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

/// The most rows of one answer.
const MOST_ROWS: usize = 10_000;
const USUAL_ROWS: usize = 100;

/// Names and values as axum takes them apart.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Parameters by their names, each at most once.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Takes no others than those named.
    pub(super) fn of(pairs: Pairs, known: &[&str]) -> Result<Self, String> {
        let Query(pairs) = pairs.map_err(|error| error.body_text())?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&&**name) {
                return Err(format!("{name}: there are only {}", known.join(", ")));
            }
            if pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(format!("{name} is there twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter's value; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// Milliseconds since 1970, or `otherwise`.
    pub(super) fn time(&self, name: &str, otherwise: i64) -> Result<i64, String> {
        let parsed = self.get(name).map(str::parse);
        let parsed = parsed.unwrap_or(Ok(otherwise));
        parsed.map_err(|error| format!("{name}: milliseconds since 1970 are expected: {error}"))
    }

    /// How many rows are wanted.
    pub(super) fn limit(&self) -> Result<usize, String> {
        let parsed = self.get("limit").map_or(Ok(USUAL_ROWS), str::parse);
        let limit: usize = parsed.map_err(|error| format!("limit: {error}"))?;
        if (1..=MOST_ROWS).contains(&limit) {
            Ok(limit)
        } else {
            Err(format!("limit: 1 to {MOST_ROWS}"))
        }
    }
}
