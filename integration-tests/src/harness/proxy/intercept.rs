//! Requests on their way, and what a script says is to become of them.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::api::{RequestHeader, decode_response_header, response_header_version};
use tidemark_protocol::guard::{decode_request, decode_response};
use tidemark_protocol::messages::ProduceRequest;
use tokio::sync::watch;

use super::connection::framed;
use super::failures;

/// A request that a client has sent and the broker has not got yet.
#[derive(Clone, Debug)]
pub struct Intercepted {
    /// Which connection of the proxy it came on, counted from 1.
    pub connection: u64,
    /// Its header: API key, version, correlation id, client id.
    pub header: RequestHeader,
    /// What follows.
    pub body: Bytes,
}

/// What becomes of a request.
///
/// A client gets its answers in the order of its requests whatever the script says, as from a
/// broker: what is answered here waits until those before it have been.
pub enum Verdict {
    /// Nothing special.
    Pass,
    /// The broker never gets it, and the client no answer. No broker passes one over and goes on
    /// with the next, so a client may take the next answer for a fault.
    Drop,
    /// The connection is closed; the broker has not got it.
    Close,
    /// It waits for the gate, and all after it on this connection wait with it.
    Hold(Gate),
    /// The broker never gets it, and this is the answer's body. Made by [`Intercepted::answer`] and
    /// [`Intercepted::fail`].
    Answer(Bytes),
    /// The broker never gets it, and these bytes, which need be no frame, come in the answer's place.
    Garbage(Bytes),
    /// The broker gets it, the client no answer: see [`Verdict::Drop`].
    DropAnswer,
    /// The broker gets it; its answer is lost with the connection. The client cannot know whether
    /// what it asked for was done: it was.
    CloseAtAnswer,
    /// The broker gets it; its answer, and all after it on this connection, wait for the gate.
    HoldAnswer(Gate),
    /// The broker gets it; this changes its answer's body. Made by [`Intercepted::rewrite`].
    Rewrite(Box<dyn FnOnce(Bytes) -> Bytes + Send>),
}

impl Intercepted {
    /// Whether it is one of these.
    pub fn is<R: Request>(&self) -> bool {
        self.header.api_key == R::KEY
    }

    /// The request. Panics if it is another one, or not well formed.
    pub fn decode<R: Request>(&self) -> R {
        assert!(self.is::<R>(), "{:?} is no API {}", self.header, R::KEY);
        let decoded = decode_request(self.header.api_version, self.body.clone());
        decoded.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Answers it in the broker's place.
    pub fn answer<R: Request>(&self, response: &R::Response) -> Verdict {
        assert!(self.is::<R>(), "{:?} is no API {}", self.header, R::KEY);
        Verdict::Answer(body(response, self.header.api_version))
    }

    /// Answers in the broker's place that it has failed: with this code in every partition that it
    /// names, or once if the answer has one place for it only. What a request of the API says then
    /// is as in Kafka: offset -1, no members and so on.
    ///
    /// Panics for an API that `failures.rs` has no answer for. A Fetch must name its partitions:
    /// start the broker with `max.incremental.fetch.session.cache.slots=0`.
    pub fn fail(&self, code: ErrorCode) -> Verdict {
        failures::answer(self, code)
    }

    /// Has the broker do it and changes what it says.
    pub fn rewrite<R: Request>(
        &self,
        change: impl FnOnce(&mut R::Response) + Send + 'static,
    ) -> Verdict {
        assert!(self.is::<R>(), "{:?} is no API {}", self.header, R::KEY);
        let version = self.header.api_version;
        Verdict::Rewrite(Box::new(move |answer| {
            let decoded = decode_response::<R>(version, answer);
            let mut response = decoded.unwrap_or_else(|error| panic!("{error}"));
            change(&mut response);
            body(&response, version)
        }))
    }

    /// Kafka answers everything but Produce with acks=0.
    fn is_answered(&self) -> bool {
        !self.is::<ProduceRequest>() || self.decode::<ProduceRequest>().acks != 0
    }
}

fn body<T: Encodable + HeaderVersion>(response: &T, version: i16) -> Bytes {
    let mut body = BytesMut::new();
    let encoded = response.encode(&mut body, version);
    encoded.unwrap_or_else(|error| panic!("the answer does not fit its version: {error}"));
    body.freeze()
}

/// Holds what comes to it until it is opened. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Default)]
struct State {
    open: bool,
    reached: usize,
}

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all pass, now and later.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// Waits until so many have come to it.
    pub async fn reached(&self, count: usize) {
        let mut state = self.0.subscribe();
        let reached = state.wait_for(|state| state.reached >= count).await;
        reached.expect("the gate is here");
    }

    /// Comes to it and waits until it is open.
    pub(super) async fn pass(&self) {
        let mut state = self.0.subscribe();
        self.0.send_modify(|state| state.reached += 1);
        let open = state.wait_for(|state| state.open).await;
        open.expect("the gate is here");
    }
}

type Ask = dyn FnMut(&Intercepted) -> Verdict + Send;

/// What decides about requests.
pub(super) struct Script(Mutex<Box<Ask>>);

/// What has been decided about one.
pub(super) struct Asked {
    /// Whether the broker gets it.
    pub(super) forward: bool,
    /// What it waits for before that.
    pub(super) gate: Option<Gate>,
    /// What the client gets.
    pub(super) expected: Option<Expected>,
}

/// What a client gets for one request.
pub(super) enum Expected {
    Ready(BytesMut),
    FromBroker {
        header: RequestHeader,
        verdict: Verdict,
    },
}

impl Script {
    pub(super) fn new(ask: impl FnMut(&Intercepted) -> Verdict + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(ask)))
    }

    pub(super) fn set(&self, ask: impl FnMut(&Intercepted) -> Verdict + Send + 'static) {
        *self.0.lock().expect("the script has not panicked") = Box::new(ask);
    }

    /// Asks about a frame. An error closes the connection.
    pub(super) fn ask(&self, connection: u64, frame: &Bytes) -> io::Result<Asked> {
        let Ok((header, body)) = RequestHeader::decode(frame) else {
            // The broker will have an opinion.
            return Ok(Asked {
                forward: true,
                gate: None,
                expected: None,
            });
        };
        let request = Intercepted {
            connection,
            header,
            body,
        };
        let verdict = {
            let mut ask = self.0.lock().expect("the script has not panicked");
            ask(&request)
        };
        let ready = |answer| Asked {
            forward: false,
            gate: None,
            expected: Some(Expected::Ready(answer)),
        };
        Ok(match verdict {
            Verdict::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
            Verdict::Drop => Asked {
                forward: false,
                gate: None,
                expected: None,
            },
            Verdict::Answer(body) => ready(response(&request.header, &body)),
            Verdict::Garbage(bytes) => ready(BytesMut::from(bytes)),
            verdict => {
                let answered = request.is_answered();
                let header = request.header;
                let gate = match &verdict {
                    Verdict::Hold(gate) => Some(gate.clone()),
                    _ => None,
                };
                Asked {
                    forward: true,
                    gate,
                    expected: answered.then_some(Expected::FromBroker { header, verdict }),
                }
            }
        })
    }
}

impl Expected {
    /// The bytes for the client, `frame` being the broker's answer. An error closes the connection.
    pub(super) async fn answer(self, frame: Option<Bytes>) -> io::Result<Option<BytesMut>> {
        let (header, verdict) = match self {
            Self::Ready(answer) => return Ok(Some(answer)),
            Self::FromBroker { header, verdict } => (header, verdict),
        };
        let frame = frame.unwrap_or_default();
        let (id, body) = decode_response_header(header_version(&header), &frame)
            .expect("the broker's answers have headers");
        assert_eq!(id, header.correlation_id, "the broker answers in order");
        Ok(match verdict {
            Verdict::CloseAtAnswer => return Err(io::ErrorKind::ConnectionAborted.into()),
            Verdict::DropAnswer => None,
            Verdict::HoldAnswer(gate) => {
                gate.pass().await;
                Some(framed(&frame))
            }
            Verdict::Rewrite(change) => Some(response(&header, &change(body))),
            _ => Some(framed(&frame)),
        })
    }
}

fn header_version(header: &RequestHeader) -> i16 {
    response_header_version(header.api_key, header.api_version).expect("the key is known")
}

/// A whole response frame.
fn response(header: &RequestHeader, body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::with_capacity(body.len() + 8);
    frame.put_i32(header.correlation_id);
    if header_version(header) >= 1 {
        // No tagged fields.
        frame.put_u8(0);
    }
    frame.put_slice(body);
    framed(&frame)
}
