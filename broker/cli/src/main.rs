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
    save_memory();
    let arguments = Arguments::parse();
    match arguments
        .command
        .unwrap_or(Command::Serve(serve::Arguments::default()))
    {
        Command::Serve(arguments) => serve::run(&arguments),
    }
}

/// Asks the kernel for no huge pages: the allocator would have 2 MiB of them for every thread, most
/// of which an idle broker never touches. A kernel that refuses costs memory and nothing else.
fn save_memory() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
