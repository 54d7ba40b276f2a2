use super::*;

fn batch(base: i64, count: i64) -> Bytes {
    let mut builder = BatchBuilder::new()
        .base_offset(base)
        .partition_leader_epoch(3);
    for _ in 0..count {
        builder.append(0, None, Some(b"value"), &[]).unwrap();
    }
    builder.build().unwrap()
}

/// Offsets of the batches, the next offset, and what is said to be broken.
#[track_caller]
fn check(records: &[u8], from: i64, batches: &[(i64, i64)], next: i64, broken: Option<&str>) {
    let split = split(&Bytes::copy_from_slice(records), from);
    let found: Vec<_> = split
        .batches
        .iter()
        .map(|b| (b.first_offset(), b.next_offset()))
        .collect();
    assert_eq!((&found[..], split.next_offset), (batches, next));
    match (&split.broken, broken) {
        (Some(found), Some(part)) => assert!(found.contains(part), "{found}"),
        (found, expected) => assert_eq!(found.as_deref(), expected),
    }
}

#[test]
fn whole_batches_partial_batches_and_rubbish() {
    let (first, second) = (batch(0, 5), batch(5, 5));
    let both = [&first[..], &second].concat();
    check(&[], 0, &[], 0, None);
    check(&both, 0, &[(0, 5), (5, 10)], 10, None);
    check(&both, 7, &[(7, 10)], 10, None);
    // Cut anywhere within the second one.
    for cut in first.len() + 1..both.len() {
        check(&both[..cut], 0, &[(0, 5)], 5, None);
    }
    // The first one is cut: it would come like this for ever.
    check(
        &first[..first.len() - 1],
        0,
        &[],
        0,
        Some("the broker sends only"),
    );
    let mut broken = both.clone();
    broken[first.len() + 16] = 3;
    check(&broken, 0, &[(0, 5)], 5, Some("magic 3"));
    // A length that goes nowhere.
    let mut broken = both.clone();
    broken[first.len() + 8..first.len() + 12].copy_from_slice(&(-5_i32).to_be_bytes());
    check(&broken, 0, &[(0, 5)], 5, Some("batchLength"));
    // A batch from the past.
    check(&first, 5, &[], 5, None);
}

/// A message of magic 1 (KIP-32) without a key.
fn old_message(offset: i64, value: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0];
    body.extend_from_slice(&77_i64.to_be_bytes());
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    body.extend_from_slice(&(value.len() as i32).to_be_bytes());
    body.extend_from_slice(value);
    let crc = crc32fast::hash(&body);
    let mut message = offset.to_be_bytes().to_vec();
    message.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    message.extend_from_slice(&crc.to_be_bytes());
    message.extend_from_slice(&body);
    message
}

#[test]
fn old_messages_become_a_batch() {
    let mut set = [old_message(3, b"a"), old_message(5, b"b")].concat();
    check(&set, 0, &[(3, 6)], 6, None);
    check(&set, 4, &[(5, 6)], 6, None);
    let at = set.len();
    set.extend_from_slice(&batch(6, 2));
    check(&set, 0, &[(3, 6), (6, 8)], 8, None);
    check(&set[..at - 1], 0, &[(3, 4)], 4, None);
    let split = split(&Bytes::copy_from_slice(&set), 0);
    let partition = crate::TopicPartition::new("t", 0);
    let section = split.batches[0].decode(&partition).unwrap();
    let records: Vec<_> = section.records().map(Result::unwrap).collect();
    assert_eq!(records[0].value(), Some(&b"a"[..]));
    assert_eq!((records[1].offset, records[1].timestamp), (5, 77));
    // A message that does not fit its own CRC.
    set[at - 1] ^= 1;
    check(&set, 0, &[], 0, Some("crc"));
}
