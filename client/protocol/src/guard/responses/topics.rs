//! Responses to administrators about topics, their replicas and their configs.

use super::super::shape::{BOOL, I8, I16, I32, I64, Kind, STRING, Shape, UUID, field, list, shape};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        19,
        "CreateTopics",
        2,
        7,
        5,
        &[
            field("throttle_time_ms", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("topic_id", UUID).since(7),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field("topic_config_error_code", I16).since(5).tagged(0),
                    field("num_partitions", I32).since(5),
                    field("replication_factor", I16).since(5),
                    field(
                        "configs",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING).since(5),
                            field("value", STRING).since(5).nullable(5),
                            field("read_only", BOOL).since(5),
                            field("config_source", I8).since(5),
                            field("is_sensitive", BOOL).since(5),
                        ])),
                    )
                    .since(5)
                    .nullable(5),
                ])),
            ),
        ],
    ),
    shape(
        20,
        "DeleteTopics",
        1,
        6,
        4,
        &[
            field("throttle_time_ms", I32),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).nullable(6),
                    field("topic_id", UUID).since(6),
                    field("error_code", I16),
                    field("error_message", STRING).since(5).nullable(5),
                ])),
            ),
        ],
    ),
    shape(
        32,
        "DescribeConfigs",
        1,
        4,
        4,
        &[
            field("throttle_time_ms", I32),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field("resource_type", I8),
                    field("resource_name", STRING),
                    field(
                        "configs",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field("value", STRING).nullable(0),
                            field("read_only", BOOL),
                            field("config_source", I8),
                            field("is_sensitive", BOOL),
                            field(
                                "synonyms",
                                Kind::Array(&Kind::Struct(&[
                                    field("name", STRING),
                                    field("value", STRING).nullable(0),
                                    field("source", I8),
                                ])),
                            ),
                            field("config_type", I8).since(3),
                            field("documentation", STRING).since(3).nullable(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        33,
        "AlterConfigs",
        0,
        2,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field("resource_type", I8),
                    field("resource_name", STRING),
                ])),
            ),
        ],
    ),
    shape(
        34,
        "AlterReplicaLogDirs",
        1,
        2,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        35,
        "DescribeLogDirs",
        1,
        4,
        2,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16).since(3),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("log_dir", STRING),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field(
                                "partitions",
                                Kind::Array(&Kind::Struct(&[
                                    field("partition_index", I32),
                                    field("partition_size", I64),
                                    field("offset_lag", I64),
                                    field("is_future_key", BOOL),
                                ])),
                            ),
                        ])),
                    ),
                    field("total_bytes", I64).since(4),
                    field("usable_bytes", I64).since(4),
                ])),
            ),
        ],
    ),
    shape(
        37,
        "CreatePartitions",
        0,
        3,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                ])),
            ),
        ],
    ),
    shape(
        43,
        "ElectLeaders",
        0,
        2,
        2,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16).since(1),
            field(
                "replica_election_results",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING),
                    field(
                        "partition_result",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_id", I32),
                            field("error_code", I16),
                            field("error_message", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        44,
        "IncrementalAlterConfigs",
        0,
        1,
        1,
        &[
            field("throttle_time_ms", I32),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field("resource_type", I8),
                    field("resource_name", STRING),
                ])),
            ),
        ],
    ),
    shape(
        45,
        "AlterPartitionReassignments",
        0,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("allow_replication_factor_change", BOOL).since(1),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("error_message", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        46,
        "ListPartitionReassignments",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("replicas", list(&I32)),
                            field("adding_replicas", list(&I32)),
                            field("removing_replicas", list(&I32)),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
];
