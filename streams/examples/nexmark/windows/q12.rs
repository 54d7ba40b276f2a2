//! Query 12: how many bids people make in every ten seconds by the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Consumed, StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{Arrived, Bid, Event};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q12",
    rows: Rows::Every,
    topology,
    model,
    clockless: Some(without_clock),
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    bidder: i64,
    bid_count: i64,
    start: i64,
    end: i64,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::<i64, Bid>::new().ingestion_time();
    let counts = builder
        .stream_with([query::BIDS], consumed)
        .group_by(|_, bid| bid.bidder)
        .windowed_by(TimeWindows::tumbling(Duration::from_secs(10)))
        .count();
    counts
        .values()
        .map(|key, bid_count| {
            let row = Row {
                bidder: key.key,
                bid_count,
                start: key.window.start,
                end: key.window.end,
            };
            (row.bidder, row)
        })
        .to("nexmark_q12");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for arrived in events {
        if let Event::Bid(bid) = &arrived.event {
            let window = arrived.clock / 10_000;
            *counts.entry((bid.bidder, window)).or_insert(0) += 1;
        }
    }
    let row = |((bidder, window), bid_count)| {
        query::row(&Row {
            bidder,
            bid_count,
            start: window * 10_000,
            end: window * 10_000 + 10_000,
        })
    };
    counts.into_iter().map(row).collect()
}

/// The counts of all windows together, as if all bids had come in the first one.
fn without_clock(rows: Vec<String>) -> Vec<String> {
    let mut counts = BTreeMap::new();
    let mut other = Vec::new();
    for row in rows {
        match serde_json::from_str::<Row>(&row) {
            Ok(row) => *counts.entry(row.bidder).or_insert(0) += row.bid_count,
            Err(_) => other.push(row),
        }
    }
    other.extend(counts.into_iter().map(|(bidder, bid_count)| {
        query::row(&Row {
            bidder,
            bid_count,
            start: 0,
            end: 10_000,
        })
    }));
    other.sort_unstable();
    other
}
