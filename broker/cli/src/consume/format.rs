//! How records are written.

use std::fmt::Display;

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine};
use serde_json::{Value, json};
use tidemark_client::TopicPartition;
use tidemark_client::consumer::{Batch, RecordRef, TimestampType};

/// The name under which bytes stand that are not UTF-8.
pub(crate) const BASE64: &str = "base64";

/// A text with places for the parts of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Timestamp,
    Headers,
}

pub(super) fn layout(text: &str) -> Result<Layout, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let piece = match c {
            '%' => match chars.next() {
                Some('t') => Piece::Topic,
                Some('p') => Piece::Partition,
                Some('o') => Piece::Offset,
                Some('k') => Piece::Key,
                // The latter is kcat's.
                Some('v' | 's') => Piece::Value,
                Some('T') => Piece::Timestamp,
                Some('h') => Piece::Headers,
                Some('%') => {
                    plain.push('%');
                    continue;
                }
                _ => return Err("after % comes one of t p o k v T h %".to_owned()),
            },
            '\\' => {
                plain.push(match chars.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('0') => '\0',
                    Some('\\') => '\\',
                    _ => return Err("after \\ comes one of n r t 0 \\".to_owned()),
                });
                continue;
            }
            c => {
                plain.push(c);
                continue;
            }
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece);
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Layout(pieces))
}

impl Layout {
    /// Writes a record. Keys and values go out byte for byte; null is nothing.
    pub(super) fn write(
        &self,
        partition: &TopicPartition,
        record: &RecordRef<'_>,
        out: &mut Vec<u8>,
    ) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Topic => out.extend_from_slice(partition.topic.as_bytes()),
                Piece::Partition => push(out, partition.partition),
                Piece::Offset => push(out, record.offset),
                Piece::Key => out.extend_from_slice(record.key().unwrap_or_default()),
                Piece::Value => out.extend_from_slice(record.value().unwrap_or_default()),
                Piece::Timestamp => push(out, record.timestamp),
                Piece::Headers => {
                    for (at, header) in record.headers().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        out.extend_from_slice(header.key);
                        out.push(b'=');
                        out.extend_from_slice(header.value.unwrap_or(b"NULL"));
                    }
                }
            }
        }
    }
}

fn push(out: &mut Vec<u8>, value: impl Display) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Writes a record as a line of JSON. Bytes that are not UTF-8 come as `{"base64": ...}`.
pub(super) fn json(
    partition: &TopicPartition,
    batch: &Batch,
    record: &RecordRef<'_>,
    out: &mut Vec<u8>,
) {
    let headers = record.headers();
    let headers: Vec<Value> = headers
        .map(|header| json!([text(Some(header.key)), text(header.value)]))
        .collect();
    let line = json!({
        "topic": &*partition.topic,
        "partition": partition.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestamp_type": match batch.header().timestamp_type() {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        },
        "leader_epoch": batch.header().partition_leader_epoch,
        "key": text(record.key()),
        "value": text(record.value()),
        "headers": headers,
    });
    push(out, line);
    out.push(b'\n');
}

fn text(bytes: Option<&[u8]>) -> Value {
    match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => Value::String(text.to_owned()),
        Some(Err(_)) => json!({ BASE64: STANDARD.encode(bytes.unwrap_or_default()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        assert_eq!(
            layout(r"%k\t%v%%\n").unwrap().0,
            [
                Piece::Key,
                Piece::Text("\t".into()),
                Piece::Value,
                Piece::Text("%\n".into()),
            ]
        );
        assert_eq!(layout("").unwrap().0, []);
        assert!(layout("%x").is_err() && layout("%").is_err() && layout(r"\x").is_err());
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert_eq!(text(Some(b"\xff")), json!({ "base64": "/w==" }));
        assert_eq!(text(Some(b"a")), json!("a"));
        assert_eq!(text(None), Value::Null);
    }
}
