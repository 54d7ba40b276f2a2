//! `tidemark`: one binary. Without a subcommand it starts the broker.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka-compatible log broker.
///
/// Without a command it starts the broker: listener 127.0.0.1:9092, data in ./tidemark-data, HTTP
/// on 127.0.0.1:9644.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the broker (the default).
    Serve(serve::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments
        .command
        .unwrap_or(Command::Serve(serve::Arguments::default()))
    {
        Command::Serve(arguments) => serve::run(&arguments),
    }
}
