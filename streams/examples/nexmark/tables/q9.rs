//! Query 9: the auctions with the bids that win them.

use tidemark_streams::{StreamsBuilder, StreamsError, Topology};

use super::winning;
use crate::events::Arrived;
use crate::query::{self, Query, Rows};

pub(crate) const QUERY: Query = Query {
    name: "q9",
    rows: Rows::LastOfKey,
    topology,
    model,
    clockless: None,
};

fn topology() -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    winning::best(&builder).values().to("nexmark_q9");
    builder.build()
}

fn model(events: &[Arrived]) -> Vec<String> {
    winning::model(events).iter().map(query::row).collect()
}
