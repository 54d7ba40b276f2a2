//! Windows of the calendar: hours, days, weeks and months of a time zone.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

use super::windows::{floor, millis};
use super::{EventTime, Window};

const HOUR: i64 = 60 * 60 * 1000;
/// So far from its ends the calendar has windows: longer than any of them.
const EDGE: i64 = 40 * 24 * HOUR;

/// How long windows of the calendar are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// An hour of the clock on the wall. Where the clock is changed within an hour, the hour is cut
    /// there.
    Hour,
    /// From the first moment of a day to that of the next: 23, 24 or 25 hours as a rule.
    Day,
    /// Seven days from a Monday on.
    Week,
    /// From the first of a month to that of the next.
    Month,
}

/// A time zone that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {0:?}")]
pub struct UnknownZone(pub String);

/// Windows of the calendar in a time zone, one after the other. The database of time zones is part of
/// the program, so that windows do not depend on the machine.
///
/// ```
/// use tidemark_streams::time::{CalendarUnit, CalendarWindows};
///
/// let days = CalendarWindows::new(CalendarUnit::Day, "Europe/Berlin")?;
/// // 2024-03-31 12:00 in Berlin: a day of 23 hours.
/// let day = days.window(1_711_879_200_000);
/// assert_eq!(day.end - day.start, 23 * 60 * 60 * 1000);
/// # Ok::<(), tidemark_streams::time::UnknownZone>(())
/// ```
#[derive(Clone, Debug)]
pub struct CalendarWindows {
    unit: CalendarUnit,
    zone: TimeZone,
    name: String,
    pub(crate) grace: i64,
    pub(crate) time: EventTime,
}

impl CalendarWindows {
    /// Windows of a unit in a zone of the IANA database, `Europe/Berlin` say.
    ///
    /// # Errors
    ///
    /// [`UnknownZone`] if there is no such zone.
    pub fn new(unit: CalendarUnit, zone: &str) -> Result<Self, UnknownZone> {
        let found = TimeZone::get(zone).map_err(|_| UnknownZone(zone.to_owned()))?;
        Ok(Self {
            unit,
            zone: found,
            name: zone.to_owned(),
            grace: 0,
            time: EventTime::Watermark,
        })
    }

    /// How long after its end a window still takes records. Default: none.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.grace = millis(lateness);
        self
    }

    /// By which time windows close. Default: the watermark.
    #[must_use]
    pub fn event_time(mut self, time: EventTime) -> Self {
        self.time = time;
        self
    }

    /// The window that a timestamp is in; its end does not belong to it. What is before or after all
    /// years of the calendar, -9999 to 9999, has a window of its own.
    #[must_use]
    pub fn window(&self, timestamp: i64) -> Window {
        let (first, last) = (Timestamp::MIN, Timestamp::MAX);
        if timestamp < first.as_millisecond() + 2 * EDGE {
            let end = self.start_at(first.as_millisecond() + EDGE);
            if timestamp < end {
                let start = i64::MIN;
                return Window { start, end };
            }
        }
        if timestamp > last.as_millisecond() - 2 * EDGE {
            let start = self.start_at(last.as_millisecond() - EDGE);
            if timestamp >= start {
                let end = i64::MAX;
                return Window { start, end };
            }
        }
        self.find(timestamp).unwrap_or_else(|| {
            let start = floor(timestamp, HOUR, 0);
            let end = start.saturating_add(HOUR);
            Window { start, end }
        })
    }

    /// The start of the window that is there.
    fn start_at(&self, timestamp: i64) -> i64 {
        self.find(timestamp)
            .map_or(timestamp, |window| window.start)
    }

    fn find(&self, timestamp: i64) -> Option<Window> {
        let at = Timestamp::from_millisecond(timestamp).ok()?;
        let at = &at.to_zoned_datetime(self.zone.clone());
        if self.unit == CalendarUnit::Hour {
            return self.hour(at);
        }
        // Windows are from the beginning of one unit to that of the next, even where a zone has
        // changed sides of the date line and its calendar has a day twice or not at all.
        let mut first = self.first(at.date())?;
        let mut start = self.begin(first)?;
        while start > timestamp {
            first = self.first(first.checked_sub(1.day()).ok()?)?;
            start = self.begin(first)?;
        }
        loop {
            let next = match self.unit {
                CalendarUnit::Month => first.checked_add(1.month()),
                CalendarUnit::Week => first.checked_add(1.week()),
                _ => first.checked_add(1.day()),
            };
            let next = next.ok()?;
            let end = self.begin(next)?;
            if timestamp < end {
                return Some(Window { start, end });
            }
            (first, start) = (next, end);
        }
    }

    /// The first day of the unit that a day is in.
    fn first(&self, date: Date) -> Option<Date> {
        match self.unit {
            CalendarUnit::Month => Some(date.first_of_month()),
            CalendarUnit::Week => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(days.days()).ok()
            }
            _ => Some(date),
        }
    }

    /// The first moment of a day.
    fn begin(&self, date: Date) -> Option<i64> {
        let begin = date.to_zoned_datetime(self.zone.clone()).ok()?;
        let begin = begin.start_of_day().ok()?;
        Some(begin.timestamp().as_millisecond())
    }

    fn hour(&self, at: &ZonedDateTime) -> Option<Window> {
        let now = at.timestamp();
        let offset = i64::from(at.offset().seconds()) * 1000;
        let local = now.as_millisecond().checked_add(offset)?;
        let start = local
            .checked_sub(local.rem_euclid(HOUR))?
            .checked_sub(offset)?;
        let end = start.checked_add(HOUR)?;
        // Where the clock is changed another hour begins.
        let change = |found: Option<Timestamp>| found.map(|at| at.as_millisecond());
        let behind = now.checked_add(1.nanosecond()).ok()?;
        let before = change(
            self.zone
                .preceding(behind)
                .next()
                .map(|found| found.timestamp()),
        );
        let after = change(
            self.zone
                .following(now)
                .next()
                .map(|found| found.timestamp()),
        );
        Some(Window {
            start: before.map_or(start, |before| before.max(start)),
            end: after.map_or(end, |after| after.min(end)),
        })
    }

    /// At least as long as the longest window of the calendar.
    pub(crate) fn longest(&self) -> i64 {
        // Zones that have changed sides of the date line have days of 48 hours.
        match self.unit {
            CalendarUnit::Hour => HOUR,
            CalendarUnit::Day => 48 * HOUR,
            CalendarUnit::Week => 8 * 24 * HOUR,
            CalendarUnit::Month => 32 * 24 * HOUR,
        }
    }
}

impl std::fmt::Display for CalendarWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            CalendarUnit::Hour => "hours",
            CalendarUnit::Day => "days",
            CalendarUnit::Week => "weeks",
            CalendarUnit::Month => "months",
        };
        write!(f, "{unit} in {}", self.name)?;
        self.time.write_grace(self.grace, f)
    }
}
