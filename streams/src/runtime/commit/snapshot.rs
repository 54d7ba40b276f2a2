//! A task's state in a file, so that a restart need not read whole changelogs.
//!
//! Layout, all numbers big-endian: the magic `TIDESNAP`, a version (u32), which changelog topics there
//! were (u64), when it was begun (i64, milliseconds since 1970), the number of changelogs (u32) and for
//! each the store's hash (u32), which has its name and what it is, and the offset (i64) up
//! to which the file has it; then entries: the store's hash (u32), the lengths of key and value (u32
//! each), key and value; a hash of `u32::MAX` with lengths 0 ends them, and the CRC-32 of everything
//! before it ends the file. A file that is not exactly so is not used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use smallvec::SmallVec;

use crate::error::StreamsError;
use crate::runtime::assignment::TaskId;
use crate::runtime::config::StreamsConfig;

const MAGIC: &[u8; 8] = b"TIDESNAP";
const VERSION: u32 = 2;
const END: u32 = u32::MAX;
/// What lies in the buffer of a reader or writer.
const BUFFER: usize = 1 << 18;
/// An entry in front of its key: three numbers.
const HEAD: usize = 12;
/// So many entries are told at once.
const GROUP: usize = 32;
/// The most bytes of a key or a value: a length beyond it is not one.
const MOST_BYTES: u32 = 1 << 30;

/// Which state a snapshot has: by a store's hash, the offset in its changelog.
pub(crate) type Ends = BTreeMap<u32, i64>;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// The changelogs: [`super::super::shared::Shared::state`].
    pub(crate) state: u64,
    /// When it was begun, in milliseconds since 1970.
    pub(crate) wall: i64,
    pub(crate) ends: Ends,
}

/// Keeps others away from a state directory as long as it is open.
pub(crate) type Lock = File;

/// A task's snapshot file.
pub(crate) fn path(dir: &Path, task: TaskId) -> PathBuf {
    dir.join(format!("{task}.snapshot"))
}

/// Opens the state directory, for this instance alone, and tells whose state lies in it.
pub(crate) fn open_state_dir(
    config: &StreamsConfig,
) -> Result<(Option<File>, Vec<TaskId>), StreamsError> {
    let Some(dir) = &config.state_dir else {
        return Ok((None, Vec::new()));
    };
    let dir = dir.join(&config.application);
    let failed = |reason: String| StreamsError::Disk {
        path: dir.display().to_string(),
        reason,
    };
    std::fs::create_dir_all(&dir).map_err(|error| failed(error.to_string()))?;
    let lock = File::create(dir.join(".lock")).map_err(|error| failed(error.to_string()))?;
    lock.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => failed(
            "another instance of the application uses it: give each a state directory of its own"
                .to_owned(),
        ),
        std::fs::TryLockError::Error(error) => failed(error.to_string()),
    })?;
    let mut tasks = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(|error| failed(error.to_string()))? {
        let entry = entry.map_err(|error| failed(error.to_string()))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(".new") {
            // Begun in front of a crash.
            let _ = std::fs::remove_file(entry.path());
        }
        let id = name.strip_suffix(".snapshot");
        let id = id.and_then(|id| id.split_once('_'));
        if let Some((subtopology, partition)) = id
            && let (Ok(subtopology), Ok(partition)) = (subtopology.parse(), partition.parse())
        {
            tasks.push(TaskId {
                subtopology,
                partition,
            });
        }
    }
    Ok((Some(lock), tasks))
}

/// Where a snapshot is while it is written.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Takes away what is left of a snapshot that could not be written.
pub(crate) fn discard(path: &Path) {
    if let Err(error) = std::fs::remove_file(beside(path))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "what is left of a snapshot stays");
    }
}

/// Writes a snapshot: beside the old one, synced, then in its place.
pub(crate) struct SnapshotWriter {
    out: File,
    /// What is not written yet: a checksum of much at once is quicker than one of each field.
    waits: Vec<u8>,
    crc: crc32fast::Hasher,
    path: PathBuf,
    beside: PathBuf,
}

impl SnapshotWriter {
    pub(crate) fn create(path: &Path, about: &About) -> io::Result<Self> {
        let beside = beside(path);
        let mut writer = Self {
            out: File::create(&beside)?,
            waits: Vec::with_capacity(BUFFER),
            crc: crc32fast::Hasher::new(),
            path: path.to_owned(),
            beside,
        };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_be_bytes())?;
        writer.put(&about.state.to_be_bytes())?;
        writer.put(&about.wall.to_be_bytes())?;
        writer.put(&(about.ends.len() as u32).to_be_bytes())?;
        for (store, end) in &about.ends {
            writer.put(&store.to_be_bytes())?;
            writer.put(&end.to_be_bytes())?;
        }
        Ok(writer)
    }

    pub(crate) fn entry(&mut self, store: u32, key: &[u8], value: &[u8]) -> io::Result<()> {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&store.to_be_bytes());
        head[4..8].copy_from_slice(&(key.len() as u32).to_be_bytes());
        head[8..].copy_from_slice(&(value.len() as u32).to_be_bytes());
        self.put(&head)?;
        self.put(key)?;
        self.put(value)
    }

    /// Ends the file; gives its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.entry(END, b"", b"")?;
        self.write_out()?;
        let crc = self.crc.finalize();
        self.out.write_all(&crc.to_be_bytes())?;
        self.out.sync_all()?;
        let bytes = self.out.metadata()?.len();
        std::fs::rename(&self.beside, &self.path)?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()?;
        Ok(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.waits.len() + bytes.len() > BUFFER {
            self.write_out()?;
        }
        self.waits.extend_from_slice(bytes);
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.crc.update(&self.waits);
        self.out.write_all(&self.waits)?;
        self.waits.clear();
        Ok(())
    }
}

/// An entry of a snapshot.
pub(crate) struct SnapshotEntry<'a> {
    /// The store's hash.
    pub(crate) store: u32,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// What is in front of an entry's key.
struct Head {
    store: u32,
    key: usize,
    value: usize,
}

impl Head {
    /// Reads what [`HEAD`] bytes say.
    #[inline]
    fn read(bytes: &[u8]) -> io::Result<Self> {
        let number = |at: usize| {
            let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map(|bytes| u32::from_be_bytes(*bytes))
        };
        let (Some(store), Some(key), Some(value)) = (number(0), number(4), number(8)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if key > MOST_BYTES || value > MOST_BYTES {
            return Err(io::Error::other("a length that cannot be meant"));
        }
        Ok(Self {
            store,
            key: key as usize,
            value: value as usize,
        })
    }

    /// How many bytes the entry has with it.
    fn size(&self) -> usize {
        HEAD + self.key + self.value
    }

    /// The entry, and what is behind it; `None` if it is not there as a whole, or is the end.
    #[inline]
    fn entry<'a>(&self, bytes: &'a [u8]) -> Option<(SnapshotEntry<'a>, &'a [u8])> {
        let (entry, behind) = bytes.split_at_checked(self.size())?;
        let (key, value) = entry.get(HEAD..)?.split_at_checked(self.key)?;
        let store = self.store;
        (store != END).then_some((SnapshotEntry { store, key, value }, behind))
    }
}

/// Reads a snapshot. Nothing that it tells may be used before [`Self::entries`] has said that the
/// file is whole.
pub(crate) struct SnapshotReader {
    input: File,
    /// What has been read of the file; the checksum has everything in front of it.
    buffer: Vec<u8>,
    /// How much of the buffer has been used.
    at: usize,
    crc: crc32fast::Hasher,
    pub(crate) about: About,
}

impl SnapshotReader {
    /// Opens a snapshot of this topology and these changelogs; `None` if there is none, or one of
    /// others.
    pub(crate) fn open(path: &Path, state: u64) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = Self {
            input: file,
            buffer: Vec::with_capacity(BUFFER),
            at: 0,
            crc: crc32fast::Hasher::new(),
            about: About {
                state,
                wall: 0,
                ends: Ends::new(),
            },
        };
        if &reader.array::<8>()? != MAGIC || reader.u32()? != VERSION {
            return Ok(None);
        }
        if u64::from_be_bytes(reader.array()?) != state {
            return Ok(None);
        }
        reader.about.wall = i64::from_be_bytes(reader.array()?);
        for _ in 0..reader.u32()? {
            let store = reader.u32()?;
            let end = i64::from_be_bytes(reader.array()?);
            reader.about.ends.insert(store, end);
        }
        Ok(Some(reader))
    }

    /// How large the file is.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(self.input.metadata()?.len())
    }

    /// Tells all entries, some at a time. An error says that the file is not whole, whatever was told
    /// before.
    pub(crate) fn entries(
        mut self,
        tell: &mut dyn FnMut(&[SnapshotEntry<'_>]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            // At least one entry has to be there as a whole.
            self.fill(HEAD)?;
            let head = Head::read(&self.buffer[self.at..])?;
            if head.store == END {
                break;
            }
            self.fill(head.size())?;
            let mut group = SmallVec::<[SnapshotEntry<'_>; GROUP]>::new();
            let mut rest = &self.buffer[self.at..];
            while group.len() < GROUP
                && rest.len() >= HEAD
                && let Some((entry, behind)) = Head::read(rest)?.entry(rest)
            {
                group.push(entry);
                rest = behind;
            }
            tell(&group)?;
            self.at = self.buffer.len() - rest.len();
        }
        self.at += HEAD;
        self.crc.update(&self.buffer[..self.at]);
        let computed = self.crc.clone().finalize();
        self.buffer.drain(..self.at);
        self.at = 0;
        if computed != self.u32()? {
            return Err(io::Error::other("the checksum does not fit"));
        }
        Ok(())
    }

    /// The next bytes.
    #[inline]
    fn take(&mut self, len: usize) -> io::Result<&[u8]> {
        self.fill(len)?;
        let from = self.at;
        self.at += len;
        Ok(&self.buffer[from..self.at])
    }

    /// Sees to it that so many bytes are there.
    #[inline]
    fn fill(&mut self, len: usize) -> io::Result<()> {
        if self.buffer.len() - self.at >= len {
            return Ok(());
        }
        self.read(len)
    }

    #[cold]
    fn read(&mut self, len: usize) -> io::Result<()> {
        self.crc.update(&self.buffer[..self.at]);
        self.buffer.drain(..self.at);
        self.at = 0;
        while self.buffer.len() < len {
            // Grows with what is there: a length that lies takes no memory.
            let read = (&mut self.input)
                .take(BUFFER as u64)
                .read_to_end(&mut self.buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.take(N)?.first_chunk().copied();
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) -> About {
        let about = About {
            state: 5,
            wall: 1234,
            ends: Ends::from([(7, 12), (9, -1)]),
        };
        let mut writer = SnapshotWriter::create(path, &about).unwrap();
        writer.entry(7, b"a", b"1").unwrap();
        writer.entry(9, b"", &[0; 3000]).unwrap();
        writer.finish().unwrap();
        about
    }

    fn read(path: &Path) -> io::Result<usize> {
        let reader = SnapshotReader::open(path, 5)?;
        let Some(reader) = reader else { return Ok(0) };
        let mut count = 0;
        reader.entries(&mut |entries| {
            count += entries.len();
            Ok(())
        })?;
        Ok(count)
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(
            dir.path(),
            TaskId {
                subtopology: 1,
                partition: 2,
            },
        );
        assert!(SnapshotReader::open(&path, 5).unwrap().is_none());
        let about = write(&path);
        let reader = SnapshotReader::open(&path, 5).unwrap().unwrap();
        assert_eq!(reader.about, about);
        assert_eq!(read(&path).unwrap(), 2);
        assert!(SnapshotReader::open(&path, 6).unwrap().is_none());
    }

    /// Whatever byte is flipped, and wherever the file is cut, it is not taken for whole.
    #[test]
    fn a_broken_file_is_never_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        write(&path);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7).chain(0..120) {
            let mut broken = whole.clone();
            broken[at] ^= 0x41;
            std::fs::write(&path, &broken).unwrap();
            assert!(!matches!(read(&path), Ok(1..)), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(!matches!(read(&path), Ok(1..)), "cut at {at}");
        }
    }
}
