//! What one broker speaks, and what client and broker speak both.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::protocol::Request;
use tidemark_protocol::api::api_name;

use super::error::CallError;

/// The versions of every API that a broker has told it serves (KIP-35).
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    address: Arc<str>,
    ranges: BTreeMap<i16, (i16, i16)>,
}

impl Versions {
    /// From a broker's ApiVersions answer.
    pub(crate) fn new(address: Arc<str>, keys: &[ApiVersion]) -> Self {
        let ranges = keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)));
        Self {
            address,
            ranges: ranges.collect(),
        }
    }

    /// The newest version of the API that both sides speak. `ours` are the client's.
    pub(crate) fn pick<R: Request>(&self, ours: RangeInclusive<i16>) -> Result<i16, CallError> {
        let (our_min, our_max) = (*ours.start(), *ours.end());
        let theirs = self.ranges.get(&R::KEY).copied();
        let both = theirs.and_then(|(min, max)| {
            let version = our_max.min(max);
            (version >= our_min.max(min)).then_some(version)
        });
        both.ok_or_else(|| CallError::Unsupported {
            address: Arc::clone(&self.address),
            api: name::<R>(),
            ours: format!("{our_min} to {our_max}"),
            theirs: theirs.map(|(min, max)| format!("{min} to {max}")),
        })
    }

    /// Every API with its versions, by key.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (i16, i16, i16)> + '_ {
        self.ranges
            .iter()
            .map(|(key, (min, max))| (*key, *min, *max))
    }
}

/// The name of a request's API.
pub(crate) fn name<R: Request>() -> &'static str {
    api_name(R::KEY).unwrap_or("unknown API")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{FetchRequest, MetadataRequest};

    #[test]
    fn the_newest_that_both_speak() {
        let fetch = ApiVersion::default()
            .with_api_key(1)
            .with_min_version(4)
            .with_max_version(13);
        let versions = Versions::new("a:1".into(), &[fetch]);
        let check = |ours, expected: Result<i16, &str>| match (
            versions.pick::<FetchRequest>(ours),
            expected,
        ) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        };
        check(4..=18, Ok(13));
        check(4..=11, Ok(11));
        check(
            14..=18,
            Err("a:1 speaks Fetch 4 to 13, this client 14 to 18"),
        );
        check(0..=3, Err("a:1 speaks Fetch 4 to 13, this client 0 to 3"));
        let error = versions.pick::<MetadataRequest>(0..=13).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a:1 speaks Metadata not at all, this client 0 to 13"
        );
    }
}
