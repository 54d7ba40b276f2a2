//! Requests to the transaction coordinator, and those about producers.

use super::super::shape::{BOOL, I16, I32, I64, Kind, STRING, Shape, field, list, shape};

/// In the order of their keys.
pub(super) const ALL: &[Shape] = &[
    shape(
        22,
        "InitProducerId",
        0,
        5,
        2,
        &[
            field("transactional_id", STRING).nullable(0),
            field("transaction_timeout_ms", I32),
            field("producer_id", I64).since(3),
            field("producer_epoch", I16).since(3),
        ],
    ),
    shape(
        24,
        "AddPartitionsToTxn",
        0,
        5,
        3,
        &[
            field(
                "transactions",
                Kind::Array(&Kind::Struct(&[
                    field("transactional_id", STRING).since(4),
                    field("producer_id", I64).since(4),
                    field("producer_epoch", I16).since(4),
                    field("verify_only", BOOL).since(4),
                    field(
                        "topics",
                        Kind::Array(&Kind::Struct(&[
                            field("name", STRING),
                            field("partitions", list(&I32)),
                        ])),
                    )
                    .since(4),
                ])),
            )
            .since(4),
            field("v3_and_below_transactional_id", STRING).until(3),
            field("v3_and_below_producer_id", I64).until(3),
            field("v3_and_below_producer_epoch", I16).until(3),
            field(
                "v3_and_below_topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field("partitions", list(&I32)),
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
        &[
            field("transactional_id", STRING),
            field("producer_id", I64),
            field("producer_epoch", I16),
            field("group_id", STRING),
        ],
    ),
    shape(
        26,
        "EndTxn",
        0,
        5,
        3,
        &[
            field("transactional_id", STRING),
            field("producer_id", I64),
            field("producer_epoch", I16),
            field("committed", BOOL),
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
                field("producer_epoch", I16),
                field("transaction_result", BOOL),
                field(
                    "topics",
                    Kind::Array(&Kind::Struct(&[
                        field("name", STRING),
                        field("partition_indexes", list(&I32)),
                    ])),
                ),
                field("coordinator_epoch", I32),
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
            field("transactional_id", STRING),
            field("group_id", STRING),
            field("producer_id", I64),
            field("producer_epoch", I16),
            field("generation_id", I32).since(3),
            field("member_id", STRING).since(3),
            field("group_instance_id", STRING).since(3).nullable(3),
            field(
                "topics",
                Kind::Array(&Kind::Struct(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        Kind::Array(&Kind::Struct(&[
                            field("partition_index", I32),
                            field("committed_offset", I64),
                            field("committed_leader_epoch", I32).since(2),
                            field("committed_metadata", STRING).nullable(0),
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
        &[field(
            "topics",
            Kind::Array(&Kind::Struct(&[
                field("name", STRING),
                field("partition_indexes", list(&I32)),
            ])),
        )],
    ),
    shape(
        65,
        "DescribeTransactions",
        0,
        0,
        0,
        &[field("transactional_ids", list(&STRING))],
    ),
    shape(
        66,
        "ListTransactions",
        0,
        2,
        0,
        &[
            field("state_filters", list(&STRING)),
            field("producer_id_filters", list(&I64)),
            field("duration_filter", I64).since(1),
            field("transactional_id_pattern", STRING)
                .since(2)
                .nullable(2),
        ],
    ),
    shape(
        67,
        "AllocateProducerIds",
        0,
        0,
        0,
        &[field("broker_id", I32), field("broker_epoch", I64)],
    ),
];
