//! The windows of one operator.

use std::cell::Cell;

use crate::time::{AnyKind, AnyWindows, CalendarWindows, Starts, TimeWindows, Window};

/// Where records go to, and where windows end.
pub(super) enum Panes {
    Fixed(TimeWindows),
    Calendar {
        windows: CalendarWindows,
        /// The window that was found last: most records are in it.
        last: Cell<Window>,
    },
}

impl Panes {
    pub(super) fn new(windows: AnyWindows) -> Self {
        match windows.0 {
            AnyKind::Fixed(windows) => Self::Fixed(windows),
            AnyKind::Calendar(windows) => Self::Calendar {
                windows,
                last: Cell::new(Window { start: 0, end: 0 }),
            },
        }
    }

    /// The starts of all windows that a timestamp is in, the earliest first.
    #[inline]
    pub(super) fn starts(&self, timestamp: i64) -> Starts {
        match self {
            Self::Fixed(windows) => windows.starts(timestamp),
            Self::Calendar { windows, last } => Starts::one(find(windows, last, timestamp).start),
        }
    }

    /// The window that starts there.
    #[inline]
    pub(super) fn window(&self, start: i64) -> Window {
        match self {
            Self::Fixed(windows) => windows.window(start),
            Self::Calendar { windows, last } => find(windows, last, start),
        }
    }

    /// The windows, if they have one size.
    pub(super) fn fixed(&self) -> Option<&TimeWindows> {
        match self {
            Self::Fixed(windows) => Some(windows),
            Self::Calendar { .. } => None,
        }
    }
}

#[inline]
fn find(windows: &CalendarWindows, last: &Cell<Window>, timestamp: i64) -> Window {
    let known = last.get();
    if known.start <= timestamp && timestamp < known.end {
        return known;
    }
    let found = windows.window(timestamp);
    last.set(found);
    found
}
