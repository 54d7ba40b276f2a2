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
    message: String,
    #[serde(default)]
    hint: Option<String>,
}

/// The body of the answer to a path, which begins with a slash. `limit` is how long all of it may take.
pub(super) async fn get(
    address: &Address,
    path: &str,
    clock: &Clock,
    limit: Duration,
) -> Result<Bytes, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(format!(
            "{address}{path}: {why}\n  is the view served there? --served names the address"
        ))
    };
    let answered = clock.timeout(limit, ask(address, path)).await;
    let answered = answered.ok_or_else(|| {
        failed(&format!(
            "no answer in {} s (--timeout)",
            limit.as_secs_f32()
        ))
    })?;
    let (status, body) = answered.map_err(|error| failed(&error))?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    match serde_json::from_slice::<Refused>(&body) {
        Ok(Refused { error }) => {
            let hint = error
                .hint
                .map(|hint| format!("\n  {hint}"))
                .unwrap_or_default();
            Err(Failure::new(format!("{address}: {}{hint}", error.message)))
        }
        Err(_) => Err(failed(&status)),
    }
}

/// One connection for one answer: there are few, and large ones.
async fn ask(address: &Address, path: &str) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect((&*address.host, address.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let request = Request::get(format!("{}{path}", address.path))
        .header(HOST, &address.authority)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let asked = async {
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        let body = body.map_err(|error| error.to_string())?;
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
            Err(error) => Err(error.to_string()),
        },
    }
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
