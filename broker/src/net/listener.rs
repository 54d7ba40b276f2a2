//! Listening sockets, and what is accepted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::in_process::{Incoming, PEER};
use super::limits::{Limits, Place};
use crate::api::{Origin, Shared};
use crate::config::BrokerConfig;

/// After a failed accept (too many open files, say) the listener pauses so long, in milliseconds,
/// instead of spinning.
const ACCEPT_PAUSE_MS: i64 = 100;

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: String,
    source: io::Error,
}

/// Listens on `host:port`. An empty host means every interface, over IPv6 and IPv4 alike where the
/// machine has both; port 0 takes a free one.
pub fn bind(host: &str, port: u16, config: &BrokerConfig) -> Result<TcpListener, BindError> {
    let failed = |source| BindError {
        address: format!("{host}:{port}"),
        source,
    };
    let candidates: Vec<SocketAddr> = match host {
        "" => vec![([0_u16; 8], port).into(), ([0_u8; 4], port).into()],
        host => (host, port).to_socket_addrs().map_err(failed)?.collect(),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in candidates {
        match listen(address, config) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn listen(address: SocketAddr, config: &BrokerConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Before listening: the window that a connection offers is fixed when it is made.
    if config.socket_receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(config.socket_receive_buffer_bytes as usize)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(config.socket_listen_backlog_size)?;
    TcpListener::from_std(socket.into())
}

/// Where a listener's connections come from.
pub struct Sources {
    /// Sockets.
    pub tcp: TcpListener,
    /// Clients in the same process, for the listener that has such.
    pub in_process: Option<Incoming>,
}

/// What was accepted.
enum Accepted {
    Tcp(io::Result<(TcpStream, SocketAddr)>),
    InProcess(DuplexStream),
}

impl Sources {
    async fn accept(&mut self) -> Accepted {
        let in_process = async {
            match &mut self.in_process {
                Some(incoming) => incoming.recv().await,
                None => None,
            }
        };
        tokio::select! {
            accepted = self.tcp.accept() => Accepted::Tcp(accepted),
            Some(stream) = in_process => Accepted::InProcess(stream),
        }
    }
}

/// Accepts connections until the broker stops, then waits for those that are open.
pub async fn serve(
    mut sources: Sources,
    name: Arc<str>,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let door = Door {
        name,
        shared,
        limits,
    };
    loop {
        let accepted = async {
            door.limits.room(|| door.shared.config.load_full()).await;
            sources.accept().await
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Accepted::Tcp(Ok((stream, peer))) => {
                if let Some(place) = door.admit(peer).await {
                    door.set_options(&stream);
                    let connection = door.connection(stream.into_split(), peer, place);
                    connections.spawn(connection.run());
                }
            }
            Accepted::InProcess(stream) => {
                if let Some(place) = door.admit(PEER).await {
                    let connection = door.connection(tokio::io::split(stream), PEER, place);
                    connections.spawn(connection.run());
                }
            }
            Accepted::Tcp(Err(error)) => {
                tracing::warn!(%error, listener = %door.name, "accept failed");
                let clock = &door.shared.environment.clock;
                clock
                    .sleep_until(clock.now().monotonic.plus_ms(ACCEPT_PAUSE_MS))
                    .await;
            }
        }
    }
    drop(sources);
    while connections.join_next().await.is_some() {}
}

/// What every connection of a listener gets.
struct Door {
    name: Arc<str>,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
}

impl Door {
    async fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let config = self.shared.config.load_full();
        self.limits.follow(&config).await;
        let place = self.limits.admit(peer.ip(), &config);
        if place.is_none() {
            tracing::info!(%peer, "closed: too many connections from this address");
        }
        place
    }

    fn set_options(&self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        let send_buffer = self.shared.config.load().socket_send_buffer_bytes;
        if send_buffer > 0 {
            // A wish: the system may grant less.
            let _ = socket.set_send_buffer_size(send_buffer as usize);
        }
        let _ = stream.set_nodelay(true);
        let _ = socket.set_keepalive(true);
    }

    fn connection<R, W>(&self, halves: (R, W), peer: SocketAddr, place: Place) -> Connection<R, W>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let origin = Origin {
            peer,
            listener: Arc::clone(&self.name),
        };
        let (shared, limits) = (Arc::clone(&self.shared), Arc::clone(&self.limits));
        Connection::new(halves, origin, shared, limits, place)
    }
}
