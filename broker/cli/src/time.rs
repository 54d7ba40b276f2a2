//! Durations and dates on the command line.

use std::time::Duration;

/// Reads a duration: `500ms`, `90s`, `1h30m`, `7d`, or the ISO 8601 form that Kafka's tools take,
/// `PT1H30M`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 500ms, 30s, 15m, 2h, 7d or 1h30m");
    let lower = text.to_ascii_lowercase();
    let (parts, iso) = match lower.strip_prefix('p') {
        Some(parts) => (parts, true),
        None => (lower.as_str(), false),
    };
    let mut rest = parts;
    let mut in_time = !iso;
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('t').filter(|_| !in_time) {
            in_time = true;
            rest = time;
            continue;
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let units = behind.find(|c: char| c.is_ascii_digit() || c == 't');
        let (unit, behind) = behind.split_at(units.unwrap_or(behind.len()));
        let factor = match unit {
            "ms" if !iso => 1,
            "s" if in_time => 1_000,
            "m" if in_time => 60_000,
            "h" if in_time => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(factor).ok_or_else(wrong)?;
        millis = millis.checked_add(part).ok_or_else(wrong)?;
        rest = behind;
    }
    match parts {
        "" | "t" => Err(wrong()),
        _ => Ok(Duration::from_millis(millis)),
    }
}

/// Reads a date and time by RFC 3339, as in `2024-05-01T12:00:00Z` or `2024-05-01T12:00:00.5+02:00`:
/// milliseconds since 1970.
pub(crate) fn datetime(text: &str) -> Result<i64, String> {
    parse_datetime(text).ok_or_else(|| {
        format!("{text:?} is no date and time: write 2024-05-01T12:00:00Z or ...T12:00:00+02:00")
    })
}

fn parse_datetime(text: &str) -> Option<i64> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    sign(&mut rest, &['-'])?;
    let month = digits(&mut rest, 2)?;
    sign(&mut rest, &['-'])?;
    let day = digits(&mut rest, 2)?;
    sign(&mut rest, &['T', 't', ' '])?;
    let hour = digits(&mut rest, 2)?;
    sign(&mut rest, &[':'])?;
    let minute = digits(&mut rest, 2)?;
    sign(&mut rest, &[':'])?;
    let second = digits(&mut rest, 2)?;
    let millis = match sign(&mut rest, &['.']) {
        Some(_) => fraction(&mut rest)?,
        None => 0,
    };
    let offset = match sign(&mut rest, &['Z', 'z', '+', '-'])? {
        'Z' | 'z' => 0,
        direction => {
            let hours = digits(&mut rest, 2)?;
            sign(&mut rest, &[':'])?;
            let minutes = digits(&mut rest, 2)?;
            let offset = (hours <= 23 && minutes <= 59).then_some(hours * 60 + minutes)?;
            if direction == '+' { offset } else { -offset }
        }
    };
    let month_is = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    // A leap second is the last one of its minute.
    if !rest.is_empty() || !month_is || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset;
    Some((minutes * 60 + second.min(59)) * 1000 + millis)
}

fn digits(rest: &mut &str, count: usize) -> Option<i64> {
    let (number, behind) = rest.split_at_checked(count)?;
    let all = number.bytes().all(|byte| byte.is_ascii_digit());
    *rest = behind;
    all.then(|| number.parse().ok())?
}

fn sign(rest: &mut &str, wanted: &[char]) -> Option<char> {
    let found = rest.chars().next().filter(|c| wanted.contains(c))?;
    *rest = rest.get(found.len_utf8()..)?;
    Some(found)
}

/// The milliseconds of a fraction of a second; what is finer is cut off.
fn fraction(rest: &mut &str) -> Option<i64> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, behind) = rest.split_at_checked(end).filter(|_| end > 0)?;
    *rest = behind;
    format!("{number:0<3}").get(..3)?.parse().ok()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// By the Gregorian calendar, before its time, too.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text, millis: Option<u64>| {
            assert_eq!(
                duration(text).ok(),
                millis.map(Duration::from_millis),
                "{text}"
            );
        };
        check("500ms", Some(500));
        check("90s", Some(90_000));
        check("1h30m", Some(5_400_000));
        check("7d", Some(604_800_000));
        check("0s", Some(0));
        check("PT1H30M", Some(5_400_000));
        check("P1DT2S", Some(86_402_000));
        check("P7D", Some(604_800_000));
        for wrong in [
            "", "5", "h", "-5s", "5y", "1.5s", "P", "PT", "P1M", "P1H", "s5", "5tt5s", "ä",
        ] {
            check(wrong, None);
        }
        check("99999999999999999999s", None);
        check("999999999999999999d", None);
    }

    #[test]
    fn dates() {
        let check = |text, millis: Option<i64>| assert_eq!(datetime(text).ok(), millis, "{text}");
        check("1970-01-01T00:00:00Z", Some(0));
        check("1969-12-31T23:59:59.999Z", Some(-1));
        check("2000-02-29T00:00:00Z", Some(951_782_400_000));
        check("2024-05-01T12:00:00Z", Some(1_714_564_800_000));
        check("2024-05-01T14:00:00.5+02:00", Some(1_714_564_800_500));
        check("2024-05-01 06:30:00.123456-05:30", Some(1_714_564_800_123));
        check("2100-03-01T00:00:00Z", Some(4_107_542_400_000));
        check("1600-01-01T00:00:00Z", Some(-11_676_096_000_000));
        for wrong in [
            "",
            "2024-05-01",
            "2024-05-01T12:00:00",
            "2024-13-01T12:00:00Z",
            "2023-02-29T12:00:00Z",
            "2024-05-01T24:00:00Z",
            "2024-05-01T12:00:00.Z",
            "2024-05-01T12:00:00+2:00",
            "2024-05-01T12:00:00Zx",
            "24-05-01T12:00:00Z",
            "+024-05-01T12:00:00Z",
            "äöü",
        ] {
            check(wrong, None);
        }
    }
}
