//! How bytes get to a broker: TCP, or anything that moves them in order.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Bytes in both directions, in order.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Any [`Stream`].
pub type BoxStream = Box<dyn Stream>;

/// Makes the connections of a client. TLS and SASL come on top of what it gives.
pub trait Transport: Send + Sync + 'static {
    /// Connects to a broker under the address that the configuration or the cluster's metadata has
    /// for it. An error becomes [`crate::ConnectError::Io`], and is tried again.
    fn connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;
}

/// TCP, with Nagle's algorithm off and keep-alive left to the system. All addresses that a name has
/// are tried in turn (Kafka: `client.dns.lookup=use_all_dns_ips`, KIP-302).
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>> {
        Box::pin(async move {
            // Tries all addresses that the name has.
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

/// A function from host and port to a stream is a transport: an embedded broker's duplex stream,
/// say.
impl<F, R> Transport for F
where
    F: Fn(&str, u16) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<BoxStream>> + Send + 'static,
{
    fn connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>> {
        Box::pin(self(host, port))
    }
}
