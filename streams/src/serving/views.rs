//! Views that are there already: those of the events of users, and of words.

mod user_totals;
mod word_count;

pub use user_totals::{UserEvent, UserTotals, user_totals};
pub use word_count::{word_count, words};
