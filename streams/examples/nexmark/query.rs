//! What a query is, and what its topology reads.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tidemark_streams::{Consumed, Data, Stream, StreamsBuilder, StreamsError, Topology};

use crate::events::{Arrived, Auction, Bid, Person};
use crate::generator::DISORDER;

/// The topics of events; their keys are the ids of people and auctions.
pub(crate) const PEOPLE: &str = "nexmark_person";
pub(crate) const AUCTIONS: &str = "nexmark_auction";
pub(crate) const BIDS: &str = "nexmark_bid";

/// A query: a topology, and the same result worked out of a list of events by plain loops.
pub(crate) struct Query {
    /// It writes to the topic `nexmark_<name>`.
    pub(crate) name: &'static str,
    pub(crate) rows: Rows,
    pub(crate) topology: fn() -> Result<Topology, StreamsError>,
    /// The rows that the topic has to have, in any order, as JSON.
    pub(crate) model: fn(&[Arrived]) -> Vec<String>,
    /// What is compared when event time is the clock's: rows as they would be if all had come at 0.
    pub(crate) clockless: Option<fn(Vec<String>) -> Vec<String>>,
}

/// Which records of a topic are rows of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// All.
    Every,
    /// The last one of each key, if it is not null.
    LastOfKey,
}

impl Query {
    pub(crate) fn output(&self) -> String {
        format!("nexmark_{}", self.name)
    }
}

impl Rows {
    /// The rows of a topic, sorted, given the keys and values of its partitions.
    pub(crate) fn of<'a>(
        self,
        records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
    ) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut rows: Vec<String> = match self {
            Self::Every => {
                let values = records.into_iter().filter_map(|(_, value)| value);
                values.map(text).collect()
            }
            Self::LastOfKey => {
                let last: BTreeMap<_, _> = records.into_iter().collect();
                last.into_values().flatten().map(text).collect()
            }
        };
        rows.sort_unstable();
        rows
    }
}

/// A row of a model.
pub(crate) fn row<T: Serialize>(row: &T) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

/// How events are read: by the time in them, which is out of order by so much.
pub(crate) fn by_event_time<V: Data>(
    time: impl Fn(&V) -> i64 + Send + Sync + 'static,
) -> Consumed<i64, V> {
    Consumed::new()
        .timestamp(move |_, event| Some(time(event)))
        .watermark_delay(Duration::from_millis(DISORDER as u64))
}

pub(crate) fn people(builder: &StreamsBuilder) -> Stream<i64, Person> {
    let consumed = by_event_time(|person: &Person| person.date_time);
    builder.stream_with([PEOPLE], consumed)
}

pub(crate) fn auctions(builder: &StreamsBuilder) -> Stream<i64, Auction> {
    let consumed = by_event_time(|auction: &Auction| auction.date_time);
    builder.stream_with([AUCTIONS], consumed)
}

pub(crate) fn bids(builder: &StreamsBuilder) -> Stream<i64, Bid> {
    builder.stream_with([BIDS], by_event_time(|bid: &Bid| bid.date_time))
}
