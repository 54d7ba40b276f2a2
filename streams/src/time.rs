//! Event time: windows, watermarks, timestamps. Integer arithmetic only; nothing here asks what time
//! it is.

mod extractor;
mod join;
mod watermark;
mod windows;

pub use extractor::TimestampExtractor;
pub use join::JoinWindows;
pub(crate) use watermark::WatermarkGenerator;
pub use watermark::{GenerateWatermarks, WatermarkStrategy};
pub use windows::{EventTime, TimeWindows, Window, Windowed};
pub(crate) use windows::{floor, millis};
