//! One TCP connection to one broker, bare: for tests of a broker, where each byte matters.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::protocol::{HeaderVersion, Request, StrBytes};
use tidemark_protocol::ReadError;
use tidemark_protocol::api::decode_response_header;
use tidemark_protocol::frame::{EncodeError, FrameDecoder, FrameError, encode_request};
use tidemark_protocol::guard::{DecodeError, decode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

/// The largest response that is read, in bytes: a broker's `fetch.max.bytes` of 55 MiB and one
/// batch that exceeds it fit.
const MAX_RESPONSE: usize = 256 * 1024 * 1024;
/// Room made before each read, in bytes.
const READ_STEP: usize = 64 * 1024;

/// Why a call failed. After any of these but [`RawError::Encode`] the connection is of no more
/// use.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// The connection could not be made or broke.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The broker closed the connection: Kafka's way to refuse what it cannot answer.
    #[error("the broker closed the connection")]
    Closed,
    /// The request has a field that its version does not know.
    #[error("request: {0}")]
    Encode(#[from] EncodeError),
    /// The response is not a frame.
    #[error("response: {0}")]
    Frame(#[from] FrameError),
    /// The response ends in its header.
    #[error("response: the header {0}")]
    Header(#[from] ReadError),
    /// The response is not what its request and version call for.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The response belongs to another request.
    #[error("response to request {found} where {expected} was expected")]
    OutOfOrder {
        /// The correlation id of the oldest request without an answer.
        expected: i32,
        /// The one in the response.
        found: i32,
    },
}

/// An ordered connection: responses come in the order of the requests. It is for tests of brokers:
/// no handshake, no retries, no time limits; producers, consumers and admin calls do not use it.
pub struct Connection {
    stream: TcpStream,
    decoder: FrameDecoder,
    client_id: StrBytes,
    next_id: i32,
    /// Correlation ids of requests without an answer, oldest first.
    waiting: VecDeque<i32>,
}

impl Connection {
    /// Connects to `host:port`, in plaintext.
    ///
    /// # Errors
    ///
    /// [`RawError::Io`] if that fails.
    pub async fn connect(address: impl ToSocketAddrs, client_id: &str) -> Result<Self, RawError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            decoder: FrameDecoder::new(MAX_RESPONSE),
            client_id: StrBytes::from_string(client_id.to_owned()),
            next_id: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send`] and [`Connection::receive`].
    pub async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, RawError> {
        self.send(version, request).await?;
        self.receive::<R>(version).await
    }

    /// Sends a request; its response is to be taken with [`Connection::receive`], in order.
    ///
    /// # Errors
    ///
    /// [`RawError::Encode`] if a field does not fit the version: nothing was sent. [`RawError::Io`]
    /// if the connection broke.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), RawError> {
        self.send_without_answer(version, request).await?;
        self.waiting.push_back(self.next_id.wrapping_sub(1));
        Ok(())
    }

    /// Sends a request that gets no response: Produce with acks=0.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send`].
    pub async fn send_without_answer<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<(), RawError> {
        let client_id = Some(self.client_id.clone());
        let frame = encode_request(version, self.next_id, client_id, request)?;
        self.next_id = self.next_id.wrapping_add(1);
        self.stream.write_all(&frame).await?;
        Ok(())
    }

    /// Takes the response to the oldest request without an answer.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::receive_frame`]; [`RawError::Header`] and [`RawError::Decode`] if the
    /// response is not what request and version call for; [`RawError::OutOfOrder`] if it belongs to
    /// another request, or to none.
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, RawError> {
        let frame = self.receive_frame().await?;
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        let (found, body) = decode_response_header(header_version, &frame)?;
        let expected = self.waiting.pop_front().unwrap_or(-1);
        if found != expected {
            return Err(RawError::OutOfOrder { expected, found });
        }
        Ok(decode_response::<R>(version, body)?)
    }

    /// Writes bytes as they are: for tests of what a broker does with them.
    ///
    /// # Errors
    ///
    /// [`RawError::Io`] if the connection broke.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), RawError> {
        self.stream.write_all(bytes).await?;
        Ok(())
    }

    /// The next frame, whatever it holds.
    ///
    /// # Errors
    ///
    /// [`RawError::Closed`] if the broker closed the connection, [`RawError::Io`] if it broke,
    /// [`RawError::Frame`] if what comes is not a frame or is larger than 256 MiB.
    pub async fn receive_frame(&mut self) -> Result<Bytes, RawError> {
        loop {
            if let Some(frame) = self.decoder.decode(&|_| usize::MAX)? {
                return Ok(frame);
            }
            let buffer = self.decoder.buffer_mut();
            buffer.reserve(READ_STEP);
            if self.stream.read_buf(buffer).await? == 0 {
                return Err(RawError::Closed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
