//! Kafka's file format: Java's `.properties`, read as UTF-8.
//!
//! A line is a key, a separator (`=`, `:` or blanks) and a value. Lines that start with `#` or `!`
//! are comments. A backslash at the end of a line continues it on the next, whose leading blanks
//! do not count; elsewhere it escapes: `\t \n \r \f`, `\u` with four hexadecimal digits, and any
//! other character stands for itself. Unlike Java's reader this one takes the file for UTF-8, which
//! is what editors write.

use super::error::ConfigError;

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; blanks at its end belong to it.
    pub value: String,
    /// The line the setting starts on, from 1.
    pub line: usize,
}

/// Reads a file's settings in their order, repeated keys included (the last one counts).
///
/// # Errors
/// [`ConfigError::Syntax`] with the line number: a malformed `\u` escape, or a value without a
/// key.
pub fn parse(text: &str) -> Result<Vec<Property>, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut properties = Vec::new();
    let mut lines = physical_lines(text).enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while ends_in_continuation(&logical) {
            logical.pop();
            // A backslash before the end of the file continues into nothing.
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        if logical.is_empty() {
            continue;
        }
        properties.push(property(&logical, at + 1)?);
    }
    Ok(properties)
}

/// Lines end with `\n`, `\r`, or both.
fn physical_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn property(logical: &str, line: usize) -> Result<Property, ConfigError> {
    let syntax = |reason: String| ConfigError::Syntax { line, reason };
    let (key, rest) = split_key(logical);
    if key.is_empty() {
        return Err(syntax(format!(
            "'{logical}' has no key before the separator"
        )));
    }
    let key = unescape(key).map_err(syntax)?;
    let value = unescape(rest).map_err(syntax)?;
    Ok(Property { key, value, line })
}

/// The key ends at the first separator that is not escaped. Blanks around `=` or `:` do not
/// count; blanks alone separate too.
fn split_key(logical: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = logical.char_indices().find(|(_, c)| {
        let ends = !escaped && (is_blank(*c) || matches!(c, '=' | ':'));
        escaped = *c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else {
        return (logical, "");
    };
    let (key, rest) = logical.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { Some(c) };
        if c == '\\' && next == Some('u') {
            units.push(code_unit(&mut chars)?);
            continue;
        }
        flush(&mut units, &mut out)?;
        match (c, next) {
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('f')) => out.push('\x0c'),
            (_, Some(other)) => out.push(other),
            (_, None) => {}
        }
    }
    flush(&mut units, &mut out)?;
    Ok(out)
}

/// The four hexadecimal digits after `\u`.
fn code_unit(chars: &mut std::str::Chars<'_>) -> Result<u16, String> {
    let digits: String = chars.by_ref().take(4).collect();
    let is_hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let unit = if is_hex {
        u16::from_str_radix(&digits, 16).ok()
    } else {
        None
    };
    unit.ok_or_else(|| format!("malformed escape \\u{digits}: four hexadecimal digits must follow"))
}

/// Escapes are UTF-16 code units; two of them may make one character.
fn flush(units: &mut Vec<u16>, out: &mut String) -> Result<(), String> {
    for decoded in char::decode_utf16(units.drain(..)) {
        out.push(decoded.map_err(|error| {
            format!(
                "escape \\u{:04x} is half of a character",
                error.unpaired_surrogate()
            )
        })?);
    }
    Ok(())
}

/// An odd number of backslashes at the end: an even number are escaped backslashes.
fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

#[cfg(test)]
mod tests;
