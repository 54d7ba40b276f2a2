//! How far a batch run or a comparison is, on a terminal.

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tidemark_streams::serving::BatchProgress;

/// A bar with offsets that have been read, of how many, and states that have been written. Hidden where
/// nobody looks.
pub(super) struct Progress {
    bar: ProgressBar,
    /// It has been said that a run is taken up.
    said: AtomicBool,
}

impl Progress {
    /// Shows itself on standard error if that is a terminal, unless it is to be quiet.
    pub(super) fn start(quiet: bool) -> Self {
        let template =
            "{wide_bar} {percent}%  {human_pos}/{human_len} offsets, {per_sec}, {msg}  {elapsed}";
        Self {
            bar: bar(quiet, || ProgressBar::new(0), template),
            said: AtomicBool::new(false),
        }
    }

    /// Shows how far it is.
    pub(super) fn show(&self, progress: &BatchProgress) {
        if let Some(offsets) = progress.taken_up
            && !self.said.swap(true, Ordering::Relaxed)
        {
            self.bar.println(taken_up(offsets));
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.read);
        let states = HumanCount(progress.states);
        self.bar.set_message(format!("{states} states written"));
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Says on a terminal that something is being done.
pub(super) struct Waiting(ProgressBar);

impl Waiting {
    pub(super) fn start(quiet: bool, what: &str) -> Self {
        let bar = bar(
            quiet,
            ProgressBar::new_spinner,
            "{spinner} {msg}  {elapsed}",
        );
        let waiting = Self(bar);
        waiting.say(what.to_owned());
        waiting
    }

    pub(super) fn say(&self, what: String) {
        self.0.set_message(what);
        self.0.tick();
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Shows nothing if it is to be quiet.
fn bar(quiet: bool, shown: impl FnOnce() -> ProgressBar, template: &str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    match ProgressStyle::with_template(template) {
        Ok(style) => shown().with_style(style),
        Err(_) => shown(),
    }
}

/// That a run goes on where one was killed.
pub(super) fn taken_up(offsets: u64) -> String {
    let offsets = HumanCount(offsets);
    format!("a run that was not done is taken up again: it had read {offsets} offsets")
}
