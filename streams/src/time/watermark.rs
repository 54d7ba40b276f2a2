//! Watermarks: how far event time has come in one source partition.

use std::sync::Arc;
use std::time::Duration;

use super::windows::millis;
use crate::record::Record;

type Punctuated<K, V> = Arc<dyn Fn(&Record<K, V>) -> Option<i64> + Send + Sync>;
type Custom<K, V> = Arc<dyn Fn() -> Box<dyn GenerateWatermarks<K, V>> + Send + Sync>;

/// How the watermark of a source partition follows from its records (Flink: `WatermarkStrategy`). A
/// watermark w says: no more records with timestamps up to w are expected.
pub enum WatermarkStrategy<K, V> {
    /// The largest timestamp so far, less a bound, less one millisecond: records come at most so
    /// much out of order.
    BoundedOutOfOrderness(Duration),
    /// What certain records say.
    Punctuated(Punctuated<K, V>),
    /// Whatever a generator says.
    Custom(Custom<K, V>),
}

impl<K, V> Clone for WatermarkStrategy<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::BoundedOutOfOrderness(bound) => Self::BoundedOutOfOrderness(*bound),
            Self::Punctuated(punctuated) => Self::Punctuated(Arc::clone(punctuated)),
            Self::Custom(custom) => Self::Custom(Arc::clone(custom)),
        }
    }
}

/// A generator of the application's own. It is made anew for every partition, and again after a
/// restart: then [`Self::restore`] tells how far the partition had come.
pub trait GenerateWatermarks<K, V>: Send {
    /// The watermark in front of this record, if the record itself tells it. Default: nothing new.
    fn in_front(&mut self, record: &Record<K, V>) -> i64 {
        let _ = record;
        i64::MIN
    }

    /// The watermark behind this record; one that goes back is ignored.
    fn observe(&mut self, record: &Record<K, V>) -> i64;

    /// The watermark that was kept with the last commit.
    fn restore(&mut self, watermark: i64);

    /// What each task that writes the topic had told, where records tell it.
    #[doc(hidden)]
    fn restore_writers(&mut self, told: &[((u32, u32), i64, bool)]) {
        let _ = told;
    }

    /// Whether there is nothing to wait for: for repartition topics, whose writers say so.
    #[doc(hidden)]
    fn is_idle(&self) -> bool {
        false
    }
}

impl<K, V> WatermarkStrategy<K, V> {
    /// A generator of whatever kind.
    pub(crate) fn custom(generator: Box<dyn GenerateWatermarks<K, V>>) -> WatermarkGenerator<K, V> {
        WatermarkGenerator {
            kind: Kind::Custom(generator),
            watermark: i64::MIN,
        }
    }

    pub(crate) fn generator(&self) -> WatermarkGenerator<K, V> {
        let kind = match self {
            Self::BoundedOutOfOrderness(bound) => Kind::Bounded(millis(*bound)),
            Self::Punctuated(punctuated) => Kind::Punctuated(Arc::clone(punctuated)),
            Self::Custom(custom) => Kind::Custom(custom()),
        };
        WatermarkGenerator {
            kind,
            watermark: i64::MIN,
        }
    }
}

/// The watermark of one partition. It never goes back.
pub(crate) struct WatermarkGenerator<K, V> {
    kind: Kind<K, V>,
    watermark: i64,
}

enum Kind<K, V> {
    Bounded(i64),
    Punctuated(Punctuated<K, V>),
    Custom(Box<dyn GenerateWatermarks<K, V>>),
}

impl<K, V> WatermarkGenerator<K, V> {
    /// The watermark in front of a record, where records tell it.
    #[inline]
    pub(crate) fn in_front(&mut self, record: &Record<K, V>) -> Option<i64> {
        let Kind::Custom(custom) = &mut self.kind else {
            return None;
        };
        self.watermark = self.watermark.max(custom.in_front(record));
        Some(self.watermark)
    }

    /// The watermark behind a record.
    #[inline]
    pub(crate) fn observe(&mut self, record: &Record<K, V>) -> i64 {
        let said = match &mut self.kind {
            Kind::Bounded(bound) => record.timestamp.saturating_sub(*bound).saturating_sub(1),
            Kind::Punctuated(punctuated) => punctuated(record).unwrap_or(i64::MIN),
            Kind::Custom(custom) => custom.observe(record),
        };
        self.watermark = self.watermark.max(said);
        self.watermark
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(crate) fn is_idle(&self) -> bool {
        match &self.kind {
            Kind::Custom(custom) => custom.is_idle(),
            _ => false,
        }
    }

    pub(crate) fn restore_writers(&mut self, told: &[((u32, u32), i64, bool)]) {
        if let Kind::Custom(custom) = &mut self.kind {
            custom.restore_writers(told);
        }
    }

    pub(crate) fn restore(&mut self, watermark: i64) {
        self.watermark = watermark;
        if let Kind::Custom(custom) = &mut self.kind {
            custom.restore(watermark);
        }
    }
}
