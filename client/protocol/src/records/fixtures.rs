//! Bytes that Apache Kafka itself wrote, for the tests of this folder.

use bytes::Bytes;

/// The batch or message set with this name in `tests/fixtures/kafka_batches.txt`.
pub(super) fn kafka(name: &str) -> Bytes {
    let hex = include_str!("../../tests/fixtures/kafka_batches.txt")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no fixture {name}"));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The fixtures of format v2 that hold the three common records.
pub(super) const V2: [&str; 7] = [
    "v2-none",
    "v2-gzip",
    "v2-snappy",
    "v2-lz4",
    "v2-zstd",
    "v2-transactional",
    "v2-logappend",
];

/// The values of the three common records.
pub(super) fn values() -> [Option<Vec<u8>>; 3] {
    [Some(b"v1".to_vec()), Some(vec![b'a'; 300]), None]
}
