//! The only door to the local disk beside the store of snapshots: folders and their locks.

use std::io;
use std::path::Path;

use super::paths;

/// Makes a folder, and those that it lies in.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// A folder that is this process's, until this is dropped or the process ends, however it ends.
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Takes a folder, which is made if it is not there; `None` if somebody else has it.
    #[allow(clippy::disallowed_methods, reason = "this is the door")]
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        make(folder)?;
        let mut options = std::fs::File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(".lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Deletes what writes to files of a view have left that were killed amid them: `NAME#1`, with whatever number,
/// beside the file's own place. The store neither lists nor deletes them. Nobody may be writing.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    // A run that was killed has left its plan, at least: mostly there is nothing to go through.
    let mut left = match std::fs::read_dir(folder.join(paths::UNFINISHED)) {
        Ok(left) => left,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match left.next() {
        Some(_) => sweep_in(folder),
        None => Ok(()),
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the door")]
fn sweep_in(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            sweep_in(&path)?;
            // It stays if anything is in it.
            let _ = std::fs::remove_dir(path);
        } else if kind.is_file() && is_left(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether that is the name of a file that is being written: so the store names them.
fn is_left(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(name, number)| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        !name.is_empty() && !number.is_empty() && digits
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it looks at what the door does")]
mod tests {
    use super::*;

    #[test]
    fn what_killed_writes_have_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("state/7-ab/t-0-0.parquet#1", false),
            ("state/8-ab/t-0-0.parquet", true),
            ("state/8-ab/t-0-1.parquet#12", false),
            ("manifests/7.json#2", false),
            (".lock", true),
            ("state/8-ab/#1", true),
            ("state/8-ab/a#", true),
            ("state/8-ab/a#b1", true),
        ];
        for (file, _) in files {
            let path = dir.path().join(file);
            make(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        sweep(dir.path()).unwrap();
        assert!(dir.path().join(files[0].0).exists(), "no run has died");
        make(&dir.path().join("unfinished/ab")).unwrap();
        for _ in 0..2 {
            sweep(dir.path()).unwrap();
            for (file, stays) in files {
                assert_eq!(dir.path().join(file).exists(), stays, "{file}");
            }
        }
        // A folder that had nothing else goes along.
        for folder in ["state/7-ab", "unfinished"] {
            assert!(!dir.path().join(folder).exists(), "{folder}");
        }
    }
}
