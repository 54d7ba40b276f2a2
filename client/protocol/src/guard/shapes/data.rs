//! Requests for records, offsets and metadata, and the negotiation of versions.

use super::super::shape::{
    BOOL, BYTES, I8, I16, I32, I64, Kind, STRING, Shape, UUID, field, list, shape,
};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        0,
        "Produce",
        3,
        13,
        9,
        &[
            field("transactional_id", STRING).nullable(3),
            field("acks", I16),
            field("timeout_ms", I32),
            field(
                "topic_data",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field(
                        "partition_data",
                        Kind::Array(&Kind::Struct(&[
                            field("index", I32),
                            field("records", BYTES).nullable(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        1,
        "Fetch",
        4,
        18,
        12,
        &[
            field("cluster_id", STRING).since(12).nullable(12).tagged(0),
            field("replica_id", I32).until(14),
            field(
                "replica_state",
                Kind::Struct(&[
                    field("replica_id", I32).since(15),
                    field("replica_epoch", I64).since(15),
                ]),
            )
            .since(15)
            .tagged(1),
            field("max_wait_ms", I32),
            field("min_bytes", I32),
            field("max_bytes", I32),
            field("isolation_level", I8),
            field("session_id", I32).since(7),
            field("session_epoch", I32).since(7),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("current_leader_epoch", I32).since(9),
                            field("fetch_offset", I64),
                            field("last_fetched_epoch", I32).since(12),
                            field("log_start_offset", I64).since(5),
                            field("partition_max_bytes", I32),
                            field("replica_directory_id", UUID).since(17).tagged(0),
                            field("high_watermark", I64).since(18).tagged(1),
                        ])),
                    ),
                ])),
            ),
            field(
                "forgotten_topics_data",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING).since(7).until(12),
                    field("topic_id", UUID).since(13),
                    field("partitions", list(&I32)).since(7),
                ])),
            )
            .since(7),
            field("rack_id", STRING).since(11),
        ],
    ),
    shape(
        2,
        "ListOffsets",
        1,
        10,
        6,
        &[
            field("replica_id", I32),
            field("isolation_level", I8).since(2),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("current_leader_epoch", I32).since(4),
                            field("timestamp", I64),
                        ])),
                    ),
                ])),
            ),
            field("timeout_ms", I32).since(10),
        ],
    ),
    shape(
        3,
        "Metadata",
        0,
        13,
        9,
        &[
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID).since(10),
                    field("name", STRING).nullable(10),
                ])),
            )
            .nullable(1),
            field("allow_auto_topic_creation", BOOL).since(4),
            field("include_cluster_authorized_operations", BOOL)
                .since(8)
                .until(10),
            field("include_topic_authorized_operations", BOOL).since(8),
        ],
    ),
    shape(
        10,
        "FindCoordinator",
        0,
        6,
        3,
        &[
            field("key", STRING).until(3),
            field("key_type", I8).since(1),
            field("coordinator_keys", list(&STRING)).since(4),
        ],
    ),
    shape(
        18,
        "ApiVersions",
        0,
        4,
        3,
        &[
            field("client_software_name", STRING).since(3),
            field("client_software_version", STRING).since(3),
        ],
    ),
    shape(
        21,
        "DeleteRecords",
        0,
        2,
        2,
        &[
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("offset", I64),
                        ])),
                    ),
                ])),
            ),
            field("timeout_ms", I32),
        ],
    ),
    shape(
        23,
        "OffsetForLeaderEpoch",
        2,
        4,
        4,
        &[
            field("replica_id", I32).since(3),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("current_leader_epoch", I32),
                            field("leader_epoch", I32),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        60,
        "DescribeCluster",
        0,
        2,
        0,
        &[
            field("include_cluster_authorized_operations", BOOL),
            field("endpoint_type", I8).since(1),
            field("include_fenced_brokers", BOOL).since(2),
        ],
    ),
    shape(
        74,
        "ListConfigResources",
        0,
        1,
        0,
        &[field("resource_types", list(&I8)).since(1)],
    ),
    shape(
        75,
        "DescribeTopicPartitions",
        0,
        0,
        0,
        &[
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[field("name", STRING)])),
            ),
            field("response_partition_limit", I32),
            field(
                "cursor",
                Kind::Struct(&[field("topic_name", STRING), field("partition_index", I32)]),
            )
            .nullable(0),
        ],
    ),
];
