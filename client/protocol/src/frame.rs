//! Length-delimited frames: an int32 length, then that many bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader as WireRequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request, StrBytes};

/// Size of the length in front of a frame.
pub const LENGTH_SIZE: usize = 4;
/// Most bytes set aside before they arrive: a peer that announces much and sends little costs this.
pub const RESERVE_STEP: usize = 1 << 20;
/// Size of the API key, the first field of a request.
const KEY_SIZE: usize = 2;
/// A buffer that has grown beyond this is given up as soon as little is in it: one large frame must
/// not cost its connection that much for life.
const KEEP: usize = 64 * 1024;

/// Cuts a stream of bytes into frames. Holds what has arrived and nothing else: no socket.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    /// The most the buffer could hold since it was made. Its capacity alone does not tell: it
    /// shrinks with every frame that is cut off, while the memory behind it stays.
    largest: usize,
    max: usize,
    reserve_at_once: usize,
}

impl FrameDecoder {
    /// Frames of more than `max` bytes (the length not counted) are refused.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            largest: 0,
            max,
            reserve_at_once: RESERVE_STEP,
        }
    }

    /// Sets memory for up to so many bytes aside as soon as a frame announces them, instead of
    /// [`RESERVE_STEP`] at a time: frames that are expected to be large are then not moved while
    /// they arrive. For a client, that asked for what is coming.
    #[must_use]
    pub fn reserve_at_once(mut self, bytes: usize) -> Self {
        self.reserve_at_once = bytes;
        self
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer, to read from a socket straight into its spare capacity. Only ever append.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that wait for the rest of their frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame without its length; `None` until more bytes arrive.
    ///
    /// `cap` gives the most bytes a request with this API key may take. It is asked as soon as the
    /// key is there, before memory for the rest is set aside. For frames that do not begin with an
    /// API key, responses, let it return `usize::MAX`.
    ///
    /// An error is final: where the next frame begins is not known, so the connection is to be
    /// closed (Kafka: `InvalidReceiveException`).
    pub fn decode(&mut self, cap: &impl Fn(i16) -> usize) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_SIZE>() else {
            return Ok(None);
        };
        let announced = i32::from_be_bytes(*prefix);
        let length = usize::try_from(announced).map_err(|_| FrameError::Negative(announced))?;
        if length > self.max {
            return Err(FrameError::TooLarge {
                length,
                max: self.max,
            });
        }
        let arrived = self.buffer.len() - LENGTH_SIZE;
        if let Some([_, _, _, _, high, low]) =
            self.buffer.first_chunk::<{ LENGTH_SIZE + KEY_SIZE }>()
            && length >= KEY_SIZE
        {
            let api_key = i16::from_be_bytes([*high, *low]);
            let max = cap(api_key);
            if length > max {
                return Err(FrameError::TooLargeForApi {
                    api_key,
                    length,
                    max,
                });
            }
        }
        if arrived < length {
            // Nothing is set aside before the key has shown which cap applies.
            if arrived >= KEY_SIZE {
                self.buffer
                    .reserve((length - arrived).min(self.reserve_at_once));
            }
            return Ok(None);
        }
        self.largest = self.largest.max(self.buffer.capacity());
        self.buffer.advance(LENGTH_SIZE);
        let frame = self.buffer.split_to(length).freeze();
        self.shrink();
        Ok(Some(frame))
    }

    /// Moves what is left out of a buffer that is much too large for it, so that the buffer's
    /// memory goes when its frames go. (`BytesMut::reserve` would have it back at its full size.)
    /// At most a quarter of the buffer is copied, so a stream of small frames pays next to nothing.
    fn shrink(&mut self) {
        if self.largest > KEEP && self.buffer.len() <= self.largest / 4 {
            self.buffer = BytesMut::from(&self.buffer[..]);
            self.largest = self.buffer.capacity();
        }
    }
}

/// Why a stream of frames cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is negative.
    #[error("invalid frame (size = {0})")]
    Negative(i32),
    /// The length is above the limit for all frames.
    #[error("invalid frame (size = {length} larger than {max})")]
    TooLarge {
        /// The length announced.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The length is above the limit for this API.
    #[error("invalid frame (size = {length} larger than {max} for API key {api_key})")]
    TooLargeForApi {
        /// The API key of the request.
        api_key: i16,
        /// The length announced.
        length: usize,
        /// The limit.
        max: usize,
    },
}

/// Encodes a whole response frame: length, header, body. One allocation of the exact size.
///
/// The header's version follows from the body's type and version; with the ApiVersions response it
/// is 0 always. Fails if the body has a field set that `version` lacks.
pub fn encode_response<T: Encodable + HeaderVersion>(
    version: i16,
    correlation_id: i32,
    body: &T,
) -> Result<BytesMut, EncodeError> {
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    encode(&header, T::header_version(version), body, version)
}

/// Encodes a whole request frame: length, header, body. One allocation of the exact size.
pub fn encode_request<T: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<StrBytes>,
    body: &T,
) -> Result<BytesMut, EncodeError> {
    let header = WireRequestHeader::default()
        .with_request_api_key(T::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(client_id);
    encode(&header, T::header_version(version), body, version)
}

/// Why a message could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message does not fit the version; the encoder's own words.
    #[error("{0}")]
    Encoder(String),
    /// The frame would be longer than an int32 can say.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
}

fn encode(
    header: &impl Encodable,
    header_version: i16,
    body: &impl Encodable,
    version: i16,
) -> Result<BytesMut, EncodeError> {
    let header_size = header
        .compute_size(header_version)
        .map_err(|error| encoder(&error))?;
    let size = header_size
        + body
            .compute_size(version)
            .map_err(|error| encoder(&error))?;
    let length = i32::try_from(size).map_err(|_| EncodeError::TooLong(size))?;
    let mut frame = BytesMut::with_capacity(LENGTH_SIZE + size);
    frame.put_i32(length);
    header
        .encode(&mut frame, header_version)
        .map_err(|error| encoder(&error))?;
    body.encode(&mut frame, version)
        .map_err(|error| encoder(&error))?;
    match frame.len() - LENGTH_SIZE {
        written if written == size => Ok(frame),
        written => Err(EncodeError::Encoder(format!(
            "{written} bytes written of {size}"
        ))),
    }
}

fn encoder(error: &dyn std::fmt::Display) -> EncodeError {
    EncodeError::Encoder(format!("{error:#}"))
}

#[cfg(test)]
mod tests;
