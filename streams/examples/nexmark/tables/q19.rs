//! Query 19: the ten highest bids of each auction. One record has all of them: they would change
//! places as ten records.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tidemark_streams::{Fold, Json, StreamsBuilder, StreamsError, Topology};

use crate::events::{self, Arrived, Bid};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q19",
    rows: Rows::LastOfKey,
    topology,
    model,
    clockless: None,
};

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder)
        .group_by_key()
        .aggregate(Fold::new(
            || Json(Vec::new()),
            |_, bid: Bid, top: &mut Json<Vec<Bid>>| {
                let rank = |bid: &Bid| (Reverse(bid.price), bid.clone());
                let own = rank(&bid);
                let place = top.partition_point(|other| rank(other) < own);
                top.insert(place, bid);
                top.truncate(10);
            },
        ))
        .values()
        .to("nexmark_q19");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut of_auctions: BTreeMap<i64, Vec<&Bid>> = BTreeMap::new();
    for bid in events::bids(events) {
        of_auctions.entry(bid.auction).or_default().push(bid);
    }
    let mut rows = Vec::new();
    for bids in of_auctions.values_mut() {
        bids.sort();
        bids.sort_by_key(|bid| -bid.price);
        rows.push(query::row(&bids[..bids.len().min(10)].to_vec()));
    }
    rows
}
