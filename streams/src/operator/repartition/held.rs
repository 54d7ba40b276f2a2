//! What a task keeps of what it writes to a repartition topic.

use bytes::Bytes;

use super::take;
use crate::data::{Data, DataError, Payload};
use crate::record::Headers;

/// What is kept: how many records have been numbered of a series, or a record that waits for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Number(u64),
    Held(Held),
}

/// A record as it is to be written, with its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(super) partition: u32,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Headers,
}

const NUMBER: u8 = 0;
const HELD: u8 = 1;

impl Data for Written {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        match self {
            Self::Number(number) => {
                scratch.push(NUMBER);
                scratch.extend_from_slice(&number.to_be_bytes());
            }
            Self::Held(held) => {
                scratch.push(HELD);
                scratch.extend_from_slice(&held.partition.to_be_bytes());
                put(held.key.as_deref(), scratch);
                put(Some(&held.value), scratch);
                for (name, value) in held.headers.iter() {
                    put(Some(name), scratch);
                    put(value, scratch);
                }
            }
        }
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let mut rest = payload.require("what has been written")?;
        let rest = &mut rest;
        match take::<1>(rest)? {
            [NUMBER] => Ok(Self::Number(u64::from_be_bytes(take(rest)?))),
            _ => {
                let partition = u32::from_be_bytes(take(rest)?);
                let key = part(rest)?.map(<[u8]>::to_vec);
                let value = part(rest)?.unwrap_or_default().to_vec();
                let mut headers = Vec::new();
                while !rest.is_empty() {
                    let name = Bytes::copy_from_slice(part(rest)?.unwrap_or_default());
                    headers.push((name, part(rest)?.map(Bytes::copy_from_slice)));
                }
                Ok(Self::Held(Held {
                    partition,
                    key,
                    value,
                    headers: Headers::new(headers),
                }))
            }
        }
    }
}

/// Bytes with their length in front of them; -1 for none.
fn put(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = bytes.map_or(-1, |bytes| bytes.len() as i64);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn part<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DataError> {
    let Ok(length) = usize::try_from(i64::from_be_bytes(take(rest)?)) else {
        return Ok(None);
    };
    let split = rest.split_at_checked(length);
    let (bytes, behind) = split.ok_or_else(|| DataError::new("what ends early"))?;
    *rest = behind;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_as_it_was_written() {
        let headers = vec![
            (Bytes::from_static(b"a"), None),
            (Bytes::from_static(b""), Some(Bytes::from_static(b"x"))),
        ];
        let held = |key: Option<&[u8]>, headers| Held {
            partition: 7,
            key: key.map(<[u8]>::to_vec),
            value: b"value".to_vec(),
            headers,
        };
        let all = [
            Written::Number(u64::MAX),
            Written::Held(held(None, Headers::default())),
            Written::Held(held(Some(b""), Headers::new(headers))),
        ];
        for written in all {
            let mut scratch = Vec::new();
            let bytes = written.encode(&mut scratch).unwrap().map(<[u8]>::to_vec);
            let read = Written::decode(Payload::new(bytes.as_deref())).unwrap();
            assert_eq!(read, written);
        }
        let short = Written::decode(Payload::new(Some(&[HELD, 0, 0, 0, 7, 0])));
        assert!(short.is_err());
    }
}
