//! Requests between brokers and controllers.

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
            field("cluster_id", STRING).nullable(0),
            field("voter_id", I32).since(1),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("replica_epoch", I32),
                            field("replica_id", I32),
                            field("replica_directory_id", UUID).since(1),
                            field("voter_directory_id", UUID).since(1),
                            field("last_offset_epoch", I32),
                            field("last_offset", I64),
                            field("pre_vote", BOOL).since(2),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        53,
        "BeginQuorumEpoch",
        0,
        1,
        1,
        &[
            field("cluster_id", STRING).nullable(0),
            field("voter_id", I32).since(1),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("voter_directory_id", UUID).since(1),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                        ])),
                    ),
                ])),
            ),
            field(
                "leader_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).since(1),
                    field("host", STRING).since(1),
                    field("port", U16).since(1),
                ])),
            )
            .since(1),
        ],
    ),
    shape(
        54,
        "EndQuorumEpoch",
        0,
        1,
        1,
        &[
            field("cluster_id", STRING).nullable(0),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("leader_id", I32),
                            field("leader_epoch", I32),
                            field("preferred_successors", list(&I32)).until(0),
                            field(
                                "preferred_candidates",
                                Kind::Array(&Kind::Struct(&[
                                    field("candidate_id", I32).since(1),
                                    field("candidate_directory_id", UUID).since(1),
                                ])),
                            )
                            .since(1),
                        ])),
                    ),
                ])),
            ),
            field(
                "leader_endpoints",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).since(1),
                    field("host", STRING).since(1),
                    field("port", U16).since(1),
                ])),
            )
            .since(1),
        ],
    ),
    shape(
        55,
        "DescribeQuorum",
        0,
        2,
        0,
        &[field(
            "topics",
            Kind::Array(&Kind::Struct(&[
                field("topic_name", STRING),
                field(
                    "partitions",
                    Kind::Array(&Kind::Struct(&[field("partition_index", I32)])),
                ),
            ])),
        )],
    ),
    shape(
        56,
        "AlterPartition",
        2,
        3,
        2,
        &[
            field("broker_id", I32),
            field("broker_epoch", I64),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("leader_epoch", I32),
                            field("new_isr", list(&I32)).until(2),
                            field(
                                "new_isr_with_epochs",
                                Kind::Array(&Kind::Struct(&[
                                    field("broker_id", I32).since(3),
                                    field("broker_epoch", I64).since(3),
                                ])),
                            )
                            .since(3),
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
            field("request_data", BYTES),
            field("request_principal", BYTES).nullable(0),
            field("client_host_address", BYTES),
        ],
    ),
    shape(
        59,
        "FetchSnapshot",
        0,
        1,
        0,
        &[
            field("cluster_id", STRING).nullable(0).tagged(0),
            field("replica_id", I32),
            field("max_bytes", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition", I32),
                            field("current_leader_epoch", I32),
                            field(
                                "snapshot_id",
                                Kind::Struct(&[field("end_offset", I64), field("epoch", I32)]),
                            ),
                            field("position", I64),
                            field("replica_directory_id", UUID).since(1).tagged(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        62,
        "BrokerRegistration",
        0,
        4,
        0,
        &[
            field("broker_id", I32),
            field("cluster_id", STRING),
            field("incarnation_id", UUID),
            field(
                "listeners",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("host", STRING),
                    field("port", U16),
                    field("security_protocol", I16),
                ])),
            ),
            field(
                "features",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("min_supported_version", I16),
                    field("max_supported_version", I16),
                ])),
            ),
            field("rack", STRING).nullable(0),
            field("is_migrating_zk_broker", BOOL).since(1),
            field("log_dirs", list(&UUID)).since(2),
            field("previous_broker_epoch", I64).since(3),
        ],
    ),
    shape(
        63,
        "BrokerHeartbeat",
        0,
        1,
        0,
        &[
            field("broker_id", I32),
            field("broker_epoch", I64),
            field("current_metadata_offset", I64),
            field("want_fence", BOOL),
            field("want_shut_down", BOOL),
            field("offline_log_dirs", list(&UUID)).since(1).tagged(0),
        ],
    ),
    shape(
        70,
        "ControllerRegistration",
        0,
        0,
        0,
        &[
            field("controller_id", I32),
            field("incarnation_id", UUID),
            field("zk_migration_ready", BOOL),
            field(
                "listeners",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("host", STRING),
                    field("port", U16),
                    field("security_protocol", I16),
                ])),
            ),
            field(
                "features",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("min_supported_version", I16),
                    field("max_supported_version", I16),
                ])),
            ),
        ],
    ),
    shape(
        73,
        "AssignReplicasToDirs",
        0,
        0,
        0,
        &[
            field("broker_id", I32),
            field("broker_epoch", I64),
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
                                Kind::Array(&Kind::Struct(&[field("partition_index", I32)])),
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
            field("cluster_id", STRING).nullable(0),
            field("timeout_ms", I32),
            field("voter_id", I32),
            field("voter_directory_id", UUID),
            field(
                "listeners",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("host", STRING),
                    field("port", U16),
                ])),
            ),
        ],
    ),
    shape(
        81,
        "RemoveRaftVoter",
        0,
        0,
        0,
        &[
            field("cluster_id", STRING).nullable(0),
            field("voter_id", I32),
            field("voter_directory_id", UUID),
        ],
    ),
    shape(
        82,
        "UpdateRaftVoter",
        0,
        0,
        0,
        &[
            field("cluster_id", STRING).nullable(0),
            field("current_leader_epoch", I32),
            field("voter_id", I32),
            field("voter_directory_id", UUID),
            field(
                "listeners",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("host", STRING),
                    field("port", U16),
                ])),
            ),
            field(
                "kraft_version_feature",
                Kind::Struct(&[
                    field("min_supported_version", I16),
                    field("max_supported_version", I16),
                ]),
            ),
        ],
    ),
];
