//! The commands of the binary that ask a cluster: what they do, say and exit with, on Tidemark and on
//! Apache Kafka.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clusters;
mod groups;
#[path = "../client/admin/member.rs"]
mod member;
mod records;
mod serving;
mod streams;
mod topics;
mod usage;
mod verify;

use assert_cmd::Command;
use integration_tests::harness::cluster::Cluster;
use integration_tests::harness::process::binary;
use serde_json::Value;

/// The binary, for one cluster.
struct Cli {
    bootstrap: String,
}

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    output: String,
    errors: String,
}

/// The binary, with none of the test's own variables.
fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEMARK_") {
            command.env_remove(name);
        }
    }
    command
}

fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the binary runs");
    let said = Said {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!said.errors.contains("panicked"), "{said:?}");
    said
}

/// The command cannot be meant.
#[track_caller]
fn usage(arguments: &[&str], text: &str) {
    let said = said(command().args(arguments));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.errors.contains(text), "{text}: {said:?}");
}

impl Cli {
    fn of(cluster: &Cluster) -> Self {
        Self {
            bootstrap: cluster.bootstrap(),
        }
    }

    /// Options belong behind the subcommands as well as between them.
    fn run(&self, arguments: &[&str]) -> Said {
        said(
            command()
                .args(arguments)
                .args(["--bootstrap", &self.bootstrap]),
        )
    }

    /// What a command says that does all it was told to.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(
            (said.code, &*said.errors),
            (Some(0), ""),
            "{arguments:?}: {said:?}"
        );
        said.output
    }

    /// The same as JSON.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    /// A command that could not do all it was told to; standard error says all of `texts`.
    #[track_caller]
    fn fails(&self, arguments: &[&str], texts: &[&str]) -> Said {
        self.ends_with(1, arguments, texts)
    }

    /// A comparison that cannot be made.
    #[track_caller]
    fn cannot(&self, arguments: &[&str], texts: &[&str]) {
        let said = self.ends_with(3, arguments, texts);
        assert_eq!(said.output, "", "{said:?}");
    }

    #[track_caller]
    fn ends_with(&self, code: i32, arguments: &[&str], texts: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        for text in texts {
            assert!(said.errors.contains(text), "{text:?}: {said:?}");
        }
        said
    }

    /// The JSON of a command that could not do all it was told to.
    #[track_caller]
    fn fails_json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        serde_json::from_str(&self.fails(&arguments, &[]).output).unwrap()
    }

    /// Asks until the command says all of `texts`: one part of a cluster hears later of what another
    /// part has done.
    #[track_caller]
    fn becomes(&self, arguments: &[&str], texts: &[&str]) -> String {
        integration_tests::harness::wait::until("the command to say so", || {
            let said = self.run(arguments);
            let all = texts.iter().all(|text| said.output.contains(text));
            (said.code == Some(0) && all).then_some(said.output)
        })
    }
}

/// The cells of a table, row by row, its head included.
fn cells(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}
