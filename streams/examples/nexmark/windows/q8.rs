//! Query 8: people who have put something up for auction within the same ten seconds in which they
//! have signed up.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::TimeWindows;
use tidemark_streams::{Contribution, Json, StreamsBuilder, StreamsError, Topology, json_data};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q8",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    id: i64,
    name: String,
    start: i64,
}

json_data!(Row);

/// What has been heard of somebody in a window: the name, if they have signed up, and whether they
/// sell something.
type Heard = (Option<String>, bool);

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let people = query::people(&builder).group_by_key();
    let sellers = query::auctions(&builder).group_by(|_, auction| auction.seller);
    people
        .cogroup(|_, person, heard: &mut Json<Heard>| heard.0.0 = Some(person.name))
        .and(&sellers, |_, _, heard| heard.0.1 = true)
        .windowed_by(TimeWindows::tumbling(Duration::from_secs(10)))
        .aggregate(Contribution::fold(|| Json((None, false))))
        .values()
        .flat_map(|key, Json((name, sells))| {
            let (id, start) = (key.key, key.window.start);
            let name = name.filter(|_| sells);
            name.map(|name| (id, Row { id, name, start }))
        })
        .to("nexmark_q8");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    let mut sellers = BTreeSet::new();
    for auction in events::auctions(events) {
        sellers.insert((auction.seller, auction.date_time / 10_000));
    }
    let mut rows = Vec::new();
    for person in events::people(events) {
        let window = person.date_time / 10_000;
        if sellers.contains(&(person.id, window)) {
            rows.push(query::row(&Row {
                id: person.id,
                name: person.name.clone(),
                start: window * 10_000,
            }));
        }
    }
    rows
}
