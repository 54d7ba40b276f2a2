//! What lies in a data directory, and what a test does to it while no broker runs.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::wait::until;

/// The names in a directory, sorted; empty if there is no such directory.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Whether a clean shutdown is marked.
pub fn is_marked_clean(data_dir: &Path) -> bool {
    data_dir.join(".kafka_cleanshutdown").exists()
}

/// Copies a directory of files; `to` is made.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).expect("a file can be copied");
    }
}

/// The names and contents of the files in a directory, without what lies deeper.
pub fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let content = fs::read(dir.join(&name)).ok()?;
        Some((name, content))
    };
    names(dir).into_iter().filter_map(read).collect()
}

/// A named pipe in the place of a file: a broker that opens it stands still until the test opens
/// the other end, and then finds an empty file.
pub struct Gate<'a>(&'a Path);

impl<'a> Gate<'a> {
    /// Puts the pipe where a file may be.
    pub fn put(path: &'a Path) -> Self {
        // There may be none.
        let _ = fs::remove_file(path);
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, path, FileType::Fifo, mode, 0).expect("a pipe can be made");
        Self(path)
    }

    /// Waits until the broker stands before it, and lets it go on.
    #[track_caller]
    pub fn open(self) {
        let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag is small");
        let other_end = || {
            // Refused as long as nobody reads.
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(nonblock);
            options.open(self.0).ok()
        };
        until("the broker to open the pipe", other_end);
    }
}
