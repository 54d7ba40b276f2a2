//! Where a record's event time is from.

use std::sync::Arc;

type Field<K, V> = Arc<dyn Fn(&K, &V) -> Option<i64> + Send + Sync>;

/// Where a record's event time is from (Kafka: `TimestampExtractor`).
pub enum TimestampExtractor<K, V> {
    /// The timestamp of the record (Kafka: `FailOnInvalidTimestamp`). A record without one is a bad
    /// one.
    Record,
    /// A field of the payload. `None` makes the record a bad one.
    Field(Field<K, V>),
    /// When it is read, by the wall clock (Kafka: `WallclockTimestampExtractor`). What is read again
    /// after a crash has another time.
    Ingestion,
}

impl<K, V> Clone for TimestampExtractor<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Record => Self::Record,
            Self::Field(field) => Self::Field(Arc::clone(field)),
            Self::Ingestion => Self::Ingestion,
        }
    }
}

impl<K, V> TimestampExtractor<K, V> {
    /// A record's event time, or why it has none.
    #[inline]
    pub(crate) fn extract(
        &self,
        key: &K,
        value: &V,
        timestamp: i64,
        wall: i64,
    ) -> Result<i64, String> {
        match self {
            // Kafka has -1 for none; a record cannot be from the last millisecond of 1969.
            Self::Record if timestamp == -1 => Err("it has no timestamp".to_owned()),
            Self::Record => Ok(timestamp),
            Self::Field(field) => {
                field(key, value).ok_or_else(|| "it has no time in its payload".to_owned())
            }
            Self::Ingestion => Ok(wall),
        }
    }
}
