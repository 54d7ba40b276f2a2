//! What lies in a data directory.

use std::path::Path;

/// The names in a directory, sorted; empty if there is no such directory.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
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
