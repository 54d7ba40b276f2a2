//! Records out of lines, JSON or whole files. Where each comes from is kept for errors.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine};
use serde_json::Value;

use super::Format;
use crate::consume::BASE64;
use crate::failure::Failure;

/// The longest line that is read, in bytes: longer than any record that a broker takes by default,
/// and a bound for input without ends of lines.
const MAX_LINE: u64 = 64 << 20;

/// A record of the input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) partition: Option<i32>,
    pub(super) timestamp: Option<i64>,
    /// For errors: `events.txt:7`.
    pub(super) place: String,
}

/// Reads `\t`, `\0`, `\\` as what they stand for.
pub(super) fn separator(text: &str) -> Result<String, String> {
    let mut found = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        found.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('0') => '\0',
                Some('\\') => '\\',
                _ => return Err("after \\ comes t, 0 or \\".to_owned()),
            },
            c => c,
        });
    }
    if found.is_empty() {
        return Err("a separator is at least one character".to_owned());
    }
    Ok(found)
}

/// Reads `KEY=VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// How many bytes all files have; `None` if that cannot be known.
pub(super) fn total(files: &[PathBuf]) -> Option<u64> {
    let size = |path: &PathBuf| {
        let data = std::fs::metadata(path).ok()?;
        data.is_file().then_some(data.len())
    };
    let sizes: Option<Vec<u64>> = files.iter().map(size).collect();
    Some(sizes?.into_iter().sum()).filter(|_| !files.is_empty())
}

impl Record {
    /// Bytes of its key and value.
    pub(super) fn size(&self) -> usize {
        let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size(&self.key) + size(&self.value)
    }
}

/// All files, or standard input, record by record.
pub(super) struct Input {
    files: std::vec::IntoIter<PathBuf>,
    format: Format,
    separator: Option<Vec<u8>>,
    reader: Option<(String, Lines)>,
    line: u64,
    buffer: Vec<u8>,
    /// Bytes so far.
    read: u64,
}

/// A file or standard input.
type Lines = BufReader<Box<dyn Read + Send>>;

fn lines(source: impl Read + Send + 'static) -> Lines {
    BufReader::with_capacity(64 << 10, Box::new(source))
}

impl Input {
    pub(super) fn open(
        files: Vec<PathBuf>,
        format: Format,
        separator: Option<&str>,
    ) -> Result<Self, Failure> {
        if format != Format::Lines && separator.is_some() {
            return Err(Failure::usage(
                "--key-separator",
                separator.unwrap_or_default(),
                "only lines have keys in front of their values: use --format lines",
            ));
        }
        if format == Format::Files && files.is_empty() {
            return Err(Failure::usage("--format", "files", "name the files"));
        }
        Ok(Self {
            reader: files
                .is_empty()
                .then(|| ("standard input".to_owned(), lines(std::io::stdin()))),
            files: files.into_iter(),
            format,
            separator: separator.map(|separator| separator.as_bytes().to_vec()),
            line: 0,
            buffer: Vec::new(),
            read: 0,
        })
    }

    /// Bytes that have been read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Whether another line has come already: to wait for one would hold up those before it.
    pub(super) fn at_hand(&self) -> bool {
        let reader = self.reader.as_ref();
        reader.is_some_and(|(_, lines)| lines.buffer().contains(&b'\n'))
    }

    /// The next record; `None` at the end of the last file.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Failure> {
        if self.format == Format::Files {
            let record = self
                .files
                .next()
                .map(|path| whole_file(&path))
                .transpose()?;
            self.read += record.as_ref().map_or(0, |record| record.size() as u64);
            return Ok(record);
        }
        loop {
            if self.reader.is_none() {
                let Some(path) = self.files.next() else {
                    return Ok(None);
                };
                let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
                self.reader = Some((path.display().to_string(), lines(file)));
                self.line = 0;
            }
            let Some((name, reader)) = &mut self.reader else {
                return Ok(None);
            };
            self.buffer.clear();
            let read = reader.take(MAX_LINE).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|error| Failure::new(format!("{name}: {error}")))?;
            if read == 0 {
                self.reader = None;
                continue;
            }
            self.line += 1;
            self.read += read as u64;
            let place = format!("{name}:{}", self.line);
            if read as u64 == MAX_LINE && !self.buffer.ends_with(b"\n") {
                let fix = "the line is longer than 64 MiB: use --format files for such records";
                return Err(Failure::new(format!("{place}: {fix}")));
            }
            let line = trimmed(&self.buffer);
            return match self.format {
                Format::Json if line.iter().all(u8::is_ascii_whitespace) => continue,
                Format::Json => json(line, place).map(Some),
                Format::Lines | Format::Files => {
                    plain(line, self.separator.as_deref(), place).map(Some)
                }
            };
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage("FILE", &path.display().to_string(), error.to_string())
}

fn whole_file(path: &Path) -> Result<Record, Failure> {
    let mut value = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut value));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(Record {
        value: Some(value),
        place: path.display().to_string(),
        ..Record::default()
    })
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn plain(line: &[u8], separator: Option<&[u8]>, place: String) -> Result<Record, Failure> {
    let (key, value) = match separator {
        None => (None, line),
        Some(separator) => {
            let at = line
                .windows(separator.len())
                .position(|window| window == separator);
            let at = at.ok_or_else(|| {
                let shown = String::from_utf8_lossy(separator);
                Failure::new(format!("{place}: there is no {shown:?} in the line"))
            })?;
            let (key, rest) = line.split_at(at);
            (
                Some(key.to_vec()),
                rest.get(separator.len()..).unwrap_or_default(),
            )
        }
    };
    Ok(Record {
        key,
        value: Some(value.to_vec()),
        place,
        ..Record::default()
    })
}

fn json(line: &[u8], place: String) -> Result<Record, Failure> {
    let wrong = |what: String| Failure::new(format!("{place}: {what}"));
    let parsed: Value = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    let Value::Object(fields) = parsed else {
        return Err(wrong("a record is a JSON object".to_owned()));
    };
    let mut record = Record::default();
    for (name, value) in fields {
        match name.as_str() {
            "key" => record.key = bytes("key", value).map_err(&wrong)?,
            "value" => record.value = bytes("value", value).map_err(&wrong)?,
            "partition" => {
                let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
                record.partition = Some(
                    number
                        .ok_or_else(|| wrong(format!("\"partition\" is a number, not {value}")))?,
                );
            }
            "timestamp" => {
                record.timestamp = Some(value.as_i64().ok_or_else(|| {
                    wrong(format!(
                        "\"timestamp\" is milliseconds since 1970, not {value}"
                    ))
                })?);
            }
            "headers" => match value {
                Value::Object(headers) => {
                    for (key, value) in headers {
                        let value = bytes(&format!("headers: {key}"), value).map_err(&wrong)?;
                        record.headers.push((key.into_bytes(), value));
                    }
                }
                // As `consume --output json` writes them: a key may come more than once.
                Value::Array(pairs) => {
                    for pair in pairs {
                        record.headers.push(pair_of(pair).map_err(&wrong)?);
                    }
                }
                other => {
                    return Err(wrong(format!(
                        "\"headers\" is an object or pairs, not {other}"
                    )));
                }
            },
            // What `consume --output json` says beyond.
            "topic" | "offset" | "leader_epoch" | "timestamp_type" => {}
            other => {
                return Err(wrong(format!(
                    "{other:?} is none of key, value, headers, partition, timestamp"
                )));
            }
        }
    }
    record.place = place;
    Ok(record)
}

/// A header; its key is text, or bytes as they are written for values.
fn pair_of(pair: Value) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    let shown = pair.to_string();
    let wrong = || format!("a header is [key, value], not {shown}");
    let Value::Array(parts) = pair else {
        return Err(wrong());
    };
    let [key, value] = <[Value; 2]>::try_from(parts).map_err(|_| wrong())?;
    let name = format!("headers: {shown}");
    let key = match key {
        Value::String(key) => key.into_bytes(),
        key => base64(&name, &key)?.ok_or_else(wrong)?,
    };
    Ok((key, bytes(&name, value)?))
}

/// Text as it is, null as null, `{"base64": ...}` as `consume` writes it, anything else as JSON.
fn bytes(field: &str, value: Value) -> Result<Option<Vec<u8>>, String> {
    if let Some(bytes) = base64(field, &value)? {
        return Ok(Some(bytes));
    }
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.into_bytes()),
        other => Some(other.to_string().into_bytes()),
    })
}

/// The bytes of `{"base64": "..."}`; `None` if it is something else.
fn base64(field: &str, value: &Value) -> Result<Option<Vec<u8>>, String> {
    let fields = value.as_object().filter(|fields| fields.len() == 1);
    let Some(Value::String(text)) = fields.and_then(|fields| fields.get(BASE64)) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(text).map_err(|error| {
        format!("{field:?} is no base64, {error}: mend it, or write it as text to have it as it is")
    })?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_keys() {
        let check = |line: &str, separator: &str, expected: Result<(&str, &str), &str>| {
            let found = plain(
                line.as_bytes(),
                Some(separator.as_bytes()),
                "in:1".to_owned(),
            );
            match (found, expected) {
                (Ok(record), Ok((key, value))) => {
                    assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
                    assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
                }
                (Err(failure), Err(text)) => assert_eq!(failure.message, text),
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
        };
        check("a:b:c", ":", Ok(("a", "b:c")));
        check(":b", ":", Ok(("", "b")));
        check("a=>", "=>", Ok(("a", "")));
        check("ab", ":", Err("in:1: there is no \":\" in the line"));
        assert_eq!(separator(r"\t|\\"), Ok("\t|\\".to_owned()));
        assert!(separator("").is_err() && separator(r"\x").is_err());
    }

    #[test]
    fn json_records() {
        let text = r#"{"key":"k","value":{"a":1},"headers":[["h",null],["h","x"]],"partition":2,
            "timestamp":5,"offset":9}"#;
        let record = json(text.as_bytes(), "in:1".to_owned()).unwrap();
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(record.value.as_deref(), Some(&br#"{"a":1}"#[..]));
        let headers = [(b"h".to_vec(), None), (b"h".to_vec(), Some(b"x".to_vec()))];
        assert_eq!(record.headers, headers);
        assert_eq!((record.partition, record.timestamp), (Some(2), Some(5)));
        let null = json(br#"{"value":null}"#, String::new()).unwrap();
        assert_eq!((null.key, null.value), (None, None));
        let check = |text: &str, part: &str| {
            let failure = json(text.as_bytes(), "in:7".to_owned()).unwrap_err();
            assert!(failure.message.starts_with("in:7: "), "{}", failure.message);
            assert!(failure.message.contains(part), "{}", failure.message);
        };
        check("{", "EOF");
        check("[]", "a JSON object");
        check(r#"{"valeu":1}"#, "none of key, value");
        check(r#"{"partition":"x"}"#, "is a number");
        check(r#"{"partition":3000000000}"#, "is a number");
        check(r#"{"headers":[1]}"#, "[key, value]");
        check(r#"{"headers":[[{"a":1},"x"]]}"#, "[key, value]");
        check(r#"{"value":{"base64":"/w="}}"#, "\"value\" is no base64");
        check(r#"{"key":{"base64":"ä"}}"#, "\"key\" is no base64");
        check(r#"{"headers":{"h":{"base64":"?"}}}"#, "headers: h");
        check(r#"{"headers":[[{"base64":"?"},"x"]]}"#, "headers: [{");
    }

    #[test]
    fn bytes_that_are_no_text() {
        let text = r#"{"key":{"base64":"/w=="},"headers":[[{"base64":"/wA="},{"base64":""}]]}"#;
        let record = json(text.as_bytes(), String::new()).unwrap();
        assert_eq!(record.key.as_deref(), Some(&[0xff][..]));
        assert_eq!(record.headers, [(vec![0xff, 0], Some(Vec::new()))]);
    }
}
