//! How far a long command has come, on a terminal.

use std::fmt::Write;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tidemark_client::Clock;

/// Counts, and tells of it in a line: records, bytes, how many in a second, and how much of the input
/// that is. Hidden where nobody looks.
pub(super) struct Progress {
    bar: ProgressBar,
    clock: Clock,
    started: u64,
    records: u64,
    bytes: u64,
    /// Bytes of the input, if that is known.
    total: Option<u64>,
}

impl Progress {
    /// Shows itself on standard error if that is a terminal, unless it is to be quiet.
    pub(super) fn start(quiet: bool, total: Option<u64>) -> Self {
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        let clock = Clock::system();
        Self {
            bar,
            started: clock.now().millis,
            clock,
            records: 0,
            bytes: 0,
            total,
        }
    }

    /// A record of so many bytes has been taken.
    pub(super) fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    /// Bytes of all records so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Shows it; so much of the input has been read.
    pub(super) fn show(&self, read: u64) {
        if !self.bar.is_hidden() {
            let millis = self.clock.now().millis.saturating_sub(self.started);
            self.bar.set_message(self.text(read, millis));
            self.bar.tick();
        }
    }

    fn text(&self, read: u64, millis: u64) -> String {
        let rate = |count: u64| count.saturating_mul(1000) / millis.max(1);
        let mut text = format!(
            "{} records, {}, {} records/s, {}/s",
            HumanCount(self.records),
            HumanBytes(self.bytes),
            HumanCount(rate(self.records)),
            HumanBytes(rate(self.bytes)),
        );
        if let Some(total) = self.total.filter(|total| *total > 0) {
            // A file may have grown since.
            let share = read
                .saturating_mul(100)
                .checked_div(total)
                .unwrap_or(0)
                .min(100);
            let _ = write!(text, ", {share}%");
        }
        text
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        let check = |total, read, expected: &str| {
            let mut progress = Progress::start(true, total);
            for _ in 0..3000 {
                progress.add(1024);
            }
            assert_eq!(progress.text(read, 2000), expected);
        };
        let known = "3,000 records, 2.93 MiB, 1,500 records/s, 1.46 MiB/s";
        check(None, 99, known);
        check(Some(0), 0, known);
        check(Some(6_000_000), 3_000_000, &format!("{known}, 50%"));
        check(Some(100), 300, &format!("{known}, 100%"));
    }
}
