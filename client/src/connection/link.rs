//! One ordered connection that many callers share.
//!
//! A caller's request is encoded and queued at once, so the order of calls is the order on the
//! wire. One task per connection writes what is queued and reads the answers, which come in the
//! order of the requests. A request without an answer within the client's request timeout breaks the
//! connection, as in Kafka: nothing that comes later could be told from what is missing. A caller
//! whose own patience ends before that only gives up the answer.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{HeaderVersion, Request, StrBytes};
use parking_lot::Mutex;
use tidemark_protocol::api::decode_response_header;
use tidemark_protocol::frame::{FrameDecoder, encode_request};
use tidemark_protocol::guard::decode_response;
use tokio::io::{AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};

use super::error::CallError;
use super::transport::BoxStream;
use super::versions::{Versions, name};
use crate::clock::Clock;
use crate::config::ClientConfig;
use crate::consumer::Lease;

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
    /// How long a broker has for an answer, if a caller does not give it more.
    request_timeout: Duration,
    /// How long the connection stays without anything to do.
    max_idle: Duration,
    /// What may be wrong if the broker closes the connection before it has answered anything.
    suspicion: Option<&'static str>,
    state: Mutex<State>,
    /// Something is to be written, or the connection is to be closed.
    wake: Notify,
    /// Something is due before [`State::alarm`].
    sooner: Notify,
}

struct State {
    next_id: i32,
    outgoing: VecDeque<Outgoing>,
    waiting: VecDeque<Waiting>,
    /// Requests that get no answer, until they are written.
    unwritten: VecDeque<Pending<()>>,
    /// When the connection's task looks next whether something is overdue, in clock milliseconds.
    alarm: u64,
    /// When there was something to do last, in clock milliseconds.
    used: u64,
    /// Why no more requests are taken.
    broken: Option<CallError>,
    /// The last user has gone.
    leaving: bool,
    /// There has been an answer.
    answered: bool,
}

struct Outgoing {
    frame: BytesMut,
    /// Whether it is one of [`State::unwritten`].
    unanswered: bool,
    /// It is not to be written when this does not hold any more.
    lease: Option<Lease>,
}

struct Waiting {
    id: i32,
    header_version: i16,
    pending: Pending<Bytes>,
}

/// A request that has not come to its end.
struct Pending<T> {
    overdue: Overdue,
    caller: oneshot::Sender<Result<T, CallError>>,
}

impl<T> Pending<T> {
    /// Tells the caller. One that no longer waits has lost interest.
    fn settle(self, outcome: Result<T, CallError>) {
        let _ = self.caller.send(outcome);
    }
}

/// When a request has taken too long.
#[derive(Clone, Copy)]
struct Overdue {
    api: &'static str,
    /// How long it may take.
    limit: Duration,
    /// Until when, in clock milliseconds.
    at: u64,
}

impl State {
    /// Whether there is nothing to do.
    fn is_idle(&self) -> bool {
        self.outgoing.is_empty() && self.waiting.is_empty() && self.unwritten.is_empty()
    }

    /// What will be overdue first.
    fn first_overdue(&self) -> Option<Overdue> {
        let waiting = self.waiting.iter().map(|waiting| waiting.pending.overdue);
        let unwritten = self.unwritten.iter().map(|pending| pending.overdue);
        waiting.chain(unwritten).min_by_key(|overdue| overdue.at)
    }
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
            request_timeout: config.request_timeout,
            max_idle: config.connections_max_idle,
            suspicion: config.sasl.is_none().then_some(WANTS_SASL),
            state: Mutex::new(State {
                next_id,
                outgoing: VecDeque::new(),
                waiting: VecDeque::new(),
                unwritten: VecDeque::new(),
                alarm: u64::MAX,
                used: config.clock.now().millis,
                broken: None,
                leaving: false,
                answered: false,
            }),
            wake: Notify::new(),
            sooner: Notify::new(),
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

    /// Sends a request, now; its answer comes out of the future. A caller that drops the future, or
    /// whose `timeout` is over, gives up the answer and nothing else. A `timeout` that is longer than
    /// the client's gives the broker that time.
    pub(crate) fn call<R: Request>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
    ) -> impl Future<Output = Result<R::Response, CallError>> + Send + use<R> {
        self.call_under(version, request, timeout, None)
    }

    /// As [`Self::call`]. If the lease does not hold any more when the request is written, or the
    /// connection is not done with it by then, the connection is broken instead.
    pub(crate) fn call_under<R: Request>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
        lease: Option<Lease>,
    ) -> impl Future<Output = Result<R::Response, CallError>> + Send + use<R> {
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        let queued = self.queue(version, request, timeout, lease, |state, id, pending| {
            state.waiting.push_back(Waiting {
                id,
                header_version,
                pending,
            });
        });
        let shared = Arc::clone(&self.shared);
        let open = Arc::clone(&self.open);
        async move {
            let _open = open;
            let frame = shared.outcome(queued?).await?;
            decode_response::<R>(version, frame).map_err(|error| {
                let error = shared.garbage(error.to_string());
                // Whoever sends this sends anything.
                shared.fail(error.clone());
                error
            })
        }
    }

    /// Sends a request that gets no answer, now: Produce with acks=0. The future ends when the system
    /// has taken its bytes, for which it has the client's request timeout. The lease is as with
    /// [`Self::call_under`].
    pub(crate) fn send<R: Request>(
        &self,
        version: i16,
        request: &R,
        lease: Option<Lease>,
    ) -> impl Future<Output = Result<(), CallError>> + Send + use<R> {
        let timeout = self.shared.request_timeout;
        let queued = self.queue(version, request, timeout, lease, |state, _, pending| {
            state.unwritten.push_back(pending);
            if let Some(last) = state.outgoing.back_mut() {
                last.unanswered = true;
            }
        });
        let shared = Arc::clone(&self.shared);
        let open = Arc::clone(&self.open);
        async move {
            let _open = open;
            shared.outcome(queued?).await
        }
    }

    /// Puts a request in line; `note` keeps what its caller waits for.
    fn queue<R: Request, T>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
        lease: Option<Lease>,
        note: impl FnOnce(&mut State, i32, Pending<T>),
    ) -> Result<Queued<T>, CallError> {
        let shared = &self.shared;
        let client_id = Some(shared.client_id.clone());
        // The id is written in afterwards, so that nobody waits for the encoding of others.
        let mut frame =
            encode_request(version, 0, client_id, request).map_err(|error| CallError::Encode {
                api: name::<R>(),
                reason: error.to_string(),
            })?;
        let (caller, outcome) = oneshot::channel();
        let limit = timeout.max(shared.request_timeout);
        let overdue = Overdue {
            api: name::<R>(),
            limit,
            at: shared.clock.deadline(limit),
        };
        let mut state = shared.state.lock();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let queued = state.waiting.len().max(state.outgoing.len());
        if queued >= MAX_WAITING {
            return Err(CallError::Congested {
                address: Arc::clone(&shared.address),
                waiting: queued,
            });
        }
        state.used = shared.clock.now().millis;
        let id = state.next_id;
        state.next_id = id.checked_add(1).unwrap_or(0);
        // Length, API key, version: then the correlation id.
        if let Some(slot) = frame.get_mut(8..12) {
            slot.copy_from_slice(&id.to_be_bytes());
        }
        state.outgoing.push_back(Outgoing {
            frame,
            unanswered: false,
            lease,
        });
        note(&mut state, id, Pending { overdue, caller });
        let sooner = overdue.at < state.alarm;
        if sooner {
            state.alarm = overdue.at;
        }
        drop(state);
        shared.wake.notify_one();
        if sooner {
            shared.sooner.notify_one();
        }
        Ok(Queued {
            outcome,
            overdue,
            timeout,
            deadline: shared.clock.deadline(timeout),
        })
    }
}

/// A request that is on its way, as its caller sees it.
struct Queued<T> {
    outcome: oneshot::Receiver<Result<T, CallError>>,
    overdue: Overdue,
    /// How long the caller waits.
    timeout: Duration,
    /// Until when, in clock milliseconds.
    deadline: u64,
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

    /// When a connection that has had something to do until `used` has been idle for long enough.
    fn idle_at(&self, used: u64) -> u64 {
        let millis = u64::try_from(self.max_idle.as_millis()).unwrap_or(u64::MAX);
        used.saturating_add(millis)
    }

    /// What whoever still holds an idle connection gets. Nothing is lost: nothing was under way.
    fn idle(&self) -> CallError {
        let text = format!("it was idle for {:?}", self.max_idle);
        self.closed(Some(io::Error::other(text)))
    }

    fn late(&self, api: &'static str, after: Duration) -> CallError {
        CallError::Timeout {
            address: Arc::clone(&self.address),
            api,
            after,
        }
    }

    /// Waits for what comes of a request, as long as its caller wants to.
    async fn outcome<T>(&self, queued: Queued<T>) -> Result<T, CallError> {
        match self.clock.until(queued.deadline, queued.outcome).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(self.closed(None)),
            None => {
                let error = self.late(queued.overdue.api, queued.timeout);
                // What the caller tries next is to find the connection broken.
                if self.clock.now().millis >= queued.overdue.at {
                    self.fail(error.clone());
                }
                Err(error)
            }
        }
    }

    /// Ends the connection: whoever waits, or calls later, gets the error. The first one counts.
    fn fail(&self, error: CallError) {
        let (waiting, unwritten) = {
            let mut state = self.state.lock();
            state.outgoing.clear();
            state.broken.get_or_insert_with(|| error.clone());
            (
                std::mem::take(&mut state.waiting),
                std::mem::take(&mut state.unwritten),
            )
        };
        for waiting in waiting {
            waiting.pending.settle(Err(error.clone()));
        }
        for pending in unwritten {
            pending.settle(Err(error.clone()));
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
        error = watching(&shared) => Some(error),
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
        state.used = shared.clock.now().millis;
        let waiting = state.waiting.pop_front();
        let idle_at = shared.idle_at(state.used);
        if state.is_idle() && idle_at < state.alarm {
            state.alarm = idle_at;
            shared.sooner.notify_one();
        }
        waiting
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
            let error = shared.garbage(reason.clone());
            waiting.pending.settle(Err(error));
            return Err(reason);
        }
    };
    waiting.pending.settle(Ok(body));
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
        let Some((frame, unanswered, lease)) = next else {
            shared.wake.notified().await;
            continue;
        };
        let written = async {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let step = |cx: &mut Context<'_>| Pin::new(&mut write).poll_write(cx, rest);
                let count = under(shared, lease.as_ref(), step).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = rest.get(count..).unwrap_or_default();
            }
            // TLS keeps what is not flushed.
            let step = |cx: &mut Context<'_>| Pin::new(&mut write).poll_flush(cx);
            under(shared, lease.as_ref(), step).await
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
        for _ in 0..unanswered {
            let written = shared.state.lock().unwritten.pop_front();
            if let Some(pending) = written {
                pending.settle(Ok(()));
            }
        }
    }
}

/// What a step of writing gives, unless the request's lease does not hold any more at that moment.
async fn under<T>(
    shared: &Shared,
    lease: Option<&Lease>,
    mut step: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    std::future::poll_fn(|cx| {
        if lease.is_some_and(|lease| !lease.holds(shared.clock.now())) {
            let text = "the lease under which it was to be written does not hold any more";
            return Poll::Ready(Err(io::Error::other(text)));
        }
        step(cx)
    })
    .await
}

/// Ends when a request has taken too long, whether its caller still waits or not: the broker is
/// silent, or does not read. Ends also when there was nothing to do for long enough.
async fn watching(shared: &Shared) -> CallError {
    loop {
        let alarm = {
            let mut state = shared.state.lock();
            let now = shared.clock.now().millis;
            let idle_at = shared.idle_at(state.used);
            state.alarm = match state.first_overdue() {
                Some(overdue) if overdue.at <= now => {
                    return shared.late(overdue.api, overdue.limit);
                }
                Some(overdue) => overdue.at,
                None if state.is_idle() && idle_at <= now => {
                    let error = shared.idle();
                    // Under the lock: no request can come in between.
                    state.broken = Some(error.clone());
                    return error;
                }
                None => idle_at,
            };
            state.alarm
        };
        tokio::select! {
            () = shared.clock.sleep_until(alarm) => {}
            () = shared.sooner.notified() => {}
        }
    }
}

/// Ends when the connection has been failed by a caller.
async fn broken(shared: &Shared) {
    while shared.state.lock().broken.is_none() {
        shared.wake.notified().await;
    }
}

/// The next frame to write, with those small ones behind it that fit into the same write, and how
/// many of them get no answer.
fn take_together(outgoing: &mut VecDeque<Outgoing>) -> Option<(BytesMut, usize, Option<Lease>)> {
    let Outgoing {
        frame: mut first,
        unanswered,
        lease,
    } = outgoing.pop_front()?;
    let mut count = usize::from(unanswered);
    while let Some(next) = outgoing.front()
        && (lease.is_none() && next.lease.is_none())
        && first.len() + next.frame.len() <= WRITE_TOGETHER
    {
        first.extend_from_slice(&next.frame);
        count += usize::from(next.unanswered);
        outgoing.pop_front();
    }
    Some((first, count, lease))
}

/// A decoder for a broker's answers.
pub(super) fn decoder() -> FrameDecoder {
    FrameDecoder::new(MAX_RESPONSE).reserve_at_once(RESERVE_AT_ONCE)
}

#[cfg(test)]
mod tests;
