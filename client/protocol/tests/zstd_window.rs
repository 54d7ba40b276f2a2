//! What a zstd frame that asks for the largest window may cost. Alone in its process: what is
//! measured is the memory of all of it.

use tidemark_protocol::records::{Compression, Unpacker, ZSTD_WINDOW_LOG_MAX};

/// The most memory that this process has had resident, in bytes.
fn most_resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.map_or(0, |text| text.parse::<usize>().unwrap_or(0) * 1024)
}

/// A frame with a window of 2^`log` bytes and so many blocks of 128 KiB of zeros, 4 bytes each.
fn frame(log: u8, blocks: u32) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1024;
    // Magic; no content size, no checksum; the window's exponent above 10.
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    for number in 1..=blocks {
        let run_length = 1 << 1;
        let header = BLOCK << 3 | run_length | u32::from(number == blocks);
        bytes.extend(&header.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

/// Unpacks all of it through a small buffer; how much came out.
fn unpack(frame: &[u8], limit: usize) -> Option<usize> {
    let mut unpacker = Unpacker::new(Compression::Zstd, frame, limit).expect("a decoder");
    let mut buffer = [0; 16 * 1024];
    let mut total = 0;
    loop {
        match unpacker.read(&mut buffer) {
            Ok(0) => return Some(total),
            Ok(read) => total += read,
            Err(_) => return None,
        }
    }
}

#[test]
fn a_claimed_window_costs_no_more_than_what_comes_out_and_has_a_bound() {
    const LIMIT: usize = 1 << 30;
    let largest = ZSTD_WINDOW_LOG_MAX as u8;
    // zstd's own state and two blocks.
    let slack = 2 << 20;
    let before = most_resident();
    for _ in 0..10 {
        assert_eq!(unpack(&frame(largest, 1), LIMIT), Some(128 * 1024));
    }
    let grown = most_resident() - before;
    assert!(grown < slack, "a claim alone took {grown}");
    assert_eq!(unpack(&frame(largest + 1, 1), LIMIT), None);
    // 512 MiB out of 16 KiB: the window bounds what is touched, whatever comes out.
    let bomb = frame(largest, 4096);
    assert_eq!(unpack(&bomb, LIMIT), Some(512 << 20));
    let grown = most_resident() - before;
    let bound = (1 << ZSTD_WINDOW_LOG_MAX) + slack;
    assert!(grown < bound, "a bomb took {grown}");
    // And the limit bounds it before the window does.
    assert_eq!(unpack(&bomb, 1 << 20), None);
}
