//! The few habits of Java that show in Kafka's configuration: trimming, splitting, printing.

/// Removes what Java's `String.trim` removes: every character up to and including the blank.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Splits at commas as Kafka reads a list: blanks around a comma do not count, empty parts stay,
/// and nothing but blanks is the empty list.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let text = trim(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .map(|part| part.trim_matches(is_space).to_owned())
        .collect()
}

/// Splits at commas as `String.split(",")` does: trailing empty parts are dropped, and a text
/// without a comma is one part even when it is empty.
pub(super) fn split_commas(text: &str) -> Vec<&str> {
    if !text.contains(',') {
        return vec![text];
    }
    let mut parts: Vec<&str> = text.split(',').collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// Prints a double as `Double.toString` does: always with a fraction, and in scientific notation
/// below 0.001 and from ten million on.
pub(super) fn double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        return format!("{digits}{point}E{exponent}");
    }
    let text = value.to_string();
    if text.contains('.') {
        text
    } else {
        format!("{text}.0")
    }
}

/// The white space of Java's regular expressions (`\s`).
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_in_java() {
        let check = |value: f64, expected: &str| assert_eq!(double(value), expected);
        check(0.5, "0.5");
        check(1.0, "1.0");
        check(0.0, "0.0");
        check(0.001, "0.001");
        check(0.0001, "1.0E-4");
        check(0.000_15, "1.5E-4");
        check(9_999_999.0, "9999999.0");
        check(1e7, "1.0E7");
        check(f64::MAX, "1.7976931348623157E308");
        check(-2.5, "-2.5");
    }

    #[test]
    fn commas_split_as_in_java() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split_commas(text), expected);
        check("", &[""]);
        check("a", &["a"]);
        check("a,b", &["a", "b"]);
        check("a,,b,,", &["a", "", "b"]);
        check(",", &[]);
    }

    #[test]
    fn lists_split_as_in_kafka() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split_list(text), expected);
        check("", &[]);
        check("  ", &[]);
        check(" delete ", &["delete"]);
        check("compact , delete", &["compact", "delete"]);
        check("a,", &["a", ""]);
    }
}
