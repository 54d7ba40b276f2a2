//! Where a record is.

/// The place of a record in a view's source topics, and its time: no two records of a view have the same
/// place. Places are in the order of time; at one time in that of topics, partitions and offsets. That
/// order is the same whoever reads the records, and in whatever order they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Event time in milliseconds since 1970.
    pub time: i64,
    /// The topic, by its number among the view's topics.
    pub topic: u32,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}
