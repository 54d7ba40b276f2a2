//! The only door to the codec crate's request decoders.
//!
//! The decoders of `kafka-protocol` set memory aside for as many array elements as the peer claims:
//! five bytes make them ask for gigabytes, and the process aborts. No wrapper around the buffer can
//! tell a count from any other integer, so a walk over the body comes first. It follows a table of
//! shapes, types only, and holds every length and every count against the bytes that remain, and
//! counts the elements. Strings and bytes stay where they are, so what the decoder sets aside is a
//! constant times the number of elements ([`ELEMENT_BYTES`]): that number has a limit too, since an
//! element can be a single byte.

use std::fmt::{self, Write};

use bytes::Bytes;
use kafka_protocol::protocol::Request;

use crate::reader::ReadError;
use walk::{Step, walk};

pub mod shape;
pub mod shapes;
mod walk;

/// The most memory that the decoder sets aside for one element, in bytes; what it takes without any
/// is no more than a few of them. `tests/allocation.rs` measures every request.
pub const ELEMENT_BYTES: usize = 512;

/// A body that has passed the guard and may be decoded.
#[derive(Clone, Debug)]
pub struct Checked {
    api_key: i16,
    version: i16,
    body: Bytes,
    walked: Walked,
}

impl Checked {
    /// Runs the guard over the body of a request (what follows the header).
    pub fn new(
        api_key: i16,
        version: i16,
        body: Bytes,
        max_elements: usize,
    ) -> Result<Self, GuardError> {
        let walked = check_within(api_key, version, &body, max_elements)?;
        Ok(Self {
            api_key,
            version,
            body,
            walked,
        })
    }

    /// Array elements and tagged fields in the body: see [`Walked::elements`].
    #[must_use]
    pub fn elements(&self) -> usize {
        self.walked.elements
    }

    /// Runs the decoder. Bytes after the body are ignored, as Kafka does
    /// (`AbstractRequest.parseRequest`); [`check`] reports them.
    pub fn decode<T: Request>(mut self) -> Result<T, DecodeError> {
        let version = self.version;
        let failed = |reason| DecodeError::Decoder {
            api_key: T::KEY,
            version,
            reason,
        };
        if self.api_key != T::KEY {
            return Err(failed(format!(
                "it was checked as API key {}",
                self.api_key
            )));
        }
        T::decode(&mut self.body, version).map_err(|error| failed(format!("{error:#}")))
    }
}

/// Runs the guard, then the decoder, without a limit on elements: for bodies whose size is limit
/// enough.
pub fn decode_request<T: Request>(version: i16, body: Bytes) -> Result<T, DecodeError> {
    Checked::new(T::KEY, version, body, usize::MAX)?.decode()
}

/// Walks the body of a request (what follows the header) and checks every length and count in it.
/// Allocates nothing unless it fails.
pub fn check(api_key: i16, version: i16, body: &[u8]) -> Result<Walked, GuardError> {
    check_within(api_key, version, body, usize::MAX)
}

fn check_within(
    api_key: i16,
    version: i16,
    body: &[u8],
    max_elements: usize,
) -> Result<Walked, GuardError> {
    let fail = |kind| GuardError {
        api_key,
        version,
        kind,
        offset: 0,
        path: String::new(),
    };
    let shape = shapes::find(api_key).ok_or_else(|| fail(GuardErrorKind::UnknownApi))?;
    if version < shape.min || version > shape.max {
        let (min, max) = (shape.min, shape.max);
        return Err(fail(GuardErrorKind::UnsupportedVersion { min, max }));
    }
    walk(shape, version, body, max_elements).map_err(|failure| {
        let (kind, offset) = (failure.kind, failure.offset);
        GuardError {
            api_key,
            version,
            kind,
            offset,
            path: path(&failure.path),
        }
    })
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Bytes the body takes.
    pub consumed: usize,
    /// Bytes after it.
    pub trailing: usize,
    /// Array elements and tagged fields in the body, at all depths: what a decoder will allocate
    /// for. Never more than `consumed`.
    pub elements: usize,
}

/// A body that must not reach the decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct GuardError {
    /// The API key of the request.
    pub api_key: i16,
    /// The version of the request.
    pub version: i16,
    /// What is wrong.
    pub kind: GuardErrorKind,
    /// Where the bad value begins, in bytes from the start of the body.
    pub offset: usize,
    /// The field, as in `topics[2].partitions[0].records`; empty if it is not about a field.
    pub path: String,
}

impl fmt::Display for GuardError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            api_key,
            version,
            kind,
            offset,
            path,
        } = self;
        match shapes::find(*api_key) {
            Some(shape) => write!(out, "{} v{version}", shape.name)?,
            None => write!(out, "api key {api_key} v{version}")?,
        }
        match path.as_str() {
            "" => write!(out, ", byte {offset}: {kind}"),
            path => write!(out, ", {path} at byte {offset}: {kind}"),
        }
    }
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardErrorKind {
    /// No request has this key.
    #[error("no such API")]
    UnknownApi,
    /// The decoder does not know the version.
    #[error("only versions {min} to {max} are known")]
    UnsupportedVersion {
        /// Lowest known version.
        min: i16,
        /// Highest known version.
        max: i16,
    },
    /// A value does not fit the bytes.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// A length or count below -1.
    #[error("length {0}")]
    NegativeLength(i64),
    /// A null where the version allows none.
    #[error("null is not allowed")]
    UnexpectedNull,
    /// A string or bytes longer than what remains (or a string beyond Kafka's 32767 bytes).
    #[error("length {length} with {remaining} bytes left")]
    TooLong {
        /// The length found.
        length: usize,
        /// Bytes left after it.
        remaining: usize,
    },
    /// More elements than the remaining bytes can hold.
    #[error("{count} elements with {remaining} bytes left")]
    TooMany {
        /// The count found.
        count: usize,
        /// Bytes left after it.
        remaining: usize,
    },
    /// More elements, all arrays taken together, than a request of this kind may have.
    #[error("{elements} elements or more, where {max} are the most")]
    TooManyElements {
        /// The elements counted so far, those of the array that was one too many included.
        elements: usize,
        /// The limit.
        max: usize,
    },
    /// The marker before a nullable struct is neither 1 nor -1.
    #[error("struct marker {0}")]
    BadPresence(i8),
    /// A tagged field does not have the size it claims.
    #[error("tag {tag} claims {size} bytes and takes {read}")]
    TagSize {
        /// The tag.
        tag: u32,
        /// The size found before it.
        size: usize,
        /// The bytes it takes.
        read: usize,
    },
}

/// Why a request could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The guard refused it.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The decoder refused it: a string that is not UTF-8, or a tag the version does not have.
    #[error("request {api_key} v{version}: {reason}")]
    Decoder {
        /// The API key of the request.
        api_key: i16,
        /// The version of the request.
        version: i16,
        /// The decoder's own words.
        reason: String,
    },
}

/// The path to a field, from its steps inside out.
fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Element(index) => {
                write!(path, "[{index}]").expect("writing to a string cannot fail");
            }
        }
    }
    path
}

#[cfg(test)]
mod tests;
