//! Query 18: the last bid of each person for each auction.

use tidemark_streams::{Json, StreamsBuilder, StreamsError, Topology};

use crate::events::{self, Arrived, Bid};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q18",
    rows: Rows::LastOfKey,
    topology,
    model,
    clockless: None,
};

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder)
        .group_by(|auction, bid| Json((bid.bidder, *auction)))
        .reduce(|last, other| {
            // Of two at the same time either will do, as long as it is always the same.
            let time = |bid: &Bid| (bid.date_time, bid.clone());
            if time(&other) > time(&last) {
                other
            } else {
                last
            }
        })
        .values()
        .to("nexmark_q18");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut bids: Vec<_> = events::bids(events).collect();
    bids.sort_by_key(|bid| (bid.bidder, bid.auction, bid.date_time, *bid));
    let mut rows = Vec::new();
    for (at, bid) in bids.iter().enumerate() {
        let next = bids.get(at + 1);
        let last = next.is_none_or(|next| (next.bidder, next.auction) != (bid.bidder, bid.auction));
        if last {
            rows.push(query::row(bid));
        }
    }
    rows
}
