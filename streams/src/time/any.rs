//! Windows that follow from the time alone, whatever their kind.

use super::{CalendarWindows, EventTime, TimeWindows, Window};

/// What a grouped stream can be windowed by: windows of one size, or those of the calendar. Made of
/// [`TimeWindows`] and [`CalendarWindows`].
#[derive(Clone, Debug)]
pub struct AnyWindows(pub(crate) AnyKind);

#[derive(Clone, Debug)]
pub(crate) enum AnyKind {
    Fixed(TimeWindows),
    Calendar(CalendarWindows),
}

impl From<TimeWindows> for AnyWindows {
    fn from(windows: TimeWindows) -> Self {
        Self(AnyKind::Fixed(windows))
    }
}

impl From<CalendarWindows> for AnyWindows {
    fn from(windows: CalendarWindows) -> Self {
        Self(AnyKind::Calendar(windows))
    }
}

impl AnyWindows {
    /// By which time they close.
    pub(crate) fn time(&self) -> EventTime {
        match &self.0 {
            AnyKind::Fixed(windows) => windows.time,
            AnyKind::Calendar(windows) => windows.time,
        }
    }

    /// The windows, if they have one size.
    pub(crate) fn fixed(&self) -> Option<TimeWindows> {
        match &self.0 {
            AnyKind::Fixed(windows) => Some(*windows),
            AnyKind::Calendar(_) => None,
        }
    }

    /// The window that starts there.
    pub(crate) fn window(&self, start: i64) -> Window {
        match &self.0 {
            AnyKind::Fixed(windows) => windows.window(start),
            AnyKind::Calendar(windows) => windows.window(start),
        }
    }

    /// How long after its end a window still takes records.
    pub(crate) fn grace(&self) -> i64 {
        match &self.0 {
            AnyKind::Fixed(windows) => windows.grace,
            AnyKind::Calendar(windows) => windows.grace,
        }
    }

    /// From how long after its end on a window takes nothing: a window [s, e) takes records while the
    /// watermark is below e - 1 + lateness, or stream time below e + grace.
    pub(crate) fn close(&self) -> i64 {
        match self.time() {
            EventTime::Watermark => self.grace().saturating_sub(1),
            EventTime::StreamTime => self.grace(),
        }
    }

    /// How long after its start a window takes nothing any more, the longest there is.
    pub(crate) fn retention(&self) -> i64 {
        let longest = match &self.0 {
            AnyKind::Fixed(windows) => windows.size,
            AnyKind::Calendar(windows) => windows.longest(),
        };
        longest.saturating_add(self.close())
    }

    /// What is wrong with them, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.0 {
            AnyKind::Fixed(windows) => windows.problem(),
            AnyKind::Calendar(_) => None,
        }
    }
}

impl std::fmt::Display for AnyWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            AnyKind::Fixed(windows) => windows.fmt(f),
            AnyKind::Calendar(windows) => windows.fmt(f),
        }
    }
}
