//! Nexmark: queries over the events of an auction house, as they are used to compare stream
//! processors.
//!
//! `cargo run --release -p tidemark-streams --example nexmark -- --query q5 [--events N] [--check]`
//! runs a query in memory and says how many results it has. `--check` works them out by plain loops
//! as well, and compares.
//!
//! Queries 6, 10, 13, 15, 16, 21, 22 and 23 are not there. Averages are whole numbers, as in SQL;
//! prices in euros are whole cents.

mod check;
mod events;
mod generator;
mod in_memory;
mod query;
mod stateless;
mod tables;
mod windows;

use std::error::Error;
use std::io::Write;

use crate::events::Arrived;
use crate::generator::{Config, Generator};
use crate::in_memory::Run;
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

/// What the command line says.
struct Options {
    query: &'static Query,
    config: Config,
    check: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (mut name, mut config, mut check) = (None, Config::default(), false);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--query" => name = Some(value()?),
            "--events" => config.events = value()?.parse()?,
            "--seed" => config.seed = value()?.parse()?,
            "--check" => check = true,
            _ => return Err(format!("there is no option {arg}").into()),
        }
    }
    let names = QUERIES.map(|query| query.name).join(", ");
    let found = name.as_deref().and_then(query);
    let query = found.ok_or(format!("--query needs one of {names}"))?;
    Ok(Options {
        query,
        config,
        check,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options {
        query,
        config,
        check,
    } = options()?;
    let mut out = std::io::stdout();
    let arrived = |event| Arrived { event, clock: 0 };
    let mut events: Vec<_> = Generator::new(config).map(arrived).collect();
    let run = Run {
        chunk: 1024,
        partitions: 1,
        together: 10_000,
        restart_at: usize::MAX,
    };
    let rows = run.rows(query, &mut events)?;
    let (name, given) = (query.name, events.len());
    writeln!(out, "{name}: {given} events, {} results", rows.len())?;
    if check {
        let mut expected = (query.model)(&events);
        expected.sort_unstable();
        let different = check::differences(&rows, &expected);
        if !different.is_empty() {
            return Err(different.into());
        }
        writeln!(out, "all of them are as expected")?;
    }
    Ok(())
}
