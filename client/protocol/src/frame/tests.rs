use super::*;
use crate::api::RequestHeader;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse};
use proptest::collection::vec;
use proptest::prelude::*;

/// A frame with a length in front.
fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32).to_be_bytes()[..], body].concat()
}

fn no_cap(_: i16) -> usize {
    usize::MAX
}

/// Feeds all bytes at once and takes the first answer.
fn check(max: usize, bytes: &[u8], expected: Result<Option<&[u8]>, FrameError>) {
    let mut decoder = FrameDecoder::new(max);
    decoder.feed(bytes);
    let caps = |key| if key == 3 { 10 } else { usize::MAX };
    let decoded = decoder.decode(&caps);
    assert_eq!(
        decoded
            .as_ref()
            .map(|frame| frame.as_deref())
            .map_err(|error| *error),
        expected
    );
}

#[test]
fn lengths_are_checked_before_the_frame_is_there() {
    check(100, &[], Ok(None));
    check(100, &[0, 0, 0], Ok(None));
    check(100, &[0, 0, 0, 0], Ok(Some(&[])));
    check(100, &[0, 0, 0, 1, 7], Ok(Some(&[7])));
    check(100, &[0, 0, 0, 2, 7], Ok(None));
    check(100, &[0xff; 4], Err(FrameError::Negative(-1)));
    check(100, &[0x80, 0, 0, 0], Err(FrameError::Negative(i32::MIN)));
    check(
        100,
        &[0, 0, 0, 101],
        Err(FrameError::TooLarge {
            length: 101,
            max: 100,
        }),
    );
    check(100, &[0, 0, 0, 100], Ok(None));
}

#[test]
fn the_cap_of_an_api_applies_as_soon_as_its_key_is_there() {
    check(100, &[0, 0, 0, 11, 0], Ok(None));
    let error = FrameError::TooLargeForApi {
        api_key: 3,
        length: 11,
        max: 10,
    };
    check(100, &[0, 0, 0, 11, 0, 3], Err(error));
    check(100, &[0, 0, 0, 10, 0, 3], Ok(None));
    check(100, &[0, 0, 0, 11, 0, 4], Ok(None));
    // A frame of one byte has no key, and what follows it is not its key.
    check(100, &[0, 0, 0, 1, 0, 3], Ok(Some(&[0])));
}

#[test]
fn an_announced_length_does_not_set_memory_aside() {
    let mut decoder = FrameDecoder::new(usize::MAX);
    decoder.feed(&i32::MAX.to_be_bytes());
    assert_eq!(decoder.decode(&no_cap), Ok(None));
    assert!(decoder.buffer_mut().capacity() < 4096);
    decoder.feed(&[0, 0]);
    assert_eq!(decoder.decode(&no_cap), Ok(None));
    let capacity = decoder.buffer_mut().capacity();
    assert!(
        (RESERVE_STEP..=2 * RESERVE_STEP).contains(&capacity),
        "{capacity}"
    );
}

#[test]
fn a_large_frame_leaves_no_large_buffer_behind() {
    const LARGE: usize = 8 << 20;
    let mut decoder = FrameDecoder::new(LARGE);
    let mut stream = framed(&vec![7; LARGE]);
    stream.extend(framed(&[1, 2, 3]));
    stream.extend([0, 0]);
    for chunk in stream.chunks(100_000) {
        decoder.feed(chunk);
        if decoder.buffered() < LARGE {
            assert_eq!(decoder.decode(&no_cap), Ok(None));
        }
    }
    assert!(decoder.buffer_mut().capacity() > LARGE);
    let frame = decoder.decode(&no_cap).unwrap().unwrap();
    assert_eq!(frame.len(), LARGE);
    drop(frame);
    // What a connection does before it reads on.
    decoder.buffer_mut().reserve(16 << 10);
    let capacity = decoder.buffer_mut().capacity();
    assert!(capacity <= KEEP, "{capacity}");
    // What had arrived behind it is still there.
    let next = decoder.decode(&no_cap).unwrap();
    assert_eq!(next.as_deref(), Some(&[1, 2, 3][..]));
    assert_eq!(decoder.buffered(), 2);
    assert_eq!(decoder.decode(&no_cap), Ok(None));
}

#[test]
fn responses_carry_the_header_of_their_version() {
    let check = |frame: BytesMut, expected: &[u8]| {
        assert_eq!(&frame[..expected.len()], expected);
        assert_eq!(frame.capacity(), frame.len());
        let length = i32::from_be_bytes(*frame.first_chunk().unwrap());
        assert_eq!(length as usize, frame.len() - LENGTH_SIZE);
    };
    let heartbeat = HeartbeatResponse::default().with_error_code(27);
    check(
        encode_response(0, 9, &heartbeat).unwrap(),
        &[0, 0, 0, 6, 0, 0, 0, 9, 0, 27],
    );
    check(
        encode_response(4, 9, &heartbeat).unwrap(),
        &[0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 27, 0],
    );
    // No tagged fields in the header although the body is flexible.
    let versions = ApiVersionsResponse::default().with_error_code(35);
    check(
        encode_response(3, 9, &versions).unwrap(),
        &[0, 0, 0, 12, 0, 0, 0, 9, 0, 35, 1],
    );
}

#[test]
fn a_field_newer_than_the_version_is_an_error() {
    let instance = Some(StrBytes::from_static_str("static"));
    let request = HeartbeatRequest::default().with_group_instance_id(instance);
    assert!(encode_request(3, 1, None, &request).is_ok());
    let error = encode_request(2, 1, None, &request).unwrap_err();
    assert!(matches!(error, EncodeError::Encoder(_)), "{error}");
}

#[test]
fn requests_read_back() {
    let request = HeartbeatRequest::default().with_generation_id(5);
    let client = Some(StrBytes::from_static_str("me"));
    for version in 0..=4 {
        let frame = encode_request(version, 3, client.clone(), &request).unwrap();
        let mut decoder = FrameDecoder::new(1000);
        decoder.feed(&frame);
        let frame = decoder.decode(&no_cap).unwrap().unwrap();
        let (header, body) = RequestHeader::decode(&frame).unwrap();
        assert_eq!(header.api_key, ApiKey::Heartbeat as i16);
        assert_eq!((header.api_version, header.correlation_id), (version, 3));
        assert_eq!(header.client_id, client);
        let read: HeartbeatRequest = crate::guard::decode_request(version, body).unwrap();
        assert_eq!(read, request);
    }
}

proptest! {
    #[test]
    fn frames_survive_any_cutting(
        bodies in vec(vec(any::<u8>(), 0..50), 0..8),
        cuts in vec(1..20usize, 1..40),
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        let mut decoder = FrameDecoder::new(50);
        let mut frames = Vec::new();
        let mut rest = &stream[..];
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().map_or(1, |cut| cut.min(rest.len()));
            let (now, later) = rest.split_at(cut);
            decoder.feed(now);
            rest = later;
            while let Some(frame) = decoder.decode(&no_cap).unwrap() {
                frames.push(frame.to_vec());
            }
        }
        prop_assert_eq!(frames, bodies);
        prop_assert_eq!(decoder.buffered(), 0);
    }
}
