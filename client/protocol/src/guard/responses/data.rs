//! Responses with records, offsets and metadata, and the negotiation of versions.

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
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field(
                        "partition_responses",
                        Kind::Array(&Kind::Struct(&[
                            field("index", I32),
                            field("error_code", I16),
                            field("base_offset", I64),
                            field("log_append_time_ms", I64),
                            field("log_start_offset", I64).since(5),
                            field(
                                "record_errors",
                                Kind::Array(&Kind::Struct(&[
                                    field("batch_index", I32).since(8),
                                    field("batch_index_error_message", STRING)
                                        .since(8)
                                        .nullable(8),
                                ])),
                            )
                            .since(8),
                            field("error_message", STRING).since(8).nullable(8),
                            field(
                                "current_leader",
                                Kind::Struct(&[
                                    field("leader_id", I32).since(10),
                                    field("leader_epoch", I32).since(10),
                                ]),
                            )
                            .since(10)
                            .tagged(0),
                        ])),
                    ),
                ])),
            ),
            field("throttle_time_ms", I32),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(10),
                    field("host", STRING).since(10),
                    field("port", I32).since(10),
                    field("rack", STRING).since(10).nullable(10),
                ])),
            )
            .since(10)
            .tagged(0),
        ],
    ),
    shape(
        1,
        "Fetch",
        4,
        18,
        12,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16).since(7),
            field("session_id", I32).since(7),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("high_watermark", I64),
                            field("last_stable_offset", I64),
                            field("log_start_offset", I64).since(5),
                            field(
                                "diverging_epoch",
                                Kind::Struct(&[
                                    field("epoch", I32).since(12),
                                    field("end_offset", I64).since(12),
                                ]),
                            )
                            .since(12)
                            .tagged(0),
                            field(
                                "current_leader",
                                Kind::Struct(&[
                                    field("leader_id", I32).since(12),
                                    field("leader_epoch", I32).since(12),
                                ]),
                            )
                            .since(12)
                            .tagged(1),
                            field(
                                "snapshot_id",
                                Kind::Struct(&[field("end_offset", I64), field("epoch", I32)]),
                            )
                            .since(12)
                            .tagged(2),
                            field(
                                "aborted_transactions",
                                Kind::Array(&Kind::Struct(&[
                                    field("producer_id", I64),
                                    field("first_offset", I64),
                                ])),
                            )
                            .nullable(4),
                            field("preferred_read_replica", I32).since(11),
                            field("records", BYTES).nullable(0),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(16),
                    field("host", STRING).since(16),
                    field("port", I32).since(16),
                    field("rack", STRING).since(16).nullable(16),
                ])),
            )
            .since(16)
            .tagged(0),
        ],
    ),
    shape(
        2,
        "ListOffsets",
        1,
        10,
        6,
        &[
            field("throttle_time_ms", I32).since(2),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("timestamp", I64),
                            field("offset", I64),
                            field("leader_epoch", I32).since(4),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        3,
        "Metadata",
        0,
        13,
        9,
        &[
            field("throttle_time_ms", I32).since(3),
            field(
                "brokers",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32),
                    field("host", STRING),
                    field("port", I32),
                    field("rack", STRING).since(1).nullable(1),
                ])),
            ),
            field("cluster_id", STRING).since(2).nullable(2),
            field("controller_id", I32).since(1),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("name", STRING).nullable(12),
                    field("topic_id", UUID).since(10),
                    field("is_internal", BOOL).since(1),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("error_code", I16),
                            field("partition_index", I32),
                            field("leader_id", I32),
                            field("leader_epoch", I32).since(7),
                            field("replica_nodes", list(&I32)),
                            field("isr_nodes", list(&I32)),
                            field("offline_replicas", list(&I32)).since(5),
                        ])),
                    ),
                    field("topic_authorized_operations", I32).since(8),
                ])),
            ),
            field("cluster_authorized_operations", I32)
                .since(8)
                .until(10),
            field("error_code", I16).since(13),
        ],
    ),
    shape(
        10,
        "FindCoordinator",
        0,
        6,
        3,
        &[
            field("throttle_time_ms", I32).since(1),
            field("error_code", I16).until(3),
            field("error_message", STRING).since(1).until(3).nullable(1),
            field("node_id", I32).until(3),
            field("host", STRING).until(3),
            field("port", I32).until(3),
            field(
                "coordinators",
                Kind::Array(&Kind::Struct(&[
                    field("key", STRING).since(4),
                    field("node_id", I32).since(4),
                    field("host", STRING).since(4),
                    field("port", I32).since(4),
                    field("error_code", I16).since(4),
                    field("error_message", STRING).since(4).nullable(4),
                ])),
            )
            .since(4),
        ],
    ),
    shape(
        18,
        "ApiVersions",
        0,
        4,
        3,
        &[
            field("error_code", I16),
            field(
                "api_keys",
                Kind::Array(&Kind::Struct(&[
                    field("api_key", I16),
                    field("min_version", I16),
                    field("max_version", I16),
                ])),
            ),
            field("throttle_time_ms", I32).since(1),
            field(
                "supported_features",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).since(3),
                    field("min_version", I16).since(3),
                    field("max_version", I16).since(3),
                ])),
            )
            .since(3)
            .tagged(0),
            field("finalized_features_epoch", I64).since(3).tagged(1),
            field(
                "finalized_features",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).since(3),
                    field("max_version_level", I16).since(3),
                    field("min_version_level", I16).since(3),
                ])),
            )
            .since(3)
            .tagged(2),
            field("zk_migration_ready", BOOL).since(3).tagged(3),
        ],
    ),
    shape(
        21,
        "DeleteRecords",
        0,
        2,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("low_watermark", I64),
                            field("error_code", I16),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        23,
        "OffsetForLeaderEpoch",
        2,
        4,
        4,
        &[
            field("throttle_time_ms", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("error_code", I16),
                            field("partition", I32),
                            field("leader_epoch", I32),
                            field("end_offset", I64),
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
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field("endpoint_type", I8).since(1),
            field("cluster_id", STRING),
            field("controller_id", I32),
            field(
                "brokers",
                Kind::Array(&Kind::Struct(&[
                    field("broker_id", I32),
                    field("host", STRING),
                    field("port", I32),
                    field("rack", STRING).nullable(0),
                    field("is_fenced", BOOL).since(2),
                ])),
            ),
            field("cluster_authorized_operations", I32),
        ],
    ),
    shape(
        74,
        "ListConfigResources",
        0,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field(
                "config_resources",
                Kind::Array(&Kind::Struct(&[
                    field("resource_name", STRING),
                    field("resource_type", I8).since(1),
                ])),
            ),
        ],
    ),
    shape(
        75,
        "DescribeTopicPartitions",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("name", STRING).nullable(0),
                    field("topic_id", UUID),
                    field("is_internal", BOOL),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("error_code", I16),
                            field("partition_index", I32),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                            field("replica_nodes", list(&I32)),
                            field("isr_nodes", list(&I32)),
                            field("eligible_leader_replicas", list(&I32)).nullable(0),
                            field("last_known_elr", list(&I32)).nullable(0),
                            field("offline_replicas", list(&I32)),
                        ])),
                    ),
                    field("topic_authorized_operations", I32),
                ])),
            ),
            field(
                "next_cursor",
                Kind::Struct(&[field("topic_name", STRING), field("partition_index", I32)]),
            )
            .nullable(0),
        ],
    ),
];
