//! The settings of one log (Kafka's `LogConfig`), as plain numbers.

/// The largest segment: positions are signed 32-bit numbers in Kafka's indexes.
pub(crate) const MAX_SEGMENT_BYTES: u32 = i32::MAX as u32;

/// What decides how a log rolls, is indexed and loses old data. Negative limits of `retention_*`
/// mean "none".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`.
    pub retention_ms: i64,
    /// `retention.bytes`.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// Whether `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// Whether `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `preallocate`.
    pub preallocate: bool,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            delete: true,
            compact: false,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}

impl LogConfig {
    /// The age at which the segment that begins at `base` rolls: `segment.ms` less a jitter that
    /// spreads the rolls of segments made at the same moment. The jitter follows from `seed` (what
    /// tells one log from another) and the base offset, so a restart does not change it.
    pub(crate) fn roll_after_ms(&self, seed: u64, base: i64) -> i64 {
        let most = self.segment_jitter_ms.clamp(0, self.segment_ms.max(0));
        if most == 0 {
            return self.segment_ms;
        }
        let mixed = (seed ^ base as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
        let jitter = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 1;
        self.segment_ms - (jitter % most as u64) as i64
    }
}
