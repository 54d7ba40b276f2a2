//! ApiVersions (key 18, versions 0 to 4, KIP-35 and KIP-511): which APIs in which versions.
//!
//! An unknown version is answered with a version 0 body, error 35 and the list, so that the client
//! can ask again; see [`unsupported_version`].

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::registry::REGISTRY;
use super::step::Step;
use super::view::View;

pub(super) fn handle(_: &View, context: &Context, request: ApiVersionsRequest) -> Step {
    let named = context.version < 3
        || (is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version));
    if !named {
        let error = ApiVersionsResponse::default().with_error_code(code(ErrorCode::InvalidRequest));
        return context.reply(&error);
    }
    context.reply(&versions(ErrorCode::None))
}

/// The answer to a version this broker does not know; it is encoded as version 0.
pub(super) fn unsupported_version() -> ApiVersionsResponse {
    versions(ErrorCode::UnsupportedVersion)
}

fn versions(error: ErrorCode) -> ApiVersionsResponse {
    let keys = REGISTRY.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.advertised_min)
            .with_max_version(api.max)
    });
    ApiVersionsResponse::default()
        .with_error_code(code(error))
        .with_api_keys(keys.collect())
        .with_finalized_features_epoch(-1)
}

/// Letters and digits, with dots and dashes in between (Kafka's `ApiVersionsRequest`).
fn is_software_name(name: &str) -> bool {
    let ends = [name.chars().next(), name.chars().next_back()];
    ends.iter()
        .all(|end| end.is_some_and(|c| c.is_ascii_alphanumeric()))
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

impl ErrorCodes for ApiVersionsResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names() {
        for (name, fine) in [
            ("librdkafka", true),
            ("v2.0.2-dirty", true),
            ("", false),
            ("-x", false),
            ("a b", false),
        ] {
            assert_eq!(is_software_name(name), fine, "{name:?}");
        }
    }
}
