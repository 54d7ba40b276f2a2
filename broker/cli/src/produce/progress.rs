//! How far a long command has come, on a terminal.

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// A line that tells how many records and bytes there have been. Hidden where nobody looks.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows itself on standard error if that is a terminal, unless it is to be quiet.
    pub(crate) fn start(quiet: bool) -> Self {
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// So far.
    pub(crate) fn at(&self, records: u64, bytes: u64) {
        if !self.bar.is_hidden() {
            let records = HumanCount(records);
            self.bar
                .set_message(format!("{records} records, {}", HumanBytes(bytes)));
            self.bar.tick();
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
