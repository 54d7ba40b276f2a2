use super::*;
use crate::storage::testing::Shape;
use SequenceCheck::{Duplicate, New};

const PRODUCER: i64 = 7;

/// A log's end in these tests: batches are applied one after the other from offset 0.
struct Table {
    producers: Producers,
    end: i64,
}

impl Table {
    fn new() -> Self {
        Self {
            producers: Producers::default(),
            end: 0,
        }
    }

    fn header(epoch: i16, sequence: i32, count: usize) -> BatchHeader {
        Shape::from_producer(PRODUCER, epoch, sequence, count)
            .build()
            .0
    }

    fn write(&mut self, epoch: i16, sequence: i32, count: usize) -> &mut Self {
        let placed = BatchHeader {
            base_offset: self.end,
            ..Self::header(epoch, sequence, count)
        };
        self.producers.apply(&placed, None);
        self.end = placed.next_offset();
        self
    }

    fn mark(&mut self, epoch: i16) -> &mut Self {
        let marker = EndTxnMarker {
            committed: true,
            coordinator_epoch: 3,
        };
        let bytes = marker.batch(self.end, 0, (PRODUCER, epoch), 1_000).unwrap();
        let header = crate::storage::testing::header_of(bytes).0;
        self.producers.apply(&header, Some(marker));
        self.end += 1;
        self
    }

    fn check(&self, epoch: i16, sequence: i32, count: usize) -> &'static str {
        match self.producers.check(&Self::header(epoch, sequence, count)) {
            Ok(New) => "new",
            Ok(Duplicate { .. }) => "duplicate",
            Err(ProducerError::OutOfOrder { .. }) => "out of order",
            Err(ProducerError::InvalidEpoch { .. }) => "invalid epoch",
        }
    }
}

#[test]
fn rule_01_the_last_five_batches_are_recognised_with_their_offsets() {
    let mut table = Table::new();
    for sequence in [0, 2, 4, 6, 8, 10] {
        table.write(0, sequence, 2);
    }
    assert_eq!(
        table.check(0, 0, 2),
        "out of order",
        "the sixth last is forgotten"
    );
    for sequence in [2, 4, 6, 8, 10] {
        let base = Offset(i64::from(sequence));
        let found = table.producers.check(&Table::header(0, sequence, 2));
        let expected = Duplicate {
            base,
            last: base.plus(1),
            timestamp: Timestamp(1_000),
        };
        assert_eq!(found, Ok(expected));
    }
    assert_eq!(
        table.check(0, 10, 1),
        "out of order",
        "part of a batch is no duplicate"
    );
    assert_eq!(table.check(0, 12, 1), "new");
}

#[test]
fn rule_02_the_next_sequence_follows_and_wraps_to_zero() {
    let mut table = Table::new();
    table.write(0, i32::MAX - 1, 2);
    assert_eq!(table.check(0, 0, 1), "new");
    assert_eq!(table.check(0, 1, 1), "out of order");
    table.write(0, 0, 3);
    assert_eq!(table.check(0, 3, 1), "new");
    assert_eq!(table.check(0, i32::MAX - 1, 2), "duplicate");
    let mut across = Table::new();
    across.write(0, i32::MAX, 3);
    assert_eq!(across.check(0, 2, 1), "new");
    assert_eq!(across.check(0, i32::MAX, 3), "duplicate");
}

#[test]
fn rule_03_a_new_epoch_begins_at_zero_and_an_old_one_is_fenced() {
    let mut table = Table::new();
    table.write(3, 5, 2);
    assert_eq!(table.check(4, 0, 1), "new");
    assert_eq!(table.check(4, 7, 1), "out of order");
    assert_eq!(table.check(2, 7, 1), "invalid epoch");
    table.write(4, 0, 1);
    assert_eq!(
        table.check(3, 5, 2),
        "invalid epoch",
        "old batches are not duplicates any more"
    );
    table.mark(5);
    assert_eq!(
        table.check(5, 1, 1),
        "out of order",
        "a marker can bring the new epoch"
    );
    assert_eq!(table.check(5, 0, 1), "new");
}

#[test]
fn rule_04_an_unknown_producer_may_begin_anywhere() {
    assert_eq!(Table::new().check(0, 77, 1), "new");
    let mut none = Table::header(0, 0, 1);
    none.producer_id = -1;
    assert_eq!(Table::new().producers.check(&none), Ok(New));
}

#[test]
fn rule_05_producers_expire_but_not_within_a_transaction() {
    let mut table = Table::new();
    table.write(0, 0, 1);
    let mut open = Shape {
        transactional: true,
        ..Shape::from_producer(8, 0, 0, 1)
    }
    .build()
    .0;
    open.base_offset = 1;
    table.producers.apply(&open, None);
    assert_eq!(table.producers.first_open_transaction(), Some(Offset(1)));
    table.producers.expire(Timestamp(1_099), 100);
    assert_eq!(table.producers.len(), 2);
    table.producers.expire(Timestamp(1_100), 100);
    assert_eq!(
        table
            .producers
            .iter()
            .map(|(id, _)| id.0)
            .collect::<Vec<_>>(),
        [8]
    );
}

#[test]
fn a_marker_ends_the_transaction() {
    let mut table = Table::new();
    let mut open = Shape {
        transactional: true,
        ..Shape::from_producer(PRODUCER, 0, 0, 1)
    };
    open.timestamps = vec![5];
    table.producers.apply(&open.build().0, None);
    table.end = 1;
    table.mark(0);
    assert_eq!(table.producers.first_open_transaction(), None);
    let entry = table.producers.get(ProducerId(PRODUCER)).unwrap();
    assert_eq!(
        (entry.coordinator_epoch, entry.transaction_start),
        (3, None)
    );
    assert_eq!(table.check(0, 1, 1), "new");
}

fn sample() -> Producers {
    let mut table = Table::new();
    table.write(2, 4, 3);
    let mut open = Shape {
        transactional: true,
        ..Shape::from_producer(9, 0, 0, 1)
    }
    .build()
    .0;
    open.base_offset = 3;
    table.producers.apply(&open, None);
    table.producers
}

#[test]
fn the_snapshots_bytes_are_kafkas() {
    #[rustfmt::skip]
    let frozen: &[u8] = &[
        0, 1, 0x8c, 0x57, 0xb2, 0x51, 0, 0, 0, 2,
        0, 0, 0, 0, 0, 0, 0, 7, 0, 2, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2,
        0, 0, 0, 0, 0, 0, 3, 0xe8, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 3, 0xe8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 3,
    ];
    let bytes = snapshot::encode(&sample());
    assert_eq!(bytes.get(6..), frozen.get(6..));
    assert_eq!(bytes, frozen);
    assert_eq!(snapshot::decode(frozen), Ok(sample()));
    assert_eq!(
        snapshot::decode(&snapshot::encode(&Producers::default())),
        Ok(Producers::default())
    );
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let good = snapshot::encode(&sample());
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        assert!(
            snapshot::decode(&bad).is_err(),
            "bit flipped in byte {position}"
        );
        assert!(
            snapshot::decode(&good[..position]).is_err(),
            "cut at {position}"
        );
    }
    // A huge count with a good CRC must not make anyone allocate.
    let mut bad = good.clone();
    bad[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
    let crc = crc32c::crc32c(&bad[6..]);
    bad[2..6].copy_from_slice(&crc.to_be_bytes());
    assert!(snapshot::decode(&bad).unwrap_err().contains("2147483647"));
}
