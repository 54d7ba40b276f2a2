//! Which partition a record goes to.

/// Chooses partitions (Kafka: `Partitioner`). Called for every record that names none, so it has to
/// be quick, and the same input has to give the same partition if order by key is to hold. It is
/// called under the producer's lock: it must not block, nor send with the same producer.
pub trait Partitioner: Send + Sync + 'static {
    /// The partition, below `partitions`; a larger one fails the record with
    /// [`super::ProduceError::UnknownPartition`]. `None` leaves it to the producer, which fills one
    /// batch after the other (KIP-480, KIP-794).
    fn partition(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        partitions: u32,
    ) -> Option<u32>;
}

/// Kafka's own: keys by [`murmur2`], so that all Kafka clients agree; records without a key stick
/// to one partition until it has had a batch, then go to another one, the likelier the less waits
/// for it (Kafka: `BuiltInPartitioner`, KIP-480, KIP-794). librdkafka agrees with
/// `partitioner=murmur2_random`; its default does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultPartitioner;

impl Partitioner for DefaultPartitioner {
    #[inline]
    fn partition(
        &self,
        _topic: &str,
        key: Option<&[u8]>,
        _value: Option<&[u8]>,
        partitions: u32,
    ) -> Option<u32> {
        // Kafka's `toPositive` drops the sign bit; it does not negate.
        let positive = |hash: u32| hash & 0x7fff_ffff;
        key.map(|key| positive(murmur2(key)) % partitions.max(1))
    }
}

/// The 32-bit hash of Kafka's Java client (`org.apache.kafka.common.utils.Utils.murmur2`), which
/// reads four bytes at a time in little-endian order.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ (data.len() as u32);
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (byte, shift) in rest.iter().zip([0, 8, 16]) {
            hash ^= u32::from(*byte) << shift;
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition that records without a key go to until it has had its share (KIP-794, Kafka's
/// `BuiltInPartitioner`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sticky {
    current: Option<usize>,
    bytes: usize,
}

impl Sticky {
    /// The partition of the moment; `choose` finds the next one.
    #[inline]
    pub(super) fn current(&mut self, choose: impl FnOnce() -> usize) -> usize {
        *self.current.get_or_insert_with(choose)
    }

    /// The partition that has been chosen, if one has.
    pub(super) fn chosen(&self) -> Option<usize> {
        self.current
    }

    /// Counts what has been put there. With its share full it is another one's turn, as soon as the
    /// batch is: half-full batches on every partition are what sticking is there to avoid.
    #[inline]
    pub(super) fn count(&mut self, bytes: usize, share: usize, batch_full: bool) {
        self.bytes += bytes;
        if self.bytes >= share && (batch_full || self.bytes >= 2 * share) {
            *self = Self::default();
        }
    }

    /// The partition cannot be reached: another one's turn.
    pub(super) fn leave(&mut self) {
        *self = Self::default();
    }
}

/// A partition by chance, the likelier the fewer batches wait for it: the longest queue plus one
/// less its own is its weight. `queues` are the lengths, `None` for partitions without a leader.
pub(super) fn choose(queues: &[Option<usize>], random: u64) -> usize {
    let longest = queues.iter().flatten().max().copied().unwrap_or(0);
    let weight = |length: &Option<usize>| length.map_or(0, |length| (longest + 1 - length) as u64);
    let total: u64 = queues.iter().map(weight).sum();
    if total == 0 {
        // Nobody has a leader: wherever it goes, it waits.
        return usize::try_from(random % queues.len().max(1) as u64).unwrap_or(0);
    }
    let mut left = random % total;
    for (index, length) in queues.iter().enumerate() {
        match left.checked_sub(weight(length)) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        // From Kafka's own test (`UtilsTest.testMurmur2`).
        let check = |text: &str, expected: i32| {
            assert_eq!(murmur2(text.as_bytes()) as i32, expected, "{text}");
        };
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check(
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        );
        check("abc", 479_470_107);
    }

    #[test]
    fn keys_stay_where_they_are() {
        let partitioner = DefaultPartitioner;
        let of = |key: Option<&[u8]>| partitioner.partition("t", key, None, 10);
        assert_eq!(of(None), None);
        // An empty key is a key.
        assert_eq!(of(Some(b"")), of(Some(b"")));
        assert_eq!(
            of(Some(b"foobar")),
            Some((790_332_482_i32.wrapping_neg() as u32 & 0x7fff_ffff) % 10)
        );
    }

    #[test]
    fn a_partition_gets_its_share_and_then_another_one() {
        let mut sticky = Sticky::default();
        assert_eq!(sticky.current(|| 3), 3);
        sticky.count(60, 100, false);
        assert_eq!(sticky.current(|| 4), 3);
        // The share is full, the batch is not.
        sticky.count(60, 100, false);
        assert_eq!(sticky.current(|| 4), 3);
        sticky.count(10, 100, true);
        assert_eq!(sticky.current(|| 4), 4);
        // A batch that never fills up does not keep it for ever.
        sticky.count(200, 100, false);
        assert_eq!(sticky.current(|| 5), 5);
        sticky.leave();
        assert_eq!(sticky.current(|| 6), 6);
    }

    #[test]
    fn short_queues_are_likelier_and_lost_ones_never() {
        let queues = [Some(0), None, Some(2), Some(1)];
        let mut counts = [0; 4];
        for random in 0..600 {
            counts[choose(&queues, random)] += 1;
        }
        assert_eq!(counts, [300, 0, 100, 200]);
        assert_eq!(choose(&[None, None], 3), 1);
        assert_eq!(choose(&[], 3), 0);
    }
}
