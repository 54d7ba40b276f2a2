//! API keys, header versions and the headers in front of requests and responses.

use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use crate::guard::shapes;
use crate::reader::{ReadError, Reader};

pub use kafka_protocol::messages::ApiKey;

/// Bytes of a request header that every version has: key, version, correlation id.
pub const FIXED_HEADER_SIZE: usize = 8;

/// The API with this key, `None` if the codec knows none.
#[must_use]
pub fn api_key(key: i16) -> Option<ApiKey> {
    ApiKey::try_from(key).ok()
}

/// Kafka's name of the API, as in "Produce".
#[must_use]
pub fn api_name(key: i16) -> Option<&'static str> {
    shapes::find(key).map(|shape| shape.name)
}

/// The versions whose requests can be decoded. Of OffsetCommit, OffsetFetch and InitProducerId that
/// is one less than the `valid_versions` of the codec crate, whose request decoders lag behind
/// their response encoders there: advertise these ranges, not those.
#[must_use]
pub fn decodable_versions(key: i16) -> Option<RangeInclusive<i16>> {
    shapes::find(key).map(|shape| shape.min..=shape.max)
}

/// Whether the version uses compact lengths and tagged fields (KIP-482).
#[must_use]
pub fn is_flexible(key: i16, version: i16) -> Option<bool> {
    shapes::find(key).map(|shape| shape.is_flexible(version))
}

/// Version of the header in front of the request: 1, or 2 with tagged fields.
#[must_use]
pub fn request_header_version(key: i16, version: i16) -> Option<i16> {
    api_key(key).map(|api| api.request_header_version(version))
}

/// Version of the header in front of the response: 0, or 1 with tagged fields. ApiVersions always
/// has 0, so that a client can read the answer to a version it guessed (KIP-511).
#[must_use]
pub fn response_header_version(key: i16, version: i16) -> Option<i16> {
    api_key(key).map(|api| api.response_header_version(version))
}

/// The header in front of a request. Its tagged fields are skipped: none is defined so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API; one that [`api_key`] knows.
    pub api_key: i16,
    /// Its version, not yet checked against anything.
    pub api_version: i16,
    /// To be sent back with the response.
    pub correlation_id: i32,
    /// The client's name for itself. Bytes that are not UTF-8 are replaced, as in Java.
    pub client_id: Option<StrBytes>,
}

impl RequestHeader {
    /// Takes the header off a frame and returns what follows: the body.
    ///
    /// The key and version decide the header's version, so a key that is unknown ends here; the
    /// only answer Kafka has for it is to close the connection.
    pub fn decode(frame: &Bytes) -> Result<(Self, Bytes), HeaderError> {
        let mut reader = Reader::new(frame);
        let api_key = reader.i16()?;
        let api_version = reader.i16()?;
        let correlation_id = reader.i32()?;
        let header_version =
            request_header_version(api_key, api_version).ok_or(HeaderError::UnknownApiKey {
                api_key,
                api_version,
            })?;
        // The client id keeps its int16 length in the flexible header too.
        let client_id = match reader.i16()? {
            -1 => None,
            length => {
                let size = usize::try_from(length)
                    .map_err(|_| HeaderError::NegativeClientIdLength(length))?;
                Some(text(frame.slice_ref(reader.take(size)?)))
            }
        };
        if header_version >= 2 {
            skip_tagged_fields(&mut reader)?;
        }
        let body = frame.slice_ref(reader.rest());
        Ok((
            Self {
                api_key,
                api_version,
                correlation_id,
                client_id,
            },
            body,
        ))
    }
}

/// Takes the header off a response frame of a [`response_header_version`]: the correlation id and
/// what follows, the body. Tagged fields are skipped: none is defined so far.
pub fn decode_response_header(
    header_version: i16,
    frame: &Bytes,
) -> Result<(i32, Bytes), ReadError> {
    let mut reader = Reader::new(frame);
    let correlation_id = reader.i32()?;
    if header_version >= 1 {
        skip_tagged_fields(&mut reader)?;
    }
    Ok((correlation_id, frame.slice_ref(reader.rest())))
}

/// Why a frame has no usable request header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The frame ends inside the header.
    #[error("the request header {0}")]
    Read(#[from] ReadError),
    /// No API has this key.
    #[error("unknown API key {api_key} (version {api_version})")]
    UnknownApiKey {
        /// The key found.
        api_key: i16,
        /// The version that came with it.
        api_version: i16,
    },
    /// The client id has a length below -1.
    #[error("the client id has length {0}")]
    NegativeClientIdLength(i16),
}

/// Text from the wire: shared with the frame if it is UTF-8, else a repaired copy.
fn text(bytes: Bytes) -> StrBytes {
    StrBytes::from_utf8(bytes.clone())
        .unwrap_or_else(|_| StrBytes::from_string(String::from_utf8_lossy(&bytes).into_owned()))
}

fn skip_tagged_fields(reader: &mut Reader<'_>) -> Result<(), ReadError> {
    // Every round takes two bytes at least, so the count needs no check of its own.
    for _ in 0..reader.unsigned_varint()? {
        reader.unsigned_varint()?;
        let size = reader.unsigned_varint()?;
        reader.take(size as usize)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::{RequestHeader as WireHeader, ResponseHeader};
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn headers_of_the_codec_crate_are_read() {
        for (key, version, client) in [
            (18, 3, Some("kcat")),
            (3, 0, Some("")),
            (0, 9, None),
            (1, 4, Some("größe")),
        ] {
            let wire = WireHeader::default()
                .with_request_api_key(key)
                .with_request_api_version(version)
                .with_correlation_id(-7)
                .with_client_id(client.map(StrBytes::from_static_str));
            let header_version = request_header_version(key, version).unwrap();
            let wire = match header_version {
                2 => wire.with_unknown_tagged_field(9, Bytes::from_static(b"tagged")),
                _ => wire,
            };
            let mut frame = BytesMut::new();
            wire.encode(&mut frame, header_version).unwrap();
            let header_size = frame.len();
            frame.extend_from_slice(b"body");
            let frame = frame.freeze();
            let (header, body) = RequestHeader::decode(&frame).unwrap();
            let client_id = client.map(StrBytes::from_static_str);
            let expected = RequestHeader {
                api_key: key,
                api_version: version,
                correlation_id: -7,
                client_id,
            };
            assert_eq!((header, &body[..]), (expected, &b"body"[..]));
            for end in 0..header_size {
                let error = RequestHeader::decode(&frame.slice(..end)).unwrap_err();
                assert!(
                    matches!(error, HeaderError::Read(_)),
                    "{end} bytes: {error}"
                );
            }
        }
    }

    #[test]
    fn bad_headers_have_typed_errors() {
        let check = |frame: &'static [u8], expected| {
            assert_eq!(
                RequestHeader::decode(&Bytes::from_static(frame)),
                Err(expected)
            );
        };
        let short = |need, have| HeaderError::Read(ReadError::Short { need, have });
        check(&[0, 3], short(2, 0));
        check(&[0, 3, 0, 0, 0, 0, 0], short(4, 3));
        check(
            &[0x7f, 0xff, 0, 1, 0, 0, 0, 0],
            HeaderError::UnknownApiKey {
                api_key: 32767,
                api_version: 1,
            },
        );
        check(
            &[0xff, 0xff, 0, 1, 0, 0, 0, 0],
            HeaderError::UnknownApiKey {
                api_key: -1,
                api_version: 1,
            },
        );
        check(
            &[0, 3, 0, 0, 0, 0, 0, 0, 0xff, 0xfe],
            HeaderError::NegativeClientIdLength(-2),
        );
        check(&[0, 3, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, b'a'], short(32767, 1));
        check(
            &[
                0, 3, 0, 9, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f,
            ],
            short(1, 0),
        );
    }

    #[test]
    fn a_client_id_that_is_not_utf8_is_repaired() {
        let frame = Bytes::from_static(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 2, b'a', 0xff]);
        let (header, _) = RequestHeader::decode(&frame).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn response_headers_are_taken_off() {
        let wire = ResponseHeader::default().with_correlation_id(-7);
        for header_version in [0, 1] {
            let wire = match header_version {
                1 => wire
                    .clone()
                    .with_unknown_tagged_field(9, Bytes::from_static(b"tagged")),
                _ => wire.clone(),
            };
            let mut frame = BytesMut::new();
            wire.encode(&mut frame, header_version).unwrap();
            let header_size = frame.len();
            frame.extend_from_slice(b"body");
            let frame = frame.freeze();
            let decoded = decode_response_header(header_version, &frame);
            assert_eq!(decoded, Ok((-7, Bytes::from_static(b"body"))));
            for end in 0..header_size {
                let part = frame.slice(..end);
                assert!(decode_response_header(header_version, &part).is_err());
            }
        }
        // A count of tagged fields far beyond the bytes.
        let frame = Bytes::from_static(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0]);
        let short = ReadError::Short { need: 1, have: 0 };
        assert_eq!(decode_response_header(1, &frame), Err(short));
    }

    #[test]
    fn the_table_and_the_codec_crate_know_the_same_apis() {
        for key in i16::MIN..=i16::MAX {
            let known = api_key(key).map(|api| format!("{api:?}"));
            assert_eq!(api_name(key), known.as_deref(), "key {key}");
        }
    }

    #[test]
    fn three_requests_decode_to_less_than_the_codec_crate_lists() {
        // The crate lists the highest version of either direction, and its request lags behind.
        let mut narrower = Vec::new();
        for api in ApiKey::iter() {
            let listed = api.valid_versions();
            let decodable = decodable_versions(api as i16).unwrap();
            assert_eq!(*decodable.start(), listed.min, "{api:?}");
            if *decodable.end() != listed.max {
                narrower.push((api, *decodable.end(), listed.max));
            }
        }
        assert_eq!(
            narrower,
            [
                (ApiKey::OffsetCommit, 9, 10),
                (ApiKey::OffsetFetch, 9, 10),
                (ApiKey::InitProducerId, 5, 6),
            ]
        );
    }

    #[test]
    fn header_versions_follow_flexibility() {
        for shape in shapes::all() {
            for version in shape.min..=shape.max {
                let flexible = i16::from(is_flexible(shape.key, version).unwrap());
                assert_eq!(
                    request_header_version(shape.key, version),
                    Some(1 + flexible)
                );
                let expected = if shape.key == ApiKey::ApiVersions as i16 {
                    0
                } else {
                    flexible
                };
                assert_eq!(response_header_version(shape.key, version), Some(expected));
            }
        }
        assert_eq!(request_header_version(4, 0), None);
    }
}
