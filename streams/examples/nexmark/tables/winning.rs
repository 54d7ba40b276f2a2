//! What queries 4 and 9 have in common: the bid that wins an auction.

use std::cmp::Reverse;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_streams::time::JoinWindows;
use tidemark_streams::{StreamsBuilder, Table, json_data};

use crate::events::{self, Arrived, Auction, Bid};
use crate::generator::LONGEST_AUCTION;
use crate::query;

/// An auction with a bid.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) auction: Auction,
    pub(super) bid: Bid,
}

json_data!(Offer);

/// Auctions with their best bids so far: the highest, and of equal ones the earliest, among those
/// that were made while the auction was open.
pub(super) fn best(builder: &StreamsBuilder) -> Table<i64, Offer> {
    let open =
        JoinWindows::within(Duration::ZERO).after(Duration::from_millis(LONGEST_AUCTION as u64));
    let offers = query::auctions(builder).join(
        &query::bids(builder),
        |auction, bid| Offer {
            auction: auction.clone(),
            bid: bid.clone(),
        },
        open,
    );
    offers
        .filter(|_, offer| offer.bid.date_time <= offer.auction.expires)
        .group_by_key()
        .reduce(|best, other| {
            if rank(&other.bid) < rank(&best.bid) {
                other
            } else {
                best
            }
        })
}

/// The best bid has the smallest rank. Bids of the same price and time are put in some order, so that
/// it does not matter which one comes first.
fn rank(bid: &Bid) -> (Reverse<i64>, i64, &Bid) {
    (Reverse(bid.price), bid.date_time, bid)
}

/// The same by looking at all bids for each auction.
pub(super) fn model(events: &[Arrived]) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for auction in events::auctions(events) {
        let mut best: Option<&Bid> = None;
        for bid in events::bids(events) {
            let open = auction.date_time <= bid.date_time && bid.date_time <= auction.expires;
            if bid.auction != auction.id || !open {
                continue;
            }
            let better = match best {
                None => true,
                Some(best) if bid.price != best.price => bid.price > best.price,
                Some(best) if bid.date_time != best.date_time => bid.date_time < best.date_time,
                Some(best) => bid < best,
            };
            if better {
                best = Some(bid);
            }
        }
        offers.extend(best.map(|bid| Offer {
            auction: auction.clone(),
            bid: bid.clone(),
        }));
    }
    offers
}
