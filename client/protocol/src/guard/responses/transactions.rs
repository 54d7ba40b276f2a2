//! Responses of the transaction coordinator, and those about producers.

use super::super::shape::{I16, I32, I64, Kind, STRING, Shape, field, list, shape};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        22,
        "InitProducerId",
        0,
        6,
        2,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("producer_id", I64),
            field("producer_epoch", I16),
            field("ongoing_txn_producer_id", I64).since(6),
            field("ongoing_txn_producer_epoch", I16).since(6),
        ],
    ),
    shape(
        24,
        "AddPartitionsToTxn",
        0,
        5,
        3,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16).since(4),
            field(
                "results_by_transaction",
                Kind::Array(&Kind::Struct(&[
                    field("transactional_id", STRING).since(4),
                    field(
                        "topic_results",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field(
                                "results_by_partition",
                                Kind::Array(&Kind::Struct(&[
                                    field("partition_index", I32),
                                    field("partition_error_code", I16),
                                ])),
                            ),
                        ])),
                    )
                    .since(4),
                ])),
            )
            .since(4),
            field(
                "results_by_topic_v3_and_below",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "results_by_partition",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("partition_error_code", I16),
                        ])),
                    ),
                ])),
            )
            .until(3),
        ],
    ),
    shape(
        25,
        "AddOffsetsToTxn",
        0,
        4,
        3,
        &[field("throttle_time_ms", I32), field("error_code", I16)],
    ),
    shape(
        26,
        "EndTxn",
        0,
        5,
        3,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("producer_id", I64).since(5),
            field("producer_epoch", I16).since(5),
        ],
    ),
    shape(
        27,
        "WriteTxnMarkers",
        1,
        1,
        1,
        &[field(
            "markers",
            Kind::Array(&Kind::Struct(&[
                field("producer_id", I64),
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
            ])),
        )],
    ),
    shape(
        28,
        "TxnOffsetCommit",
        0,
        5,
        3,
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
                            field("error_code", I16),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        61,
        "DescribeProducers",
        0,
        0,
        0,
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
                            field("error_code", I16),
                            field("error_message", STRING).nullable(0),
                            field(
                                "active_producers",
                                Kind::Array(&Kind::Struct(&[
                                    field("producer_id", I64),
                                    field("producer_epoch", I32),
                                    field("last_sequence", I32),
                                    field("last_timestamp", I64),
                                    field("coordinator_epoch", I32),
                                    field("current_txn_start_offset", I64),
                                ])),
                            ),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        65,
        "DescribeTransactions",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field(
                "transaction_states",
                Kind::Array(&Kind::Struct(&[
                    field("error_code", I16),
                    field("transactional_id", STRING),
                    field("transaction_state", STRING),
                    field("transaction_timeout_ms", I32),
                    field("transaction_start_time_ms", I64),
                    field("producer_id", I64),
                    field("producer_epoch", I16),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("topic", STRING),
                            field("partitions", list(&I32)),
                        ])),
                    ),
                ])),
            ),
        ],
    ),
    shape(
        66,
        "ListTransactions",
        0,
        2,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("unknown_state_filters", list(&STRING)),
            field(
                "transaction_states",
                Kind::Array(&Kind::Struct(&[
                    field("transactional_id", STRING),
                    field("producer_id", I64),
                    field("transaction_state", STRING),
                ])),
            ),
        ],
    ),
    shape(
        67,
        "AllocateProducerIds",
        0,
        0,
        0,
        &[
            field("throttle_time_ms", I32),
            field("error_code", I16),
            field("producer_id_start", I64),
            field("producer_id_len", I32),
        ],
    ),
];
