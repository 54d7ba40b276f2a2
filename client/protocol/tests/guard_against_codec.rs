//! The guard's tables of shapes held against the codec crate, for every request, every response and
//! version.

mod targets;

use bytes::Bytes;
use targets::random::{Random, body};
use targets::sides::{REQUESTS, RESPONSES, SIDES, Side};
use tidemark_protocol::guard::shape::Shape;
use tidemark_protocol::guard::{DecodeError, GuardError, GuardErrorKind, Walked, check};

/// Calls `visit` with bodies of every shape and version of both sides; the text says which body it
/// was.
fn each_body(rounds: u64, mut visit: impl FnMut(&Side, &Shape, i16, Vec<u8>, &str)) {
    for side in SIDES {
        for shape in (side.shapes)() {
            for version in shape.min..=shape.max {
                for round in 0..rounds {
                    let seed = (shape.key as u64) << 32 | (version as u64) << 16 | round;
                    let text = format!("{} {} v{version} seed {seed}", shape.name, side.name);
                    let body = body(shape, version, &mut Random::new(seed));
                    visit(side, shape, version, body, &text);
                }
            }
        }
    }
}

#[test]
fn every_type_has_a_shape_with_its_versions() {
    for side in SIDES {
        let mut types: Vec<_> = side.versions().collect();
        types.sort_unstable();
        let shapes: Vec<_> = (side.shapes)()
            .iter()
            .map(|shape| (shape.key, shape.min, shape.max))
            .collect();
        assert_eq!(shapes, types, "{}", side.name);
    }
}

#[test]
fn a_request_and_its_response_have_one_name_and_the_response_no_fewer_versions() {
    let mut higher = Vec::new();
    for (request, response) in (REQUESTS.shapes)().iter().zip((RESPONSES.shapes)()) {
        assert_eq!((request.key, request.name), (response.key, response.name));
        assert_eq!(request.min, response.min, "{}", request.name);
        for version in request.min..=request.max {
            let flexible = response.is_flexible(version);
            assert_eq!(request.is_flexible(version), flexible, "{}", request.name);
        }
        if request.max != response.max {
            higher.push((request.name, request.max, response.max));
        }
    }
    let expected = [
        ("OffsetCommit", 9, 10),
        ("OffsetFetch", 9, 10),
        ("InitProducerId", 5, 6),
    ];
    assert_eq!(higher, expected);
}

#[test]
fn the_walk_takes_exactly_what_the_codec_encodes() {
    each_body(24, |side, shape, version, body, text| {
        let walked = (side.check)(shape.key, version, &body)
            .unwrap_or_else(|error| panic!("{text}: {error}\n{body:02x?}"));
        let Walked {
            consumed,
            trailing,
            elements,
            numbers,
        } = walked;
        assert_eq!((consumed, trailing), (body.len(), 0), "{text}");
        assert!(numbers <= elements && elements <= consumed);
        let encoded = side
            .decode_and_encode(shape.key, version, Bytes::from(body.clone()))
            .unwrap_or_else(|error| panic!("{text}: {error}\n{body:02x?}"));
        assert_eq!(encoded.as_deref(), Some(&body[..]), "{text}");
    });
}

#[test]
fn every_truncation_is_refused() {
    each_body(2, |side, shape, version, body, text| {
        for end in 0..body.len() {
            let refused = (side.check)(shape.key, version, &body[..end]).is_err();
            assert!(refused, "{text}: {end} bytes passed");
            let part = Bytes::copy_from_slice(&body[..end]);
            assert!(side.decode_and_encode(shape.key, version, part).is_err());
        }
    });
}

#[test]
fn what_follows_a_body_is_reported_and_a_responses_error() {
    each_body(1, |side, shape, version, mut body, text| {
        let size = body.len();
        body.extend_from_slice(&[0xff; 9]);
        let walked = (side.check)(shape.key, version, &body).expect("the body itself is whole");
        assert_eq!((walked.consumed, walked.trailing), (size, 9), "{text}");
        let decoded = side.decode_and_encode(shape.key, version, Bytes::from(body));
        match decoded {
            Ok(_) => assert_eq!(side.name, "request", "{text}"),
            Err(DecodeError::Guard(GuardError { kind, offset, .. })) => {
                let expected = (GuardErrorKind::Trailing(9), size, "response");
                assert_eq!((kind, offset, side.name), expected, "{text}");
            }
            Err(error) => panic!("{text}: {error}"),
        }
    });
}

#[test]
fn the_codec_crate_loses_unknown_tags_above_i32_max() {
    // Metadata v13: no topics, two flags, one tagged field whose tag is u32::MAX. It passes, as it
    // does in Kafka; encoding it again counts the field and leaves it out.
    let body = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 7];
    assert!(check(3, 13, &body).is_ok());
    assert_eq!(
        REQUESTS.decode_and_encode(3, 13, Bytes::copy_from_slice(&body)),
        Ok(None)
    );
}
