use super::*;
use crate::guard::shape::{Field, Kind};
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};

fn kind_of(api_key: i16, version: i16, body: &[u8]) -> GuardErrorKind {
    check(api_key, version, body).unwrap_err().kind
}

#[test]
fn bodies_that_kill_the_decoder_are_refused() {
    let huge = |count, remaining| GuardErrorKind::TooMany { count, remaining };
    // Metadata v0: an int32 count of 54 million topics, 3.9 GB for the decoder.
    assert_eq!(
        kind_of(3, 0, &[0x03, 0x3c, 0x0c, 0x00, 0xb6]),
        huge(0x033c_0c00, 1)
    );
    // Metadata v13: a compact count of 4.3 billion topics, 309 GB.
    assert_eq!(
        kind_of(3, 13, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        huge(0xffff_fffe, 0)
    );
    let error = decode_request::<MetadataRequest>(13, Bytes::from_static(&[0xff; 5])).unwrap_err();
    assert!(matches!(error, DecodeError::Guard(_)));
}

#[test]
fn counts_are_held_against_what_an_element_takes_at_least() {
    // Metadata v0: three empty topic names take six bytes, so four do not fit seven.
    let refused = GuardErrorKind::TooMany {
        count: 4,
        remaining: 7,
    };
    assert_eq!(kind_of(3, 0, &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]), refused);
    assert!(check(3, 0, &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0]).is_ok());
}

#[test]
fn elements_are_counted_over_all_arrays() {
    // ListOffsets v1: two topics, "a" with one partition and "b" with two.
    let mut body = vec![0xff; 4];
    body.extend_from_slice(&[0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 1]);
    body.extend_from_slice(&[0; 12]);
    body.extend_from_slice(&[0, 1, b'b', 0, 0, 0, 2]);
    body.extend_from_slice(&[0; 24]);
    let body = Bytes::from(body);
    let new = |max| Checked::new(2, 1, body.clone(), max);
    assert_eq!(new(5).map(|checked| checked.elements()), Ok(5));
    let error = new(4).unwrap_err();
    let (elements, max) = (5, 4);
    assert_eq!(
        error.kind,
        GuardErrorKind::TooManyElements { elements, max }
    );
    assert_eq!(
        error.to_string(),
        "ListOffsets v1, topics[1].partitions at byte 30: 5 elements or more, where 4 are the most"
    );
    // Tagged fields count as well: Heartbeat v4 with two that nobody knows.
    let body = Bytes::from_static(&[1, 0, 0, 0, 0, 1, 0, 2, 100, 0, 101, 0]);
    assert_eq!(
        Checked::new(12, 4, body.clone(), 2).map(|checked| checked.elements()),
        Ok(2)
    );
    assert!(Checked::new(12, 4, body, 1).is_err());
}

#[test]
fn a_body_is_decoded_as_what_it_was_checked_as() {
    let body = Bytes::from_static(&[2, b'a', 2, b'b', 0]);
    let checked = Checked::new(18, 3, body, usize::MAX).unwrap();
    assert!(checked.clone().decode::<ApiVersionsRequest>().is_ok());
    let error = checked.decode::<MetadataRequest>().unwrap_err();
    assert!(
        matches!(error, DecodeError::Decoder { api_key: 3, .. }),
        "{error}"
    );
}

#[test]
fn bad_values_have_typed_errors() {
    use GuardErrorKind::*;
    assert_eq!(kind_of(4, 0, &[]), UnknownApi);
    assert_eq!(kind_of(-1, 0, &[]), UnknownApi);
    assert_eq!(kind_of(93, 0, &[]), UnknownApi);
    assert_eq!(kind_of(0, 2, &[]), UnsupportedVersion { min: 3, max: 13 });
    assert_eq!(kind_of(3, 14, &[]), UnsupportedVersion { min: 0, max: 13 });
    // Metadata: the topics are null from version 1 on only.
    assert_eq!(kind_of(3, 0, &[0xff; 4]), UnexpectedNull);
    assert!(check(3, 1, &[0xff; 4]).is_ok());
    assert_eq!(kind_of(3, 1, &[0xff, 0xff, 0xff, 0xfe]), NegativeLength(-2));
    assert_eq!(
        kind_of(3, 0, &[0, 0]),
        Read(ReadError::Short { need: 4, have: 2 })
    );
    assert_eq!(
        kind_of(18, 3, &[0xff; 6]),
        Read(ReadError::VarintTooLong { max: 5 })
    );
    assert_eq!(
        kind_of(18, 3, &[9, b'a']),
        TooLong {
            length: 8,
            remaining: 1
        }
    );
    assert_eq!(kind_of(18, 3, &[1, 0, 0]), UnexpectedNull);
    assert_eq!(
        kind_of(18, 3, &[1, 1, 5, 0, 0]),
        TooMany {
            count: 5,
            remaining: 2
        }
    );
    assert_eq!(
        kind_of(18, 3, &[1, 1, 1, 0, 9]),
        TooLong {
            length: 9,
            remaining: 0
        }
    );
    // DescribeTopicPartitions: the cursor is a nullable struct.
    assert_eq!(kind_of(75, 0, &[1, 0, 0, 0, 1, 2]), BadPresence(2));
    assert!(check(75, 0, &[1, 0, 0, 0, 1, 0xff, 0]).is_ok());
}

#[test]
fn a_string_beyond_kafkas_limit_is_refused() {
    let string = |size: usize| {
        let mut body = vec![(size + 1) as u8 | 0x80, ((size + 1) >> 7) as u8 | 0x80, 2];
        body.resize(3 + size, b'a');
        body.extend_from_slice(&[1, 0]);
        body
    };
    let check = |size| check(18, 3, &string(size)).map_err(|error| error.kind);
    let (length, remaining) = (32_768, 32_770);
    assert_eq!(
        check(32_768),
        Err(GuardErrorKind::TooLong { length, remaining })
    );
    assert!(check(32_767).is_ok());
}

#[test]
fn a_tag_must_have_the_size_it_claims() {
    // ListOffsets has no known tags; Fetch v12 has the cluster id under tag 0.
    let fetch = |tagged: &[u8]| {
        let mut body = [0; 4 * 4 + 1 + 4 + 4].to_vec();
        body.extend_from_slice(&[1, 1, 1]);
        body.extend_from_slice(tagged);
        body
    };
    assert!(check(1, 12, &fetch(&[0])).is_ok());
    assert!(check(1, 12, &fetch(&[1, 0, 3, 3, b'a', b'b'])).is_ok());
    let lie = GuardErrorKind::TagSize {
        tag: 0,
        size: 2,
        read: 3,
    };
    assert_eq!(kind_of(1, 12, &fetch(&[1, 0, 2, 3, b'a', b'b'])), lie);
    // A tag that is not known is skipped by its size.
    assert!(check(1, 12, &fetch(&[1, 77, 2, 0xff, 0xff])).is_ok());
}

#[test]
fn errors_name_the_field_and_the_offset() {
    // Produce v3: null transactional id, acks, timeout, one topic "t" with a partition whose
    // records claim 100 bytes.
    let mut body = vec![0xff, 0xff, 0, 1, 0, 0, 0, 9];
    body.extend_from_slice(&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100]);
    let error = check(0, 3, &body).unwrap_err();
    assert_eq!(
        (error.path.as_str(), error.offset),
        ("topic_data[0].partition_data[0].records", 23)
    );
    assert_eq!(
        error.to_string(),
        "Produce v3, topic_data[0].partition_data[0].records at byte 23: \
         length 100 with 0 bytes left"
    );
    assert_eq!(
        check(0, 99, &[]).unwrap_err().to_string(),
        "Produce v99, byte 0: only versions 3 to 13 are known"
    );
    assert_eq!(
        check(999, 1, &[]).unwrap_err().to_string(),
        "api key 999 v1, byte 0: no such API"
    );
}

#[test]
fn bytes_after_the_body_are_reported_and_ignored() {
    let walked = check(18, 3, &[2, b'a', 2, b'b', 0, 7, 7, 7]).unwrap();
    assert_eq!(
        walked,
        Walked {
            consumed: 5,
            trailing: 3,
            elements: 0
        }
    );
    let body = Bytes::from_static(&[2, b'a', 2, b'b', 0, 7, 7, 7]);
    let request: ApiVersionsRequest = decode_request(3, body).unwrap();
    assert_eq!(&*request.client_software_name, "a");
}

#[test]
fn strings_that_are_not_utf8_are_the_decoders_error() {
    let body = Bytes::from_static(&[2, 0xff, 2, b'b', 0]);
    let error = decode_request::<ApiVersionsRequest>(3, body).unwrap_err();
    assert!(
        matches!(
            error,
            DecodeError::Decoder {
                api_key: 18,
                version: 3,
                ..
            }
        ),
        "{error}"
    );
}

/// Calls `visit` with every array element type under `fields`.
fn each_element(fields: &'static [Field], version: i16, visit: &mut impl FnMut(&Kind)) {
    for field in fields.iter().filter(|field| field.is_in(version)) {
        match field.kind {
            Kind::Array(element) => {
                visit(element);
                if let Kind::Struct(fields) = element {
                    each_element(fields, version, visit);
                }
            }
            Kind::Struct(fields) => each_element(fields, version, visit),
            _ => (),
        }
    }
}

#[test]
fn no_array_element_is_empty_in_any_version() {
    // Else a count could be as large as it likes: the bound on elements rests on this.
    for shape in shapes::all() {
        for version in shape.min..=shape.max {
            let flexible = shape.is_flexible(version);
            each_element(shape.fields, version, &mut |element| {
                assert!(
                    element.min_size(version, flexible) > 0,
                    "{} v{version}",
                    shape.name
                );
            });
        }
    }
}

#[test]
fn every_request_of_the_codec_crate_has_a_shape() {
    assert_eq!(
        shapes::all().count(),
        kafka_protocol::messages::ApiKey::iter().count()
    );
    for api in kafka_protocol::messages::ApiKey::iter() {
        assert!(shapes::find(api as i16).is_some(), "{api:?}");
    }
}
