//! `tidemark group`.

mod delete;
mod describe;
mod list;
mod reset;

use std::process::ExitCode;

use crate::remote::{self, Remote};

/// Options of `tidemark group`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists groups.
    List(list::Arguments),
    /// Shows members, offsets and lag of groups.
    Describe(describe::Arguments),
    /// Moves a group without members to other offsets.
    ResetOffsets(reset::Arguments),
    /// Deletes groups without members, with their offsets, without asking.
    Delete(delete::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    remote::run(&arguments.remote, |admin| async move {
        match arguments.command {
            Command::List(arguments) => list::run(&admin, arguments).await,
            Command::Describe(arguments) => describe::run(&admin, arguments).await,
            Command::ResetOffsets(arguments) => reset::run(&admin, arguments).await,
            Command::Delete(arguments) => delete::run(&admin, arguments).await,
        }
    })
}
