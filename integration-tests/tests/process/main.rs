//! The binary from outside: configuration, banner, exit codes, signals, HTTP, files.

mod configuration;
mod files;
mod http;
mod listeners;
mod signals;
mod starting;

use integration_tests::harness::process::Ended;
use tempfile::TempDir;

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Checks that a start has failed with this exit code and that standard error says all of `texts`.
#[track_caller]
fn check_failed(ended: &Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    for text in texts {
        assert!(ended.errors.contains(text), "{text:?}: {ended:?}");
    }
    assert_eq!(ended.output, "", "there is no banner");
}
