//! What a log remembers of its producers.

use super::*;

#[test]
fn rule_08_producers_survive_a_restart_with_their_last_five_batches() {
    let mut bench = Bench::new(small());
    for sequence in 0..40 {
        bench
            .append(&Shape::from_producer(7, 0, sequence, 1))
            .unwrap();
        bench
            .append(&Shape::from_producer(8, 1, sequence * 2, 2))
            .unwrap();
    }
    assert!(bench.log().segment_count() > 3);
    let before = bench.log().producers().clone();
    bench.restart();
    assert_eq!(
        *bench.log().producers(),
        before,
        "from the snapshot at the end"
    );
    bench.flush().unwrap();
    bench.crash(1).unwrap();
    assert_eq!(
        *bench.log().producers(),
        before,
        "from an older snapshot and the batches after it"
    );
    let snapshots: Vec<_> = bench
        .names()
        .into_iter()
        .filter(|name| name.ends_with("snapshot"))
        .collect();
    for name in snapshots {
        bench.disk.flip_bit(&dir().join(name), 9, 0).unwrap();
    }
    bench.log = None;
    let report = bench.reopen().unwrap();
    assert!(!report.notes.is_empty());
    assert_eq!(*bench.log().producers(), before, "from all batches");
}

#[test]
fn rule_05_producers_expire_when_they_are_checked_and_not_in_maintenance() {
    let config = LogConfig {
        producer_id_expiration_ms: 10_000,
        ..small()
    };
    let mut bench = Bench::new(config);
    bench.append(&Shape::from_producer(7, 0, 0, 1)).unwrap();
    bench.log().expire_producers(now(10_999));
    bench.log().maintain(now(11_000), Offset(1)).unwrap();
    assert_eq!(bench.log().producers().len(), 1);
    bench.log().expire_producers(now(11_000));
    assert!(bench.log().producers().is_empty());
}

#[test]
fn rule_08_a_batch_with_an_old_timestamp_is_recognised_after_a_crash() {
    // The records are older than the expiration from the start.
    let config = LogConfig {
        producer_id_expiration_ms: 1_000,
        ..small()
    };
    let mut bench = Bench::new(config);
    let shape = |sequence| Shape::from_producer(7, 0, sequence, 1);
    let check = |bench: &mut Bench, sequence| {
        let header = shape(sequence).build().0;
        bench.log().producers().check(&header)
    };
    for sequence in 0..3 {
        bench.append(&shape(sequence)).unwrap();
    }
    for seed in 0..2 {
        // Killed, then without power.
        match seed {
            0 => {
                bench.log = None;
                bench.reopen().unwrap();
                bench.flush().unwrap();
            }
            _ => drop(bench.crash(seed).unwrap()),
        }
        for sequence in 0..3 {
            let found = check(&mut bench, sequence);
            let Ok(crate::storage::SequenceCheck::Duplicate { base, .. }) = found else {
                panic!("sequence {sequence}: {found:?}");
            };
            assert_eq!(base, Offset(i64::from(sequence)));
        }
    }
    // Of what a snapshot holds, expired producers are left out.
    bench.restart();
    assert!(bench.log().producers().is_empty());
}

#[test]
fn open_transactions_hold_back_the_stable_offset() {
    let mut bench = Bench::new(LogConfig::default());
    bench.append(&Shape::of(2, 0)).unwrap();
    assert_eq!(bench.log().first_unstable_offset(), None);
    let open = Shape {
        transactional: true,
        ..Shape::from_producer(7, 0, 0, 3)
    };
    bench.append(&open).unwrap();
    bench.append(&Shape::of(2, 0)).unwrap();
    for _ in 0..2 {
        assert_eq!(bench.log().first_unstable_offset(), Some(Offset(2)));
        bench.restart();
    }
    let marker = tidemark_protocol::records::EndTxnMarker {
        committed: false,
        coordinator_epoch: 0,
    };
    let (header, bytes) = header_of(marker.batch(0, 0, (7, 0), 0).unwrap());
    bench
        .log()
        .append(&header, &bytes, LeaderEpoch(0), now(0))
        .unwrap();
    assert_eq!(bench.log().first_unstable_offset(), None);
    bench.flush().unwrap();
    bench.crash(5).unwrap();
    assert_eq!(bench.log().first_unstable_offset(), None);
}
