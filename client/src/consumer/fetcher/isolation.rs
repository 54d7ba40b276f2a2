//! Which batches a reader under read_committed gets (KIP-98).

use std::collections::HashSet;

use crate::consumer::batch::Batch;

/// Leaves out what is not for applications: control batches always, and under read_committed the
/// batches of aborted transactions. `aborted` are the producers and first offsets of the
/// transactions that the broker named for this answer.
pub(super) fn visible(
    batches: Vec<Batch>,
    read_committed: bool,
    mut aborted: Vec<(i64, i64)>,
) -> Vec<Batch> {
    aborted.sort_unstable_by_key(|(_, first_offset)| std::cmp::Reverse(*first_offset));
    let mut open: HashSet<i64> = HashSet::new();
    batches
        .into_iter()
        .filter(|batch| {
            let header = &batch.header;
            if header.is_control() {
                // The marker ends the transaction of its producer, and only that one: the producer
                // may have another one behind it.
                if read_committed {
                    begin(&mut aborted, &mut open, header.last_offset());
                    open.remove(&header.producer_id);
                }
                return false;
            }
            if !read_committed || !header.is_transactional() {
                return true;
            }
            begin(&mut aborted, &mut open, header.last_offset());
            !open.contains(&header.producer_id)
        })
        .collect()
}

/// Opens the aborted transactions that begin at or before an offset.
fn begin(aborted: &mut Vec<(i64, i64)>, open: &mut HashSet<i64>, up_to: i64) {
    while let Some((producer, first)) = aborted.last()
        && *first <= up_to
    {
        open.insert(*producer);
        aborted.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tidemark_protocol::records::{BatchBuilder, BatchHeader, EndTxnMarker};

    /// `(producer, transactional)` makes a record, a marker is `Err(producer)`.
    fn batch(offset: i64, what: Result<(i64, bool), i64>) -> Batch {
        let bytes: Bytes = match what {
            Ok((producer, transactional)) => {
                let mut builder = BatchBuilder::new()
                    .base_offset(offset)
                    .producer(producer, 0, 0)
                    .transactional(transactional);
                builder.append(0, None, Some(b"v"), &[]).unwrap();
                builder.build().unwrap()
            }
            Err(producer) => {
                let mut builder = BatchBuilder::new()
                    .base_offset(offset)
                    .producer(producer, 0, -1)
                    .transactional(true)
                    .control(true);
                let marker = EndTxnMarker {
                    committed: false,
                    coordinator_epoch: 0,
                };
                let key = marker.control_type().key();
                builder
                    .append(0, Some(&key), Some(&marker.value()), &[])
                    .unwrap();
                builder.build().unwrap()
            }
        };
        let header = BatchHeader::parse(&bytes).unwrap();
        Batch {
            bytes,
            header,
            from: 0,
        }
    }

    fn check(batches: &[Result<(i64, bool), i64>], aborted: &[(i64, i64)], expected: [&[i64]; 2]) {
        for (committed, expected) in [true, false].into_iter().zip(expected) {
            let batches = (0..)
                .zip(batches)
                .map(|(at, what)| batch(at, *what))
                .collect();
            let seen = visible(batches, committed, aborted.to_vec());
            let offsets: Vec<i64> = seen.iter().map(|b| b.header.base_offset).collect();
            assert_eq!(offsets, expected, "read_committed: {committed}");
        }
    }

    #[test]
    fn aborted_transactions_are_left_out_by_those_who_ask_for_it() {
        // Two producers; the first aborts, then commits.
        check(
            &[
                Ok((1, true)),
                Ok((2, true)),
                Ok((1, true)),
                Err(1),
                Ok((1, true)),
                Err(2),
                Err(1),
            ],
            &[(1, 0)],
            [&[1, 4], &[0, 1, 2, 4]],
        );
        // One producer aborts twice in one answer, and writes outside of transactions too.
        check(
            &[
                Ok((1, true)),
                Err(1),
                Ok((1, false)),
                Ok((1, true)),
                Err(1),
                Ok((1, true)),
            ],
            &[(1, 3), (1, 0)],
            [&[2, 5], &[0, 2, 3, 5]],
        );
        // The transaction began before the answer.
        check(&[Ok((1, true)), Err(1)], &[(1, -5)], [&[], &[0]]);
        // Compaction has taken all of an aborted transaction but its marker.
        check(&[Err(1), Ok((1, true))], &[(1, -3)], [&[1], &[1]]);
    }
}
