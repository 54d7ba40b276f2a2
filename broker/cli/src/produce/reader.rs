//! Reads the input in a thread of its own: a read may block for as long as nothing comes, and the
//! producer has to send and to try again meanwhile.

use std::thread;

use tokio::sync::mpsc;

use super::input::{Input, Record};
use crate::failure::Failure;

/// Up to so many records come together, as far as they are at hand.
const RECORDS: usize = 256;
/// Up to about so many bytes of them.
const BYTES: usize = 256 << 10;
/// Batches that may wait to be sent.
const WAITING: usize = 2;

/// Records that were at hand together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    /// Bytes of the input up to here.
    pub(super) read: u64,
}

/// What has been read, or why reading has ended early. Closed at the end of the input.
pub(super) type Batches = mpsc::Receiver<Result<Batch, Failure>>;

/// Begins to read. The thread ends with its input, or when nobody wants its batches any more; a read
/// that blocks ends with the process.
pub(super) fn start(mut input: Input) -> Result<Batches, Failure> {
    let (sender, batches) = mpsc::channel(WAITING);
    let read = move || {
        loop {
            let (batch, end) = next_batch(&mut input);
            if !batch.records.is_empty() && sender.blocking_send(Ok(batch)).is_err() {
                return;
            }
            match end {
                None => {}
                Some(Ok(())) => return,
                Some(Err(failure)) => {
                    // Nobody may want to know any more.
                    let _ = sender.blocking_send(Err(failure));
                    return;
                }
            }
        }
    };
    let thread = thread::Builder::new().name("input".to_owned()).spawn(read);
    thread.map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    Ok(batches)
}

/// At least one record, and those behind it that need not be waited for; and how the input has ended,
/// if it has.
fn next_batch(input: &mut Input) -> (Batch, Option<Result<(), Failure>>) {
    let mut batch = Batch::default();
    let mut bytes = 0;
    let end = loop {
        match input.next() {
            Ok(Some(record)) => {
                bytes += record.size();
                batch.records.push(record);
            }
            Ok(None) => break Some(Ok(())),
            Err(failure) => break Some(Err(failure)),
        }
        if !input.at_hand() || batch.records.len() >= RECORDS || bytes >= BYTES {
            break None;
        }
    };
    batch.read = input.read();
    (batch, end)
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    #[test]
    fn what_is_at_hand_comes_together_and_in_front_of_an_error() {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("tidemark-reader-{}", std::process::id()));
        std::fs::write(&path, "{\"value\":\"a\"}\n{\"value\":\"b\"}\n[]\n").unwrap();
        let input = Input::open(vec![path.clone()], Format::Json, None).unwrap();
        let mut batches = start(input).unwrap();
        let batch = batches.blocking_recv().unwrap().unwrap();
        assert_eq!((batch.records.len(), batch.read), (2, 31));
        let failure = batches.blocking_recv().unwrap().err().unwrap();
        assert!(failure.message.contains(":3: "), "{}", failure.message);
        assert!(batches.blocking_recv().is_none());
        std::fs::remove_file(path).unwrap();
    }
}
