//! `partition.metadata`: which topic id a partition's directory belongs to
//! (`PartitionMetadataFile.java`).

use uuid::Uuid;

use crate::types::uuid_text;

/// The file's name.
pub(crate) const FILE_NAME: &str = "partition.metadata";

/// The content: two lines, the second without a newline.
pub(crate) fn encode(topic_id: Uuid) -> Vec<u8> {
    format!("version: 0\ntopic_id: {}", uuid_text::to_text(topic_id)).into_bytes()
}

/// The topic id in a file's content, or the byte at which it stops making sense, and why.
/// Versions above 0 are read as version 0, as Kafka does so that a downgrade works.
pub(crate) fn decode(content: &[u8]) -> Result<Uuid, (u64, String)> {
    let text = std::str::from_utf8(content)
        .map_err(|error| (error.valid_up_to() as u64, "not UTF-8".to_owned()))?;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let second_at = (first.len() + 1) as u64;
    let value = |line: &str, at: u64| match line.split_once(':') {
        Some((_, value)) if value.starts_with(char::is_whitespace) => Ok(value.trim().to_owned()),
        _ => Err((at, format!("malformed line {line:?}"))),
    };
    let version = value(first, 0)?;
    if !version.parse::<i32>().is_ok_and(|version| version >= 0) {
        return Err((0, format!("version {version:?}")));
    }
    let id = value(lines.next().unwrap_or_default(), second_at)?;
    uuid_text::from_text(&id)
        .ok()
        .filter(|id| !id.is_nil())
        .ok_or_else(|| (second_at, format!("{id:?} is no topic id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kafkas() {
        let id = Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
        let frozen = b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw";
        assert_eq!(encode(id), frozen);
        assert_eq!(decode(frozen), Ok(id));
        assert_eq!(
            decode(b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw\n"),
            Ok(id)
        );
    }

    #[test]
    fn damaged_text_says_where() {
        let check = |content: &[u8], at: u64| {
            assert_eq!(
                decode(content).map_err(|(at, _)| at),
                Err(at),
                "{}",
                content.escape_ascii()
            );
        };
        check(b"", 0);
        check(b"version: 0", 11);
        check(b"version: -1\ntopic_id: AAECAwQFBgcICQoLDA0ODw", 0);
        check(b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw=", 11);
        check(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", 11);
        check(b"\xfe", 0);
    }
}
