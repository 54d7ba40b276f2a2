//! The one entry: a frame comes in, an answer goes out.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use tidemark_protocol::api::{FIXED_HEADER_SIZE, RequestHeader};
use tidemark_protocol::frame::encode_response;
use tidemark_protocol::guard::{Checked, ELEMENT_BYTES};

use super::context::Context;
use super::execute::{Outcome, start};
use super::view::{Shared, View};
use super::{Api, Response, api_versions, registry};

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address.
    pub peer: SocketAddr,
    /// Name of the listener.
    pub listener: Arc<str>,
}

/// A request that has taken its place: what it asked for is under way.
pub struct Started {
    api: Option<&'static Api>,
    outcome: Outcome,
    began_micros: u64,
    decoded_bytes: usize,
}

/// Takes a request in: reads its header, decodes it behind the guard, lets its handler decide and
/// starts what that asks for.
pub async fn begin(shared: &Arc<Shared>, origin: &Origin, frame: Bytes) -> Started {
    let began_micros = shared.environment.clock.monotonic_micros();
    let (api, (outcome, decoded_bytes)) = match open(origin, &frame) {
        Ok((context, body)) => (Some(context.api), decide(shared, &context, body).await),
        Err(outcome) => (None, (outcome, 0)),
    };
    Started {
        api,
        outcome,
        began_micros,
        decoded_bytes,
    }
}

/// What becomes of a request, and about how many bytes it was decoded to.
async fn decide(shared: &Arc<Shared>, context: &Context, body: Bytes) -> (Outcome, usize) {
    let Context { api, version, .. } = *context;
    let body = match Checked::new(api.key as i16, version, body, api.max_elements) {
        Ok(body) => body,
        Err(error) => return (Outcome::Close(error.to_string()), 0),
    };
    let decoded_bytes = body.elements().saturating_mul(ELEMENT_BYTES);
    let _permit = shared.memory.decode(body.elements()).await;
    let view = View::new(shared);
    let outcome = match registry::route(&view, context, body) {
        Ok(step) => start(Arc::clone(shared), step).await,
        Err(error) => Outcome::Close(format!("{} v{version}: {error}", api.name)),
    };
    (outcome, decoded_bytes)
}

impl Started {
    /// Whether [`Started::finish`] need not wait.
    pub fn is_ready(&self) -> bool {
        !matches!(self.outcome, Outcome::Pending(_))
    }

    /// How much memory it takes until it has been answered, in bytes: an answer that waits for its
    /// turn, or about what the request was decoded to, of which its handler may keep a good part.
    pub fn size(&self) -> usize {
        match &self.outcome {
            Outcome::Done(Some(response)) => response.frame.len(),
            Outcome::Pending(_) => self.decoded_bytes,
            Outcome::Done(None) | Outcome::Close(_) => 0,
        }
    }

    /// Waits for the answer: a whole frame, or `None` if none is to be sent. An error says why the
    /// connection is to be closed.
    pub async fn finish(self, shared: &Shared) -> Result<Option<Bytes>, String> {
        let result = self.outcome.finish().await;
        if let Some(api) = self.api {
            let micros = shared.environment.clock.monotonic_micros() - self.began_micros;
            let errors = match &result {
                Ok(Some(Response { errors, .. })) => errors.as_slice(),
                _ => &[],
            };
            shared.metrics.request(api, micros, errors);
        }
        Ok(result?.map(|response| response.frame))
    }
}

/// Reads the header. A request that cannot be served ends here: with the one answer that every
/// client understands for a too new ApiVersions, with a closed connection for everything else,
/// as in Kafka.
fn open(origin: &Origin, frame: &Bytes) -> Result<(Context, Bytes), Outcome> {
    let close = |reason: String| Err(Outcome::Close(reason));
    let Some([k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk::<FIXED_HEADER_SIZE>() else {
        return close(format!(
            "a frame of {} bytes has no request header",
            frame.len()
        ));
    };
    let (key, version) = (
        i16::from_be_bytes([*k0, *k1]),
        i16::from_be_bytes([*v0, *v1]),
    );
    let Some(api) = registry::find(key) else {
        return close(format!("API key {key} (version {version}) is not served"));
    };
    if !(api.min..=api.max).contains(&version) {
        if api.key != ApiKey::ApiVersions {
            return close(format!("{} version {version} is not served", api.name));
        }
        let correlation_id = i32::from_be_bytes([*c0, *c1, *c2, *c3]);
        let answer = encode_response(0, correlation_id, &api_versions::unsupported_version());
        return Err(match answer {
            Ok(frame) => {
                let errors = [tidemark_protocol::error::ErrorCode::UnsupportedVersion.code()];
                let response = Response {
                    frame: frame.freeze(),
                    errors: errors.into_iter().collect(),
                };
                Outcome::Done(Some(response))
            }
            Err(error) => Outcome::Close(error.to_string()),
        });
    }
    match RequestHeader::decode(frame) {
        Ok((header, body)) => Ok((
            Context {
                api,
                version,
                correlation_id: header.correlation_id,
                client_id: header.client_id,
                peer: origin.peer,
                listener: Arc::clone(&origin.listener),
            },
            body,
        )),
        Err(error) => close(error.to_string()),
    }
}
