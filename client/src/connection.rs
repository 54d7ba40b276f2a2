//! Connections: bytes to a broker and back, encrypted and authenticated where wanted.
//!
//! A [`link::Link`] is one ordered connection that many callers share: requests go out in the order
//! in which they were made, answers come back in that order, each to its caller. The
//! [`handshake`] finds out what the broker speaks and proves who the client is; the [`pool`] keeps
//! the links to all brokers.

mod error;
pub(crate) mod handshake;
pub(crate) mod link;
pub(crate) mod pool;
mod sasl;
mod tls;
mod transport;
mod versions;

pub use error::{CallError, ConnectError};
pub use tls::TlsConfig;
pub use transport::{BoxStream, Stream, Tcp, Transport};
