//! What happens to the bytes of one direction.

use std::io;
use std::sync::Mutex;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::Direction;

/// What happens to bytes from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They are passed on, and so is the end.
    #[default]
    Pass,
    /// They wait in their order for another flow, the end of the connection with them: a network
    /// that is interrupted. Who sends more than the system's buffers hold has to wait.
    Hold,
    /// They are taken and gone, the end of the connection with them. A connection that has lost
    /// something loses all that follows in this direction, also when the flow is another again: no
    /// network has a gap in the middle.
    Discard,
}

/// What happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The connection that has passed the last byte on is closed.
    Cut,
    /// The next byte is another one: its lowest bit is flipped.
    Flip,
}

/// One direction of all connections.
#[derive(Default)]
pub(super) struct Lane {
    flow: watch::Sender<Flow>,
    /// How many bytes are to pass before it.
    strike: Mutex<Option<(usize, Strike)>>,
}

/// Both directions.
#[derive(Default)]
pub(super) struct Lanes {
    to_broker: Lane,
    to_client: Lane,
}

impl Lanes {
    pub(super) fn of(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::ToBroker => &self.to_broker,
            Direction::ToClient => &self.to_client,
        }
    }
}

impl Lane {
    pub(super) fn set_flow(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    pub(super) fn set_strike(&self, bytes: usize, strike: Strike) {
        *self.strike.lock().expect("nobody panics with it") = Some((bytes, strike));
    }

    pub(super) fn strikes(&self) -> bool {
        self.strike.lock().expect("nobody panics with it").is_some()
    }

    /// Takes the strike if it comes within these bytes, or as soon as they have passed; says after
    /// how many of them.
    fn struck(&self, length: usize) -> Option<(usize, Strike)> {
        let mut strike = self.strike.lock().expect("nobody panics with it");
        let (left, kind) = strike.as_mut()?;
        let comes = match kind {
            Strike::Cut => *left <= length,
            Strike::Flip => *left < length,
        };
        if comes {
            return strike.take();
        }
        *left -= length;
        None
    }
}

/// One direction of one connection.
pub(super) struct Valve<'a, W> {
    lane: &'a Lane,
    flow: watch::Receiver<Flow>,
    out: W,
    lost: bool,
}

impl<'a, W: AsyncWrite + Unpin> Valve<'a, W> {
    pub(super) fn new(lane: &'a Lane, out: W) -> Self {
        Self {
            lane,
            flow: lane.flow.subscribe(),
            out,
            lost: false,
        }
    }

    /// Does with these bytes as it should. An error ends the connection.
    pub(super) async fn write(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if !self.opens().await {
            return Ok(());
        }
        match self.lane.struck(bytes.len()) {
            None => self.out.write_all(bytes).await,
            Some((at, Strike::Flip)) => {
                bytes[at] ^= 1;
                self.out.write_all(bytes).await
            }
            Some((at, Strike::Cut)) => {
                self.out.write_all(&bytes[..at]).await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// Passes the end on, if it should.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        if self.opens().await {
            return self.out.shutdown().await;
        }
        // The other side never learns of it.
        std::future::pending().await
    }

    /// Waits as long as bytes are held; whether they then pass.
    async fn opens(&mut self) -> bool {
        let flow = self.flow.wait_for(|flow| *flow != Flow::Hold).await;
        // The sender goes with the proxy, which has this connection aborted.
        let flow = flow.map_or(Flow::Discard, |flow| *flow);
        self.lost |= flow == Flow::Discard;
        !self.lost
    }
}
