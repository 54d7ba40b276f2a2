//! Query 20: bids with their auctions, where those are of category 10. A bid finds the auction that
//! is there at its own time: one that is put up later is none of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::EventTime;
use tidemark_streams::{StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived, Auction, Bid};
use crate::generator::DISORDER;
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q20",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    bid: Bid,
    auction: Auction,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let auctions = query::auctions(&builder)
        .filter(|_, auction| auction.category == 10)
        .to_table()
        .versioned(Duration::from_millis(DISORDER as u64));
    query::bids(&builder)
        .in_order(Duration::ZERO, EventTime::Watermark)
        .join_table(&auctions, |bid, auction| Row {
            bid: bid.clone(),
            auction: auction.clone(),
        })
        .to("nexmark_q20");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut rows = Vec::new();
    for auction in events::auctions(events) {
        if auction.category != 10 {
            continue;
        }
        for bid in events::bids(events) {
            if bid.auction == auction.id && bid.date_time >= auction.date_time {
                rows.push(query::row(&Row {
                    bid: bid.clone(),
                    auction: auction.clone(),
                }));
            }
        }
    }
    rows
}
