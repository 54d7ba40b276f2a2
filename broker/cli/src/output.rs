//! What commands say: tables or JSON on standard output, problems on standard error.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};
use tidemark_client::{ClientError, Uuid};

use crate::failure::explain;

/// In which form a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people; it may change.
    Table,
    /// One JSON document, as in docs/command-line.md.
    Json,
}

/// A command's answer in both forms, and what of it did not work.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) json: Value,
    pub(crate) problems: Vec<String>,
    /// There is no answer to show: the command has written it itself, or has failed as a whole.
    pub(crate) silent: bool,
    /// A signal has ended the command early: the exit code for it.
    pub(crate) stopped: Option<u8>,
}

impl Report {
    /// A line of the text.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// Notes an outcome's error, if it is one, and gives its form in JSON: `null` if it is none.
    pub(crate) fn note(&mut self, error: Option<&ClientError>) -> Value {
        let Some(error) = error else {
            return Value::Null;
        };
        self.problems.push(explain(error));
        json!({
            "code": error.code().and_then(|code| code.name()),
            "message": error.to_string(),
        })
    }
}

/// Shows a report. A reader that has gone away is no reason to fail.
pub(crate) fn show(report: &Report, format: Format) {
    let mut out = std::io::stdout().lock();
    let _ = match format {
        _ if report.silent => Ok(()),
        Format::Table => out.write_all(report.text.as_bytes()),
        Format::Json => writeln!(out, "{:#}", report.json),
    };
    let _ = out.flush();
    for problem in &report.problems {
        complain(problem);
    }
}

/// Says on standard error what is wrong.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "tidemark: {message}");
}

/// Columns with headings, as wide as they have to be; numbers stand on the right.
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// What stands in a table for what there is not.
pub(crate) const NOTHING: &str = "-";

impl Table {
    pub(crate) fn new<const N: usize>(head: [&'static str; N]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let columns = (0..self.head.len()).map(|column| {
            let cells = || self.rows.iter().filter_map(move |row| row.get(column));
            let head = self.head.get(column).map_or(0, |head| head.len());
            let width = cells()
                .map(|cell| cell.chars().count())
                .fold(head, usize::max);
            let number = |cell: &String| cell == NOTHING || cell.parse::<i64>().is_ok();
            (width, !self.rows.is_empty() && cells().all(number))
        });
        let columns: Vec<(usize, bool)> = columns.collect();
        let mut text = String::new();
        let head: Vec<String> = self.head.iter().map(|head| (*head).to_owned()).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (cell, (width, number)) in row.iter().zip(&columns) {
                let (width, gap) = (*width, if line.is_empty() { "" } else { "  " });
                line.push_str(gap);
                line.push_str(&match number {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                });
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A cell for what there may not be.
pub(crate) fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}

/// A cell for several numbers.
pub(crate) fn list(values: &[i32]) -> String {
    match values {
        [] => NOTHING.to_owned(),
        values => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            values.join(",")
        }
    }
}

/// A topic's id as Kafka writes it: 22 characters. `None` for that of a cluster that has none.
pub(crate) fn topic_id(id: &Uuid) -> Option<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 16 bytes are 21 digits of six bits, and two bits more.
    let bits = u128::from_be_bytes(*id.as_bytes());
    let digits = (0..21).map(|at| bits >> (122 - 6 * at)).chain([bits << 4]);
    let text = digits.filter_map(|digit| DIGITS.get((digit & 63) as usize));
    (!id.is_nil()).then(|| text.map(|digit| char::from(*digit)).collect())
}

/// A number of things: `1 partition`, `2 partitions`.
pub(crate) fn count(number: impl TryInto<u128>, thing: &str) -> String {
    // No number that is counted here is negative.
    match number.try_into().unwrap_or(0) {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let mut table = Table::new(["TOPIC", "N", "NOTE"]);
        table.row(["a".into(), "1".into(), String::new()]);
        table.row(["größe-x".into(), "-".into(), "b".into()]);
        table.row(["b".into(), "100".into(), "c d".into()]);
        assert_eq!(
            table.text(),
            "TOPIC      N  NOTE\na          1\ngröße-x    -  b\nb        100  c d\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_head() {
        assert_eq!(Table::new(["A", "B"]).text(), "A  B\n");
    }

    #[test]
    fn ids_are_written_as_kafka_does() {
        let check = |id, expected: Option<&str>| {
            let shown = topic_id(&Uuid::from_u128(id));
            assert_eq!(shown.as_deref(), expected);
        };
        check(0, None);
        check(1, Some("AAAAAAAAAAAAAAAAAAAAAQ"));
        check(u128::MAX, Some("_____________________w"));
        check(
            0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
            Some("ABEiM0RVZneImaq7zN3u_w"),
        );
    }

    #[test]
    fn words() {
        assert_eq!((list(&[]), list(&[1, 2])), ("-".into(), "1,2".into()));
        assert_eq!(count(1, "topic"), "1 topic");
        assert_eq!(count(0, "topic"), "0 topics");
    }
}
