//! Responses of consumer groups and their coordinators.

use super::super::shape::{
    BOOL, BYTES, I8, I16, I32, I64, Kind, NEVER, STRING, Shape, UUID, field, list, shape,
};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        8,
        "OffsetCommit",
        2,
        10,
        8,
        &[
            field("throttle_time_ms", I32).since(3),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).until(9),
                    field("topic_id", UUID).since(10),
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
        9,
        "OffsetFetch",
        1,
        10,
        6,
        &[
            field("throttle_time_ms", I32).since(3),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).until(7),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32).until(7),
                            field("committed_offset", I64).until(7),
                            field("committed_leader_epoch", I32).since(5).until(7),
                            field("metadata", STRING).until(7).nullable(0),
                            field("error_code", I16).until(7),
                        ])),
                    )
                    .until(7),
                ])),
            )
            .until(7),
            field("error_code", I16).since(2).until(7),
            field(
                "groups",
                Kind::Array(&Kind::Struct(&[
                    field("group_id", STRING).since(8),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING).since(8).until(9),
                            field("topic_id", UUID).since(10),
                            field(
                                "partitions",
                                Kind::Array(&Kind::Struct(&[
                                    field("partition_index", I32).since(8),
                                    field("committed_offset", I64).since(8),
                                    field("committed_leader_epoch", I32).since(8),
                                    field("metadata", STRING).since(8).nullable(8),
                                    field("error_code", I16).since(8),
                                ])),
                            )
                            .since(8),
                        ])),
                    )
                    .since(8),
                    field("error_code", I16).since(8),
                ])),
            )
            .since(8),
        ],
    ),
    shape(
        11,
        "JoinGroup",
        0,
        9,
        6,
        &[
            field("throttle_time_ms", I32).since(2),
            field("error_code", I16),
            field("generation_id", I32),
            field("protocol_type", STRING).since(7).nullable(7),
            field("protocol_name", STRING).nullable(7),
            field("leader", STRING),
            field("skip_assignment", BOOL).since(9),
            field("member_id", STRING),
            field(
                "members",
                Kind::Array(&Kind::Struct(&[
                    field("member_id", STRING),
                    field("group_instance_id", STRING).since(5).nullable(5),
                    field("metadata", BYTES),
                ])),
            ),
        ],
    ),
    shape(
        12,
        "Heartbeat",
        0,
        4,
        4,
        &[
            field("throttle_time_ms", I32).since(1),
            field("error_code", I16),
        ],
    ),
    shape(
        13,
        "LeaveGroup",
        0,
        5,
        4,
        &[
            field("throttle_time_ms", I32).since(1),
            field("error_code", I16),
            field(
                "members",
                Kind::Array(&Kind::Struct(&[
                    field("member_id", STRING).since(3),
                    field("group_instance_id", STRING).since(3).nullable(3),
                    field("error_code", I16).since(3),
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
            field("throttle_time_ms", I32).since(1),
            field("error_code", I16),
            field("protocol_type", STRING).since(5).nullable(5),
            field("protocol_name", STRING).since(5).nullable(5),
            field("assignment", BYTES),
        ],
    ),
    shape(
        15,
        "DescribeGroups",
        0,
        6,
        5,
        &[
            field("throttle_time_ms", I32).since(1),
            field(
                "groups",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).since(6).nullable(6),
                    field("group_id", STRING),
                    field("group_state", STRING),
                    field("protocol_type", STRING),
                    field("protocol_data", STRING),
                    field(
                        "members",
                        Kind::Array(&Kind::Struct(&[
                            field("member_id", STRING),
                            field("group_instance_id", STRING).since(4).nullable(4),
                            field("client_id", STRING),
                            field("client_host", STRING),
                            field("member_metadata", BYTES),
                            field("member_assignment", BYTES),
                        ])),
                    ),
                    field("authorized_operations", I32).since(3),
                ])),
            ),
        ],
    ),
    shape(
        16,
        "ListGroups",
        0,
        5,
        3,
        &[
            field("throttle_time_ms", I32).since(1),
            field("error_code", I16),
            field(
                "groups",
                Kind::Array(&Kind::Struct(&[
                    field("group_id", STRING),
                    field("protocol_type", STRING),
                    field("group_state", STRING).since(4),
                    field("group_type", STRING).since(5),
                ])),
            ),
        ],
    ),
    shape(
        42,
        "DeleteGroups",
        0,
        2,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("group_id", STRING),
                    field("error_code", I16),
                ])),
            ),
        ],
    ),
    shape(
        47,
        "OffsetDelete",
        0,
        0,
        NEVER,
        &[
            field("error_code", I16),
            field("throttle_time_ms", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
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
        68,
        "ConsumerGroupHeartbeat",
        0,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field("member_id", STRING).nullable(0),
            field("member_epoch", I32),
            field("heartbeat_interval_ms", I32),
            field(
                "assignment",
                Kind::Struct(&[field(
                    "topic_partitions",
                    Kind::Array(&Kind::Struct(&[
                        field("topic_id", UUID),
                        field("partitions", list(&I32)),
                    ])),
                )]),
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
            field("throttle_time_ms", I32),
            field(
                "groups",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field("group_id", STRING),
                    field("group_state", STRING),
                    field("group_epoch", I32),
                    field("assignment_epoch", I32),
                    field("assignor_name", STRING),
                    field(
                        "members",
                        Kind::Array(&Kind::Struct(&[
                            field("member_id", STRING),
                            field("instance_id", STRING).nullable(0),
                            field("rack_id", STRING).nullable(0),
                            field("member_epoch", I32),
                            field("client_id", STRING),
                            field("client_host", STRING),
                            field("subscribed_topic_names", list(&STRING)),
                            field("subscribed_topic_regex", STRING).nullable(0),
                            field(
                                "assignment",
                                Kind::Struct(&[field(
                                    "topic_partitions",
                                    Kind::Array(&Kind::Struct(&[
                                        field("topic_id", UUID),
                                        field("topic_name", STRING),
                                        field("partitions", list(&I32)),
                                    ])),
                                )]),
                            ),
                            field(
                                "target_assignment",
                                Kind::Struct(&[field(
                                    "topic_partitions",
                                    Kind::Array(&Kind::Struct(&[
                                        field("topic_id", UUID),
                                        field("topic_name", STRING),
                                        field("partitions", list(&I32)),
                                    ])),
                                )]),
                            ),
                            field("member_type", I8).since(1),
                        ])),
                    ),
                    field("authorized_operations", I32),
                ])),
            ),
        ],
    ),
];
