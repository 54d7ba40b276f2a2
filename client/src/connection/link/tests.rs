//! A link over a pipe whose other end the test plays by hand.

use tokio::io::AsyncWriteExt;

use super::*;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use tidemark_protocol::api::RequestHeader;
use tidemark_protocol::frame::encode_response;
use tokio::io::DuplexStream;

/// What the client's configuration gives brokers.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a connection stays without anything to do.
const IDLE: Duration = Duration::from_secs(540);
/// A caller's patience with what takes its time.
const LONG: Duration = Duration::from_secs(3600);

struct Broker {
    stream: DuplexStream,
    decoder: FrameDecoder,
}

fn pair() -> (Link, Broker, crate::clock::ManualClock) {
    pair_with_room(1 << 20)
}

/// So many bytes are under way at most.
fn pair_with_room(bytes: usize) -> (Link, Broker, crate::clock::ManualClock) {
    let (ours, theirs) = tokio::io::duplex(bytes);
    let (clock, time) = Clock::manual(1);
    let client_id = StrBytes::from_static_str("test");
    let address = "a:1".into();
    let config = ClientConfig::new("a:1").clock(clock).request_timeout(LIMIT);
    let link = Link::start(
        Box::new(ours),
        decoder(),
        5,
        Versions::default(),
        address,
        client_id,
        &config,
    );
    let broker = Broker {
        stream: theirs,
        decoder: FrameDecoder::new(1 << 20),
    };
    (link, broker, time)
}

impl Broker {
    /// The next request's correlation id; `None` when the client has closed the connection.
    async fn request(&mut self) -> Option<i32> {
        loop {
            if let Some(frame) = self.decoder.decode(&|_| usize::MAX).unwrap() {
                let (header, _) = RequestHeader::decode(&frame).unwrap();
                return Some(header.correlation_id);
            }
            if self
                .stream
                .read_buf(self.decoder.buffer_mut())
                .await
                .unwrap()
                == 0
            {
                return None;
            }
        }
    }

    async fn answer(&mut self, id: i32, code: i16) {
        let response = HeartbeatResponse::default().with_error_code(code);
        let frame = encode_response(0, id, &response).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }
}

fn call(link: &Link) -> impl Future<Output = Result<i16, String>> + use<> {
    let call = link.call(0, &HeartbeatRequest::default(), LONG);
    async move {
        let answer = call.await.map_err(|error| error.to_string())?;
        Ok(answer.error_code)
    }
}

#[tokio::test]
async fn answers_find_their_callers_in_order() {
    let (link, mut broker, _time) = pair();
    let calls = [call(&link), call(&link), call(&link)];
    for (id, code) in [(5, 11), (6, 22), (7, 33)] {
        assert_eq!(broker.request().await, Some(id));
        broker.answer(id, code).await;
    }
    let [first, second, third] = calls;
    assert_eq!(
        (first.await, second.await, third.await),
        (Ok(11), Ok(22), Ok(33))
    );
}

#[tokio::test]
async fn who_no_longer_waits_is_in_nobodys_way() {
    let (link, mut broker, _time) = pair();
    drop(call(&link));
    let second = call(&link);
    broker.request().await;
    broker.request().await;
    broker.answer(5, 1).await;
    broker.answer(6, 2).await;
    assert_eq!(second.await, Ok(2));
}

#[tokio::test]
async fn a_request_without_an_answer_in_time_breaks_the_connection() {
    let (link, mut broker, time) = pair();
    let slow = link.call(0, &HeartbeatRequest::default(), LIMIT);
    let slow = tokio::spawn(slow);
    let other = tokio::spawn(call(&link));
    broker.request().await;
    broker.request().await;
    time.advance(LIMIT);
    let timeout = "a:1 did not answer Heartbeat within 10s";
    assert_eq!(slow.await.unwrap().unwrap_err().to_string(), timeout);
    // Nothing that comes later could be told from what is missing.
    assert_eq!(other.await.unwrap(), Err(timeout.to_owned()));
    assert_eq!(call(&link).await, Err(timeout.to_owned()));
    assert!(!link.is_open());
    assert_eq!(broker.request().await, None);
}

#[tokio::test]
async fn a_callers_own_patience_is_no_word_on_the_connection() {
    let (link, mut broker, time) = pair();
    let short = Duration::from_secs(1);
    let hasty = tokio::spawn(link.call(0, &HeartbeatRequest::default(), short));
    let other = call(&link);
    broker.request().await;
    broker.request().await;
    time.advance(short);
    let error = hasty.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "a:1 did not answer Heartbeat within 1s");
    assert!(link.is_open());
    broker.answer(5, 1).await;
    broker.answer(6, 2).await;
    assert_eq!(other.await, Ok(2));
}

#[tokio::test]
async fn a_silent_connection_breaks_although_the_caller_has_gone() {
    let (link, mut broker, time) = pair();
    drop(link.call(0, &HeartbeatRequest::default(), Duration::from_secs(1)));
    let patient = tokio::spawn(call(&link));
    broker.request().await;
    broker.request().await;
    time.advance(LIMIT);
    let timeout = "a:1 did not answer Heartbeat within 10s";
    assert_eq!(patient.await.unwrap(), Err(timeout.to_owned()));
    assert_eq!(broker.request().await, None);
}

#[tokio::test]
async fn a_caller_can_give_the_broker_more_time() {
    let (link, mut broker, time) = pair();
    let patient = call(&link);
    broker.request().await;
    time.advance(LONG - Duration::from_secs(1));
    broker.answer(5, 1).await;
    assert_eq!(patient.await, Ok(1));
    // The next one has the usual time again.
    let usual = tokio::spawn(link.call(0, &HeartbeatRequest::default(), LIMIT));
    broker.request().await;
    time.advance(LIMIT);
    assert!(usual.await.unwrap().is_err());
    assert!(!link.is_open());
}

#[tokio::test]
async fn what_gets_no_answer_has_ended_when_it_is_written() {
    let (link, mut broker, _time) = pair_with_room(8);
    let first = tokio::spawn(link.send(0, &HeartbeatRequest::default(), None));
    let second = tokio::spawn(link.send(0, &HeartbeatRequest::default(), None));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished() && !second.is_finished());
    assert_eq!(broker.request().await, Some(5));
    assert_eq!(broker.request().await, Some(6));
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_broker_that_does_not_read_loses_the_connection() {
    // Whether the caller waits or not.
    for waits in [true, false] {
        let (link, mut broker, time) = pair_with_room(8);
        let unwritten = link.send(0, &HeartbeatRequest::default(), None);
        let caller = waits.then(|| tokio::spawn(unwritten));
        drop(link);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        time.advance(LIMIT);
        if let Some(caller) = caller {
            let error = caller.await.unwrap().unwrap_err().to_string();
            assert_eq!(error, "a:1 did not answer Heartbeat within 10s");
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        // The half of the request that there was room for, and then the end.
        assert_eq!(broker.request().await, None);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_takes_what_is_not_written_with_it() {
    let (link, broker, _time) = pair_with_room(8);
    let unwritten = tokio::spawn(link.send(0, &HeartbeatRequest::default(), None));
    drop(broker);
    assert!(unwritten.await.unwrap().is_err());
}

#[tokio::test]
async fn a_connection_with_nothing_to_do_is_closed() {
    let (link, mut broker, time) = pair();
    let settle = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    settle().await;
    time.advance(IDLE / 2);
    settle().await;
    let asked = call(&link);
    broker.request().await;
    // It waits for an answer that may take its time.
    time.advance(IDLE);
    settle().await;
    assert!(link.is_open());
    broker.answer(5, 1).await;
    assert_eq!(asked.await, Ok(1));
    time.advance(IDLE - Duration::from_millis(1));
    settle().await;
    assert!(link.is_open());
    time.advance(Duration::from_millis(1));
    settle().await;
    assert!(!link.is_open());
    assert_eq!(broker.request().await, None);
}

#[tokio::test]
async fn a_closed_connection_is_told_to_all() {
    let (link, mut broker, _time) = pair();
    let waiting = call(&link);
    broker.request().await;
    drop(broker);
    let closed = "a:1 closed the connection before it had answered";
    assert!(waiting.await.unwrap_err().starts_with(closed));
    assert!(call(&link).await.unwrap_err().starts_with(closed));
}

#[tokio::test]
async fn garbage_breaks_the_connection() {
    for (answer, expected) in [
        (
            &[0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0][..],
            "an answer to request 9, not to 5",
        ),
        (&[0, 0, 0, 2, 0, 0], "the header needs 4 bytes, 2 are left"),
        (&[0xff, 0xff, 0xff, 0xff], "invalid frame (size = -1)"),
        (&[0x7f, 0, 0, 0], "larger than"),
        (&[0, 0, 0, 5, 0, 0, 0, 5, 0], "Heartbeat v0 response"),
    ] {
        let (link, mut broker, _time) = pair();
        let waiting = call(&link);
        broker.request().await;
        broker.stream.write_all(answer).await.unwrap();
        let error = waiting.await.unwrap_err();
        assert!(error.starts_with("a:1 answered garbage: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!link.is_open());
    }
    // Nothing was asked.
    let (link, mut broker, _time) = pair();
    broker.answer(5, 0).await;
    assert_eq!(broker.request().await, None);
    assert!(
        call(&link)
            .await
            .unwrap_err()
            .contains("although nothing was asked")
    );
}

#[tokio::test]
async fn the_last_one_to_go_closes_the_connection() {
    let (link, mut broker, _time) = pair();
    let waiting = call(&link);
    let clone = link.clone();
    drop((link, clone));
    // Somebody still waits for an answer.
    broker.request().await;
    broker.answer(5, 3).await;
    assert_eq!(waiting.await, Ok(3));
    assert_eq!(broker.request().await, None);
}

#[tokio::test]
async fn requests_without_answers_are_bounded() {
    let (link, _broker, _time) = pair();
    let calls: Vec<_> = (0..MAX_WAITING).map(|_| call(&link)).collect();
    let error = call(&link).await.unwrap_err();
    assert_eq!(
        error,
        "a:1 has not answered 4096 requests: no more are sent"
    );
    assert_eq!(link.waiting(), calls.len());
}

/// A request of a lease that does not hold any more is not written, and one that is half written not
/// completed.
#[tokio::test]
async fn what_a_lease_does_not_cover_any_more_is_not_written() {
    for holds_at_first in [false, true] {
        let (link, mut broker, time) = pair_with_room(8);
        let lease = Lease::new();
        let now = crate::clock::Now::default();
        lease.extend(now, if holds_at_first { 1_000 } else { 0 });
        let call = link.call_under(0, &HeartbeatRequest::default(), LIMIT, Some(lease));
        let call = tokio::spawn(call);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(call.is_finished(), !holds_at_first);
        time.advance(Duration::from_millis(1_000));
        assert_eq!(broker.request().await, None);
        let error = call.await.unwrap().unwrap_err().to_string();
        assert!(error.contains("does not hold any more"), "{error}");
    }
}
