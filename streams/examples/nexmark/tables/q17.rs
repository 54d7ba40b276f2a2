//! Query 17: figures of each auction and day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_streams::{Json, StreamsBuilder, StreamsError, Topology, Update, json_data};

use crate::events::{self, Arrived, Bid};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q17",
    rows: Rows::LastOfKey,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    auction: i64,
    /// Days since 1970.
    day: i64,
    total_bids: i64,
    /// Bids below 10,000, from there to below 1,000,000, and the others.
    rank_bids: [i64; 3],
    min_price: i64,
    max_price: i64,
    avg_price: i64,
    sum_price: i64,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder)
        .group_by(|auction, bid| Json((*auction, day(bid))))
        .aggregate(Update::new(add))
        .values()
        .to("nexmark_q17");
    builder.build()
}

fn day(bid: &Bid) -> i64 {
    bid.date_time.div_euclid(24 * 60 * 60 * 1_000)
}

fn add(key: &Json<(i64, i64)>, bid: Bid, row: &mut Option<Row>) {
    let Json((auction, day)) = *key;
    let row = row.get_or_insert(Row {
        auction,
        day,
        total_bids: 0,
        rank_bids: [0; 3],
        min_price: i64::MAX,
        max_price: i64::MIN,
        avg_price: 0,
        sum_price: 0,
    });
    row.total_bids += 1;
    let rank = usize::from(bid.price >= 10_000) + usize::from(bid.price >= 1_000_000);
    row.rank_bids[rank] += 1;
    row.min_price = row.min_price.min(bid.price);
    row.max_price = row.max_price.max(bid.price);
    row.sum_price += bid.price;
    row.avg_price = row.sum_price / row.total_bids;
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut prices: BTreeMap<(i64, i64), Vec<i64>> = BTreeMap::new();
    for bid in events::bids(events) {
        let group = (bid.auction, bid.date_time / 86_400_000);
        prices.entry(group).or_default().push(bid.price);
    }
    let mut rows = Vec::new();
    for ((auction, day), mut prices) in prices {
        prices.sort_unstable();
        let count = |from: i64, below: i64| {
            let within = prices.iter().filter(|price| (from..below).contains(price));
            within.count() as i64
        };
        let sum_price: i64 = prices.iter().sum();
        rows.push(query::row(&Row {
            auction,
            day,
            total_bids: prices.len() as i64,
            rank_bids: [
                count(0, 10_000),
                count(10_000, 1_000_000),
                count(1_000_000, i64::MAX),
            ],
            min_price: prices[0],
            max_price: prices[prices.len() - 1],
            avg_price: sum_price / prices.len() as i64,
            sum_price,
        }));
    }
    rows
}
