//! Nexmark: queries over the events of an auction house, as they are used to compare stream
//! processors.
//!
//! `cargo run --release -p tidemark-streams --example nexmark -- --query q5`
//!
//! fills topics with events, runs a query until it has caught up, and says how many results there
//! are. It does so with a broker of its own, or with the cluster at `--bootstrap`; there, events that
//! a run before it has written are used again. `--check` works the results out by plain loops, too,
//! and compares them: for queries 4, 9 and 20 that takes long with many events.
//!
//! Queries 6, 10, 13, 15, 16, 21, 22 and 23 are not there. Averages are whole numbers, as in SQL;
//! prices in euros are whole cents.

mod check;
mod cluster;
mod events;
mod generator;
#[cfg(test)]
mod in_memory;
mod query;
mod stateless;
mod tables;
mod windows;

use std::error::Error;
use std::io::Write;

use crate::cluster::Cluster;
use crate::events::Arrived;
use crate::generator::{Config, Generator};
use crate::query::Query;

/// Whatever goes wrong.
type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "\
usage: nexmark --query QUERY [options]

  --events N            how many events there are (100000)
  --seed N              which ones (1)
  --gap N               how many microseconds of event time lie between two of them (100)
  --partitions N        how many partitions topics have that are made (1)
  --bootstrap HOST:PORT the cluster; without it there is a broker in this process
  --until-caught-up     ends when all is processed, which it does anyway
  --check               compares the results with those of plain loops

queries: ";

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

/// What the command line says.
struct Options {
    query: &'static Query,
    config: Config,
    partitions: i32,
    bootstrap: Option<String>,
    check: bool,
}

fn options() -> Result<Options, Failure> {
    let mut args = std::env::args().skip(1);
    let mut name = String::new();
    let (mut config, mut partitions) = (Config::default(), 1);
    let (mut bootstrap, mut check) = (None, false);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--query" => name = value()?,
            "--events" => config.events = value()?.parse()?,
            "--seed" => config.seed = value()?.parse()?,
            "--gap" => config.gap = value()?.parse()?,
            "--partitions" => partitions = value()?.parse()?,
            "--bootstrap" => bootstrap = Some(value()?),
            "--until-caught-up" => {}
            "--check" => check = true,
            _ => return Err(usage().into()),
        }
    }
    Ok(Options {
        query: query(&name).ok_or_else(usage)?,
        config,
        partitions,
        bootstrap,
        check,
    })
}

fn usage() -> String {
    USAGE.to_owned() + &QUERIES.map(|query| query.name).join(" ")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = match options() {
        Ok(options) => options,
        Err(wrong) => {
            writeln!(std::io::stderr(), "{wrong}")?;
            std::process::exit(2);
        }
    };
    let Some(bootstrap) = &options.bootstrap else {
        let broker = cluster::embedded().await?;
        run(&options, &broker.bootstrap()).await?;
        broker.shutdown().await?;
        return Ok(());
    };
    run(&options, bootstrap).await
}

async fn run(options: &Options, bootstrap: &str) -> Result<(), Failure> {
    let Options { query, config, .. } = options;
    let cluster = Cluster::new(bootstrap, options.partitions)?;
    cluster.fill(Generator::new(*config)).await?;
    let outcome = cluster.run(query).await?;
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
    let events: Vec<_> = Generator::new(*config).map(arrived).collect();
    let mut expected = (query.model)(&events);
    expected.sort_unstable();
    let rows = match query.clockless {
        Some(clockless) => clockless(outcome.rows),
        None => outcome.rows,
    };
    let different = check::differences(&rows, &expected);
    if !different.is_empty() {
        return Err(different.into());
    }
    writeln!(out, "the results are those of plain loops")?;
    Ok(())
}
