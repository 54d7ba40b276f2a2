//! `tidemark`: one binary. Without a subcommand it starts the broker; the other commands are clients
//! of any Kafka cluster.

mod cluster;
mod completions;
mod consume;
mod failure;
mod group;
mod output;
mod process;
mod produce;
mod remote;
mod serve;
mod time;
mod topic;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka-compatible log broker, and a command line for Kafka clusters.
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
    /// Creates, lists, describes, alters and deletes topics.
    Topic(topic::Arguments),
    /// Lists, describes, resets and deletes consumer groups.
    Group(group::Arguments),
    /// Writes records: lines, JSON or files.
    Produce(produce::Arguments),
    /// Reads records.
    Consume(consume::Arguments),
    /// Makes snapshots of views.
    Batch(view::batch::Arguments),
    /// Compares snapshots and answers of views with the log.
    Verify(view::verify::Arguments),
    /// Describes the cluster.
    Cluster(cluster::Arguments),
    /// Writes a script that completes commands and options in a shell.
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    process::save_memory();
    let arguments = Arguments::parse();
    match arguments
        .command
        .unwrap_or(Command::Serve(serve::Arguments::default()))
    {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Topic(arguments) => topic::run(arguments),
        Command::Group(arguments) => group::run(arguments),
        Command::Produce(arguments) => produce::run(arguments),
        Command::Consume(arguments) => consume::run(arguments),
        Command::Batch(arguments) => view::batch::run(arguments),
        Command::Verify(arguments) => view::verify::run(arguments),
        Command::Cluster(arguments) => cluster::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
