//! The guard's table of shapes held against the codec crate, for every request and version.

mod targets;

use bytes::Bytes;
use targets::random::{Random, body};
use targets::requests::{decode_and_encode, versions};
use tidemark_protocol::guard::shape::Shape;
use tidemark_protocol::guard::{Walked, check, shapes};

/// Calls `visit` with bodies of every request and version; the seed says which body it was.
fn each_body(rounds: u64, mut visit: impl FnMut(&Shape, i16, Vec<u8>, u64)) {
    for shape in shapes::all() {
        for version in shape.min..=shape.max {
            for round in 0..rounds {
                let seed = (shape.key as u64) << 32 | (version as u64) << 16 | round;
                visit(
                    shape,
                    version,
                    body(shape, version, &mut Random::new(seed)),
                    seed,
                );
            }
        }
    }
}

#[test]
fn every_request_type_has_a_shape_with_its_versions() {
    let mut types: Vec<_> = versions().collect();
    types.sort_unstable();
    let shapes: Vec<_> = shapes::all()
        .map(|shape| (shape.key, shape.min, shape.max))
        .collect();
    assert_eq!(shapes, types);
}

#[test]
fn the_walk_takes_exactly_what_the_codec_encodes() {
    each_body(24, |shape, version, body, seed| {
        let name = shape.name;
        let walked = check(shape.key, version, &body)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{body:02x?}"));
        let Walked {
            consumed,
            trailing,
            elements,
        } = walked;
        assert_eq!(
            (consumed, trailing),
            (body.len(), 0),
            "{name} v{version} seed {seed}"
        );
        assert!(elements <= consumed);
        let encoded = decode_and_encode(shape.key, version, Bytes::from(body.clone()))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{body:02x?}"));
        assert_eq!(
            encoded.as_deref(),
            Some(&body[..]),
            "{name} v{version} seed {seed}"
        );
    });
}

#[test]
fn every_truncation_is_refused() {
    each_body(2, |shape, version, body, seed| {
        for end in 0..body.len() {
            let refused = check(shape.key, version, &body[..end]).is_err();
            assert!(
                refused,
                "{} v{version} seed {seed}: {end} bytes passed",
                shape.name
            );
            let part = Bytes::copy_from_slice(&body[..end]);
            assert!(decode_and_encode(shape.key, version, part).is_err());
        }
    });
}

#[test]
fn what_follows_a_body_is_reported() {
    each_body(1, |shape, version, mut body, seed| {
        let size = body.len();
        body.extend_from_slice(&[0xff; 9]);
        let walked = check(shape.key, version, &body).expect("the body itself is whole");
        assert_eq!((walked.consumed, walked.trailing), (size, 9), "seed {seed}");
    });
}

#[test]
fn the_codec_crate_loses_unknown_tags_above_i32_max() {
    // Metadata v13: no topics, two flags, one tagged field whose tag is u32::MAX. It passes, as it
    // does in Kafka; encoding it again counts the field and leaves it out.
    let body = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 7];
    assert!(check(3, 13, &body).is_ok());
    assert_eq!(
        decode_and_encode(3, 13, Bytes::copy_from_slice(&body)),
        Ok(None)
    );
}
