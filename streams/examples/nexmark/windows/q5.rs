//! Query 5: hot items. Which auctions had the most bids in the last ten seconds, every two seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Fold, Json, StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q5",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

const SIZE: i64 = 10_000;
const ADVANCE: i64 = 2_000;

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    auction: i64,
    num: i64,
    start: i64,
    end: i64,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let advance = Duration::from_millis(ADVANCE as u64);
    let hops = TimeWindows::hopping(Duration::from_millis(SIZE as u64), advance);
    let counts = query::bids(&builder)
        .group_by_key()
        .windowed_by(hops)
        .count();
    counts
        .values()
        .map(|key, num| {
            let row = Row {
                auction: key.key,
                num,
                start: key.window.start,
                end: key.window.end,
            };
            (row.end, row)
        })
        .group_by_key()
        // Counts carry the last millisecond of their windows, so this one has those of one window.
        .windowed_by(TimeWindows::tumbling(advance))
        .aggregate(Fold::new(|| Json(Vec::new()), keep_most))
        .values()
        .flat_map_values(|Json(most)| most)
        .to("nexmark_q5");
    builder.build()
}

/// Puts a row to the ones that have the largest number, if it has that number.
fn keep_most(_end: &i64, row: Row, most: &mut Json<Vec<Row>>) {
    let before = most.first().map_or(0, |row| row.num);
    if row.num > before {
        most.clear();
    }
    if row.num >= before {
        most.push(row);
    }
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut ends = BTreeSet::new();
    for bid in events::bids(events) {
        let mut end = (bid.date_time / ADVANCE + 1) * ADVANCE;
        while end <= bid.date_time + SIZE {
            ends.insert(end);
            end += ADVANCE;
        }
    }
    let mut times: Vec<_> = events::bids(events)
        .map(|bid| (bid.date_time, bid.auction))
        .collect();
    times.sort_unstable();
    let mut rows = Vec::new();
    for end in ends {
        let mut counts = BTreeMap::new();
        let from = times.partition_point(|(time, _)| *time < end - SIZE);
        for (time, auction) in &times[from..] {
            if *time < end {
                *counts.entry(*auction).or_insert(0) += 1;
            } else {
                break;
            }
        }
        let most = counts.values().copied().max();
        for (auction, num) in counts {
            if Some(num) == most {
                let start = end - SIZE;
                rows.push(query::row(&Row {
                    auction,
                    num,
                    start,
                    end,
                }));
            }
        }
    }
    rows
}
