//! Query 1: every bid with its price in euros.

use tidemark_streams::{StreamsBuilder, StreamsError, Topology};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q1",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder)
        .map_values(|mut bid| {
            bid.price = in_euros(bid.price);
            bid
        })
        .to("nexmark_q1");
    builder.build()
}

/// A dollar is 0.908 euros; what is less than a cent is lost.
pub(super) fn in_euros(price: i64) -> i64 {
    price * 908 / 1_000
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut rows = Vec::new();
    for bid in events::bids(events) {
        let mut bid = bid.clone();
        bid.price -= (bid.price * 92 + 999) / 1_000;
        rows.push(query::row(&bid));
    }
    rows
}
