//! Bad days: connections that break, brokers that refuse, answers that never come.

mod cuts;
mod half_open;
mod reading;
mod refusals;
mod restarts;
mod truncation;
mod two_brokers;
