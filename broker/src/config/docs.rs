//! docs/configuration.md, made from the tables. A test keeps the file fresh.

use super::spec::OptionSpec;
use super::{OTHER_VARIABLES, broker, environment_name, ignored, topic};

/// The prefix of the options Kafka does not have.
const OWN: &str = "tidemark.";

/// The whole document.
pub fn markdown() -> String {
    let shown = |spec: &&OptionSpec| !spec.internal;
    let (own, kafkas): (Vec<_>, Vec<_>) = broker::OPTIONS
        .iter()
        .filter(shown)
        .partition(|spec| spec.name.starts_with(OWN));
    let topics: Vec<_> = topic::OPTIONS.iter().filter(shown).collect();
    let mut out = INTRODUCTION.to_owned();
    out += "\n## Our own options\n\n";
    out += &broker_table(&own);
    out += "\n## Broker options\n\n";
    out += BROKER_OPTIONS;
    out += &broker_table(&kafkas);
    out += "\n## Topic options\n\n";
    out += TOPIC_OPTIONS;
    out += &topic_table(&topics);
    out += "\n## Known options without effect\n\n";
    out += IGNORED_OPTIONS;
    out += &ignored_table();
    out += "\n## Other environment variables\n\n";
    out += &table(
        &["Variable", "What it is for"],
        OTHER_VARIABLES
            .iter()
            .map(|(name, purpose)| vec![code(name), (*purpose).to_owned()]),
    );
    out
}

const INTRODUCTION: &str = "\
<!-- Made from the tables in broker/src/config. Do not edit; UPDATE_DOCS=1 cargo test -p
tidemark-broker --lib config::docs writes it anew. -->

# Configuration

Tidemark takes Kafka's option names and Kafka's file format. Without any configuration it listens
on 127.0.0.1:9092 and keeps its data in `./tidemark-data`.

An option is set in three places; each overrules the ones before it, and all overrule the default:

1. a file, `tidemark serve --config server.properties`, with lines `name=value` in UTF-8;
2. environment variables: `TIDEMARK_` and the name in capitals with underscores for dots, as in
   `TIDEMARK_LOG_DIRS` for `log.dirs`. Our own options do not repeat the prefix:
   `TIDEMARK_HTTP_LISTENER` sets `tidemark.http.listener`;
3. the command line, `--set name=value`.

Where several names set the same thing (`log.retention.ms`, `log.retention.minutes`,
`log.retention.hours`), the finest unit counts among those of one place, and any name from a
later place counts before all names from an earlier one.

A bad value ends the start with exit code 2 and a message that names the option, the value and
what is allowed; all bad values are shown at once. An unknown name is a warning, with the nearest
known name. \"-\" as a default means that the option is not set. \"Since\" is the first release
that had the option.
";

const BROKER_OPTIONS: &str = "\
\"Changes\" says whether the value can change while the broker runs: `read-only` options cannot,
`cluster-wide` ones can, with `kafka-configs --entity-type brokers --entity-default` or for one
broker by its id.

";

const TOPIC_OPTIONS: &str = "\
Set when a topic is created or at any later time. The default of a topic is what the broker options
in the column \"Broker options\" say, the first one that is set; the column \"Default\" holds when
none is.

";

const IGNORED_OPTIONS: &str = "\
A configuration copied from Kafka may hold these. They are accepted with a warning that says why
they have no effect. A `*` stands for any rest of the name. A \"refused\" option must be empty or
absent: without its effect the broker would be less protected than the file says.

";

fn broker_table(specs: &[&OptionSpec]) -> String {
    let head = [
        "Name",
        "Type",
        "Default",
        "Valid values",
        "Changes",
        "Environment",
        "Since",
    ];
    sections(specs, &head, |spec| {
        vec![
            code(spec.name),
            spec.kind.name().to_lowercase(),
            default(spec),
            cell(&spec.valid.describe()),
            spec.dynamic.name().to_owned(),
            code(&environment_name(spec.name)),
            spec.since.to_owned(),
        ]
    })
}

fn topic_table(specs: &[&OptionSpec]) -> String {
    let head = [
        "Name",
        "Type",
        "Default",
        "Valid values",
        "Broker options",
        "Since",
    ];
    sections(specs, &head, |spec| {
        let synonyms: Vec<String> = spec.synonyms.iter().map(|name| code(name)).collect();
        vec![
            code(spec.name),
            spec.kind.name().to_lowercase(),
            default(spec),
            cell(&spec.valid.describe()),
            synonyms.join(", "),
            spec.since.to_owned(),
        ]
    })
}

/// A table with the description as its last column.
fn sections(
    specs: &[&OptionSpec],
    head: &[&str],
    row: impl Fn(&OptionSpec) -> Vec<String>,
) -> String {
    let head: Vec<&str> = head.iter().copied().chain(["Description"]).collect();
    table(
        &head,
        specs.iter().map(|spec| {
            let mut cells = row(spec);
            cells.push(cell(spec.doc));
            cells
        }),
    )
}

fn ignored_table() -> String {
    table(
        &["Name", "Why it has no effect"],
        ignored::IGNORED.iter().map(|ignored| {
            let refused = if ignored.refused { "Refused: " } else { "" };
            vec![
                code(ignored.name),
                cell(&format!("{refused}{}", ignored.why)),
            ]
        }),
    )
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        out += &format!("| {} |\n", row.join(" | "));
    }
    out
}

fn default(spec: &OptionSpec) -> String {
    match spec.default {
        None => "-".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => code(text),
    }
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Reads and writes the file itself: the document belongs to the repository, not to a
    /// broker, so the broker's disk is not asked.
    #[test]
    fn the_document_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let expected = super::markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().expect("the path has a parent"))
                .expect("the directory of the document can be made");
            std::fs::write(&path, &expected).expect("the document can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "docs/configuration.md is stale; run UPDATE_DOCS=1 cargo test -p tidemark-broker \
             --lib config::docs"
        );
    }
}
