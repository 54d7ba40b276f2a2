//! What a handler knows of the request it answers, and how it answers.

use std::net::SocketAddr;

use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use smallvec::SmallVec;
use tidemark_protocol::error::ErrorCode;
use tidemark_protocol::frame::encode_response;

use super::registry::Api;
use super::step::Step;

/// A request's envelope.
#[derive(Clone, Debug)]
pub struct Context {
    /// Which API was asked.
    pub api: &'static Api,
    /// In which version; one that the registry has.
    pub version: i16,
    /// To be sent back with the answer.
    pub correlation_id: i32,
    /// How the client calls itself.
    pub client_id: Option<StrBytes>,
    /// Where the client is.
    pub peer: SocketAddr,
    /// Name of the listener it came in by: it decides which address the client is told.
    pub listener: std::sync::Arc<str>,
}

/// An encoded answer: a whole frame.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The frame, length included.
    pub frame: Bytes,
    /// Every error code in it that is not NONE, for the metrics.
    pub errors: SmallVec<[i16; 2]>,
}

/// Names every error code that a response carries, at all levels.
pub trait ErrorCodes {
    /// Calls `visit` with each code; NONE may be among them.
    fn error_codes(&self, visit: &mut dyn FnMut(i16));
}

impl Context {
    /// Encodes `message` in the request's version as the answer.
    ///
    /// A message that cannot be encoded in this version is a defect of the handler: the connection
    /// is closed, since nothing true can be said on it.
    pub fn reply<M: Encodable + HeaderVersion + ErrorCodes>(&self, message: &M) -> Step {
        let mut errors = SmallVec::new();
        message.error_codes(&mut |code| {
            if code != 0 {
                errors.push(code);
            }
        });
        match encode_response(self.version, self.correlation_id, message) {
            Ok(frame) => Step::Reply(Response {
                frame: frame.into(),
                errors,
            }),
            Err(error) => Step::Close(format!(
                "cannot encode the {} v{} response: {error}",
                self.api.name, self.version
            )),
        }
    }

    /// The envelope as it is kept while the answer is waited for, without a hold on the request's
    /// frame.
    pub fn detached(&self) -> Self {
        Self {
            client_id: self.client_id.as_ref().map(detached),
            ..self.clone()
        }
    }

    /// The client's host as Kafka shows it in group descriptions: a slash and the address.
    pub fn client_host(&self) -> String {
        format!("/{}", self.peer.ip())
    }

    /// The client's name for itself, or nothing.
    pub fn client_name(&self) -> &str {
        self.client_id.as_deref().unwrap_or("")
    }
}

/// A copy of a request's string, for what outlives the request: the string itself is a slice of the
/// frame and would keep all of it in memory.
pub(super) fn detached(string: &StrBytes) -> StrBytes {
    StrBytes::from_string(string.to_string())
}

/// Kafka's number for an error.
pub(super) fn code(error: ErrorCode) -> i16 {
    error.code()
}
