//! One ordered connection that many callers share.
//!
//! A caller's request is encoded and queued at once, so the order of calls is the order on the
//! wire. One task per connection writes what is queued and reads the answers, which come in the
//! order of the requests. A request without an answer in time breaks the connection, as in Kafka:
//! nothing that comes later could be told from what is missing.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{HeaderVersion, Request, StrBytes};
use parking_lot::Mutex;
use tidemark_protocol::api::decode_response_header;
use tidemark_protocol::frame::{FrameDecoder, encode_request};
use tidemark_protocol::guard::decode_response;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};

use super::error::CallError;
use super::transport::BoxStream;
use super::versions::{Versions, name};
use crate::clock::Clock;
use crate::config::ClientConfig;

/// The largest answer that is read, in bytes: a broker's `fetch.max.bytes` of 55 MiB and one batch
/// that exceeds it fit.
pub(super) const MAX_RESPONSE: usize = 256 * 1024 * 1024;
/// Memory set aside at once for an answer that has begun to arrive, in bytes. Answers up to this
/// size are read without being moved.
const RESERVE_AT_ONCE: usize = 64 * 1024 * 1024;
/// Room made before each read, in bytes.
const READ_STEP: usize = 64 * 1024;
/// Requests that may wait for their answers. Every part of the client has its own, much lower
/// limit; this one is for users who call without waiting.
const MAX_WAITING: usize = 4096;
/// Listeners with SASL tell everybody their versions, and hang up at the next request (Kafka's
/// `SaslServerAuthenticator`).
const WANTS_SASL: &str = "it has answered nothing but ApiVersions: does the listener want SASL?";
/// Frames up to this size are written together, in bytes.
const WRITE_TOGETHER: usize = 64 * 1024;

/// A connection past its handshake. Clones share it; it is closed when the last one is dropped and
/// nothing waits any more.
#[derive(Clone)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    versions: Arc<Versions>,
    /// When its authentication runs out, in clock milliseconds.
    retire_at: Option<u64>,
    /// Closes the connection when the last clone has gone, those of callers that wait included.
    open: Arc<Open>,
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state.lock().leaving = true;
        self.0.wake.notify_one();
    }
}

struct Shared {
    address: Arc<str>,
    client_id: StrBytes,
    clock: Clock,
    /// What may be wrong if the broker closes the connection before it has answered anything.
    suspicion: Option<&'static str>,
    state: Mutex<State>,
    /// Something is to be written, or the connection is to be closed.
    wake: Notify,
}

#[derive(Default)]
struct State {
    next_id: i32,
    outgoing: VecDeque<BytesMut>,
    waiting: VecDeque<Waiting>,
    /// Why no more requests are taken.
    broken: Option<CallError>,
    /// The last user has gone.
    leaving: bool,
    /// There has been an answer.
    answered: bool,
}

struct Waiting {
    id: i32,
    header_version: i16,
    answer: oneshot::Sender<Result<Bytes, CallError>>,
}

impl Link {
    /// Takes a stream over, whose handshake used the correlation ids below `next_id`. Must be
    /// called within a runtime.
    pub(super) fn start(
        stream: BoxStream,
        decoder: FrameDecoder,
        next_id: i32,
        versions: Versions,
        address: Arc<str>,
        client_id: StrBytes,
        config: &ClientConfig,
    ) -> Self {
        let shared = Arc::new(Shared {
            address,
            client_id,
            clock: config.clock.clone(),
            suspicion: config.sasl.is_none().then_some(WANTS_SASL),
            state: Mutex::new(State {
                next_id,
                ..State::default()
            }),
            wake: Notify::new(),
        });
        tokio::spawn(run(stream, decoder, Arc::clone(&shared)));
        Self {
            open: Arc::new(Open(Arc::clone(&shared))),
            shared,
            versions: Arc::new(versions),
            retire_at: None,
        }
    }

    /// The same link, which is to be replaced by a new one at a moment (clock milliseconds).
    pub(super) fn retiring_at(mut self, moment: Option<u64>) -> Self {
        self.retire_at = moment;
        self
    }

    /// Whether requests are still to be sent on it: it is open, and its authentication holds. What
    /// is under way is answered all the same.
    pub(crate) fn is_usable(&self) -> bool {
        let retired = self
            .retire_at
            .is_some_and(|at| self.shared.clock.now().millis >= at);
        !retired && self.is_open()
    }

    /// Ends the connection, whoever still has it: the client is being closed.
    pub(super) fn close(&self) {
        self.shared.fail(CallError::ClientClosed);
    }

    /// What the broker speaks.
    pub(crate) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Whether requests can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.state.lock().broken.is_none()
    }

    /// Requests without an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.state.lock().waiting.len()
    }

    /// Sends a request, now; its answer comes out of the future. A caller that drops the future
    /// gives up the answer and nothing else.
    pub(crate) fn call<R: Request>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
    ) -> impl Future<Output = Result<R::Response, CallError>> + Send + use<R> {
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        let queued = self.queue(version, request, Some(header_version));
        let shared = Arc::clone(&self.shared);
        let open = Arc::clone(&self.open);
        async move {
            let _open = open;
            let Some(answer) = queued? else {
                return Err(shared.closed(None));
            };
            let frame = match shared.clock.timeout(timeout, answer).await {
                Some(Ok(frame)) => frame?,
                Some(Err(_)) => return Err(shared.closed(None)),
                None => {
                    let error = CallError::Timeout {
                        address: Arc::clone(&shared.address),
                        api: name::<R>(),
                        after: timeout,
                    };
                    shared.fail(error.clone());
                    return Err(error);
                }
            };
            decode_response::<R>(version, frame).map_err(|error| {
                let error = shared.garbage(error.to_string());
                // Whoever sends this sends anything.
                shared.fail(error.clone());
                error
            })
        }
    }

    /// Sends a request that gets no answer: Produce with acks=0.
    pub(crate) fn send<R: Request>(&self, version: i16, request: &R) -> Result<(), CallError> {
        self.queue(version, request, None).map(|_| ())
    }

    fn queue<R: Request>(
        &self,
        version: i16,
        request: &R,
        header_version: Option<i16>,
    ) -> Result<Option<oneshot::Receiver<Result<Bytes, CallError>>>, CallError> {
        let client_id = Some(self.shared.client_id.clone());
        // The id is written in afterwards, so that nobody waits for the encoding of others.
        let mut frame =
            encode_request(version, 0, client_id, request).map_err(|error| CallError::Encode {
                api: name::<R>(),
                reason: error.to_string(),
            })?;
        let mut state = self.shared.state.lock();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let queued = state.waiting.len().max(state.outgoing.len());
        if queued >= MAX_WAITING {
            return Err(CallError::Congested {
                address: Arc::clone(&self.shared.address),
                waiting: queued,
            });
        }
        let id = state.next_id;
        state.next_id = id.checked_add(1).unwrap_or(0);
        // Length, API key, version: then the correlation id.
        if let Some(slot) = frame.get_mut(8..12) {
            slot.copy_from_slice(&id.to_be_bytes());
        }
        state.outgoing.push_back(frame);
        let answer = header_version.map(|header_version| {
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(Waiting {
                id,
                header_version,
                answer: sender,
            });
            receiver
        });
        drop(state);
        self.shared.wake.notify_one();
        Ok(answer)
    }
}

impl Shared {
    fn closed(&self, error: Option<io::Error>) -> CallError {
        CallError::Closed {
            address: Arc::clone(&self.address),
            error: error.map(Arc::new),
        }
    }

    /// What it may mean that the broker has closed the connection without a word.
    fn refusal(&self) -> Option<io::Error> {
        let state = self.state.lock();
        let never = !state.answered && !state.waiting.is_empty();
        let text = self.suspicion.filter(|_| never)?;
        Some(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }

    fn garbage(&self, reason: String) -> CallError {
        CallError::Garbage {
            address: Arc::clone(&self.address),
            reason,
        }
    }

    /// Ends the connection: whoever waits, or calls later, gets the error. The first one counts.
    fn fail(&self, error: CallError) {
        let waiting = {
            let mut state = self.state.lock();
            state.outgoing.clear();
            let waiting = std::mem::take(&mut state.waiting);
            state.broken.get_or_insert_with(|| error.clone());
            waiting
        };
        for waiting in waiting {
            let _ = waiting.answer.send(Err(error.clone()));
        }
        self.wake.notify_one();
    }
}

/// The connection's one task.
async fn run(stream: BoxStream, decoder: FrameDecoder, shared: Arc<Shared>) {
    let (read, write) = tokio::io::split(stream);
    let error = tokio::select! {
        error = reading(read, decoder, &shared) => error,
        error = writing(write, &shared) => error,
    };
    if let Some(error) = error {
        tracing::debug!(address = %shared.address, %error, "connection ended");
        shared.fail(error);
    }
}

async fn reading(
    mut read: ReadHalf<BoxStream>,
    mut decoder: FrameDecoder,
    shared: &Shared,
) -> Option<CallError> {
    loop {
        loop {
            match decoder.decode(&|_| usize::MAX) {
                Ok(Some(frame)) => {
                    if let Err(reason) = deliver(shared, &frame) {
                        return Some(shared.garbage(reason));
                    }
                }
                Ok(None) => break,
                Err(error) => return Some(shared.garbage(error.to_string())),
            }
        }
        let buffer = decoder.buffer_mut();
        if buffer.capacity() - buffer.len() < READ_STEP / 4 {
            buffer.reserve(READ_STEP);
        }
        match read.read_buf(buffer).await {
            Ok(0) => return Some(shared.closed(shared.refusal())),
            Ok(_) => {}
            Err(error) => return Some(shared.closed(Some(error))),
        }
    }
}

/// Hands an answer to the caller that it is for.
fn deliver(shared: &Shared, frame: &Bytes) -> Result<(), String> {
    let waiting = {
        let mut state = shared.state.lock();
        state.answered = true;
        state.waiting.pop_front()
    };
    let waiting = waiting.ok_or("an answer although nothing was asked")?;
    let body = match decode_response_header(waiting.header_version, frame) {
        Ok((id, body)) if id == waiting.id => Ok(body),
        Ok((id, _)) => Err(format!("an answer to request {id}, not to {}", waiting.id)),
        Err(error) => Err(format!("the header {error}")),
    };
    let body = match body {
        Ok(body) => body,
        Err(reason) => {
            let _ = waiting.answer.send(Err(shared.garbage(reason.clone())));
            return Err(reason);
        }
    };
    // Whoever no longer waits has lost interest.
    let _ = waiting.answer.send(Ok(body));
    Ok(())
}

async fn writing(mut write: WriteHalf<BoxStream>, shared: &Shared) -> Option<CallError> {
    loop {
        let next = {
            let mut state = shared.state.lock();
            if state.broken.is_some() {
                return None;
            }
            let next = take_together(&mut state.outgoing);
            if next.is_none() && state.leaving {
                state.broken = Some(shared.closed(None));
                return None;
            }
            next
        };
        let Some(frame) = next else {
            shared.wake.notified().await;
            continue;
        };
        let written = async {
            write.write_all(&frame).await?;
            // TLS keeps what is not flushed.
            write.flush().await
        };
        // A request timeout breaks the connection while a write hangs, too.
        tokio::select! {
            written = written => {
                if let Err(error) = written {
                    return Some(shared.closed(Some(error)));
                }
            }
            () = broken(shared) => return None,
        }
    }
}

/// Ends when the connection has been failed by a caller.
async fn broken(shared: &Shared) {
    while shared.state.lock().broken.is_none() {
        shared.wake.notified().await;
    }
}

/// The next frame to write, with those small ones behind it that fit into the same write.
fn take_together(outgoing: &mut VecDeque<BytesMut>) -> Option<BytesMut> {
    let mut first = outgoing.pop_front()?;
    while let Some(next) = outgoing.front()
        && first.len() + next.len() <= WRITE_TOGETHER
    {
        first.extend_from_slice(next);
        outgoing.pop_front();
    }
    Some(first)
}

/// A decoder for a broker's answers.
pub(super) fn decoder() -> FrameDecoder {
    FrameDecoder::new(MAX_RESPONSE).reserve_at_once(RESERVE_AT_ONCE)
}

#[cfg(test)]
mod tests;
