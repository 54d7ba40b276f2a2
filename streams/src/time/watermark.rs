//! Watermarks: how far event time has come in one source partition.

use std::sync::Arc;
use std::time::Duration;

use super::windows::millis;
use crate::record::Record;

type Custom<K, V> = Arc<dyn Fn() -> Box<dyn GenerateWatermarks<K, V>> + Send + Sync>;

/// How the watermark of a source partition follows from its records (Flink: `WatermarkStrategy`). A
/// watermark w says: no more records with timestamps up to w are expected.
pub enum WatermarkStrategy<K, V> {
    /// The largest timestamp so far, less a bound, less one millisecond: records come at most so
    /// much out of order.
    BoundedOutOfOrderness(Duration),
    /// Whatever a generator says.
    Custom(Custom<K, V>),
}

impl<K, V> Clone for WatermarkStrategy<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::BoundedOutOfOrderness(bound) => Self::BoundedOutOfOrderness(*bound),
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

    /// Asks for the watermarks of a whole chunk: see [`Watermark::pass`]. It is here so that a chunk
    /// takes one call of an unknown generator, and its records none.
    #[doc(hidden)]
    fn stamp(&mut self, rows: &mut [Record<K, V>], watermark: &mut Watermark<'_>) {
        for row in rows {
            let told = self.in_front(row);
            if told > i64::MIN {
                watermark.pass(told);
            }
            row.watermark = *watermark.task;
            watermark.pass(self.observe(row));
        }
    }
}

/// How far event time has come where records are read.
#[doc(hidden)]
#[derive(Debug)]
pub struct Watermark<'a> {
    /// In the partition.
    own: &'a mut i64,
    /// In the task.
    task: &'a mut i64,
    /// In the task's other partitions, the smallest.
    others: i64,
}

impl Watermark<'_> {
    /// A record has told the partition's watermark.
    #[inline]
    fn pass(&mut self, told: i64) {
        if told > *self.own {
            *self.own = told;
        }
        *self.task = (*self.task).max((*self.own).min(self.others));
    }
}

impl<K, V> WatermarkStrategy<K, V> {
    /// What certain records say; `None` for the others.
    pub fn punctuated(
        punctuated: impl Fn(&Record<K, V>) -> Option<i64> + Send + Sync + 'static,
    ) -> Self {
        let punctuated = Arc::new(punctuated);
        Self::Custom(Arc::new(move || {
            Box::new(Punctuated(Arc::clone(&punctuated)))
        }))
    }

    pub(crate) fn generator(&self) -> WatermarkGenerator<K, V> {
        WatermarkGenerator::new(match self {
            Self::BoundedOutOfOrderness(bound) => Box::new(Bounded(millis(*bound))),
            Self::Custom(custom) => custom(),
        })
    }
}

/// The watermark of one partition. It never goes back.
pub(crate) struct WatermarkGenerator<K, V> {
    generator: Box<dyn GenerateWatermarks<K, V>>,
    watermark: i64,
}

impl<K, V> WatermarkGenerator<K, V> {
    pub(crate) fn new(generator: Box<dyn GenerateWatermarks<K, V>>) -> Self {
        Self {
            generator,
            watermark: i64::MIN,
        }
    }

    /// Gives each record the task's watermark in front of it, and moves that on.
    pub(crate) fn stamp(&mut self, rows: &mut [Record<K, V>], task: &mut i64, others: i64) {
        let mut watermark = Watermark {
            own: &mut self.watermark,
            task,
            others,
        };
        self.generator.stamp(rows, &mut watermark);
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.generator.is_idle()
    }

    pub(crate) fn restore_writers(&mut self, told: &[((u32, u32), i64, bool)]) {
        self.generator.restore_writers(told);
    }

    pub(crate) fn restore(&mut self, watermark: i64) {
        self.watermark = watermark;
        self.generator.restore(watermark);
    }
}

/// Records that come at most so many milliseconds out of order.
struct Bounded(i64);

impl<K, V> GenerateWatermarks<K, V> for Bounded {
    #[inline]
    fn observe(&mut self, record: &Record<K, V>) -> i64 {
        record.timestamp.saturating_sub(self.0).saturating_sub(1)
    }

    fn restore(&mut self, _watermark: i64) {}
}

/// Records of which certain ones tell the watermark.
struct Punctuated<F>(Arc<F>);

impl<K, V, F> GenerateWatermarks<K, V> for Punctuated<F>
where
    F: Fn(&Record<K, V>) -> Option<i64> + Send + Sync,
{
    #[inline]
    fn observe(&mut self, record: &Record<K, V>) -> i64 {
        (self.0)(record).unwrap_or(i64::MIN)
    }

    fn restore(&mut self, _watermark: i64) {}
}
