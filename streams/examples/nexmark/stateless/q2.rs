//! Query 2: the bids for certain auctions, those whose ids are multiples of 123.

use serde::{Deserialize, Serialize};
use tidemark_streams::{StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q2",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    auction: i64,
    price: i64,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder)
        .filter(|auction, _| auction % 123 == 0)
        .map_values(|bid| Row {
            auction: bid.auction,
            price: bid.price,
        })
        .to("nexmark_q2");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut rows = Vec::new();
    for bid in events::bids(events) {
        if bid.auction / 123 * 123 == bid.auction {
            let (auction, price) = (bid.auction, bid.price);
            rows.push(query::row(&Row { auction, price }));
        }
    }
    rows
}
