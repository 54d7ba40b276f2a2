//! `tidemark topic`.

mod alter;
mod create;
mod delete;
mod describe;
mod list;

use std::process::ExitCode;

use crate::remote::{self, Remote};

/// Options of `tidemark topic`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Creates topics.
    Create(create::Arguments),
    /// Lists all topics.
    List(list::Arguments),
    /// Shows partitions, offsets and configs of topics.
    Describe(describe::Arguments),
    /// Changes the configs or the number of partitions of a topic.
    Alter(alter::Arguments),
    /// Deletes topics with all their records, without asking.
    Delete(delete::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    remote::run(&arguments.remote, |admin| async move {
        match arguments.command {
            Command::Create(arguments) => create::run(&admin, arguments).await,
            Command::List(arguments) => list::run(&admin, arguments).await,
            Command::Describe(arguments) => describe::run(&admin, arguments).await,
            Command::Alter(arguments) => alter::run(&admin, arguments).await,
            Command::Delete(arguments) => delete::run(&admin, arguments).await,
        }
    })
}
