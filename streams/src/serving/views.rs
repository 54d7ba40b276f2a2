//! Views that are there already: those of the events of users, and of words.

mod user_totals;
mod word_count;

pub use user_totals::{Given, UserEvent, UserTotals, UserWindow, user_totals, user_windows};
pub use word_count::{word_count, words};
