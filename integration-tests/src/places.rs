//! A view for proofs: which records each key has. Where it is right, every view is.

use bytes::Bytes;
use tidemark_streams::Record;
use tidemark_streams::serving::aggregate::{PlaceCount, Places};
use tidemark_streams::serving::{Aggregate, Keyed, View};

/// The view's name.
pub const NAME: &str = "places";

/// The places of the records of a topic, by their keys.
pub fn places(
    topic: &str,
) -> View<String, impl Aggregate<Event = (), Value = Vec<PlaceCount>> + use<>> {
    View::new(NAME, 1, Places::<()>::new()).source(topic, |record: Record<String, Bytes>| {
        [Keyed::new(record.key, ())]
    })
}
