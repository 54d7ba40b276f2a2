//! What stands in front of the response decoders, and its table of shapes: every response that the
//! codec crate can decode.
//!
//! A broker that answers garbage must cost a client an error, never its process. The shapes follow
//! the message schemas of Apache Kafka, cut to the versions of the codec crate; of some APIs these
//! reach higher than those of the requests. A test holds them against the crate's own encoder for
//! every key and version.

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Request};

use super::shape::Shape;
use super::shapes::{KEYS, index};
use super::{DecodeError, Direction, GuardError, GuardErrorKind, Walked, check_against};

mod access;
mod data;
mod groups;
mod quorum;
mod share;
mod topics;
mod transactions;

/// Elements in a response, all depths together, numbers and uuids not counted. A partition in a
/// Metadata answer is one, and the largest clusters have some hundred thousand. A decoder allocates
/// at most 400 bytes for each, so that a response never takes more than 400 MiB and a few times its
/// own size.
pub const MAX_RESPONSE_ELEMENTS: usize = 1 << 20;

static BY_KEY: [Option<&Shape>; KEYS] = index(&[
    data::ALL,
    groups::ALL,
    share::ALL,
    transactions::ALL,
    topics::ALL,
    access::ALL,
    quorum::ALL,
]);

/// The shape of the response with this key, `None` if there is no such response.
#[must_use]
pub fn find(key: i16) -> Option<&'static Shape> {
    *BY_KEY.get(usize::try_from(key).ok()?)?
}

/// All shapes, by ascending key.
pub fn all() -> impl Iterator<Item = &'static Shape> {
    BY_KEY.iter().copied().flatten()
}

/// Runs the guard, then the decoder of the response to `R`. Bytes after the body are an error: the
/// broker has then answered in another version than it was asked in.
pub fn decode_response<R: Request>(
    version: i16,
    mut body: Bytes,
) -> Result<R::Response, DecodeError> {
    let walked = check_response(R::KEY, version, &body)?;
    if walked.trailing > 0 {
        let kind = GuardErrorKind::Trailing(walked.trailing);
        return Err(refused(R::KEY, version, kind, walked.consumed).into());
    }
    R::Response::decode(&mut body, version).map_err(|error| DecodeError::Decoder {
        direction: Direction::Response,
        api_key: R::KEY,
        version,
        reason: format!("{error:#}"),
    })
}

/// Walks the body of a response (what follows the header) and checks every length and count in it,
/// and that its elements are no more than [`MAX_RESPONSE_ELEMENTS`]. Allocates nothing unless it
/// fails.
pub fn check_response(api_key: i16, version: i16, body: &[u8]) -> Result<Walked, GuardError> {
    check_against(
        find(api_key),
        Direction::Response,
        api_key,
        version,
        body,
        MAX_RESPONSE_ELEMENTS,
    )
}

/// An error about a response as a whole.
fn refused(api_key: i16, version: i16, kind: GuardErrorKind, offset: usize) -> GuardError {
    GuardError {
        direction: Direction::Response,
        api_key,
        version,
        kind,
        offset,
        path: String::new(),
    }
}

#[cfg(test)]
mod tests;
