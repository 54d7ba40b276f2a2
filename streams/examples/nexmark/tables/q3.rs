//! Query 3: who sells things of category 10 in Oregon, Idaho and California.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_streams::{Fold, Json, StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q3",
    rows: Rows::LastOfKey,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    name: String,
    city: String,
    state: String,
    auction: i64,
}

json_data!(Row);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let people = query::people(&builder)
        .filter(|_, person| matches!(person.state.as_str(), "OR" | "ID" | "CA"))
        .to_table();
    // Either side may come first, so both are tables.
    let sold = query::auctions(&builder)
        .filter(|_, auction| auction.category == 10)
        .group_by(|_, auction| auction.seller)
        .aggregate(Fold::new(
            || Json(Vec::new()),
            |_, auction: events::Auction, sold: &mut Json<Vec<i64>>| sold.push(auction.id),
        ));
    people
        .join(&sold, |person, sold| {
            let row = |auction: &i64| Row {
                name: person.name.clone(),
                city: person.city.clone(),
                state: person.state.clone(),
                auction: *auction,
            };
            Json(sold.iter().map(row).collect::<Vec<_>>())
        })
        .values()
        .flat_map(|_, Json(rows)| {
            let keyed = rows.into_iter().map(|row| (row.auction, row));
            keyed.collect::<Vec<_>>()
        })
        .to("nexmark_q3");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let people: BTreeMap<_, _> = events::people(events)
        .map(|person| (person.id, person))
        .collect();
    let mut rows = Vec::new();
    for auction in events::auctions(events) {
        let Some(person) = people.get(&auction.seller) else {
            continue;
        };
        let there = ["OR", "ID", "CA"].contains(&person.state.as_str());
        if auction.category == 10 && there {
            rows.push(query::row(&Row {
                name: person.name.clone(),
                city: person.city.clone(),
                state: person.state.clone(),
                auction: auction.id,
            }));
        }
    }
    rows
}
