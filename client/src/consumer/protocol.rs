//! What members of a group tell their leader, and what it gives them: Kafka's
//! `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`, versions 0 to 3.
//!
//! The bytes come from other members, so every length is held against what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use crate::topic_partition::TopicPartition;

/// The newest version of both.
const VERSION: i16 = 3;

/// What a member wants and has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: Vec<Arc<str>>,
    pub(crate) user_data: Option<Bytes>,
    /// From version 1 on.
    pub(crate) owned: Vec<TopicPartition>,
    /// From version 2 on; -1 for unknown.
    pub(crate) generation: i32,
}

impl Subscription {
    /// As version 3. `None` if something is longer than the format can say.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        let mut out = Vec::new();
        out.put_i16(VERSION);
        out.put_i32(i32::try_from(self.topics.len()).ok()?);
        for topic in &self.topics {
            put_string(&mut out, topic)?;
        }
        put_bytes(&mut out, self.user_data.as_deref())?;
        put_partitions(&mut out, &self.owned)?;
        out.put_i32(self.generation);
        // No rack.
        out.put_i16(-1);
        Some(Bytes::from(out))
    }

    /// Newer versions are read as the newest known: they only ever append. `None` for what is none.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut reader = Bounded::new(bytes);
        let version = reader.i16()?;
        let topics = reader.array(2, |reader| Some(Arc::from(reader.string()?)))?;
        let user_data = reader.nullable_bytes()?;
        let owned = match version {
            0 => Vec::new(),
            _ => reader.topic_partitions()?,
        };
        let generation = match version {
            0 | 1 => -1,
            _ => reader.i32()?,
        };
        (version >= 0).then_some(Self {
            topics,
            user_data,
            owned,
            generation,
        })
    }
}

/// The bytes of an assignment, version 3. `None` if something is longer than the format can say.
pub(crate) fn encode_assignment(partitions: &[TopicPartition]) -> Option<Bytes> {
    let mut out = Vec::new();
    out.put_i16(VERSION);
    put_partitions(&mut out, partitions)?;
    put_bytes(&mut out, None)?;
    Some(Bytes::from(out))
}

/// The partitions of an assignment; no bytes at all are no partitions. `None` for what is none.
pub(crate) fn decode_assignment(bytes: &Bytes) -> Option<Vec<TopicPartition>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut reader = Bounded::new(bytes);
    let version = reader.i16()?;
    let partitions = reader.topic_partitions()?;
    (version >= 0).then_some(partitions)
}

fn put_string(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.put_i16(i16::try_from(text.len()).ok()?);
    out.put_slice(text.as_bytes());
    Some(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Option<()> {
    match bytes {
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).ok()?);
            out.put_slice(bytes);
        }
        None => out.put_i32(-1),
    }
    Some(())
}

fn put_partitions(out: &mut Vec<u8>, partitions: &[TopicPartition]) -> Option<()> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics
            .entry(&partition.topic)
            .or_default()
            .push(partition.partition);
    }
    out.put_i32(i32::try_from(topics.len()).ok()?);
    for (topic, partitions) in topics {
        put_string(out, topic)?;
        out.put_i32(i32::try_from(partitions.len()).ok()?);
        partitions
            .iter()
            .for_each(|partition| out.put_i32(*partition));
    }
    Some(())
}

/// Reads what another member has written: never further than there is, and never makes room for
/// more than the bytes that are left can hold.
pub(crate) struct Bounded<'a> {
    bytes: &'a [u8],
}

impl<'a> Bounded<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.bytes.try_get_i16().ok()
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.bytes.try_get_i32().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.i16()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn nullable_bytes(&mut self) -> Option<Option<Bytes>> {
        match self.i32()? {
            -1 => Some(None),
            length => {
                let taken = self.take(usize::try_from(length).ok()?)?;
                Some(Some(Bytes::copy_from_slice(taken)))
            }
        }
    }

    /// An array whose elements take at least `least` bytes each.
    fn array<T>(
        &mut self,
        least: usize,
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.i32()?).ok()?;
        if count.checked_mul(least)? > self.bytes.len() {
            return None;
        }
        (0..count).map(|_| element(self)).collect()
    }

    /// Topics with partitions.
    pub(crate) fn topic_partitions(&mut self) -> Option<Vec<TopicPartition>> {
        let topics = self.array(6, |reader| {
            let topic: Arc<str> = reader.string()?.into();
            let partitions = reader.array(4, Self::i32)?;
            Some((topic, partitions))
        })?;
        let all = topics.into_iter().flat_map(|(topic, partitions)| {
            let partition = move |index| TopicPartition::new(Arc::clone(&topic), index);
            partitions.into_iter().map(partition)
        });
        Some(all.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partitions(list: &[(&str, i32)]) -> Vec<TopicPartition> {
        list.iter()
            .map(|(topic, index)| TopicPartition::new(*topic, *index))
            .collect()
    }

    #[test]
    fn subscriptions_of_every_version() {
        let full = Subscription {
            topics: vec!["a".into(), "bc".into()],
            user_data: Some(Bytes::from_static(&[9])),
            owned: partitions(&[("a", 0), ("a", 2)]),
            generation: 5,
        };
        let bytes = full.encode().unwrap();
        let expected = [
            &[0, 3][..],
            &[0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c'],
            &[0, 0, 0, 1, 9],
            &[0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2],
            &[0, 0, 0, 5],
            &[0xff, 0xff],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(Subscription::decode(&bytes).as_ref(), Some(&full));
        // Earlier versions end earlier, later ones are longer.
        for (version, parts, owned, generation) in [
            (0, 3, false, -1),
            (1, 4, true, -1),
            (2, 5, true, 5),
            (7, 6, true, 5),
        ] {
            let mut bytes = expected[..parts].concat();
            bytes[1] = version;
            let found = Subscription::decode(&Bytes::from(bytes)).unwrap();
            assert_eq!(found.owned.is_empty(), !owned, "version {version}");
            assert_eq!(found.generation, generation, "version {version}");
        }
    }

    #[test]
    fn assignments() {
        let list = partitions(&[("a", 1), ("b", 0), ("b", 7)]);
        let bytes = encode_assignment(&list).unwrap();
        assert_eq!(decode_assignment(&bytes), Some(list));
        assert_eq!(decode_assignment(&Bytes::new()), Some(Vec::new()));
        assert_eq!(decode_assignment(&Bytes::from_static(&[0])), None);
        // Two billion topics in no bytes.
        let huge = [0, 1, 0x7f, 0xff, 0xff, 0xff];
        assert_eq!(decode_assignment(&Bytes::copy_from_slice(&huge)), None);
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            let _ = Subscription::decode(&bytes);
            let _ = decode_assignment(&bytes);
        }
    }
}
