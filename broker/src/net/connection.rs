//! One connection: a reader that begins requests and a writer that answers them in order.
//!
//! Both run in one task. Between them is a bounded queue: a client that is ahead of its answers by
//! [`MAX_PIPELINED`] requests, by the bytes of one largest request, or by [`MAX_BACKLOG`] of what
//! the requests have become, is not read from until it has been answered. So what a connection
//! holds in memory is bounded, also when the client never reads.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tidemark_protocol::frame::{FrameDecoder, LENGTH_SIZE};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::activity::Activity;
use super::limits::{Limits, Place, units};
use crate::api::{self, Origin, Shared, Started};

/// Requests of one connection that may be under way at once. Clients send 5 to 10 ahead.
const MAX_PIPELINED: usize = 64;
/// Bytes that the requests under way may take, beyond those of the last one: answers that wait for
/// their turn, and what handlers keep of requests that have none yet. A client that pipelines small
/// requests never comes near, and one that asks for megabytes at a time gains nothing from having
/// several such answers wait.
const MAX_BACKLOG: usize = 4 << 20;
/// For how long nothing may move on a connection that will send no more requests, in milliseconds:
/// the disk takes part of a second for the last answers. A consumer that has gone away is not to
/// keep its place for as long as its last fetch would have waited for data.
const LAST_ANSWERS_GRACE_MS: i64 = 10_000;
/// Room made before each read from the socket, in bytes.
const READ_STEP: usize = 16 * 1024;
/// Frames up to this size are not worth counting against the memory of requests: a connection's
/// read buffer has that much anyway.
const SMALL_FRAME: usize = 64 * 1024;

/// An accepted connection, given as the two directions of its stream.
pub(super) struct Connection<R, W> {
    read: R,
    write: W,
    origin: Origin,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    _place: Place,
}

/// A request under way, with the memory it is accounted for.
struct Queued {
    started: Started,
    _memory: Option<Memory>,
    _backlog: Option<OwnedSemaphorePermit>,
}

/// Bytes accounted for a request, with the connection and with the broker.
struct Memory {
    _connection: OwnedSemaphorePermit,
    _broker: Option<OwnedSemaphorePermit>,
}

/// Why a connection ended.
enum End {
    /// The client sends no more. It may still read.
    Closed,
    /// It broke.
    Broken,
    /// The broker is stopping.
    Stopping,
    /// Nothing happened for too long.
    Idle,
    /// The client sent something that cannot be answered.
    Refused(String),
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    pub(super) fn new(
        (read, write): (R, W),
        origin: Origin,
        shared: Arc<Shared>,
        limits: Arc<Limits>,
        place: Place,
    ) -> Self {
        Self {
            read,
            write,
            origin,
            shared,
            limits,
            _place: place,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(self) {
        let (queue, requests) = mpsc::channel(MAX_PIPELINED);
        let config = self.shared.config.load_full();
        let max_frame = usize::try_from(config.socket_request_max_bytes).unwrap_or(0);
        let activity = Arc::new(Activity::new(
            Arc::clone(&self.shared.environment.clock),
            config.connections_max_idle_ms,
        ));
        let mut reader = Reader {
            read: self.read,
            decoder: FrameDecoder::new(max_frame),
            max_frame,
            activity: Arc::clone(&activity),
            in_flight: Arc::new(Semaphore::new(units(max_frame) as usize)),
            backlog: Arc::new(Semaphore::new(MAX_BACKLOG)),
            origin: self.origin.clone(),
            shared: Arc::clone(&self.shared),
            limits: self.limits,
            queue,
        };
        let mut writer = Writer {
            write: BufWriter::with_capacity(READ_STEP, self.write),
            shared: self.shared,
            requests,
            activity: Arc::clone(&activity),
        };
        let reading = async move {
            let end = reader.run().await;
            // Dropping the reader closes the queue: the writer ends when it is empty.
            drop(reader);
            end
        };
        tokio::pin!(reading);
        let mut writing = Box::pin(writer.run());
        let end = tokio::select! {
            end = &mut reading => {
                if !matches!(end, End::Broken) {
                    // What has been begun is answered, in its order, as long as that gets on.
                    activity.touch();
                    tokio::select! {
                        _ = &mut writing => {}
                        () = activity.quiet(LAST_ANSWERS_GRACE_MS) => {}
                    }
                }
                end
            }
            end = &mut writing => end,
        };
        let peer = self.origin.peer;
        match end {
            End::Refused(reason) => tracing::warn!(%peer, reason, "connection closed"),
            End::Idle => tracing::debug!(%peer, "connection closed: idle"),
            End::Closed | End::Broken | End::Stopping => {
                tracing::debug!(%peer, "connection closed")
            }
        }
    }
}

struct Reader<R> {
    read: R,
    decoder: FrameDecoder,
    max_frame: usize,
    activity: Arc<Activity>,
    in_flight: Arc<Semaphore>,
    backlog: Arc<Semaphore>,
    origin: Origin,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    queue: mpsc::Sender<Queued>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    async fn run(&mut self) -> End {
        loop {
            let frame = match self.next_frame().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let (frame, memory) = frame;
            self.activity.begin();
            let started = api::begin(&self.shared, &self.origin, frame).await;
            let queued = Queued {
                _memory: memory,
                _backlog: self.backlog(started.size()).await,
                started,
            };
            if self.queue.send(queued).await.is_err() {
                return End::Broken;
            }
        }
    }

    async fn next_frame(&mut self) -> Result<(Bytes, Option<Memory>), End> {
        let mut memory = None;
        let mut stopping = self.shared.stopping.clone();
        loop {
            let cap = |key| api::frame_cap(key, self.max_frame);
            match self.decoder.decode(&cap) {
                Ok(Some(frame)) => {
                    self.shared.metrics.bytes_in(frame.len() + LENGTH_SIZE);
                    return Ok((frame, memory));
                }
                Ok(None) => {}
                Err(error) => return Err(End::Refused(error.to_string())),
            }
            if memory.is_none() {
                memory = self.account().await;
            }
            self.decoder.buffer_mut().reserve(READ_STEP);
            tokio::select! {
                read = self.read.read_buf(self.decoder.buffer_mut()) => match read {
                    Ok(0) => return Err(End::Closed),
                    Err(_) => return Err(End::Broken),
                    Ok(_) => self.activity.touch(),
                },
                () = self.activity.idle() => return Err(End::Idle),
                _ = stopping.wait_for(|stop| *stop) => return Err(End::Stopping),
            }
        }
    }

    /// Waits until a request that takes so many bytes fits in with those before it. The largest
    /// fits when there are none.
    async fn backlog(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(MAX_BACKLOG)).unwrap_or(u32::MAX);
        Arc::clone(&self.backlog)
            .acquire_many_owned(bytes)
            .await
            .ok()
    }

    /// Waits for memory for the frame that has begun to arrive, if it is a large one.
    async fn account(&mut self) -> Option<Memory> {
        let announced = self.decoder.buffer_mut().first_chunk::<LENGTH_SIZE>()?;
        let length = usize::try_from(i32::from_be_bytes(*announced)).ok()?;
        if length <= SMALL_FRAME {
            return None;
        }
        let connection = Arc::clone(&self.in_flight)
            .acquire_many_owned(units(length))
            .await
            .ok()?;
        let broker = self.limits.queue(length).await;
        Some(Memory {
            _connection: connection,
            _broker: broker,
        })
    }
}

struct Writer<W> {
    write: BufWriter<W>,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Queued>,
    activity: Arc<Activity>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn run(&mut self) -> End {
        loop {
            let queued = match self.requests.try_recv() {
                Ok(queued) => queued,
                Err(_) => {
                    // Nothing more to put in the same packet.
                    if self.flush().await.is_err() {
                        return End::Broken;
                    }
                    match self.requests.recv().await {
                        Some(queued) => queued,
                        None => return End::Closed,
                    }
                }
            };
            if !queued.started.is_ready() && self.flush().await.is_err() {
                return End::Broken;
            }
            match queued.started.finish(&self.shared).await {
                Ok(Some(frame)) => {
                    if let Err(end) = self.send(frame).await {
                        return end;
                    }
                    self.activity.end();
                }
                Ok(None) => self.activity.end(),
                Err(reason) => {
                    let _ = self.flush().await;
                    return End::Refused(reason);
                }
            }
        }
    }

    async fn send(&mut self, mut frame: Bytes) -> Result<(), End> {
        self.shared.metrics.bytes_out(frame.len());
        while frame.has_remaining() {
            let stuck = self.activity.period();
            tokio::select! {
                written = self.write.write(&frame) => match written {
                    Ok(0) | Err(_) => return Err(End::Broken),
                    Ok(count) => {
                        frame.advance(count);
                        self.activity.touch();
                    }
                },
                () = stuck => return Err(End::Idle),
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let stuck = self.activity.period();
        tokio::select! {
            flushed = self.write.flush() => flushed,
            () = stuck => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
