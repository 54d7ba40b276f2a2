//! A proxy in front of a broker that does what networks and brokers do on bad days, when told to.
//!
//! It listens on a port of its own, which the broker behind it has to advertise: start the proxy,
//! start the broker with [`Proxy::advertised`] as its `advertised.listeners`, then tell the proxy
//! where the broker is with [`Proxy::forward_to`]. `cluster.rs` does these three.
//!
//! [`Proxy::start`] knows bytes only, whatever they are (TLS, too). [`Proxy::intercept`] knows
//! requests as well and has a script decide about each: see [`Intercepted`] and [`Verdict`]. All
//! faults of the first hold for the second.
//!
//! Nothing here happens after a time: each fault is there from one call to the next.

mod connection;
mod failures;
mod intercept;
mod valve;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use connection::Connection;
use intercept::Script;
pub use intercept::{Gate, Intercepted, Verdict};
pub use valve::{Flow, Strike};
use valve::{Lane, Lanes};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToBroker,
    /// Responses.
    ToClient,
}

/// What a proxy has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted since the start.
    pub accepted: usize,
    /// Of these, the ones that are open.
    pub open: usize,
}

/// A running proxy; dropping it closes everything. Must be dropped outside of its own tasks.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// What the proxy's owner changes and its connections look at.
struct Shared {
    target: watch::Sender<Option<String>>,
    lanes: Lanes,
    cut: watch::Sender<Cut>,
    /// Whether connections are to be refused, and whether they are.
    refuse: watch::Sender<bool>,
    refusing: watch::Sender<bool>,
    counts: watch::Sender<Counts>,
    script: Option<Script>,
    panicked: AtomicBool,
}

/// How open connections end: those that have seen another one before.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    number: u64,
    reset: bool,
}

impl Proxy {
    /// Starts one that passes bytes on.
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts one that asks `script` about every request; see [`Proxy::set_script`]. Both sides
    /// must speak Kafka's protocol in the clear, and SASL, if any, in frames (SaslHandshake v1).
    pub async fn intercept(script: impl FnMut(&Intercepted) -> Verdict + Send + 'static) -> Self {
        Self::with(Some(Script::new(script))).await
    }

    async fn with(script: Option<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("the system has a free port");
        let address = listener.local_addr().expect("a bound socket has one");
        let shared = Arc::new(Shared {
            target: watch::Sender::default(),
            lanes: Lanes::default(),
            cut: watch::Sender::default(),
            refuse: watch::Sender::default(),
            refusing: watch::Sender::default(),
            counts: watch::Sender::default(),
            script,
            panicked: AtomicBool::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting: accepting.abort_handle(),
        }
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The value of `advertised.listeners` for a broker behind it whose listener is `PLAINTEXT`.
    pub fn advertised(&self) -> String {
        format!("PLAINTEXT://{}", self.address)
    }

    /// Where new connections lead from now on: `host:port`. As long as that is not said, or nobody
    /// listens there, they are closed.
    pub fn forward_to(&self, target: &str) {
        self.shared.target.send_replace(Some(target.to_owned()));
    }

    /// What happens to all bytes of a direction from now on, on open connections and on new ones.
    pub fn set_flow(&self, direction: Direction, flow: Flow) {
        self.lane(direction).set_flow(flow);
    }

    /// [`Proxy::set_flow`] for both directions. [`Flow::Discard`] makes a broker that accepts and
    /// never answers; [`Flow::Hold`] a network that is interrupted.
    pub fn set_flows(&self, flow: Flow) {
        self.set_flow(Direction::ToBroker, flow);
        self.set_flow(Direction::ToClient, flow);
    }

    /// Once, after so many more bytes of this direction (of all connections taken together).
    /// Replaces one that has not happened yet.
    pub fn strike_after(&self, direction: Direction, bytes: usize, strike: Strike) {
        self.lane(direction).set_strike(bytes, strike);
    }

    /// Whether the last [`Proxy::strike_after`] of this direction is still to come.
    pub fn strikes(&self, direction: Direction) -> bool {
        self.lane(direction).strikes()
    }

    /// Closes all connections that are open, by [`Counts::open`], as the end of a broker's process does.
    pub fn cut(&self) {
        self.end(false);
    }

    /// Resets all connections that are open, as the restart of a machine does.
    pub fn reset(&self) {
        self.end(true);
    }

    fn end(&self, reset: bool) {
        self.shared.cut.send_modify(|cut| {
            cut.number += 1;
            cut.reset = reset;
        });
    }

    /// Has the system refuse new connections, as if nobody listened. Open ones stay.
    pub async fn refuse(&self) {
        self.refuse_if(true).await;
    }

    /// Takes new connections again.
    pub async fn accept(&self) {
        self.refuse_if(false).await;
    }

    async fn refuse_if(&self, refuse: bool) {
        self.shared.refuse.send_replace(refuse);
        becomes(&mut self.shared.refusing.subscribe(), refuse).await;
    }

    /// Replaces the script of [`Proxy::intercept`]. It is called once for every request, in the
    /// order of each connection. A script that panics fails the test when the proxy is dropped.
    pub fn set_script(&self, script: impl FnMut(&Intercepted) -> Verdict + Send + 'static) {
        let known = self.shared.script.as_ref();
        let known = known.expect("Proxy::intercept starts one that knows requests");
        known.set(script);
    }

    /// What it has counted so far.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are like this.
    pub async fn wait_for(&self, like: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        *counts.wait_for(like).await.expect("the proxy runs")
    }

    fn lane(&self, direction: Direction) -> &Lane {
        self.shared.lanes.of(direction)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        let panicked = self.shared.panicked.load(Ordering::Relaxed);
        assert!(
            !panicked || std::thread::panicking(),
            "the proxy's script has panicked"
        );
    }
}

/// Accepts until it is aborted; its connections end with it.
async fn accept(mut listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut refuse = shared.refuse.subscribe();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.expect("the system has sockets");
                number += 1;
                let connection = Connection::new(number, client, Arc::clone(&shared));
                connections.spawn(connection.run());
            }
            Some(_) = connections.join_next() => {}
            () = becomes(&mut refuse, true) => {
                let address = listener.local_addr().expect("a bound socket has one");
                drop(listener);
                let kept = keep(address).expect("the port was ours until now");
                shared.refusing.send_replace(true);
                becomes(&mut refuse, false).await;
                listener = kept.listen(BACKLOG).expect("the port is ours");
                shared.refusing.send_replace(false);
            }
        }
    }
}

/// Waits for a value; holds nothing of it.
async fn becomes(watched: &mut watch::Receiver<bool>, value: bool) {
    let became = watched.wait_for(|now| *now == value).await;
    became.expect("the proxy runs");
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// Keeps the port from others. Who connects to a socket that does not listen is refused.
fn keep(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that were accepted at this port may still be open.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
