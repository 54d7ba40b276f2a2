//! Query 4: what auctions of each category end with on average.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_streams::{Fold, Json, StreamsBuilder, StreamsError, Topology, json_data};

use super::winning;
use crate::events::Arrived;
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q4",
    rows: Rows::LastOfKey,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    category: i64,
    average: i64,
}

json_data!(Row);

/// How many prices there are, and their sum.
type Prices = (i64, i64);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    // A better bid takes the place of the one before it: that is subtracted.
    winning::best(&builder)
        .group_by(|_, offer| (offer.auction.category, offer.bid.price))
        .aggregate(
            Fold::new(
                || Json((0, 0)),
                |_, price: i64, prices: &mut Json<Prices>| {
                    prices.0.0 += 1;
                    prices.0.1 += price;
                },
            ),
            |_, price, prices| {
                if let Some(Json((count, sum))) = prices {
                    *count -= 1;
                    *sum -= price;
                }
            },
        )
        .values()
        .flat_map(|category, Json((count, sum))| {
            let average = sum.checked_div(count);
            average.map(|average| (category, Row { category, average }))
        })
        .to("nexmark_q4");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut prices: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for offer in winning::model(events) {
        let category = offer.auction.category;
        prices.entry(category).or_default().push(offer.bid.price);
    }
    let mut rows = Vec::new();
    for (category, prices) in prices {
        let average = prices.iter().sum::<i64>() / prices.len() as i64;
        rows.push(query::row(&Row { category, average }));
    }
    rows
}
