//! Makes events: the same ones for the same seed.
//!
//! Of 50 events one is a person, three are auctions and 46 are bids. Half of the bids are for one hot
//! auction, three quarters of auctions and bids come from hot people; both move on by a hundred at a
//! time. Some sellers and some auctions of bids only come into being a little later. Event time goes
//! up evenly; events arrive up to [`DISORDER`] out of its order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::events::{Auction, Bid, Event, Person};

/// How much out of order events arrive at most, in milliseconds.
pub(crate) const DISORDER: i64 = 3_000;
/// How long an auction runs at most, in milliseconds.
pub(crate) const LONGEST_AUCTION: i64 = 60 * 60 * 1_000;

const FIRST_ID: i64 = 1_000;
const FIRST_CATEGORY: i64 = 10;
const CATEGORIES: u64 = 5;
const AUCTIONS_IN_FLIGHT: i64 = 100;
const ACTIVE_PEOPLE: i64 = 1_000;
/// How far ahead of what is there ids are drawn.
const LEAD: i64 = 10;
const HOT: i64 = 100;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) seed: u64,
    pub(crate) events: u64,
    /// When the first event happens: in milliseconds since 1970 (UTC).
    pub(crate) first: i64,
    /// How many microseconds of event time lie between two events.
    pub(crate) gap: i64,
}

impl Default for Config {
    /// Ten thousand events a second, from shortly before a midnight on.
    fn default() -> Self {
        Self {
            seed: 1,
            events: 100_000,
            first: 1_436_918_400_000 - 20_000,
            gap: 100,
        }
    }
}

/// The events in the order in which they arrive.
pub(crate) struct Generator {
    config: Config,
    next: u64,
    /// Events that have not arrived yet: when they do, on the scale of event time, and their numbers.
    under_way: BinaryHeap<Reverse<(i64, u64)>>,
}

impl Generator {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            next: 0,
            under_way: BinaryHeap::new(),
        }
    }
}

impl Iterator for Generator {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.next < self.config.events {
            let happens = time(&self.config, self.next);
            let first = self.under_way.peek();
            if first.is_some_and(|Reverse((arrives, _))| *arrives < happens) {
                break;
            }
            let mut dice = Dice::new(self.config.seed ^ 0x6a09_e667, self.next);
            let arrives = happens + dice.below(DISORDER as u64);
            self.under_way.push(Reverse((arrives, self.next)));
            self.next += 1;
        }
        let Reverse((_, number)) = self.under_way.pop()?;
        Some(event(&self.config, number))
    }
}

/// When an event happens.
fn time(config: &Config, number: u64) -> i64 {
    config.first + number as i64 * config.gap / 1_000
}

/// The event of that number.
fn event(config: &Config, number: u64) -> Event {
    let mut dice = Dice::new(config.seed, number);
    let date_time = time(config, number);
    let (round, at) = ((number / 50) as i64, (number % 50) as i64);
    // How many people and auctions there are before this event.
    let people = round + i64::from(at > 0);
    let auctions = round * 3 + (at - 1).clamp(0, 3);
    match at {
        0 => Event::Person(person(&mut dice, people, date_time)),
        1..=3 => {
            // Half of the auctions end before as much more is put up as is up for sale at a time.
            let ahead = AUCTIONS_IN_FLIGHT as u64 * 50 / 3;
            let horizon = 2 * (time(config, number + ahead) - date_time);
            let longest = horizon.clamp(1, LONGEST_AUCTION);
            let expires = date_time + 1 + dice.below(longest as u64);
            let initial_bid = dice.price();
            Event::Auction(Auction {
                id: FIRST_ID + auctions,
                item: dice.word(20),
                initial_bid,
                reserve: initial_bid + dice.price(),
                date_time,
                expires,
                seller: somebody(&mut dice, people),
                category: FIRST_CATEGORY + dice.below(CATEGORIES),
            })
        }
        _ => {
            let auction = if dice.below(2) == 0 {
                (auctions - 1) / HOT * HOT
            } else {
                let first = (auctions - AUCTIONS_IN_FLIGHT).max(0);
                first + dice.below((auctions + LEAD - first) as u64)
            };
            let (channel, url) = channel(&mut dice);
            Event::Bid(Bid {
                auction: FIRST_ID + auction,
                bidder: somebody(&mut dice, people),
                price: dice.price(),
                channel,
                url,
                date_time,
                extra: dice.word(40),
            })
        }
    }
}

fn person(dice: &mut Dice, number: i64, date_time: i64) -> Person {
    const FIRST: [&str; 6] = ["Ada", "Bela", "Cleo", "Dora", "Emil", "Fritz"];
    const LAST: [&str; 6] = ["Adler", "Bach", "Conti", "Duval", "Eames", "Fisk"];
    const PLACES: [(&str, &str); 8] = [
        ("Phoenix", "AZ"),
        ("Los Angeles", "CA"),
        ("San Francisco", "CA"),
        ("Boise", "ID"),
        ("Portland", "OR"),
        ("Bend", "OR"),
        ("Seattle", "WA"),
        ("Cheyenne", "WY"),
    ];
    let (first, last) = (dice.one_of(&FIRST), dice.one_of(&LAST));
    let (city, state) = dice.one_of(&PLACES);
    Person {
        id: FIRST_ID + number,
        name: format!("{first} {last}"),
        email: format!("{}@{}.com", dice.word(7), dice.word(5)),
        city: city.to_owned(),
        state: state.to_owned(),
        date_time,
    }
}

/// A seller or a bidder, given how many people there are.
fn somebody(dice: &mut Dice, people: i64) -> i64 {
    if dice.below(4) > 0 {
        return FIRST_ID + (people - 1) / HOT * HOT;
    }
    let active = people.min(ACTIVE_PEOPLE);
    FIRST_ID + people - active + dice.below((active + LEAD) as u64)
}

fn channel(dice: &mut Dice) -> (String, String) {
    const HOT: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
    let name = if dice.below(2) == 0 {
        dice.one_of(&HOT).to_owned()
    } else {
        format!("channel-{}", dice.below(10_000))
    };
    let url = format!("https://www.nexmark.com/{}/item.htm?query=1", dice.word(5));
    (name, url)
}

/// Chance of one event (SplitMix64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        Self(dice.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound` - 1.
    fn below(&mut self, bound: u64) -> i64 {
        (self.next() % bound.max(1)) as i64
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// From 100 to 100,000,000 cents, small ones as likely as large ones.
    fn price(&mut self) -> i64 {
        let magnitude = 10_i64.pow(self.below(6) as u32);
        100 * magnitude + self.below(900 * magnitude as u64)
    }

    fn word(&mut self, longest: u64) -> String {
        let length = 3 + self.below(longest - 2);
        let letters = (0..length).map(|_| (b'a' + self.below(26) as u8) as char);
        letters.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_and_disorder_are_as_promised() {
        let config = Config {
            events: 5_000,
            gap: 40_000,
            ..Config::default()
        };
        let events: Vec<_> = Generator::new(config).collect();
        assert_eq!(events, Generator::new(config).collect::<Vec<_>>());
        let count = |kind: fn(&Event) -> bool| events.iter().filter(|event| kind(event)).count();
        assert_eq!(count(|event| matches!(event, Event::Person(_))), 100);
        assert_eq!(count(|event| matches!(event, Event::Auction(_))), 300);
        assert_eq!(count(|event| matches!(event, Event::Bid(_))), 4_600);
        let mut latest = i64::MIN;
        let mut behind = 0;
        for event in &events {
            latest = latest.max(event.date_time());
            behind = behind.max(latest - event.date_time());
            if let Event::Auction(auction) = event {
                let length = auction.expires - auction.date_time;
                assert!((1..=LONGEST_AUCTION).contains(&length));
            }
        }
        assert!(behind > DISORDER / 2 && behind < DISORDER);
    }
}
