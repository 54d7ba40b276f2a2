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

/// Connections at once; more wait in the listener's backlog.
const MOST_CONNECTIONS: usize = 64;
/// The life of a connection, from its first byte to the last of its one answer.
const LIFE: Duration = Duration::from_secs(30);
/// After a failed accept the listener pauses so long, instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that lets in so many, for so long.
pub(super) struct Doors {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clock: Clock,
}

impl Doors {
    pub(super) fn new(listener: TcpListener, clock: Clock) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            clock,
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
                    let clock = self.clock.clone();
                    let visit = Visit {
                        stream,
                        deadline: Some(Box::pin(async move { clock.sleep(LIFE).await })),
                        _place: place,
                    };
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
pub(super) struct Visit {
    stream: TcpStream,
    /// `None` once it has passed.
    deadline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Visit {
    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_pending()
        {
            return Ok(());
        }
        self.deadline = None;
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
