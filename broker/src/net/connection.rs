//! One connection: a reader that begins requests and a writer that answers them in order.
//!
//! Both run in one task. Between them is a bounded queue: a client that sends more than
//! [`MAX_PIPELINED`] requests, or more bytes than one largest request, ahead of its answers is not
//! read from until it has been answered. So what a connection holds in memory is bounded, also
//! when the client never reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use tidemark_protocol::frame::{FrameDecoder, LENGTH_SIZE};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::limits::{Limits, Place, units};
use crate::api::{self, Origin, Shared, Started};
use crate::environment::Clock;
use crate::types::Monotonic;

/// Requests of one connection that may be under way at once. Clients send 5 to 10 ahead.
const MAX_PIPELINED: usize = 64;
/// Room made before each read from the socket, in bytes.
const READ_STEP: usize = 16 * 1024;
/// Frames up to this size are not worth counting against the memory of requests: a connection's
/// read buffer has that much anyway.
const SMALL_FRAME: usize = 64 * 1024;

/// An accepted connection.
pub(super) struct Connection {
    stream: TcpStream,
    origin: Origin,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    _place: Place,
}

/// A request under way, with the memory it is accounted for.
struct Queued {
    started: Started,
    _memory: Option<Memory>,
}

/// Bytes accounted for a request, with the connection and with the broker.
struct Memory {
    _connection: OwnedSemaphorePermit,
    _broker: Option<OwnedSemaphorePermit>,
}

/// Why a connection ended.
enum End {
    /// The client closed it, or it broke.
    Peer,
    /// The broker is stopping.
    Stopping,
    /// Nothing happened for too long.
    Idle,
    /// The client sent something that cannot be answered.
    Refused(String),
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        origin: Origin,
        shared: Arc<Shared>,
        limits: Arc<Limits>,
        place: Place,
    ) -> Self {
        Self {
            stream,
            origin,
            shared,
            limits,
            _place: place,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(self) {
        let (read, write) = self.stream.into_split();
        let (queue, requests) = mpsc::channel(MAX_PIPELINED);
        let config = self.shared.config.load_full();
        let max_frame = usize::try_from(config.socket_request_max_bytes).unwrap_or(0);
        let activity = Arc::new(Activity::new(
            Arc::clone(&self.shared.environment.clock),
            config.connections_max_idle_ms,
        ));
        let mut reader = Reader {
            read,
            decoder: FrameDecoder::new(max_frame),
            max_frame,
            activity: Arc::clone(&activity),
            in_flight: Arc::new(Semaphore::new(units(max_frame) as usize)),
            origin: self.origin.clone(),
            shared: Arc::clone(&self.shared),
            limits: self.limits,
            queue,
        };
        let mut writer = Writer {
            write: BufWriter::with_capacity(READ_STEP, write),
            shared: self.shared,
            requests,
            activity,
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
                if matches!(end, End::Stopping) {
                    // What has been begun is finished; parked requests are told to end.
                    let _ = writing.await;
                } else {
                    // Nobody is there for answers that are still to come; those that are ready
                    // go out, for a client that has only closed its sending side.
                    drop(writing);
                    writer.drain().await;
                }
                end
            }
            end = &mut writing => end,
        };
        let peer = self.origin.peer;
        match end {
            End::Refused(reason) => tracing::warn!(%peer, reason, "connection closed"),
            End::Idle => tracing::debug!(%peer, "connection closed: idle"),
            End::Peer | End::Stopping => tracing::debug!(%peer, "connection closed"),
        }
    }
}

struct Reader {
    read: OwnedReadHalf,
    decoder: FrameDecoder,
    max_frame: usize,
    activity: Arc<Activity>,
    in_flight: Arc<Semaphore>,
    origin: Origin,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    queue: mpsc::Sender<Queued>,
}

impl Reader {
    async fn run(&mut self) -> End {
        loop {
            let frame = match self.next_frame().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let (frame, memory) = frame;
            self.activity.begin();
            let started = api::begin(&self.shared, &self.origin, frame).await;
            if self
                .queue
                .send(Queued {
                    started,
                    _memory: memory,
                })
                .await
                .is_err()
            {
                return End::Peer;
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
                    Ok(0) | Err(_) => return Err(End::Peer),
                    Ok(_) => self.activity.touch(),
                },
                () = self.activity.idle() => return Err(End::Idle),
                _ = stopping.wait_for(|stop| *stop) => return Err(End::Stopping),
            }
        }
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

struct Writer {
    write: BufWriter<OwnedWriteHalf>,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Queued>,
    activity: Arc<Activity>,
}

impl Writer {
    async fn run(&mut self) -> End {
        loop {
            let queued = match self.requests.try_recv() {
                Ok(queued) => queued,
                Err(_) => {
                    // Nothing more to put in the same packet.
                    if self.flush().await.is_err() {
                        return End::Peer;
                    }
                    match self.requests.recv().await {
                        Some(queued) => queued,
                        None => return End::Peer,
                    }
                }
            };
            if !queued.started.is_ready() && self.flush().await.is_err() {
                return End::Peer;
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

    /// Sends the answers that need no more waiting.
    async fn drain(&mut self) {
        while let Ok(queued) = self.requests.try_recv() {
            if !queued.started.is_ready() {
                break;
            }
            let Ok(Some(frame)) = queued.started.finish(&self.shared).await else {
                break;
            };
            if self.send(frame).await.is_err() {
                return;
            }
        }
        let _ = self.flush().await;
    }

    async fn send(&mut self, mut frame: Bytes) -> Result<(), End> {
        self.shared.metrics.bytes_out(frame.len());
        while frame.has_remaining() {
            let stuck = self.activity.period();
            tokio::select! {
                written = self.write.write(&frame) => match written {
                    Ok(0) | Err(_) => return Err(End::Peer),
                    Ok(count) => frame.advance(count),
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

/// When the connection last did something, and how many answers are still to come: they keep it
/// alive, however long they take.
struct Activity {
    clock: Arc<dyn Clock>,
    /// `connections.max.idle.ms`; negative for no limit.
    idle_ms: i64,
    last: AtomicU64,
    unanswered: AtomicUsize,
}

impl Activity {
    fn new(clock: Arc<dyn Clock>, idle_ms: i64) -> Self {
        Self {
            last: AtomicU64::new(clock.now().monotonic.0),
            clock,
            idle_ms,
            unanswered: AtomicUsize::new(0),
        }
    }

    /// Bytes have arrived.
    fn touch(&self) {
        self.last
            .store(self.clock.now().monotonic.0, Ordering::Relaxed);
    }

    /// A request has arrived.
    fn begin(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.touch();
    }

    /// A request has been answered.
    fn end(&self) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        self.touch();
    }

    /// Ready when nothing has happened for too long.
    async fn idle(&self) {
        if self.idle_ms < 0 {
            return std::future::pending().await;
        }
        loop {
            let last = Monotonic(self.last.load(Ordering::Relaxed));
            let deadline = last.plus_ms(self.idle_ms);
            self.clock.sleep_until(deadline).await;
            if self.unanswered.load(Ordering::Relaxed) > 0 {
                self.touch();
            } else if Monotonic(self.last.load(Ordering::Relaxed)) == last {
                return;
            }
        }
    }

    /// Ready after as long as a connection may be idle: nothing could be written for that long.
    async fn period(&self) {
        if self.idle_ms < 0 {
            return std::future::pending().await;
        }
        let deadline = self.clock.now().monotonic.plus_ms(self.idle_ms);
        self.clock.sleep_until(deadline).await;
    }
}
