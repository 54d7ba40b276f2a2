//! The table of the broker's own options: the part of Kafka's that a single node has a use for,
//! and ours with the prefix `tidemark.`.

use crate::config::kinds::{
    CLEANUP_POLICIES, COMPRESSION_TYPES, CleanupPolicy, CompressionType, ConnectionLimits,
    TIMESTAMP_TYPES, TimestampType, check_connection_limits,
};
use crate::config::listener::check_http;
use crate::config::spec::Dynamic::ClusterWide;
use crate::config::spec::Valid::{Any, AtLeast, Between, BetweenOr, Entries, ListOf, OneOf, Rule};
use crate::config::spec::options;

const ROLL: &[&str] = &["log.roll.ms", "log.roll.hours"];
const ROLL_JITTER: &[&str] = &["log.roll.jitter.ms", "log.roll.jitter.hours"];
const RETENTION: &[&str] = &[
    "log.retention.ms",
    "log.retention.minutes",
    "log.retention.hours",
];
const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];

options! {
    /// The broker's options in their own types, each under its Kafka name with underscores.
    BrokerOptions,
    /// Every option of the broker, sorted by name.
    OPTIONS;

    advertised_listeners: Option<Vec<String>> = List "advertised.listeners", None,
        Entries, {},
        "The addresses clients are told to connect to, when they differ from `listeners`. Each \
         name must be one of `listeners`; the address must be one that clients can reach.";
    auto_create_topics_enable: bool = Boolean "auto.create.topics.enable", Some("true"),
        Any, {},
        "Whether a topic is created when a client that allows it asks for its metadata.";
    broker_id: i32 = Int "broker.id", Some("1"),
        AtLeast(0), {},
        "Another name of `node.id`. When both are set they must be equal.";
    compression_gzip_level: i32 = Int "compression.gzip.level", Some("-1"),
        BetweenOr(1, 9, -1), { dynamic: ClusterWide },
        "The default of the topics' `compression.gzip.level`.";
    compression_lz4_level: i32 = Int "compression.lz4.level", Some("9"),
        Between(1, 17), { dynamic: ClusterWide },
        "The default of the topics' `compression.lz4.level`.";
    compression_type: CompressionType = String "compression.type", Some("producer"),
        OneOf(COMPRESSION_TYPES), { dynamic: ClusterWide },
        "The default of the topics' `compression.type`.";
    compression_zstd_level: i32 = Int "compression.zstd.level", Some("3"),
        Between(-131_072, 22), { dynamic: ClusterWide },
        "The default of the topics' `compression.zstd.level`.";
    connections_max_idle_ms: i64 = Long "connections.max.idle.ms", Some("600000"),
        Any, {},
        "After how much time without a request a connection is closed; a negative value never \
         closes one.";
    default_replication_factor: i32 = Int "default.replication.factor", Some("1"),
        Any, {},
        "The replication factor of topics created without one. A single node keeps one replica \
         of each partition.";
    delete_topic_enable: bool = Boolean "delete.topic.enable", Some("true"),
        Any, {},
        "Whether clients may delete topics.";
    fetch_max_bytes: i32 = Int "fetch.max.bytes", Some("57671680"),
        AtLeast(1024), {},
        "The largest amount of data one fetch is answered with, whatever the client asks for. A \
         first batch that is larger is sent all the same.";
    group_initial_rebalance_delay_ms: i32 = Int "group.initial.rebalance.delay.ms", Some("3000"),
        Any, {},
        "How long an empty group waits for more members before its first rebalance. A longer \
         wait saves rebalances, a shorter one starts work sooner.";
    group_max_session_timeout_ms: i32 = Int "group.max.session.timeout.ms", Some("1800000"),
        Any, {},
        "The longest session timeout a member of a group may ask for.";
    group_max_size: i32 = Int "group.max.size", Some("2147483647"),
        AtLeast(1), {},
        "The largest number of members of a group.";
    group_min_session_timeout_ms: i32 = Int "group.min.session.timeout.ms", Some("6000"),
        Any, {},
        "The shortest session timeout a member of a group may ask for.";
    listener_security_protocol_map: String = String "listener.security.protocol.map",
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any, {},
        "Which security protocol a listener name stands for, as NAME:PROTOCOL,.... PLAINTEXT is \
         the only protocol a listener can use so far.";
    listeners: Vec<String> = List "listeners", Some("PLAINTEXT://127.0.0.1:9092"),
        Entries, {},
        "Where the broker accepts connections, as NAME://host:port,.... An IPv6 address stands in \
         brackets, an empty host means every interface, port 0 takes any free port.";
    log_cleaner_delete_retention_ms: i64 =
        Long "log.cleaner.delete.retention.ms", Some("86400000"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `delete.retention.ms`.";
    log_cleaner_max_compaction_lag_ms: i64 =
        Long "log.cleaner.max.compaction.lag.ms", Some("9223372036854775807"),
        AtLeast(1), { dynamic: ClusterWide },
        "The default of the topics' `max.compaction.lag.ms`.";
    log_cleaner_min_cleanable_ratio: f64 = Double "log.cleaner.min.cleanable.ratio", Some("0.5"),
        Between(0, 1), { dynamic: ClusterWide },
        "The default of the topics' `min.cleanable.dirty.ratio`.";
    log_cleaner_min_compaction_lag_ms: i64 = Long "log.cleaner.min.compaction.lag.ms", Some("0"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `min.compaction.lag.ms`.";
    log_cleanup_policy: CleanupPolicy = List "log.cleanup.policy", Some("delete"),
        ListOf(CLEANUP_POLICIES), { dynamic: ClusterWide },
        "The default of the topics' `cleanup.policy`.";
    log_dir: Vec<String> = List "log.dir", Some("./tidemark-data"),
        Entries, {},
        "The data directory when `log.dirs` is not set. It is made when it is missing.";
    log_dirs: Option<Vec<String>> = List "log.dirs", None,
        Entries, {},
        "The data directory; exactly one.";
    log_flush_interval_messages: i64 =
        Long "log.flush.interval.messages", Some("9223372036854775807"),
        AtLeast(1), { dynamic: ClusterWide },
        "The default of the topics' `flush.messages`.";
    log_flush_interval_ms: Option<i64> = Long "log.flush.interval.ms", None,
        Any, { dynamic: ClusterWide, synonyms: FLUSH },
        "The default of the topics' `flush.ms`; when it is not set, \
         `log.flush.scheduler.interval.ms` is.";
    log_flush_offset_checkpoint_interval_ms: i32 =
        Int "log.flush.offset.checkpoint.interval.ms", Some("60000"),
        AtLeast(0), {},
        "How often the point up to which logs are known to be on disk is written down. After a \
         crash, recovery starts from there.";
    log_flush_scheduler_interval_ms: i64 =
        Long "log.flush.scheduler.interval.ms", Some("9223372036854775807"),
        Any, {},
        "The default of the topics' `flush.ms` when `log.flush.interval.ms` is not set.";
    log_flush_start_offset_checkpoint_interval_ms: i32 =
        Int "log.flush.start.offset.checkpoint.interval.ms", Some("60000"),
        AtLeast(0), {},
        "How often the first offsets of logs are written down, so that deleted records stay \
         deleted after a restart.";
    log_index_interval_bytes: i32 = Int "log.index.interval.bytes", Some("4096"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `index.interval.bytes`.";
    log_index_size_max_bytes: i32 = Int "log.index.size.max.bytes", Some("10485760"),
        AtLeast(4), { dynamic: ClusterWide },
        "The default of the topics' `segment.index.bytes`.";
    log_local_retention_bytes: i64 = Long "log.local.retention.bytes", Some("-2"),
        AtLeast(-2), { dynamic: ClusterWide },
        "The default of the topics' `local.retention.bytes`, which has no effect.";
    log_local_retention_ms: i64 = Long "log.local.retention.ms", Some("-2"),
        AtLeast(-2), { dynamic: ClusterWide },
        "The default of the topics' `local.retention.ms`, which has no effect.";
    log_message_timestamp_after_max_ms: i64 =
        Long "log.message.timestamp.after.max.ms", Some("3600000"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `message.timestamp.after.max.ms`.";
    log_message_timestamp_before_max_ms: i64 =
        Long "log.message.timestamp.before.max.ms", Some("9223372036854775807"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `message.timestamp.before.max.ms`.";
    log_message_timestamp_type: TimestampType =
        String "log.message.timestamp.type", Some("CreateTime"),
        OneOf(TIMESTAMP_TYPES), { dynamic: ClusterWide },
        "The default of the topics' `message.timestamp.type`.";
    log_preallocate: bool = Boolean "log.preallocate", Some("false"),
        Any, { dynamic: ClusterWide },
        "The default of the topics' `preallocate`.";
    log_retention_bytes: i64 = Long "log.retention.bytes", Some("-1"),
        Any, { dynamic: ClusterWide },
        "The default of the topics' `retention.bytes`.";
    log_retention_check_interval_ms: i64 =
        Long "log.retention.check.interval.ms", Some("300000"),
        AtLeast(1), {},
        "How often logs are checked for segments that retention allows to remove.";
    log_retention_hours: i32 = Int "log.retention.hours", Some("168"),
        Any, { synonyms: RETENTION },
        "The default of the topics' `retention.ms` in hours, when neither `log.retention.ms` nor \
         `log.retention.minutes` is set. A negative value sets no limit.";
    log_retention_minutes: Option<i32> = Int "log.retention.minutes", None,
        Any, { synonyms: RETENTION },
        "The default of the topics' `retention.ms` in minutes, when `log.retention.ms` is not \
         set. A negative value sets no limit.";
    log_retention_ms: Option<i64> = Long "log.retention.ms", None,
        Any, { dynamic: ClusterWide, synonyms: RETENTION },
        "The default of the topics' `retention.ms`; at least 1, or -1 for no limit. When it is \
         not set, `log.retention.minutes` and then `log.retention.hours` count.";
    log_roll_hours: i32 = Int "log.roll.hours", Some("168"),
        AtLeast(1), { synonyms: ROLL },
        "The default of the topics' `segment.ms` in hours, when `log.roll.ms` is not set.";
    log_roll_jitter_hours: i32 = Int "log.roll.jitter.hours", Some("0"),
        AtLeast(0), { synonyms: ROLL_JITTER },
        "The default of the topics' `segment.jitter.ms` in hours, when `log.roll.jitter.ms` is \
         not set.";
    log_roll_jitter_ms: Option<i64> = Long "log.roll.jitter.ms", None,
        Any, { dynamic: ClusterWide, synonyms: ROLL_JITTER },
        "The default of the topics' `segment.jitter.ms`; when it is not set, \
         `log.roll.jitter.hours` counts.";
    log_roll_ms: Option<i64> = Long "log.roll.ms", None,
        Any, { dynamic: ClusterWide, synonyms: ROLL },
        "The default of the topics' `segment.ms`; when it is not set, `log.roll.hours` counts.";
    log_segment_bytes: i32 = Int "log.segment.bytes", Some("1073741824"),
        AtLeast(1_048_576), { dynamic: ClusterWide },
        "The default of the topics' `segment.bytes`.";
    log_segment_delete_delay_ms: i64 = Long "log.segment.delete.delay.ms", Some("60000"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `file.delete.delay.ms`.";
    max_connections: i32 = Int "max.connections", Some("2147483647"),
        AtLeast(0), { dynamic: ClusterWide },
        "The largest number of open connections of all listeners together.";
    max_connections_per_ip: i32 = Int "max.connections.per.ip", Some("2147483647"),
        AtLeast(0), { dynamic: ClusterWide },
        "The largest number of open connections from one address. 0 is allowed only together \
         with `max.connections.per.ip.overrides`.";
    max_connections_per_ip_overrides: ConnectionLimits =
        String "max.connections.per.ip.overrides", Some(""),
        Rule(check_connection_limits, "address:limit,..."), { dynamic: ClusterWide },
        "Limits of single addresses or host names that replace `max.connections.per.ip`, as \
         address:limit,.... A name stands for the first address that is found for it.";
    max_incremental_fetch_session_cache_slots: i32 =
        Int "max.incremental.fetch.session.cache.slots", Some("1000"),
        AtLeast(0), {},
        "How many fetch sessions are remembered. Clients without a session send and receive the \
         full list of partitions in each fetch.";
    message_max_bytes: i32 = Int "message.max.bytes", Some("1048588"),
        AtLeast(0), { dynamic: ClusterWide },
        "The default of the topics' `max.message.bytes`.";
    min_insync_replicas: i32 = Int "min.insync.replicas", Some("1"),
        AtLeast(1), { dynamic: ClusterWide },
        "The default of the topics' `min.insync.replicas`.";
    node_id: i32 = Int "node.id", Some("1"),
        AtLeast(0), {},
        "The broker's id, which clients see in metadata.";
    num_partitions: i32 = Int "num.partitions", Some("1"),
        AtLeast(1), {},
        "The number of partitions of topics created without one.";
    offset_metadata_max_bytes: i32 = Int "offset.metadata.max.bytes", Some("4096"),
        Any, {},
        "The longest text a client may store with a committed offset.";
    offsets_retention_check_interval_ms: i64 =
        Long "offsets.retention.check.interval.ms", Some("600000"),
        AtLeast(1), {},
        "How often committed offsets are checked for old ones.";
    offsets_retention_minutes: i32 = Int "offsets.retention.minutes", Some("10080"),
        AtLeast(1), {},
        "How long committed offsets are kept after their group has become empty, or after the \
         last commit when the consumer does not use a group.";
    offsets_topic_num_partitions: i32 = Int "offsets.topic.num.partitions", Some("50"),
        AtLeast(1), {},
        "The number of partitions of `__consumer_offsets`. It must not change once the topic \
         exists.";
    offsets_topic_replication_factor: i16 = Short "offsets.topic.replication.factor", Some("1"),
        AtLeast(1), {},
        "The replication factor of `__consumer_offsets`. Every value is accepted; a single node \
         keeps one replica.";
    offsets_topic_segment_bytes: i32 = Int "offsets.topic.segment.bytes", Some("104857600"),
        AtLeast(1_048_576), {},
        "The `segment.bytes` of `__consumer_offsets`, and as small as that may be; small segments \
         make loading faster.";
    producer_id_expiration_check_interval_ms: i32 =
        Int "producer.id.expiration.check.interval.ms", Some("600000"),
        AtLeast(1), { internal: true },
        "How often producers are checked for idle ones.";
    producer_id_expiration_ms: i32 = Int "producer.id.expiration.ms", Some("86400000"),
        AtLeast(1), { dynamic: ClusterWide },
        "How long a partition remembers an idempotent producer that no longer writes to it.";
    queued_max_request_bytes: i64 = Long "queued.max.request.bytes", Some("-1"),
        Any, {},
        "How many bytes of requests may be in memory at once; reading stops beyond that. 0 or \
         less sets no limit, anything else must be at least `socket.request.max.bytes`.";
    socket_listen_backlog_size: i32 = Int "socket.listen.backlog.size", Some("50"),
        AtLeast(1), {},
        "How many connections may wait to be accepted; the operating system may set a lower \
         limit.";
    socket_receive_buffer_bytes: i32 = Int "socket.receive.buffer.bytes", Some("102400"),
        Any, {},
        "The size of a connection's receive buffer; -1 leaves it to the operating system.";
    socket_request_max_bytes: i32 = Int "socket.request.max.bytes", Some("104857600"),
        AtLeast(1), {},
        "The largest request; a larger one closes the connection.";
    socket_send_buffer_bytes: i32 = Int "socket.send.buffer.bytes", Some("102400"),
        Any, {},
        "The size of a connection's send buffer; -1 leaves it to the operating system.";
    tidemark_acks_all_durable: bool = Boolean "tidemark.acks.all.durable", Some("true"),
        Any, {},
        "Whether acks=all is answered only when the data is on disk (fdatasync). With `false` it \
         is answered from the page cache like acks=1: acknowledged data survives the end of the \
         process and is lost with the machine's power.";
    tidemark_http_listener: String = String "tidemark.http.listener", Some("127.0.0.1:9644"),
        Rule(check_http, "host:port, empty, or none"), {},
        "Where health checks and metrics are served over HTTP, as host:port. Empty or `none` \
         serves them nowhere.";
    unclean_leader_election_enable: bool =
        Boolean "unclean.leader.election.enable", Some("false"),
        Any, { dynamic: ClusterWide },
        "The default of the topics' `unclean.leader.election.enable`.";
}
