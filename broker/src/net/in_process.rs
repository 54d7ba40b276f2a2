//! Connections of programs in the same process: bytes in memory in the place of a socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// What each direction holds before its writer waits, in bytes: about what a socket would.
const BUFFER: usize = 256 * 1024;
/// Connections that wait to be accepted, before connecting waits: as many as Kafka lets wait at a
/// socket (`socket.listen.backlog.size`).
const BACKLOG: usize = 50;

/// The address that a client in the same process counts as: the loopback address, as if it had
/// connected over TCP. There is no port, so it says 0. Groups and limits see the address.
pub(super) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Connects to a broker in the same process. Cheap to clone; outlives the broker.
#[derive(Clone, Debug)]
pub struct Connector {
    accepting: mpsc::Sender<DuplexStream>,
}

/// What a listener accepts besides its sockets.
pub type Incoming = mpsc::Receiver<DuplexStream>;

/// A way to connect, and the end of it that a listener is to have.
pub fn connector() -> (Connector, Incoming) {
    let (accepting, incoming) = mpsc::channel(BACKLOG);
    (Connector { accepting }, incoming)
}

impl Connector {
    /// Connects to the broker's first listener, as a client does over TCP from 127.0.0.1: what it
    /// writes are frames of requests, what it reads are the answers in their order. Shutting the
    /// stream's writing side down, or dropping the stream, closes the connection.
    ///
    /// The limits of connections hold: `max.connections` keeps a connection waiting,
    /// `max.connections.per.ip` of 127.0.0.1 closes it at once.
    ///
    /// # Errors
    /// `ConnectionRefused` if the broker has stopped.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (client, server) = duplex(BUFFER);
        match self.accepting.send(server).await {
            Ok(()) => Ok(client),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}
