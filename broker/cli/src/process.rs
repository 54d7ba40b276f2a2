//! What belongs to the process, whatever its command is.

pub(crate) mod logging;
pub(crate) mod signals;

/// Asks the kernel for no huge pages: the allocator would have 2 MiB of them for every thread, most
/// of which an idle broker never touches. A kernel that refuses costs memory and nothing else.
pub(crate) fn save_memory() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
