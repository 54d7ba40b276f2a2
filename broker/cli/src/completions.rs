//! `tidemark completions`.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Options of `tidemark completions`.
///
/// For bash: `tidemark completions bash > ~/.local/share/bash-completion/completions/tidemark`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut script = Vec::new();
    let mut command = crate::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "tidemark", &mut script);
    // A closed standard output is no reason to fail.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
