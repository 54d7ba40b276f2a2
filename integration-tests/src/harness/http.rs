//! HTTP GET, as little of it as the tests need.

use std::io::{Read, Write};
use std::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Gets `path` from `host:port`.
pub fn get(address: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the HTTP port accepts");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("the request is sent");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("the answer is text and ends");
    let (head, body) = text
        .split_once("\r\n\r\n")
        .expect("an empty line ends the head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("the first line has a status"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// The value of a metric in `/metrics`, by its whole name with labels; `None` if it is not there.
pub fn metric(address: &str, name: &str) -> Option<f64> {
    let answer = get(address, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let line = answer
        .body
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(
        line.parse()
            .unwrap_or_else(|_| panic!("{name} is {line:?}")),
    )
}
