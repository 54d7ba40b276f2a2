//! Listening sockets.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::limits::Limits;
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

/// Accepts connections until the broker stops, then waits for those that are open.
pub async fn serve(
    listener: TcpListener,
    name: Arc<str>,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            limits.room(|| shared.config.load_full()).await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                limits.follow(&shared.config.load_full()).await;
                if let Some(connection) = admit(stream, peer, &name, &shared, &limits) {
                    connections.spawn(connection.run());
                }
            }
            Err(error) => {
                tracing::warn!(%error, listener = %name, "accept failed");
                let clock = &shared.environment.clock;
                clock
                    .sleep_until(clock.now().monotonic.plus_ms(ACCEPT_PAUSE_MS))
                    .await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    name: &Arc<str>,
    shared: &Arc<Shared>,
    limits: &Arc<Limits>,
) -> Option<Connection> {
    let config = shared.config.load_full();
    let Some(place) = limits.admit(peer.ip(), &config) else {
        tracing::info!(%peer, "closed: too many connections from this address");
        return None;
    };
    let socket = SockRef::from(&stream);
    if config.socket_send_buffer_bytes > 0 {
        // A wish: the system may grant less.
        let _ = socket.set_send_buffer_size(config.socket_send_buffer_bytes as usize);
    }
    let _ = stream.set_nodelay(true);
    let _ = socket.set_keepalive(true);
    let origin = Origin {
        peer,
        listener: Arc::clone(name),
    };
    Some(Connection::new(
        stream,
        origin,
        Arc::clone(shared),
        Arc::clone(limits),
        place,
    ))
}
