//! One connection through the proxy.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tidemark_protocol::frame::{FrameDecoder, LENGTH_SIZE};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::intercept::{Asked, Expected, Script};
use super::valve::Valve;
use super::{Cut, Direction, Shared};

/// Read at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// Requests under way on one connection, more than any client pipelines.
const MAX_PIPELINED: usize = 1024;
/// The largest frame.
const MAX_FRAME: usize = 256 << 20;

/// An accepted connection. It is open from the moment it is made until it is dropped.
pub(super) struct Connection {
    number: u64,
    client: TcpStream,
    cut: watch::Receiver<Cut>,
    open: Open,
}

impl Connection {
    pub(super) fn new(number: u64, client: TcpStream, shared: Arc<Shared>) -> Self {
        shared.counts.send_modify(|counts| {
            counts.accepted += 1;
            counts.open += 1;
        });
        Self {
            number,
            client,
            cut: shared.cut.subscribe(),
            open: Open(shared),
        }
    }

    /// Passes bytes both ways until both have ended or one breaks, or until it is cut.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.open.0);
        // An error says that the connection is to end, and it does.
        let passing = pass(self.number, &mut self.client, &shared);
        tokio::select! {
            _ = passing => {}
            _ = self.cut.changed() => {
                if self.cut.borrow().reset {
                    let _ = self.client.set_zero_linger();
                }
            }
        }
    }
}

/// Counts a connection out again.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::Relaxed);
        }
        self.0.counts.send_modify(|counts| counts.open -= 1);
    }
}

async fn pass(number: u64, client: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let target = shared.target.borrow().clone();
    let target = target.ok_or(io::ErrorKind::ConnectionRefused)?;
    let mut broker = TcpStream::connect(target).await?;
    broker.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (client_read, client_write) = client.split();
    let (broker_read, broker_write) = broker.split();
    let to_broker = Valve::new(shared.lanes.of(Direction::ToBroker), broker_write);
    let to_client = Valve::new(shared.lanes.of(Direction::ToClient), client_write);
    match &shared.script {
        None => {
            let requests = pass_bytes(client_read, to_broker);
            let answers = pass_bytes(broker_read, to_client);
            tokio::try_join!(requests, answers)?;
        }
        Some(script) => {
            let (expect, expected) = mpsc::channel(MAX_PIPELINED);
            let requests = pass_requests(number, script, client_read, to_broker, expect);
            let answers = pass_answers(broker_read, to_client, expected);
            tokio::try_join!(requests, answers)?;
        }
    }
    Ok(())
}

async fn pass_bytes<R, W>(mut from: R, mut to: Valve<'_, W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk).await? {
            0 => return to.end().await,
            count => to.write(&mut chunk[..count]).await?,
        }
    }
}

async fn pass_requests<R, W>(
    number: u64,
    script: &Script,
    mut from: R,
    mut to: Valve<'_, W>,
    expect: mpsc::Sender<Expected>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut decoder = FrameDecoder::new(MAX_FRAME);
    loop {
        let Some(frame) = decode(&mut decoder)? else {
            if from.read_buf(decoder.buffer_mut()).await? == 0 {
                drop(expect);
                return to.end().await;
            }
            continue;
        };
        let Asked {
            forward,
            gate,
            expected,
        } = script.ask(number, &frame)?;
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if let Some(expected) = expected {
            let told = expect.send(expected).await;
            told.map_err(|_| io::ErrorKind::ConnectionAborted)?;
        }
        if forward {
            to.write(&mut framed(&frame)).await?;
        }
    }
}

async fn pass_answers<R, W>(
    mut from: R,
    mut to: Valve<'_, W>,
    mut expected: mpsc::Receiver<Expected>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut decoder = FrameDecoder::new(MAX_FRAME);
    let mut waiting = VecDeque::new();
    let mut asking = true;
    loop {
        // All that can be answered, in the order of the requests.
        while let Some(next) = waiting.pop_front() {
            let frame = match &next {
                Expected::Ready(_) => None,
                Expected::FromBroker { .. } => match decode(&mut decoder)? {
                    Some(frame) => Some(frame),
                    None => {
                        waiting.push_front(next);
                        break;
                    }
                },
            };
            if let Some(mut answer) = next.answer(frame).await? {
                to.write(&mut answer).await?;
            }
        }
        tokio::select! {
            more = expected.recv(), if asking => match more {
                Some(more) => waiting.push_back(more),
                None => asking = false,
            },
            read = from.read_buf(decoder.buffer_mut()) => if read? == 0 {
                return to.end().await;
            },
        }
    }
}

/// The next frame without its length, if it has arrived.
fn decode(decoder: &mut FrameDecoder) -> io::Result<Option<Bytes>> {
    let frame = decoder.decode(&|_| usize::MAX).map_err(io::Error::other)?;
    if frame.is_none() {
        decoder.buffer_mut().reserve(CHUNK);
    }
    Ok(frame)
}

/// A frame with its length in front.
pub(super) fn framed(frame: &[u8]) -> BytesMut {
    let mut framed = BytesMut::with_capacity(LENGTH_SIZE + frame.len());
    let length = i32::try_from(frame.len()).expect("a frame's length is an int32");
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(frame);
    framed
}
