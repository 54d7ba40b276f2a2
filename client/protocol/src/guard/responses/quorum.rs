//! Responses between brokers and controllers.

use super::super::shape::{
    BOOL, BYTES, I8, I16, I32, I64, Kind, STRING, Shape, U16, UUID, field, list, shape,
};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        52,
        "Vote",
        0,
        2,
        0,
        &[
            field("error_code", I16),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                            field("vote_granted", BOOL),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(1),
                    field("host", STRING).since(1),
                    field("port", U16).since(1),
                ])),
            )
            .since(1)
            .tagged(0),
        ],
    ),
    shape(
        53,
        "BeginQuorumEpoch",
        0,
        1,
        1,
        &[
            field("error_code", I16),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(1),
                    field("host", STRING).since(1),
                    field("port", U16).since(1),
                ])),
            )
            .since(1)
            .tagged(0),
        ],
    ),
    shape(
        54,
        "EndQuorumEpoch",
        0,
        1,
        1,
        &[
            field("error_code", I16),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(1),
                    field("host", STRING).since(1),
                    field("port", U16).since(1),
                ])),
            )
            .since(1)
            .tagged(0),
        ],
    ),
    shape(
        55,
        "DescribeQuorum",
        0,
        2,
        0,
        &[
            field("error_code", I16),
            field("error_message", STRING).since(2).nullable(2),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("error_message", STRING).since(2).nullable(2),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                            field("high_watermark", I64),
                            field(
                                "current_voters",
                                Kind::Array(&Kind::Struct(&[
                                    field("replica_id", I32),
                                    field("replica_directory_id", UUID).since(2),
                                    field("log_end_offset", I64),
                                    field("last_fetch_timestamp", I64).since(1),
                                    field("last_caught_up_timestamp", I64).since(1),
                                ])),
                            ),
                            field(
                                "observers",
                                Kind::Array(&Kind::Struct(&[
                                    field("replica_id", I32),
                                    field("replica_directory_id", UUID).since(2),
                                    field("log_end_offset", I64),
                                    field("last_fetch_timestamp", I64).since(1),
                                    field("last_caught_up_timestamp", I64).since(1),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
            field(
                "nodes",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(2),
                    field(
                        "listeners",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING).since(2),
                            field("host", STRING).since(2),
                            field("port", U16).since(2),
                        ])),
                    )
                    .since(2),
                ])),
            )
            .since(2),
        ],
    ),
    shape(
        56,
        "AlterPartition",
        2,
        3,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                            field("isr", list(&I32)),
                            field("leader_recovery_state", I8),
                            field("partition_epoch", I32),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        58,
        "Envelope",
        0,
        0,
        0,
        &[
            field("response_data", BYTES).nullable(0),
            field("error_code", I16),
        ],
    ),
    shape(
        59,
        "FetchSnapshot",
        0,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("index", I32),
                            field("error_code", I16),
                            field(
                                "snapshot_id",
                                Kind::Struct(&[field("end_offset", I64), field("epoch", I32)]),
                            ),
                            field(
                                "current_leader",
                                Kind::Struct(&[
                                    field("leader_id", I32),
                                    field("leader_epoch", I32),
                                ]),
                            )
                            .tagged(0),
                            field("size", I64),
                            field("position", I64),
                            field("unaligned_records", BYTES),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32).since(1),
                    field("host", STRING).since(1),
                    field("port", U16).since(1),
                ])),
            )
            .since(1)
            .tagged(0),
        ],
    ),
    shape(
        62,
        "BrokerRegistration",
        0,
        4,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("broker_epoch", I64),
        ],
    ),
    shape(
        63,
        "BrokerHeartbeat",
        0,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("is_caught_up", BOOL),
            field("is_fenced", BOOL),
            field("should_shut_down", BOOL),
        ],
    ),
    shape(
        64,
        "UnregisterBroker",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
        ],
    ),
    shape(
        70,
        "ControllerRegistration",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
        ],
    ),
    shape(
        73,
        "AssignReplicasToDirs",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field(
                "directories",
                Kind::Array(&Kind::Struct(&[
                    field("id", UUID),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("topic_id", UUID),
                            field(
                                "partitions",
                                Kind::Array(&Kind::Struct(&[
                                    field("partition_index", I32),
                                    field("error_code", I16),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        80,
        "AddRaftVoter",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
        ],
    ),
    shape(
        81,
        "RemoveRaftVoter",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
        ],
    ),
    shape(
        82,
        "UpdateRaftVoter",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field(
                "current_leader",
                Kind::Struct(&[
                    field("leader_id", I32),
                    field("leader_epoch", I32),
                    field("host", STRING),
                    field("port", I32),
                ]),
            )
            .tagged(0),
        ],
    ),
];
