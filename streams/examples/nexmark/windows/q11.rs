//! Query 11: how many bids people make in a session, which is over after ten seconds without one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::SessionWindows;
use tidemark_streams::{StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q11",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    bidder: i64,
    bid_count: i64,
    first: i64,
    last: i64,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let sessions = query::bids(&builder)
        .group_by(|_, bid| bid.bidder)
        .windowed_by_session(SessionWindows::with_gap(Duration::from_secs(10)))
        .count();
    sessions
        .values()
        .map(|key, bid_count| {
            let row = Row {
                bidder: key.key,
                bid_count,
                first: key.window.start,
                last: key.window.end,
            };
            (row.bidder, row)
        })
        .to("nexmark_q11");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut times: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for bid in events::bids(events) {
        times.entry(bid.bidder).or_default().push(bid.date_time);
    }
    let mut sessions: Vec<Row> = Vec::new();
    for (bidder, mut times) in times {
        times.sort_unstable();
        let begun = sessions.len();
        for time in times {
            match sessions[begun..].last_mut() {
                Some(session) if time - session.last <= 10_000 => {
                    session.last = time;
                    session.bid_count += 1;
                }
                _ => sessions.push(Row {
                    bidder,
                    bid_count: 1,
                    first: time,
                    last: time,
                }),
            }
        }
    }
    sessions.iter().map(query::row).collect()
}
