//! Responses of share groups, their coordinators and the keepers of their state.

use super::super::shape::{
    BYTES, I8, I16, I32, I64, Kind, STRING, Shape, UUID, field, list, shape,
};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        76,
        "ShareGroupHeartbeat",
        1,
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
        77,
        "ShareGroupDescribe",
        1,
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
                            field("rack_id", STRING).nullable(0),
                            field("member_epoch", I32),
                            field("client_id", STRING),
                            field("client_host", STRING),
                            field("subscribed_topic_names", list(&STRING)),
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
                        ])),
                    ),
                    field("authorized_operations", I32),
                ])),
            ),
        ],
    ),
    shape(
        78,
        "ShareFetch",
        1,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field("acquisition_lock_timeout_ms", I32),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("error_message", STRING).nullable(0),
                            field("acknowledge_error_code", I16),
                            field("acknowledge_error_message", STRING).nullable(0),
                            field(
                                "current_leader",
                                Kind::Struct(&[
                                    field("leader_id", I32),
                                    field("leader_epoch", I32),
                                ]),
                            ),
                            // Newer schemas allow null in version 0 only; the codec crate reads it.
                            field("records", BYTES).nullable(0),
                            field(
                                "acquired_records",
                                Kind::Array(&Kind::Struct(&[
                                    field("first_offset", I64),
                                    field("last_offset", I64),
                                    field("delivery_count", I16),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32),
                    field("host", STRING),
                    field("port", I32),
                    field("rack", STRING).nullable(0),
                ])),
            ),
        ],
    ),
    shape(
        79,
        "ShareAcknowledge",
        1,
        1,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("error_code", I16),
                            field("error_message", STRING).nullable(0),
                            field(
                                "current_leader",
                                Kind::Struct(&[
                                    field("leader_id", I32),
                                    field("leader_epoch", I32),
                                ]),
                            ),
                        ])),
                    ),
                ])),
            ),
            field(
                "node_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("node_id", I32),
                    field("host", STRING),
                    field("port", I32),
                    field("rack", STRING).nullable(0),
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
        &[field(
            "results",
            Kind::Array(&Kind::Struct(&[
                field("topic_id", UUID),
                field(
                    "partitions",
                    Kind::Array(&Kind::Struct(&[
                        field("partition", I32),
                        field("error_code", I16),
                        field("error_message", STRING).nullable(0),
                    ])),
                ),
            ])),
        )],
    ),
    shape(
        84,
        "ReadShareGroupState",
        0,
        0,
        0,
        &[field(
            "results",
            Kind::Array(&Kind::Struct(&[
                field("topic_id", UUID),
                field(
                    "partitions",
                    Kind::Array(&Kind::Struct(&[
                        field("partition", I32),
                        field("error_code", I16),
                        field("error_message", STRING).nullable(0),
                        field("state_epoch", I32),
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
        )],
    ),
    shape(
        85,
        "WriteShareGroupState",
        0,
        0,
        0,
        &[field(
            "results",
            Kind::Array(&Kind::Struct(&[
                field("topic_id", UUID),
                field(
                    "partitions",
                    Kind::Array(&Kind::Struct(&[
                        field("partition", I32),
                        field("error_code", I16),
                        field("error_message", STRING).nullable(0),
                    ])),
                ),
            ])),
        )],
    ),
    shape(
        86,
        "DeleteShareGroupState",
        0,
        0,
        0,
        &[field(
            "results",
            Kind::Array(&Kind::Struct(&[
                field("topic_id", UUID),
                field(
                    "partitions",
                    Kind::Array(&Kind::Struct(&[
                        field("partition", I32),
                        field("error_code", I16),
                        field("error_message", STRING).nullable(0),
                    ])),
                ),
            ])),
        )],
    ),
    shape(
        87,
        "ReadShareGroupStateSummary",
        0,
        0,
        0,
        &[field(
            "results",
            Kind::Array(&Kind::Struct(&[
                field("topic_id", UUID),
                field(
                    "partitions",
                    Kind::Array(&Kind::Struct(&[
                        field("partition", I32),
                        field("error_code", I16),
                        field("error_message", STRING).nullable(0),
                        field("state_epoch", I32),
                        field("leader_epoch", I32),
                        field("start_offset", I64),
                    ])),
                ),
            ])),
        )],
    ),
    shape(
        90,
        "DescribeShareGroupOffsets",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field(
                "groups",
                Kind::Array(&Kind::Struct(&[
                    field("group_id", STRING),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("topic_name", STRING),
                            field("topic_id", UUID),
                            field(
                                "partitions",
                                Kind::Array(&Kind::Struct(&[
                                    field("partition_index", I32),
                                    field("start_offset", I64),
                                    field("leader_epoch", I32),
                                    field("error_code", I16),
                                    field("error_message", STRING).nullable(0),
                                ])),
                            ),
                        ])),
                    ),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                ])),
            ),
        ],
    ),
    shape(
        91,
        "AlterShareGroupOffsets",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field("topic_id", UUID),
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
        92,
        "DeleteShareGroupOffsets",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "responses",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field("topic_id", UUID),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                ])),
            ),
        ],
    ),
];
