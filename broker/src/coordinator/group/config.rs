//! The settings that the group coordinator obeys.

/// Plain values of the options that concern groups; the broker fills them from its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`: the shortest session timeout a member may ask for.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`: the longest session timeout a member may ask for.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits
    /// for more members; 0 does not wait.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the most members a group may have.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`: the longest metadata string of a committed offset, counted in
    /// UTF-16 code units as Apache Kafka counts it (its name says bytes).
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: the time between two sweeps for expired offsets.
    pub offsets_retention_check_interval_ms: i64,
}

/// How long a JoinGroup call of a new member may stay parked. A new member does not know its id
/// yet and so cannot send heartbeats; a client that vanished must not hold its place for ever.
/// (Apache Kafka's `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`; it is no option there either.)
pub(super) const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// The most members of one group that were given an id and have not joined with it yet. The next
/// one is told to try again later; a flood of handshakes must not grow a group without end.
pub(super) const MAX_PENDING_MEMBERS: usize = 10_000;

/// The most protocols that a member may bring. A client brings one for each assignor it knows, which
/// is a handful; every join looks at all of them.
pub(super) const MAX_PROTOCOLS: usize = 100;

/// Kafka's defaults.
impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}
