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
    /// The life of a connection. Of one that is kept: from the first byte of a request to the last one of its
    /// answer.
    life: Duration,
    /// How long a connection is kept that has nothing to do: until a request begins, or until more of an
    /// answer is taken. `None` if none is kept.
    idle: Option<Duration>,
}

impl Limits {
    /// Few, each for one answer.
    pub(crate) const ONE_ANSWER: Self = Self {
        connections: 64,
        life: Duration::from_secs(30),
        idle: None,
    };

    /// More, each for as long as it is used: a quarter of the files that a process may usually open. An answer
    /// may be waited for as long as `patience`; then it has to be made and taken.
    pub(crate) fn kept(patience: Duration) -> Self {
        Self {
            connections: 256,
            life: patience.saturating_add(Duration::from_secs(60)),
            idle: Some(Duration::from_secs(15)),
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
                    let visit = Visit::new(stream, self.clock.clone(), self.limits, place);
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
    /// When its time is up, in milliseconds of the clock; and when it is if nothing happens until then.
    ends: u64,
    idle_ends: Option<u64>,
    /// Wakes it then, or before that: it looks again.
    alarm: Option<Alarm>,
    over: bool,
    _place: Option<OwnedSemaphorePermit>,
}

struct Alarm {
    at: u64,
    wakes: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Visit {
    fn new(
        stream: TcpStream,
        clock: Clock,
        limits: Limits,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            stream,
            ends: clock.deadline(limits.life),
            idle_ends: limits.idle.map(|idle| clock.deadline(idle)),
            clock,
            limits,
            alarm: None,
            over: false,
            _place: place,
        }
    }

    /// Something of a request has come. The first of it ends the idle time.
    fn has_read(&mut self) {
        if self.idle_ends.take().is_some() {
            self.ends = self.clock.deadline(self.limits.life);
        }
    }

    /// Something of an answer has been taken: more of it follows, or the next request.
    fn has_written(&mut self) {
        self.idle_ends = self.limits.idle.map(|idle| self.clock.deadline(idle));
    }

    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.over {
            let ends = self.idle_ends.map_or(self.ends, |idle| idle.min(self.ends));
            if self.clock.now().millis >= ends {
                self.over = true;
                break;
            }
            if self.alarm.as_ref().is_some_and(|alarm| alarm.at > ends) {
                self.alarm = None;
            }
            let clock = &self.clock;
            let alarm = self.alarm.get_or_insert_with(|| {
                let clock = clock.clone();
                let wakes = Box::pin(async move { clock.sleep_until(ends).await });
                Alarm { at: ends, wakes }
            });
            if alarm.wakes.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            self.alarm = None;
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.has_read();
        }
        read
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
        if matches!(written, Poll::Ready(Ok(_))) {
            self.has_written();
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

#[cfg(test)]
mod tests {
    use tidemark_client::ManualClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(15);
    const LIFE: Duration = Duration::from_secs(70);
    const MOMENT: Duration = Duration::from_millis(1);

    async fn doors(limits: Limits) -> (Doors, SocketAddr, ManualClock) {
        let (clock, hands) = Clock::manual(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Doors::new(listener, clock, limits), address, hands)
    }

    /// A connection from both of its sides.
    async fn visit(limits: Limits) -> (Visit, TcpStream, ManualClock) {
        let (mut doors, address, hands) = doors(limits).await;
        let (peer, (visit, _)) = tokio::join!(TcpStream::connect(address), doors.accept());
        (visit, peer.unwrap(), hands)
    }

    async fn send(peer: &mut TcpStream, visit: &mut Visit) {
        peer.write_all(b"x").await.unwrap();
        assert_eq!(visit.read_u8().await.unwrap(), b'x');
    }

    async fn is_over(visit: &mut Visit) -> bool {
        let mut byte = [0];
        tokio::select! {
            biased;
            read = visit.read(&mut byte) => read.unwrap_err().kind() == io::ErrorKind::TimedOut,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn who_does_not_ask_has_to_go() {
        let (mut visit, mut peer, hands) = visit(Limits::kept(PATIENCE)).await;
        hands.advance(IDLE - MOMENT);
        assert!(!is_over(&mut visit).await);
        send(&mut peer, &mut visit).await;
        // An answer may take its time, and then the next question has some.
        hands.advance(IDLE);
        assert!(!is_over(&mut visit).await);
        visit.write_all(b"answer").await.unwrap();
        hands.advance(IDLE - MOMENT);
        assert!(!is_over(&mut visit).await);
        hands.advance(MOMENT);
        assert!(is_over(&mut visit).await);
    }

    #[tokio::test]
    async fn a_request_byte_by_byte_has_an_end() {
        let (mut visit, mut peer, hands) = visit(Limits::kept(PATIENCE)).await;
        send(&mut peer, &mut visit).await;
        for _ in 0..6 {
            hands.advance(Duration::from_secs(11));
            send(&mut peer, &mut visit).await;
        }
        hands.advance(Duration::from_secs(4));
        assert!(is_over(&mut visit).await);
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_byte_by_byte_has_an_end() {
        let (mut visit, mut peer, hands) = visit(Limits::kept(PATIENCE)).await;
        send(&mut peer, &mut visit).await;
        let mut taken = Duration::ZERO;
        while taken < LIFE {
            assert_eq!(visit.write(b"x").await.unwrap(), 1);
            hands.advance(IDLE - MOMENT);
            taken += IDLE - MOMENT;
        }
        let error = visit.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_sleeps_is_woken_by_the_clock() {
        let (mut visit, _peer, hands) = visit(Limits::kept(PATIENCE)).await;
        let reading = tokio::spawn(async move { visit.read_u8().await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        hands.advance(IDLE);
        assert_eq!(reading.await.unwrap(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn one_answer_has_one_life() {
        let (mut visit, mut peer, hands) = visit(Limits::ONE_ANSWER).await;
        hands.advance(Duration::from_secs(29));
        send(&mut peer, &mut visit).await;
        visit.write_all(b"answer").await.unwrap();
        assert!(!is_over(&mut visit).await);
        hands.advance(Duration::from_secs(1));
        assert!(is_over(&mut visit).await);
    }

    #[tokio::test]
    async fn so_many_are_let_in_and_the_next_one_when_one_goes() {
        let limits = Limits {
            connections: 2,
            ..Limits::kept(PATIENCE)
        };
        let (mut doors, address, _hands) = doors(limits).await;
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(TcpStream::connect(address).await.unwrap());
        }
        let (first, _) = doors.accept().await;
        let (_second, _) = doors.accept().await;
        assert_eq!(doors.places.available_permits(), 0);
        let third = tokio::spawn(async move { doors.accept().await.1 });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        assert_eq!(third.await.unwrap(), peers[2].local_addr().unwrap());
    }
}
