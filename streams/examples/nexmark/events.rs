//! The events of an auction house: who people are, what they put up for auction, what others bid.

use serde::{Deserialize, Serialize};
use tidemark_streams::json_data;

/// Somebody has signed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) city: String,
    pub(crate) state: String,
    /// In milliseconds since 1970 (UTC), as all times are.
    pub(crate) date_time: i64,
}

/// Something is for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Auction {
    pub(crate) id: i64,
    pub(crate) item: String,
    pub(crate) initial_bid: i64,
    pub(crate) reserve: i64,
    pub(crate) date_time: i64,
    /// The last millisecond at which a bid counts.
    pub(crate) expires: i64,
    pub(crate) seller: i64,
    pub(crate) category: i64,
}

/// Somebody has made an offer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Bid {
    pub(crate) auction: i64,
    pub(crate) bidder: i64,
    /// In cents.
    pub(crate) price: i64,
    pub(crate) channel: String,
    pub(crate) url: String,
    pub(crate) date_time: i64,
    pub(crate) extra: String,
}

json_data!(Person, Auction, Bid);

/// One event of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

impl Event {
    /// When it happened.
    pub(crate) fn date_time(&self) -> i64 {
        match self {
            Self::Person(person) => person.date_time,
            Self::Auction(auction) => auction.date_time,
            Self::Bid(bid) => bid.date_time,
        }
    }
}

/// An event as it is in its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) event: Event,
    /// What the clock said when it was read: only query 12 asks.
    pub(crate) clock: i64,
}

/// The bids among events, in the order of arrival.
pub(crate) fn bids(events: &[Arrived]) -> impl Iterator<Item = &Bid> {
    events.iter().filter_map(|arrived| match &arrived.event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}

/// The auctions among events.
pub(crate) fn auctions(events: &[Arrived]) -> impl Iterator<Item = &Auction> {
    events.iter().filter_map(|arrived| match &arrived.event {
        Event::Auction(auction) => Some(auction),
        _ => None,
    })
}

/// The people among events.
pub(crate) fn people(events: &[Arrived]) -> impl Iterator<Item = &Person> {
    events.iter().filter_map(|arrived| match &arrived.event {
        Event::Person(person) => Some(person),
        _ => None,
    })
}
