//! The windows of one operator.

use std::cell::Cell;

use crate::time::{AnyKind, AnyWindows, CalendarWindows, Starts, TimeWindows, Window};

/// Where records go to, and where windows end.
pub(super) enum Panes {
    Fixed {
        windows: TimeWindows,
        /// What lies between the starts of two windows, and was found last: most records are there,
        /// and need no division.
        last: Cell<Found>,
    },
    Calendar {
        windows: CalendarWindows,
        /// The window that was found last: most records are in it.
        last: Cell<Window>,
    },
}

/// The starts for timestamps from one on and before another one.
#[derive(Clone, Copy)]
pub(super) struct Found {
    from: i64,
    before: i64,
    starts: Starts,
}

impl Panes {
    pub(super) fn new(windows: AnyWindows) -> Self {
        match windows.0 {
            AnyKind::Fixed(windows) => Self::Fixed {
                windows,
                last: Cell::new(Found {
                    from: 0,
                    before: 0,
                    starts: Starts::one(0),
                }),
            },
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
            Self::Fixed { windows, last } => {
                let known = last.get();
                if known.from <= timestamp && timestamp < known.before {
                    return known.starts;
                }
                let found = windows.starts(timestamp);
                // Without overlap whatever is in a window has the same one.
                if let (true, Some(from)) = (windows.is_tumbling(), found.first()) {
                    last.set(Found {
                        from,
                        before: windows.window(from).end,
                        starts: Starts::one(from),
                    });
                }
                found
            }
            Self::Calendar { windows, last } => Starts::one(find(windows, last, timestamp).start),
        }
    }

    /// The window that starts there.
    #[inline]
    pub(super) fn window(&self, start: i64) -> Window {
        match self {
            Self::Fixed { windows, .. } => windows.window(start),
            Self::Calendar { windows, last } => find(windows, last, start),
        }
    }

    /// The windows, if they have one size.
    pub(super) fn fixed(&self) -> Option<&TimeWindows> {
        match self {
            Self::Fixed { windows, .. } => Some(windows),
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
