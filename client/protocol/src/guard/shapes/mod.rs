//! The table of request shapes: every request that the codec crate can decode.
//!
//! The shapes follow the message schemas of Apache Kafka, cut to the versions of the codec crate.
//! A test holds them against the crate's own encoder for every key and version.

use super::shape::Shape;

mod admin;
mod data;
mod groups;
mod quorum;
mod transactions;

/// One more than the highest key.
pub(super) const KEYS: usize = 93;

static BY_KEY: [Option<&Shape>; KEYS] = index(&[
    data::ALL,
    groups::ALL,
    transactions::ALL,
    admin::ALL,
    quorum::ALL,
]);

/// The shape of the request with this key, `None` if there is no such request.
#[must_use]
pub fn find(key: i16) -> Option<&'static Shape> {
    *BY_KEY.get(usize::try_from(key).ok()?)?
}

/// All shapes, by ascending key.
pub fn all() -> impl Iterator<Item = &'static Shape> {
    BY_KEY.iter().copied().flatten()
}

/// The shapes of all rooms, each at its key.
pub(super) const fn index(rooms: &'static [&'static [Shape]]) -> [Option<&'static Shape>; KEYS] {
    let mut table = [None; KEYS];
    let mut room = 0;
    while room < rooms.len() {
        let mut at = 0;
        while at < rooms[room].len() {
            let shape = &rooms[room][at];
            assert!(
                table[shape.key as usize].is_none(),
                "a key stands in the table twice"
            );
            table[shape.key as usize] = Some(shape);
            at += 1;
        }
        room += 1;
    }
    table
}
