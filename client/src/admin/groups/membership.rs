//! What members of consumer groups tell each other through the coordinator, which does not look at
//! it: `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`, each behind its version.
//! Later versions add to the end, so what all have is read and the rest left alone.

use bytes::Bytes;

use crate::topic_partition::TopicPartition;

/// The name of consumers' protocol type.
pub(super) const CONSUMER: &str = "consumer";

/// The topics that a member has subscribed to; `None` if the bytes are something else.
pub(super) fn topics(metadata: &Bytes) -> Option<Vec<String>> {
    let mut bytes = Reader::behind_version(metadata)?;
    let count = bytes.count()?;
    (0..count).map(|_| bytes.text()).collect()
}

/// The partitions that a member has been given, in order; `None` if the bytes are something else.
/// A member that has none may have no bytes, either.
pub(super) fn partitions(assignment: &Bytes) -> Option<Vec<TopicPartition>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let mut bytes = Reader::behind_version(assignment)?;
    let mut found = Vec::new();
    for _ in 0..bytes.count()? {
        let topic: std::sync::Arc<str> = bytes.text()?.into();
        for _ in 0..bytes.count()? {
            found.push(TopicPartition::new(
                std::sync::Arc::clone(&topic),
                bytes.i32()?,
            ));
        }
    }
    found.sort();
    Some(found)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn behind_version(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Self(bytes);
        (reader.i16()? >= 0).then_some(reader)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// A count of elements, none of which is empty: more than there are bytes cannot be meant.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.i32()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn text(&mut self) -> Option<String> {
        let size = usize::try_from(self.i16()?).ok()?;
        let (text, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Given;
    use kafka_protocol::messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName,
    };
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn encoded(version: i16, message: &impl Encodable) -> Bytes {
        let mut bytes = BytesMut::from(&version.to_be_bytes()[..]);
        message.encode(&mut bytes, version).unwrap();
        bytes.freeze()
    }

    #[test]
    fn every_version_is_read_and_nothing_else() {
        let name = |name| StrBytes::from_static_str(name);
        let subscription =
            ConsumerProtocolSubscription::default().with_topics(vec![name("b"), name("größe")]);
        let given = Given::default()
            .with_topic(TopicName(name("b")))
            .with_partitions(vec![2, 0]);
        let assignment = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(vec![given])
            .with_user_data(Some(Bytes::from_static(b"mine")));
        let expected = vec![TopicPartition::new("b", 0), TopicPartition::new("b", 2)];
        for version in 0..=3 {
            let bytes = encoded(version, &subscription);
            let found = topics(&bytes).unwrap();
            assert_eq!(found, ["b", "größe"]);
            for end in 0..2 + 4 + 3 + 7 {
                assert_eq!(topics(&bytes.slice(..end)), None, "{end} bytes");
            }
            let bytes = encoded(version, &assignment);
            assert_eq!(partitions(&bytes), Some(expected.clone()));
            for end in 1..2 + 4 + 3 + 4 + 8 {
                assert_eq!(partitions(&bytes.slice(..end)), None, "{end} bytes");
            }
        }
        assert_eq!(partitions(&Bytes::new()), Some(Vec::new()));
        let many = Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, b'a']);
        assert_eq!((topics(&many), partitions(&many)), (None, None));
    }
}
