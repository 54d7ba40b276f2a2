//! Query 14: bids of a certain size in euros, with the time of the day in words and how often the
//! letter c is in their text.

use serde::{Deserialize, Serialize};
use tidemark_streams::{StreamsBuilder, StreamsError, Topology, json_data};

use super::q1::in_euros;
use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q14",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    auction: i64,
    bidder: i64,
    price: i64,
    bid_time_type: String,
    date_time: i64,
    extra: String,
    c_counts: usize,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder)
        .filter(|_, bid| {
            let thousandths = bid.price * 908;
            thousandths > 1_000_000_000 && thousandths < 50_000_000_000
        })
        .map_values(|bid| Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price: in_euros(bid.price),
            bid_time_type: time_type(bid.date_time).to_owned(),
            date_time: bid.date_time,
            c_counts: bid.extra.matches('c').count(),
            extra: bid.extra,
        })
        .to("nexmark_q14");
    builder.build()
}

fn time_type(date_time: i64) -> &'static str {
    match date_time.div_euclid(60 * 60 * 1_000).rem_euclid(24) {
        8..=18 => "dayTime",
        0..=6 | 20..=23 => "nightTime",
        _ => "otherTime",
    }
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut rows = Vec::new();
    for bid in events::bids(events) {
        // 1,000,000 and 50,000,000 divided by 0.908.
        if bid.price < 1_101_322 || bid.price > 55_066_079 {
            continue;
        }
        let hours = bid.date_time / 3_600_000;
        let hour = hours - hours / 24 * 24;
        let mut bid_time_type = "nightTime";
        if hour == 7 || hour == 19 {
            bid_time_type = "otherTime";
        }
        if hour > 7 && hour < 19 {
            bid_time_type = "dayTime";
        }
        let mut c_counts = 0;
        for letter in bid.extra.chars() {
            if letter == 'c' {
                c_counts += 1;
            }
        }
        rows.push(query::row(&Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price * 227 / 250,
            bid_time_type: bid_time_type.to_owned(),
            date_time: bid.date_time,
            extra: bid.extra.clone(),
            c_counts,
        }));
    }
    rows
}
