//! Query 7: the highest bids of every ten seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Fold, Json, StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q7",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    auction: i64,
    price: i64,
    bidder: i64,
    date_time: i64,
    extra: String,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::tumbling(Duration::from_secs(10));
    // The highest of each auction first: that is done in parallel, and little is left to compare.
    let of_auctions = query::bids(&builder)
        .map_values(|bid| Row {
            auction: bid.auction,
            price: bid.price,
            bidder: bid.bidder,
            date_time: bid.date_time,
            extra: bid.extra,
        })
        .group_by_key()
        .windowed_by(windows)
        .aggregate(Fold::new(
            || Json(Vec::new()),
            |_, row, highest: &mut Json<Vec<Row>>| keep_highest(row, &mut highest.0),
        ));
    of_auctions
        .values()
        .map(|key, highest| (key.window.end, highest))
        .group_by_key()
        .windowed_by(windows)
        .aggregate(Fold::new(
            || Json(Vec::new()),
            |_, Json(rows): Json<Vec<Row>>, highest: &mut Json<Vec<Row>>| {
                for row in rows {
                    keep_highest(row, &mut highest.0);
                }
            },
        ))
        .values()
        .flat_map_values(|Json(highest)| highest)
        .to("nexmark_q7");
    builder.build()
}

/// Puts a bid to the highest ones, if it is as high as they are.
fn keep_highest(row: Row, highest: &mut Vec<Row>) {
    let before = highest.first().map_or(i64::MIN, |row| row.price);
    if row.price > before {
        highest.clear();
    }
    if row.price >= before {
        highest.push(row);
    }
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut highest = BTreeMap::new();
    for bid in events::bids(events) {
        let price = highest.entry(bid.date_time / 10_000).or_insert(0);
        *price = bid.price.max(*price);
    }
    let mut rows = Vec::new();
    for bid in events::bids(events) {
        if highest[&(bid.date_time / 10_000)] == bid.price {
            rows.push(query::row(&Row {
                auction: bid.auction,
                price: bid.price,
                bidder: bid.bidder,
                date_time: bid.date_time,
                extra: bid.extra.clone(),
            }));
        }
    }
    rows
}
