//! Runs a query without a cluster.

use std::time::Duration;

use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::{Data, Record, StreamsError};

use crate::events::{Arrived, Event};
use crate::query::{AUCTIONS, BIDS, PEOPLE, Query};

/// How a query is run.
pub(crate) struct Run {
    pub(crate) chunk: usize,
    pub(crate) partitions: u32,
    /// How many events come before the query is run again; by the clock a second passes.
    pub(crate) together: usize,
    /// Before which event it is stopped and started again.
    pub(crate) restart_at: usize,
}

impl Run {
    /// The rows that a query gives, sorted. Sets the events' clocks.
    pub(crate) fn rows(
        &self,
        query: &Query,
        events: &mut [Arrived],
    ) -> Result<Vec<String>, StreamsError> {
        let config = DriverConfig {
            chunk: self.chunk,
            ..DriverConfig::default()
        };
        let mut driver = TestDriver::with_config(&(query.topology)()?, config);
        for topic in [PEOPLE, AUCTIONS, BIDS, &query.output()] {
            driver.partitions(topic, self.partitions);
        }
        let mut clock = 0;
        for (number, arrived) in events.iter_mut().enumerate() {
            if number % self.together == 0 {
                driver.run()?;
                driver.advance_wall(Duration::from_secs(1))?;
                clock += 1_000;
            }
            if number == self.restart_at {
                driver.run()?;
                driver.restart()?;
            }
            arrived.clock = clock;
            feed(&mut driver, &arrived.event)?;
        }
        driver.run()?;
        driver.advance_watermark(i64::MAX)?;
        let partitions = driver.bytes(&query.output());
        let records = partitions.iter().flatten();
        let records = records.map(|(key, value, _)| (key.as_deref(), value.as_deref()));
        Ok(query.rows.of(records))
    }
}

fn feed(driver: &mut TestDriver, event: &Event) -> Result<(), StreamsError> {
    fn to<V: Data>(
        driver: &mut TestDriver,
        topic: &str,
        key: i64,
        value: &V,
        time: i64,
    ) -> Result<(), StreamsError> {
        driver.feed(topic, &Record::new(key, value.clone(), time))
    }
    let time = event.date_time();
    match event {
        Event::Person(person) => to(driver, PEOPLE, person.id, person, time),
        Event::Auction(auction) => to(driver, AUCTIONS, auction.id, auction, time),
        Event::Bid(bid) => to(driver, BIDS, bid.auction, bid, time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::differences;
    use crate::generator::{Config, Generator};

    fn arrived(seed: u64, gap: i64) -> Vec<Arrived> {
        let config = Config {
            seed,
            events: 4_000,
            gap,
            ..Config::default()
        };
        let arrived = |event| Arrived { event, clock: 0 };
        Generator::new(config).map(arrived).collect()
    }

    /// Runs a query as it is run and compares its rows with the model's.
    fn check(name: &str) {
        let query = crate::query(name).unwrap();
        let mut some = false;
        for (seed, gap) in [(1, 5_000), (2, 40_000), (3, 500_000), (4, 20_000_000)] {
            let mut events = arrived(seed, gap);
            for (chunk, partitions) in [(1, 1), (1024, 1), (1, 3), (1024, 3)] {
                let run = Run {
                    chunk,
                    partitions,
                    together: 150,
                    restart_at: 1_975,
                };
                let rows = run.rows(query, &mut events).unwrap();
                let mut expected = (query.model)(&events);
                expected.sort_unstable();
                some |= !rows.is_empty();
                let different = differences(&rows, &expected);
                assert!(
                    different.is_empty(),
                    "{name}, seed {seed}, chunks of {chunk}, {partitions} partitions:\n{different}"
                );
            }
        }
        assert!(some, "{name} has no results");
    }

    macro_rules! queries {
        ($($name:ident)*) => {$(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*};
    }

    queries!(q0 q1 q2 q3 q4 q5 q7 q8 q9 q11 q12 q14 q17 q18 q19 q20);
}
