//! Responses to administrators about authentication, ACLs, tokens, quotas, features and telemetry.

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
        &[field("error_code", I16), field("mechanisms", list(&STRING))],
    ),
    shape(
        29,
        "DescribeAcls",
        1,
        3,
        2,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "resources",
                Kind::Array(&Kind::Struct(&[
                    field("resource_type", I8),
                    field("resource_name", STRING),
                    field("pattern_type", I8),
                    field(
                        "acls",
                        Kind::Array(&Kind::Struct(&[
                            field("principal", STRING),
                            field("host", STRING),
                            field("operation", I8),
                            field("permission_type", I8),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        30,
        "CreateAcls",
        1,
        3,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                ])),
            ),
        ],
    ),
    shape(
        31,
        "DeleteAcls",
        1,
        3,
        2,
        &[
            field("throttle_time_ms", I32),
            field(
                "filter_results",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field(
                        "matching_acls",
                        Kind::Array(&Kind::Struct(&[
                            field("error_code", I16),
                            field("error_message", STRING).nullable(0),
                            field("resource_type", I8),
                            field("resource_name", STRING),
                            field("pattern_type", I8),
                            field("principal", STRING),
                            field("host", STRING),
                            field("operation", I8),
                            field("permission_type", I8),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        36,
        "SaslAuthenticate",
        0,
        2,
        2,
        &[
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field("auth_bytes", BYTES),
            field("session_lifetime_ms", I64).since(1),
        ],
    ),
    shape(
        38,
        "CreateDelegationToken",
        1,
        3,
        2,
        &[
            field("error_code", I16),
            field("principal_type", STRING),
            field("principal_name", STRING),
            field("token_requester_principal_type", STRING).since(3),
            field("token_requester_principal_name", STRING).since(3),
            field("issue_timestamp_ms", I64),
            field("expiry_timestamp_ms", I64),
            field("max_timestamp_ms", I64),
            field("token_id", STRING),
            field("hmac", BYTES),
            field("throttle_time_ms", I32),
        ],
    ),
    shape(
        39,
        "RenewDelegationToken",
        1,
        2,
        2,
        &[
            field("error_code", I16),
            field("expiry_timestamp_ms", I64),
            field("throttle_time_ms", I32),
        ],
    ),
    shape(
        40,
        "ExpireDelegationToken",
        1,
        2,
        2,
        &[
            field("error_code", I16),
            field("expiry_timestamp_ms", I64),
            field("throttle_time_ms", I32),
        ],
    ),
    shape(
        41,
        "DescribeDelegationToken",
        1,
        3,
        2,
        &[
            field("error_code", I16),
            field(
                "tokens",
                Kind::Array(&Kind::Struct(&[
                    field("principal_type", STRING),
                    field("principal_name", STRING),
                    field("token_requester_principal_type", STRING).since(3),
                    field("token_requester_principal_name", STRING).since(3),
                    field("issue_timestamp", I64),
                    field("expiry_timestamp", I64),
                    field("max_timestamp", I64),
                    field("token_id", STRING),
                    field("hmac", BYTES),
                    field(
                        "renewers",
                        Kind::Array(&Kind::Struct(&[
                            field("principal_type", STRING),
                            field("principal_name", STRING),
                        ])),
                    ),
                ])),
            ),
            field("throttle_time_ms", I32),
        ],
    ),
    shape(
        48,
        "DescribeClientQuotas",
        0,
        1,
        1,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
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
                        "values",
                        Kind::Array(&Kind::Struct(&[field("key", STRING), field("value", F64)])),
                    ),
                ])),
            )
            .nullable(0),
        ],
    ),
    shape(
        49,
        "AlterClientQuotas",
        0,
        1,
        1,
        &[
            field("throttle_time_ms", I32),
            field(
                "entries",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field(
                        "entity",
                        Kind::Array(&Kind::Struct(&[
                            field("entity_type", STRING),
                            field("entity_name", STRING).nullable(0),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        50,
        "DescribeUserScramCredentials",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("user", STRING),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                    field(
                        "credential_infos",
                        Kind::Array(&Kind::Struct(&[
                            field("mechanism", I8),
                            field("iterations", I32),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        51,
        "AlterUserScramCredentials",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("user", STRING),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
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
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("error_message", STRING).nullable(0),
            field(
                "results",
                Kind::Array(&Kind::Struct(&[
                    field("feature", STRING),
                    field("error_code", I16),
                    field("error_message", STRING).nullable(0),
                ])),
            )
            .until(1),
        ],
    ),
    shape(
        71,
        "GetTelemetrySubscriptions",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("client_instance_id", UUID),
            field("subscription_id", I32),
            field("accepted_compression_types", list(&I8)),
            field("push_interval_ms", I32),
            field("telemetry_max_bytes", I32),
            field("delta_temporality", BOOL),
            field("requested_metrics", list(&STRING)),
        ],
    ),
    shape(
        72,
        "PushTelemetry",
        0,
        0,
        0,
        &[field("throttle_time_ms", I32), field("error_code", I16)],
    ),
];
