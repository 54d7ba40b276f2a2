//! How a topic is read.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::data::Data;
use crate::operator::source::{Decode, OnBadRecord};
use crate::record::Record;
use crate::time::{FieldTime, GenerateWatermarks, IngestionTime, RecordTime, WatermarkStrategy};

/// How a topic is read (Kafka: `Consumed`).
pub struct Consumed<K, V> {
    pub(crate) decode: Arc<dyn Decode<K, V>>,
    /// Whether event time is that of the clock.
    pub(crate) by_clock: bool,
    pub(crate) watermarks: WatermarkStrategy<K, V>,
    pub(crate) on_bad_record: OnBadRecord,
    pub(crate) bounds: (i64, i64),
    /// Makes watermarks that records carry themselves, given how many tasks write the topic.
    pub(crate) carried: Option<Carried<K, V>>,
    pub(crate) partitioned_by: Option<Arc<str>>,
}

pub(crate) type Carried<K, V> = fn(usize) -> Box<dyn GenerateWatermarks<K, V>>;

impl<K: Data, V: Data> Consumed<K, V> {
    /// The records' own timestamps, whatever they are, watermarks right behind them, and a stop at
    /// the first bad record.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decode: Arc::new(RecordTime),
            by_clock: false,
            watermarks: WatermarkStrategy::BoundedOutOfOrderness(Duration::ZERO),
            on_bad_record: OnBadRecord::Fail,
            bounds: (i64::MIN, i64::MAX),
            carried: None,
            partitioned_by: None,
        }
    }

    /// Reads records by offsets, decoded by whoever goes on with them.
    pub(crate) fn undecoded(decode: Arc<dyn Decode<K, V>>) -> Self {
        Self {
            decode,
            by_clock: true,
            ..Self::new()
        }
    }

    /// Event time is a field of the payload, in milliseconds since 1970 (UTC). Records for which it
    /// gives `None` are bad ones.
    #[must_use]
    pub fn timestamp(
        mut self,
        field: impl Fn(&K, &V) -> Option<i64> + Send + Sync + 'static,
    ) -> Self {
        (self.decode, self.by_clock) = (Arc::new(FieldTime(field)), false);
        self
    }

    /// Event time is the wall clock when a record is read.
    #[must_use]
    pub fn ingestion_time(mut self) -> Self {
        (self.decode, self.by_clock) = (Arc::new(IngestionTime), true);
        self
    }

    /// Records come at most so much out of order: the watermark stays so far behind the largest
    /// timestamp.
    #[must_use]
    pub fn watermark_delay(self, bound: Duration) -> Self {
        self.watermarks(WatermarkStrategy::BoundedOutOfOrderness(bound))
    }

    /// Certain records tell the watermark: `punctuated` gives it, or `None` for the others (Flink: a
    /// `WatermarkGenerator` that emits in `onEvent`). It counts behind its record, and one that goes
    /// back is ignored.
    #[must_use]
    pub fn punctuated(
        self,
        punctuated: impl Fn(&Record<K, V>) -> Option<i64> + Send + Sync + 'static,
    ) -> Self {
        self.watermarks(WatermarkStrategy::punctuated(punctuated))
    }

    /// How watermarks follow from records.
    #[must_use]
    pub fn watermarks(mut self, strategy: WatermarkStrategy<K, V>) -> Self {
        self.watermarks = strategy;
        self
    }

    /// What is done with records that do not decode, have no time, or one out of bounds. Default:
    /// the application stops.
    #[must_use]
    pub fn on_bad_record(mut self, policy: OnBadRecord) -> Self {
        self.on_bad_record = policy;
        self
    }

    /// Says that records were partitioned by a partitioner of that name, as in
    /// [`crate::Produced::partitioner`], and not by Kafka's own one. Topics that are joined have to
    /// be partitioned in the same way.
    #[must_use]
    pub fn partitioned_by(mut self, name: &str) -> Self {
        self.partitioned_by = Some(name.into());
        self
    }

    /// The event times that make sense, in milliseconds since 1970 (UTC). Others make a record a bad
    /// one: one from the far future would close every window there is. Default: all.
    #[must_use]
    pub fn timestamp_bounds(mut self, bounds: RangeInclusive<i64>) -> Self {
        self.bounds = bounds.into_inner();
        self
    }
}

impl<K: Data, V: Data> Default for Consumed<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
