//! What members of consumer groups tell each other through the coordinator, which does not look at
//! it, as far as it is of interest from outside.

use bytes::Bytes;

use crate::consumer::protocol::{Subscription, decode_assignment};
use crate::topic_partition::TopicPartition;

/// The name of consumers' protocol type.
pub(super) const CONSUMER: &str = "consumer";

/// The topics that a member has subscribed to; `None` if the bytes are something else.
pub(super) fn topics(metadata: &Bytes) -> Option<Vec<String>> {
    let told = Subscription::decode(metadata)?;
    Some(told.topics.iter().map(ToString::to_string).collect())
}

/// The partitions that a member has been given, in order; `None` if the bytes are something else.
/// A member that has none may have no bytes, either.
pub(super) fn partitions(assignment: &Bytes) -> Option<Vec<TopicPartition>> {
    let mut found = decode_assignment(assignment)?;
    found.sort();
    Some(found)
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
