//! Query 0: every bid as it is. What reading and writing costs.

use tidemark_streams::{StreamsBuilder, StreamsError, Topology};

use crate::events::{self, Arrived};
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q0",
    rows: Rows::Every,
    topology,
    model,
    clockless: None,
};

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    query::bids(&builder).to("nexmark_q0");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    events::bids(events).map(query::row).collect()
}
