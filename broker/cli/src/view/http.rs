//! Asks a server of views: HTTP GET, JSON back.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tidemark_client::Clock;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// The largest answer that is taken: a page of a thousand rows.
const MOST: usize = 256 << 20;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    shown: String,
    /// `host:port`, or a host alone.
    authority: String,
    host: String,
    port: u16,
    /// In front of the paths, without a slash at its end.
    path: String,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fix = "write http://HOST:PORT";
        let uri: Uri = text.parse().map_err(|error| format!("{error}: {fix}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("only http is spoken: {fix}"));
        }
        let authority = uri.authority().ok_or(fix)?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(fix.to_owned());
        }
        Ok(Self {
            shown: text.trim_end_matches('/').to_owned(),
            authority: authority.as_str().to_owned(),
            // Addresses of IPv6 are in brackets.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What a server says if it has no answer.
#[derive(Deserialize)]
struct Refused {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
    #[serde(default)]
    hint: Option<String>,
}

/// Why there is no answer this time.
struct Trouble {
    /// Whether it may be otherwise in a moment: a server that starts, reads on or takes a snapshot over says
    /// so, and one that is being started again does not listen.
    passes: bool,
    message: String,
}

impl Trouble {
    fn new(passes: bool, message: impl std::fmt::Display) -> Self {
        let message = message.to_string();
        Self { passes, message }
    }
}

/// How long to wait before something is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The body of the answer to a path, which begins with a slash. What may pass is asked again, all in all for
/// as long as `limit`.
pub(super) async fn get(
    address: &Address,
    path: &str,
    clock: &Clock,
    limit: Duration,
) -> Result<Bytes, Failure> {
    let deadline = clock.deadline(limit);
    let mut last = None;
    let shown = shown(address, path);
    while clock.now().millis < deadline {
        match clock.until(deadline, answer(address, path)).await {
            Some(Ok(body)) => return Ok(body),
            Some(Err(trouble)) if trouble.passes => last = Some(trouble.message),
            Some(Err(trouble)) => return Err(Failure::new(trouble.message)),
            None => break,
        }
        // Who is behind has waited already, and one that starts cannot tell when it is ready.
        let next = clock.deadline(PAUSE);
        clock.sleep_until(next.min(deadline)).await;
    }
    let message = last.unwrap_or_else(|| format!("{shown}: no answer{SERVED}"));
    let limit = limit.as_secs_f32();
    Err(Failure::new(format!(
        "{message}\n  it was waited for {limit} s (--timeout)"
    )))
}

/// What to look at if nobody is there.
const SERVED: &str = "\n  is the view served there? --served names the address";

/// Without what is asked there, which may be long.
fn shown(address: &Address, path: &str) -> String {
    let page = path.split_once('?').map_or(path, |(page, _)| page);
    format!("{address}{page}")
}

async fn answer(address: &Address, path: &str) -> Result<Bytes, Trouble> {
    let failed = |passes, why: &dyn std::fmt::Display| {
        let shown = shown(address, path);
        Trouble::new(passes, format!("{shown}: {why}{SERVED}"))
    };
    let asked = ask(address, path).await;
    let (status, body) = asked.map_err(|error| failed(error.passes, &error.message))?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    let Ok(Refused { error }) = serde_json::from_slice(&body) else {
        return Err(failed(false, &status));
    };
    let passes = matches!(&*error.code, "behind" | "busy" | "elsewhere" | "gap");
    let hint = error.hint.map(|hint| format!("\n  {hint}"));
    let hint = hint.unwrap_or_default();
    let message = format!("{address}: {}{hint}", error.message);
    Err(Trouble::new(passes, message))
}

/// One connection for one answer: there are few, and large ones.
async fn ask(address: &Address, path: &str) -> Result<(StatusCode, Bytes), Trouble> {
    let stream = TcpStream::connect((&*address.host, address.port)).await;
    let stream = stream.map_err(|error| Trouble::new(is_gone(&error), error))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(cut_off)?;
    let request = Request::get(format!("{}{path}", address.path))
        .header(HOST, &address.authority)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Trouble::new(false, error))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(cut_off)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => cut_off(*error),
            Err(error) => Trouble::new(false, error),
        })?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven by nobody else, and goes with this.
    tokio::pin!(asked, connection);
    tokio::select! {
        biased;
        answered = &mut asked => answered,
        ended = &mut connection => match ended {
            // It may have ended behind the last byte of the answer.
            Ok(()) => asked.await,
            Err(error) => Err(cut_off(error)),
        },
    }
}

/// A connection that has failed: of a process that ends, if it broke off.
fn cut_off(error: hyper::Error) -> Trouble {
    let source = std::error::Error::source(&error);
    let inner = source.and_then(|inner| inner.downcast_ref::<std::io::Error>());
    let passes = error.is_incomplete_message() || inner.is_some_and(is_gone);
    Trouble::new(passes, error)
}

/// Whether nobody listens there, or no more.
fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset};
    let kinds = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
    ];
    kinds.contains(&error.kind())
}

/// Text as a part of a query.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b',' => {
                escaped.push(byte.into());
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, host: &str, port: u16, path: &str| {
            let address: Address = text.parse().unwrap();
            let found = (&*address.host, address.port, &*address.path);
            assert_eq!(found, (host, port, path), "{text}");
        };
        check("http://127.0.0.1:9780", "127.0.0.1", 9780, "");
        check("http://views.example/", "views.example", 80, "");
        check("http://views.example:81/a/b/", "views.example", 81, "/a/b");
        check("http://[::1]:9780", "::1", 9780, "");
        for text in [
            "",
            "127.0.0.1:9780",
            "localhost",
            "https://localhost:9780",
            "http://",
            "http://user@localhost",
            "http://localhost?a=b",
            "http://local host",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("http://HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn queries() {
        assert_eq!(escaped("a-0:7,b"), "a-0:7,b");
        assert_eq!(escaped("ä &{"), "%C3%A4%20%26%7B");
    }
}
