//! Limits on connections: nothing else would keep half-open ones from using up all files that the
//! process may open.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tidemark_client::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What connections are let in, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once; more wait in the listener's backlog.
    connections: usize,
    /// The life of a connection.
    life: Duration,
    /// Whether it begins anew with every piece of an answer that is sent, so that it is the time from one
    /// answer to the next.
    renewed: bool,
}

impl Limits {
    /// Few, each for one answer.
    pub(crate) const ONE_ANSWER: Self = Self {
        connections: 64,
        life: Duration::from_secs(30),
        renewed: false,
    };

    /// More, each for as long as it is used. An answer may take as long as `patience`.
    pub(crate) fn kept(patience: Duration) -> Self {
        Self {
            connections: 1_024,
            life: patience.saturating_add(Duration::from_secs(60)),
            renewed: true,
        }
    }
}

/// After a failed accept the listener pauses so long, instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that lets in so many, for so long.
pub(crate) struct Doors {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clock: Clock,
    limits: Limits,
}

impl Doors {
    pub(crate) fn new(listener: TcpListener, clock: Clock, limits: Limits) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(limits.connections)),
            clock,
            limits,
        }
    }
}

impl Listener for Doors {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        // The semaphore is never closed; a visit without a place would only be one uncounted.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let mut visit = Visit {
                        stream,
                        clock: self.clock.clone(),
                        limits: self.limits,
                        ends: 0,
                        deadline: None,
                        over: false,
                        _place: place,
                    };
                    visit.renew();
                    return (visit, peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "HTTP: accept failed");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is up.
pub(crate) struct Visit {
    stream: TcpStream,
    clock: Clock,
    limits: Limits,
    /// When its time is up, in milliseconds of the clock.
    ends: u64,
    /// Wakes it then, or before that: it looks again.
    deadline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    over: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Visit {
    /// Its time begins anew.
    fn renew(&mut self) {
        self.ends = self.clock.deadline(self.limits.life);
    }

    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.over {
            let left = self.ends.saturating_sub(self.clock.now().millis);
            if left == 0 {
                self.over = true;
                break;
            }
            let clock = &self.clock;
            let deadline = self.deadline.get_or_insert_with(|| {
                let clock = clock.clone();
                Box::pin(async move { clock.sleep(Duration::from_millis(left)).await })
            });
            if deadline.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            self.deadline = None;
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_time(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_time(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if self.limits.renewed && written.is_ready() {
            self.renew();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
