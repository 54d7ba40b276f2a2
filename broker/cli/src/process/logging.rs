//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that says which lines are written (`debug`, `tidemark_broker=trace`).
pub(crate) const VARIABLE: &str = "TIDEMARK_LOG";

/// Writes log lines from now on; without [`VARIABLE`] those of level `default`.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
