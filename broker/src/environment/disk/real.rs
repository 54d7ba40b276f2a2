//! The file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::{DirEntry, Disk, DiskFile, LockGuard, Mapping, OpenMode, Space};

/// The machine's file system, by plain system calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(open(path, mode)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A name that is not UTF-8 is not one of ours; nothing may act on half a name.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            entries.push(DirEntry {
                name,
                is_dir: entry.file_type()?.is_dir(),
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    #[allow(
        unsafe_code,
        reason = "mapping a file is the one thing here that needs it"
    )]
    fn map(&self, path: &Path, len: usize) -> io::Result<Box<dyn Mapping>> {
        let file = open(path, OpenMode::Create)?;
        if file.metadata()?.len() < len as u64 {
            file.set_len(len as u64)?;
        }
        // SAFETY: the data directory is locked against other brokers, the file is at least `len`
        // bytes long, and by the contract of `Disk::map` nobody shortens it while it is mapped, so
        // no access leaves the file. The bytes are plain integers: any content is a valid value.
        let map = unsafe { MmapOptions::new().len(len).map_mut(&file)? };
        Ok(Box::new(RealMapping(map)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let file = open(path, OpenMode::Create)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock(file))),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let volume = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: volume.f_blocks.saturating_mul(volume.f_frsize),
            usable: volume.f_bavail.saturating_mul(volume.f_frsize),
        })
    }
}

fn open(path: &Path, mode: OpenMode) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(mode != OpenMode::Read)
        .create(mode == OpenMode::Create)
        .truncate(false)
        .open(path)
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    /// Not all file systems can say what is in memory, and only Linux can be asked: then nothing
    /// counts as being there.
    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> usize {
        #[cfg(target_os = "linux")]
        {
            use rustix::io::{ReadWriteFlags, preadv2};
            let mut slices = [io::IoSliceMut::new(buffer)];
            preadv2(&self.0, &mut slices, position, ReadWriteFlags::NOWAIT).unwrap_or(0)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (buffer, position);
            0
        }
    }

    fn write_all_at(&self, mut slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        // Empty slices at the front would make a complete write look like one that got nowhere.
        IoSlice::advance_slices(&mut slices, 0);
        let mut position = position;
        while !slices.is_empty() {
            match rustix::io::pwritev(&self.0, slices, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut slices, written);
                    position += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

struct RealMapping(MmapMut);

impl Mapping for RealMapping {
    fn read(&self, buffer: &mut [u8], position: usize) -> io::Result<()> {
        let mapped = self.0.get(position..).unwrap_or_default();
        let mapped = mapped.get(..buffer.len());
        buffer.copy_from_slice(mapped.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], position: usize) -> io::Result<()> {
        let mapped = self.0.get_mut(position..).unwrap_or_default();
        let mapped = mapped.get_mut(..bytes.len());
        mapped
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The lock ends when the file is closed.
struct RealLock(#[allow(dead_code, reason = "held for its lock, closed on drop")] File);

impl LockGuard for RealLock {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_land_where_they_are_sent_and_reads_stop_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = RealDisk.open(&path, OpenMode::Create).unwrap();
        file.write_all_at(
            &mut [IoSlice::new(b""), IoSlice::new(b"ab"), IoSlice::new(b"cd")],
            3,
        )
        .unwrap();
        file.write_all_at(&mut [], 0).unwrap();
        assert_eq!(RealDisk.read(&path).unwrap(), b"\0\0\0abcd");
        let mut buffer = [0; 10];
        assert_eq!(file.read_at(&mut buffer, 5).unwrap(), 2);
        assert_eq!(file.read_at(&mut buffer, 7).unwrap(), 0);
        let short = file.read_exact_at(&mut buffer, 0).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(1).unwrap();
        assert_eq!(file.len().unwrap(), 1);
    }

    #[test]
    fn a_mapping_shares_the_files_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut map = RealDisk.map(&path, 16).unwrap();
        map.write(&[7], 4).unwrap();
        map.flush().unwrap();
        assert_eq!(RealDisk.read(&path).unwrap()[4], 7);
        let file = RealDisk.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_all_at(&mut [IoSlice::new(&[9])], 5).unwrap();
        let mut bytes = [0; 2];
        map.read(&mut bytes, 4).unwrap();
        assert_eq!(bytes, [7, 9]);
        map.read(&mut bytes, 14).unwrap();
        for position in [15, 16, 17, usize::MAX] {
            assert!(map.read(&mut bytes, position).is_err(), "{position}");
            assert!(map.write(&bytes, position).is_err(), "{position}");
        }
    }

    #[test]
    fn what_has_just_been_written_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("a"), OpenMode::Create);
        let file = file.unwrap();
        file.write_all_at(&mut [IoSlice::new(b"abcd")], 0).unwrap();
        let mut buffer = [0; 10];
        let count = file.read_cached_at(&mut buffer, 1);
        // A file system that cannot tell says 0; the bytes that are told must be the file's.
        assert!(count == 0 || buffer.starts_with(b"bcd"), "{count}");
        assert_eq!(file.read_cached_at(&mut buffer, 4), 0);
    }

    #[test]
    fn a_lock_is_exclusive_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = RealDisk.lock(&path).unwrap();
        let refused = RealDisk.lock(&path).err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
        drop(held);
        assert!(RealDisk.lock(&path).is_ok());
    }

    #[test]
    fn directories_list_sorted_and_rename_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk;
        disk.create_dir_all(&dir.path().join("b/c")).unwrap();
        disk.replace(&dir.path().join("a"), b"x").unwrap();
        let entry = |name: &str, is_dir| DirEntry {
            name: name.into(),
            is_dir,
        };
        assert_eq!(
            disk.list(dir.path()).unwrap(),
            [entry("a", false), entry("b", true)]
        );
        disk.rename(&dir.path().join("b"), &dir.path().join("d"))
            .unwrap();
        assert!(disk.exists(&dir.path().join("d/c")).unwrap());
        assert!(disk.space(dir.path()).unwrap().total > 0);
        disk.remove_dir_all(&dir.path().join("d")).unwrap();
        assert!(!disk.exists(&dir.path().join("d")).unwrap());
    }
}
