//! Where a record's event time is from.

/// Where a record's event time is from (Kafka: `TimestampExtractor`).
pub(crate) trait TimestampExtractor<K, V>: Send + Sync + 'static {
    /// A record's event time, or why it has none. `timestamp` is the record's own, `wall` the clock's.
    fn extract(&self, key: &K, value: &V, timestamp: i64, wall: i64) -> Result<i64, String>;
}

/// The timestamp of the record (Kafka: `FailOnInvalidTimestamp`). A record without one is a bad one.
pub(crate) struct RecordTime;

impl<K, V> TimestampExtractor<K, V> for RecordTime {
    #[inline]
    fn extract(&self, _key: &K, _value: &V, timestamp: i64, _wall: i64) -> Result<i64, String> {
        // Kafka has -1 for none; a record cannot be from the last millisecond of 1969.
        if timestamp == -1 {
            return Err("it has no timestamp".to_owned());
        }
        Ok(timestamp)
    }
}

/// A field of the payload. `None` makes the record a bad one.
pub(crate) struct FieldTime<F>(pub(crate) F);

impl<K, V, F> TimestampExtractor<K, V> for FieldTime<F>
where
    F: Fn(&K, &V) -> Option<i64> + Send + Sync + 'static,
{
    #[inline]
    fn extract(&self, key: &K, value: &V, _timestamp: i64, _wall: i64) -> Result<i64, String> {
        (self.0)(key, value).ok_or_else(|| "it has no time in its payload".to_owned())
    }
}

/// When it is read, by the wall clock (Kafka: `WallclockTimestampExtractor`). What is read again after
/// a crash has another time.
pub(crate) struct IngestionTime;

impl<K, V> TimestampExtractor<K, V> for IngestionTime {
    #[inline]
    fn extract(&self, _key: &K, _value: &V, _timestamp: i64, wall: i64) -> Result<i64, String> {
        Ok(wall)
    }
}
