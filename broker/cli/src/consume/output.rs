//! Writes to standard output in a thread of its own: whoever reads there may stop for as long as they
//! like, and a member of a group has to be heard of meanwhile.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use tidemark_client::TopicPartition;
use tokio::sync::{mpsc, oneshot};

use super::progress::{Mark, Progress};

/// A chunk is written when it has about so many bytes.
pub(super) const FULL: usize = 128 << 10;
/// Written at once: a write to a pipe tells how far it has come only when all of it is in the pipe.
const PIECE: usize = 4096;
/// Chunks that may wait to be written.
const WAITING: usize = 2;

/// Records as text, ready to be written.
pub(super) struct Chunk {
    pub(super) partition: TopicPartition,
    /// That of the partition when it was read: see [`Progress::turn`].
    pub(super) turn: u64,
    pub(super) bytes: Vec<u8>,
    /// Where each record ends in the bytes, and where reading goes on behind it. Empty if nobody
    /// wants to know.
    pub(super) records: Vec<(usize, Mark)>,
    /// Where reading goes on behind all of it, if that is further on than behind its last record.
    pub(super) end: Option<Mark>,
}

impl Chunk {
    pub(super) fn new(partition: TopicPartition, turn: u64) -> Self {
        Self {
            partition,
            turn,
            bytes: Vec::new(),
            records: Vec::new(),
            end: None,
        }
    }

    /// Where reading goes on if so many bytes have been written.
    fn mark(&self, written: usize) -> Option<Mark> {
        if let Some(end) = self.end
            && written == self.bytes.len()
        {
            return Some(end);
        }
        let whole = self.records.partition_point(|(end, _)| *end <= written);
        let last = whole.checked_sub(1)?;
        self.records.get(last).map(|(_, mark)| *mark)
    }
}

/// The thread's other end.
pub(super) struct Output {
    chunks: mpsc::Sender<Chunk>,
    ended: oneshot::Receiver<io::Result<()>>,
    progress: Arc<Progress>,
}

impl Output {
    /// Begins to write to standard output, and to tell `progress` what has been written.
    pub(super) fn start(progress: &Arc<Progress>) -> io::Result<Self> {
        // Not through std's own buffer: what counts as written has to be.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let (chunks, waiting) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        let told = Arc::clone(progress);
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                // Nobody waits for it when the command has been stopped.
                let _ = end.send(write(out, waiting, &told));
            })?;
        Ok(Self {
            chunks,
            ended,
            progress: Arc::clone(progress),
        })
    }

    /// Hands a chunk over; waits while others wait. `false` when nothing can be written any more.
    /// Safe to be dropped: then the chunk is not written.
    pub(super) async fn send(&self, chunk: Chunk) -> bool {
        let Ok(place) = self.chunks.reserve().await else {
            return false;
        };
        self.progress.note_sent();
        place.send(chunk);
        true
    }

    /// Waits until all has been written. A reader that has gone away is no reason to fail.
    pub(super) async fn finish(self) -> io::Result<()> {
        drop(self.chunks);
        match self.ended.await {
            Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

fn write(
    mut out: impl Write,
    mut chunks: mpsc::Receiver<Chunk>,
    progress: &Progress,
) -> io::Result<()> {
    while let Some(chunk) = chunks.blocking_recv() {
        let mut written = 0;
        while written < chunk.bytes.len() {
            written = write_some(&mut out, &chunk.bytes, written)?;
            progress.note_written(&chunk.partition, chunk.turn, chunk.mark(written));
        }
        progress.note_written(&chunk.partition, chunk.turn, chunk.mark(written));
        progress.note_done();
    }
    Ok(())
}

/// Writes some of the bytes from here on; gives how far it has come.
fn write_some(out: &mut impl Write, bytes: &[u8], from: usize) -> io::Result<usize> {
    let rest = bytes.get(from..).unwrap_or_default();
    let piece = rest.get(..PIECE).unwrap_or(rest);
    match out.write(piece) {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Ok(taken) => Ok(from + taken),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(from),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, a few at a time, and then no more.
    struct Reader(usize);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0).min(3);
            self.0 -= taken;
            match taken {
                0 => Err(ErrorKind::BrokenPipe.into()),
                taken => Ok(taken),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_whole_records_count_as_written() {
        let mark = |offset| Mark { offset, epoch: 1 };
        let chunk = Chunk {
            partition: TopicPartition::new("t", 0),
            turn: 0,
            bytes: b"aaaa\nbbbb\n".to_vec(),
            records: vec![(5, mark(8)), (10, mark(9))],
            end: Some(mark(20)),
        };
        let check = |taken: usize, expected: Option<i64>| {
            let (mut reader, mut written) = (Reader(taken), 0);
            while written < chunk.bytes.len() {
                match write_some(&mut reader, &chunk.bytes, written) {
                    Ok(further) => written = further,
                    Err(_) => break,
                }
            }
            assert_eq!(written, taken.min(chunk.bytes.len()));
            assert_eq!(chunk.mark(written), expected.map(mark), "{taken}");
        };
        check(0, None);
        check(4, None);
        check(5, Some(8));
        check(9, Some(8));
        check(10, Some(20));
        check(11, Some(20));
    }
}
