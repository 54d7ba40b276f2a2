//! Requests of administrators: topics, configs, ACLs, tokens, quotas; and authentication.

use super::super::shape::{
    BOOL, BYTES, F64, I8, I16, I32, I64, Kind, NEVER, STRING, Shape, UUID, field, list, shape,
};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        17,
        "SaslHandshake",
        0,
        1,
        NEVER,
        &[field("mechanism", STRING)],
    ),
    shape(
        19,
        "CreateTopics",
        2,
        7,
        5,
        &[
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("num_partitions", I32),
                    field("replication_factor", I16),
                    field(
                        "assignments",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("broker_ids", list(&I32)),
                        ])),
                    ),
                    field(
                        "configs",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field("value", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
            field("timeout_ms", I32),
            field("validate_only", BOOL),
        ],
    ),
    shape(
        20,
        "DeleteTopics",
        1,
        6,
        4,
        &[
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING).since(6).nullable(6),
                    field("topic_id", UUID).since(6),
                ])),
            )
            .since(6),
            field("topic_names", list(&STRING)).until(5),
            field("timeout_ms", I32),
        ],
    ),
    shape(
        29,
        "DescribeAcls",
        1,
        3,
        2,
        &[
            field("resource_type_filter", I8),
            field("resource_name_filter", STRING).nullable(0),
            field("pattern_type_filter", I8),
            field("principal_filter", STRING).nullable(0),
            field("host_filter", STRING).nullable(0),
            field("operation", I8),
            field("permission_type", I8),
        ],
    ),
    shape(
        30,
        "CreateAcls",
        1,
        3,
        2,
        &[field(
            "creations",
            Kind::Array(&Kind::Struct(&[
                field("resource_type", I8),
                field("resource_name", STRING),
                field("resource_pattern_type", I8),
                field("principal", STRING),
                field("host", STRING),
                field("operation", I8),
                field("permission_type", I8),
            ])),
        )],
    ),
    shape(
        31,
        "DeleteAcls",
        1,
        3,
        2,
        &[field(
            "filters",
            Kind::Array(&Kind::Struct(&[
                field("resource_type_filter", I8),
                field("resource_name_filter", STRING).nullable(0),
                field("pattern_type_filter", I8),
                field("principal_filter", STRING).nullable(0),
                field("host_filter", STRING).nullable(0),
                field("operation", I8),
                field("permission_type", I8),
            ])),
        )],
    ),
    shape(
        32,
        "DescribeConfigs",
        1,
        4,
        4,
        &[
            field(
                "resources",
                Kind::Array(&Kind::Struct(&[
                    field("resource_type", I8),
                    field("resource_name", STRING),
                    field("configuration_keys", list(&STRING)).nullable(0),
                ])),
            ),
            field("include_synonyms", BOOL),
            field("include_documentation", BOOL).since(3),
        ],
    ),
    shape(
        33,
        "AlterConfigs",
        0,
        2,
        2,
        &[
            field(
                "resources",
                Kind::Array(&Kind::Struct(&[
                    field("resource_type", I8),
                    field("resource_name", STRING),
                    field(
                        "configs",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field("value", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
            field("validate_only", BOOL),
        ],
    ),
    shape(
        34,
        "AlterReplicaLogDirs",
        1,
        2,
        2,
        &[field(
            "dirs",
            Kind::Array(&Kind::Struct(&[
                field("path", STRING),
                field(
                    "topics",
                    Kind::Array(&Kind::Struct(&[
                        field("name", STRING),
                        field("partitions", list(&I32)),
                    ])),
                ),
            ])),
        )],
    ),
    shape(
        35,
        "DescribeLogDirs",
        1,
        4,
        2,
        &[field(
            "topics",
            Kind::Array(&Kind::Struct(&[
                field("topic", STRING),
                field("partitions", list(&I32)),
            ])),
        )
        .nullable(0)],
    ),
    shape(
        36,
        "SaslAuthenticate",
        0,
        2,
        2,
        &[field("auth_bytes", BYTES)],
    ),
    shape(
        37,
        "CreatePartitions",
        0,
        3,
        2,
        &[
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("count", I32),
                    field(
                        "assignments",
                        Kind::Array(&Kind::Struct(&[field("broker_ids", list(&I32))])),
                    )
                    .nullable(0),
                ])),
            ),
            field("timeout_ms", I32),
            field("validate_only", BOOL),
        ],
    ),
    shape(
        38,
        "CreateDelegationToken",
        1,
        3,
        2,
        &[
            field("owner_principal_type", STRING).since(3).nullable(3),
            field("owner_principal_name", STRING).since(3).nullable(3),
            field(
                "renewers",
                Kind::Array(&Kind::Struct(&[
                    field("principal_type", STRING),
                    field("principal_name", STRING),
                ])),
            ),
            field("max_lifetime_ms", I64),
        ],
    ),
    shape(
        39,
        "RenewDelegationToken",
        1,
        2,
        2,
        &[field("hmac", BYTES), field("renew_period_ms", I64)],
    ),
    shape(
        40,
        "ExpireDelegationToken",
        1,
        2,
        2,
        &[field("hmac", BYTES), field("expiry_time_period_ms", I64)],
    ),
    shape(
        41,
        "DescribeDelegationToken",
        1,
        3,
        2,
        &[field(
            "owners",
            Kind::Array(&Kind::Struct(&[
                field("principal_type", STRING),
                field("principal_name", STRING),
            ])),
        )
        .nullable(0)],
    ),
    shape(
        43,
        "ElectLeaders",
        0,
        2,
        2,
        &[
            field("election_type", I8).since(1),
            field(
                "topic_partitions",
                Kind::Array(&Kind::Struct(&[
                    field("topic", STRING),
                    field("partitions", list(&I32)),
                ])),
            )
            .nullable(0),
            field("timeout_ms", I32),
        ],
    ),
    shape(
        44,
        "IncrementalAlterConfigs",
        0,
        1,
        1,
        &[
            field(
                "resources",
                Kind::Array(&Kind::Struct(&[
                    field("resource_type", I8),
                    field("resource_name", STRING),
                    field(
                        "configs",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field("config_operation", I8),
                            field("value", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
            field("validate_only", BOOL),
        ],
    ),
    shape(
        45,
        "AlterPartitionReassignments",
        0,
        1,
        0,
        &[
            field("timeout_ms", I32),
            field("allow_replication_factor_change", BOOL).since(1),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("replicas", list(&I32)).nullable(0),
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
            field("timeout_ms", I32),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("partition_indexes", list(&I32)),
                ])),
            )
            .nullable(0),
        ],
    ),
    shape(
        48,
        "DescribeClientQuotas",
        0,
        1,
        1,
        &[
            field(
                "components",
                Kind::Array(&Kind::Struct(&[
                    field("entity_type", STRING),
                    field("match_type", I8),
                    field("match", STRING).nullable(0),
                ])),
            ),
            field("strict", BOOL),
        ],
    ),
    shape(
        49,
        "AlterClientQuotas",
        0,
        1,
        1,
        &[
            field(
                "entries",
                Kind::Array(&Kind::Struct(&[
                    field(
                        "entity",
                        Kind::Array(&Kind::Struct(&[
                            field("entity_type", STRING),
                            field("entity_name", STRING).nullable(0),
                        ])),
                    ),
                    field(
                        "ops",
                        Kind::Array(&Kind::Struct(&[
                            field("key", STRING),
                            field("value", F64),
                            field("remove", BOOL),
                        ])),
                    ),
                ])),
            ),
            field("validate_only", BOOL),
        ],
    ),
    shape(
        50,
        "DescribeUserScramCredentials",
        0,
        0,
        0,
        &[field(
            "users",
            Kind::Array(&Kind::Struct(&[field("name", STRING)])),
        )
        .nullable(0)],
    ),
    shape(
        51,
        "AlterUserScramCredentials",
        0,
        0,
        0,
        &[
            field(
                "deletions",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("mechanism", I8),
                ])),
            ),
            field(
                "upsertions",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("mechanism", I8),
                    field("iterations", I32),
                    field("salt", BYTES),
                    field("salted_password", BYTES),
                ])),
            ),
        ],
    ),
    shape(
        57,
        "UpdateFeatures",
        0,
        2,
        0,
        &[
            field("timeout_ms", I32),
            field(
                "feature_updates",
                Kind::Array(&Kind::Struct(&[
                    field("feature", STRING),
                    field("max_version_level", I16),
                    field("allow_downgrade", BOOL).until(0),
                    field("upgrade_type", I8).since(1),
                ])),
            ),
            field("validate_only", BOOL).since(1),
        ],
    ),
    shape(64, "UnregisterBroker", 0, 0, 0, &[field("broker_id", I32)]),
    shape(
        71,
        "GetTelemetrySubscriptions",
        0,
        0,
        0,
        &[field("client_instance_id", UUID)],
    ),
    shape(
        72,
        "PushTelemetry",
        0,
        0,
        0,
        &[
            field("client_instance_id", UUID),
            field("subscription_id", I32),
            field("terminating", BOOL),
            field("compression_type", I8),
            field("metrics", BYTES),
        ],
    ),
];
