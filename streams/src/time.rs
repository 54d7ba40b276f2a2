//! Event time: windows, watermarks, timestamps. Integer arithmetic only; nothing here asks what time
//! it is.

mod any;
mod calendar;
mod combine;
mod extractor;
mod join;
mod sessions;
mod sliding;
mod watermark;
mod windows;

pub(crate) use any::AnyKind;
pub use any::AnyWindows;
pub use calendar::{CalendarUnit, CalendarWindows, UnknownZone};
#[doc(hidden)]
pub use combine::{IdleTimer, Idleness, Seen, combine};
pub(crate) use extractor::{FieldTime, IngestionTime, RecordTime, TimestampExtractor};
pub use join::JoinWindows;
pub use sessions::SessionWindows;
pub use sliding::SlidingWindows;
pub(crate) use watermark::WatermarkGenerator;
pub use watermark::{GenerateWatermarks, WatermarkStrategy};
pub use windows::{EventTime, Starts, TimeWindows, Window, Windowed};
pub(crate) use windows::{floor, millis};
