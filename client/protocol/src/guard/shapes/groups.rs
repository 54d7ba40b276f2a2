//! Requests to consumer and share groups and their coordinators.

use super::super::shape::{
    BOOL, BYTES, I8, I16, I32, I64, Kind, NEVER, STRING, Shape, UUID, field, list, shape,
};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        8,
        "OffsetCommit",
        2,
        9,
        8,
        &[
            field("group_id", STRING),
            field("generation_id_or_member_epoch", I32),
            field("member_id", STRING),
            field("group_instance_id", STRING).since(7).nullable(7),
            field("retention_time_ms", I64).until(4),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("committed_offset", I64),
                            field("committed_leader_epoch", I32).since(6),
                            field("committed_metadata", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        9,
        "OffsetFetch",
        1,
        9,
        6,
        &[
            field("group_id", STRING).until(7),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).until(7),
                    field("partition_indexes", list(&I32)).until(7),
                ])),
            )
            .until(7)
            .nullable(2),
            field(
                "groups",
                Kind::Array(&Kind::Struct(&[
                    field("group_id", STRING).since(8),
                    field("member_id", STRING).since(9).nullable(9),
                    field("member_epoch", I32).since(9),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING).since(8),
                            field("partition_indexes", list(&I32)).since(8),
                        ])),
                    )
                    .since(8)
                    .nullable(8),
                ])),
            )
            .since(8),
            field("require_stable", BOOL).since(7),
        ],
    ),
    shape(
        11,
        "JoinGroup",
        0,
        9,
        6,
        &[
            field("group_id", STRING),
            field("session_timeout_ms", I32),
            field("rebalance_timeout_ms", I32).since(1),
            field("member_id", STRING),
            field("group_instance_id", STRING).since(5).nullable(5),
            field("protocol_type", STRING),
            field(
                "protocols",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("metadata", BYTES),
                ])),
            ),
            field("reason", STRING).since(8).nullable(8),
        ],
    ),
    shape(
        12,
        "Heartbeat",
        0,
        4,
        4,
        &[
            field("group_id", STRING),
            field("generation_id", I32),
            field("member_id", STRING),
            field("group_instance_id", STRING).since(3).nullable(3),
        ],
    ),
    shape(
        13,
        "LeaveGroup",
        0,
        5,
        4,
        &[
            field("group_id", STRING),
            field("member_id", STRING).until(2),
            field(
                "members",
                Kind::Array(&Kind::Struct(&[
                    field("member_id", STRING).since(3),
                    field("group_instance_id", STRING).since(3).nullable(3),
                    field("reason", STRING).since(5).nullable(5),
                ])),
            )
            .since(3),
        ],
    ),
    shape(
        14,
        "SyncGroup",
        0,
        5,
        4,
        &[
            field("group_id", STRING),
            field("generation_id", I32),
            field("member_id", STRING),
            field("group_instance_id", STRING).since(3).nullable(3),
            field("protocol_type", STRING).since(5).nullable(5),
            field("protocol_name", STRING).since(5).nullable(5),
            field(
                "assignments",
                Kind::Array(&Kind::Struct(&[
                    field("member_id", STRING),
                    field("assignment", BYTES),
                ])),
            ),
        ],
    ),
    shape(
        15,
        "DescribeGroups",
        0,
        6,
        5,
        &[
            field("groups", list(&STRING)),
            field("include_authorized_operations", BOOL).since(3),
        ],
    ),
    shape(
        16,
        "ListGroups",
        0,
        5,
        3,
        &[
            field("states_filter", list(&STRING)).since(4),
            field("types_filter", list(&STRING)).since(5),
        ],
    ),
    shape(
        42,
        "DeleteGroups",
        0,
        2,
        2,
        &[field("groups_names", list(&STRING))],
    ),
    shape(
        47,
        "OffsetDelete",
        0,
        0,
        NEVER,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[field("partition_index", I32)])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        68,
        "ConsumerGroupHeartbeat",
        0,
        1,
        0,
        &[
            field("group_id", STRING),
            field("member_id", STRING),
            field("member_epoch", I32),
            field("instance_id", STRING).nullable(0),
            field("rack_id", STRING).nullable(0),
            field("rebalance_timeout_ms", I32),
            field("subscribed_topic_names", list(&STRING)).nullable(0),
            field("subscribed_topic_regex", STRING).since(1).nullable(1),
            field("server_assignor", STRING).nullable(0),
            field(
                "topic_partitions",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field("partitions", list(&I32)),
                ])),
            )
            .nullable(0),
        ],
    ),
    shape(
        69,
        "ConsumerGroupDescribe",
        0,
        1,
        0,
        &[
            field("group_ids", list(&STRING)),
            field("include_authorized_operations", BOOL),
        ],
    ),
    shape(
        76,
        "ShareGroupHeartbeat",
        1,
        1,
        1,
        &[
            field("group_id", STRING),
            field("member_id", STRING),
            field("member_epoch", I32),
            field("rack_id", STRING).nullable(0),
            field("subscribed_topic_names", list(&STRING)).nullable(0),
        ],
    ),
    shape(
        77,
        "ShareGroupDescribe",
        1,
        1,
        1,
        &[
            field("group_ids", list(&STRING)),
            field("include_authorized_operations", BOOL),
        ],
    ),
    shape(
        78,
        "ShareFetch",
        1,
        1,
        1,
        &[
            field("group_id", STRING).nullable(0),
            field("member_id", STRING).nullable(0),
            field("share_session_epoch", I32),
            field("max_wait_ms", I32),
            field("min_bytes", I32),
            field("max_bytes", I32),
            field("max_records", I32),
            field("batch_size", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field(
                                "acknowledgement_batches",
                                Kind::Array(&Kind::Struct(&[
                                    field("first_offset", I64),
                                    field("last_offset", I64),
                                    field("acknowledge_types", list(&I8)),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
            field(
                "forgotten_topics_data",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field("partitions", list(&I32)),
                ])),
            ),
        ],
    ),
    shape(
        79,
        "ShareAcknowledge",
        1,
        1,
        1,
        &[
            field("group_id", STRING).nullable(0),
            field("member_id", STRING).nullable(0),
            field("share_session_epoch", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field(
                                "acknowledgement_batches",
                                Kind::Array(&Kind::Struct(&[
                                    field("first_offset", I64),
                                    field("last_offset", I64),
                                    field("acknowledge_types", list(&I8)),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        83,
        "InitializeShareGroupState",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("state_epoch", I32),
                            field("start_offset", I64),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        84,
        "ReadShareGroupState",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("leader_epoch", I32),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        85,
        "WriteShareGroupState",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("state_epoch", I32),
                            field("leader_epoch", I32),
                            field("start_offset", I64),
                            field(
                                "state_batches",
                                Kind::Array(&Kind::Struct(&[
                                    field("first_offset", I64),
                                    field("last_offset", I64),
                                    field("delivery_state", I8),
                                    field("delivery_count", I16),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        86,
        "DeleteShareGroupState",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[field("partition", I32)])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        87,
        "ReadShareGroupStateSummary",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("leader_epoch", I32),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        90,
        "DescribeShareGroupOffsets",
        0,
        0,
        0,
        &[field(
            "groups",
            Kind::Array(&Kind::Struct(&[
                field("group_id", STRING),
                field(
                    "topics",
                    Kind::Array(&Kind::Struct(&[
                        field("topic_name", STRING),
                        field("partitions", list(&I32)),
                    ])),
                )
                .nullable(0),
            ])),
        )],
    ),
    shape(
        91,
        "AlterShareGroupOffsets",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("start_offset", I64),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        92,
        "DeleteShareGroupOffsets",
        0,
        0,
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[field("topic_name", STRING)])),
            ),
        ],
    ),
];
