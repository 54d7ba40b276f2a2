//! Nexmark: queries over the events of an auction house, as they are used to compare stream
//! processors.
//!
//! `cargo run --release -p tidemark-streams --example nexmark -- --query q5 --until-caught-up`
//!
//! fills topics with events, runs a query until it has caught up, and says how many results there
//! are. It does so with a broker of its own, or with the cluster at `--bootstrap`; there, events that
//! a run before it has written are used again, and results come behind those that are there. `--check` works the results out by plain loops, too,
//! and compares them: for queries 4, 9 and 20 that takes long with many events. Without
//! `--until-caught-up` the query goes on with whatever else comes, until Ctrl-C.
//!
//! Queries 6, 10, 13, 15, 16, 21, 22 and 23 are not there. Averages are whole numbers, as in SQL;
//! prices in euros are whole cents.

mod check;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod generator;
#[cfg(test)]
mod in_memory;
mod query;
mod stateless;
mod tables;
mod windows;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::cluster::Cluster;
use crate::common::{Common, Failure};
use crate::events::Arrived;
use crate::generator::{Config, Generator};
use crate::query::Query;

const QUERIES: [Query; 16] = [
    stateless::q0::QUERY,
    stateless::q1::QUERY,
    stateless::q2::QUERY,
    tables::q3::QUERY,
    tables::q4::QUERY,
    windows::q5::QUERY,
    windows::q7::QUERY,
    windows::q8::QUERY,
    tables::q9::QUERY,
    windows::q11::QUERY,
    windows::q12::QUERY,
    stateless::q14::QUERY,
    tables::q17::QUERY,
    tables::q18::QUERY,
    tables::q19::QUERY,
    tables::q20::QUERY,
];

/// The query of that name.
fn query(name: &str) -> Option<&'static Query> {
    static ALL: [Query; 16] = QUERIES;
    ALL.iter().find(|query| query.name == name)
}

/// Runs a query of the Nexmark benchmark.
#[derive(Parser)]
#[command(name = "nexmark")]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Which query.
    #[arg(long, value_name = "QUERY", value_parser = PossibleValuesParser::new(QUERIES.map(|query| query.name)))]
    query: String,
    /// How many events there are.
    #[arg(long, value_name = "N", default_value_t = Config::default().events)]
    events: u64,
    /// Which ones.
    #[arg(long, value_name = "N", default_value_t = Config::default().seed)]
    seed: u64,
    /// How many microseconds of event time lie between two of them.
    #[arg(long, value_name = "N", default_value_t = Config::default().gap)]
    gap: i64,
    /// How many partitions topics have that are made.
    #[arg(long, value_name = "N", default_value_t = 1)]
    partitions: i32,
    /// Compares the results with those of plain loops.
    #[arg(long, requires = "until_caught_up")]
    check: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let query = query(&options.query).ok_or("there is no such query")?;
    let place = common::Cluster::of(&options.common).await?;
    let outcome = measure(&options, query, &place).await;
    place.end().await?;
    outcome
}

async fn measure(options: &Options, query: &Query, place: &common::Cluster) -> Result<(), Failure> {
    let config = Config {
        events: options.events,
        seed: options.seed,
        gap: options.gap,
        ..Config::default()
    };
    let cluster = Cluster::new(place.bootstrap(), options.partitions)?;
    cluster.fill(Generator::new(config)).await?;
    let outcome = cluster.run(query, &options.common, place).await?;
    let (name, given, millis) = (query.name, outcome.given, outcome.millis);
    let (written, rows) = (outcome.written, outcome.rows.len());
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{name}: {given} events, {rows} results in {written} records, {millis} ms"
    )?;
    if !options.check {
        return Ok(());
    }
    if given != config.events as i64 {
        let events = config.events;
        return Err(format!("the topics have {given} events, not {events}").into());
    }
    let arrived = |event| Arrived { event, clock: 0 };
    let events: Vec<_> = Generator::new(config).map(arrived).collect();
    let mut expected = (query.model)(&events);
    expected.sort_unstable();
    let rows = match query.clockless {
        Some(clockless) => clockless(outcome.rows),
        None => outcome.rows,
    };
    let different = check::differences(&rows, &expected);
    if !different.is_empty() {
        let hint = "are there events of another --seed or --gap in the topics?";
        return Err(format!("{different}\n{hint}").into());
    }
    writeln!(out, "the results are those of plain loops")?;
    Ok(())
}
