//! Command lines that cannot be meant, and what needs no cluster.

use assert_cmd::Command;

use super::{command, said};

/// Exit code 2, nothing on standard output, and standard error says all of `texts`.
#[track_caller]
fn check(line: &str, texts: &[&str]) {
    let said = said(command().args(line.split_whitespace()));
    assert_eq!(
        (said.code, &*said.output),
        (Some(2), ""),
        "{line}: {said:?}"
    );
    for text in texts {
        assert!(said.errors.contains(text), "{line}: {text:?}: {said:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_told_with_what_would_be_right() {
    check("topic", &["create", "list", "describe", "alter", "delete"]);
    check("topics", &["topics", "topic"]);
    check("topic create", &["<TOPIC>"]);
    check(
        "topic create a --partitions 0",
        &["--partitions", "0", "1.."],
    );
    check(
        "topic create a --partitions many",
        &["--partitions", "many"],
    );
    check(
        "topic create a --set retention.ms",
        &["retention.ms", "KEY=VALUE"],
    );
    check("topic create a a", &["TOPIC", "\"a\"", "twice"]);
    check("topic alter a", &["--partitions", "--set", "--unset"]);
    check(
        "topic alter a --set k=1 --unset k",
        &["--set", "--unset", "\"k\"", "twice"],
    );
    check("topic delete", &["<TOPIC>"]);
    check("group describe", &["<GROUP>"]);
    check("group describe a --all", &["--all"]);
    check("group list --state happy", &["--state", "happy", "Stable"]);
    check("group list --type happy", &["--type", "happy", "classic"]);
    let reset = "group reset-offsets g";
    check(reset, &["--topic", "--all-topics"]);
    check(
        &format!("{reset} --topic a"),
        &["--to-earliest", "--shift-by"],
    );
    check(
        &format!("{reset} --topic a:x --to-latest"),
        &["a:x", "TOPIC:0,1"],
    );
    check(
        &format!("{reset} --topic a --all-topics --to-latest"),
        &["--topic", "--all-topics"],
    );
    check(
        &format!("{reset} --topic a --to-latest --to-earliest"),
        &["--to-latest"],
    );
    check(
        &format!("{reset} --topic a --to-offset -1"),
        &["--to-offset"],
    );
    check(
        &format!("{reset} --topic a --to-datetime yesterday"),
        &["yesterday", "2024-05-01T12"],
    );
    check(
        &format!("{reset} --topic a --by-duration 5"),
        &["\"5\"", "1h30m"],
    );
    check(
        &format!("{reset} --topic a --to-latest --dry-run --execute"),
        &["--execute"],
    );
    check(
        "cluster info --output xml",
        &["--output", "xml", "table", "json"],
    );
    check("cluster info --timeout 5", &["--timeout", "30s"]);
    check(
        "cluster info --bootstrap nonsense",
        &["bootstrap", "nonsense", "port"],
    );
    check(
        "cluster info --bootstrap http://a:1",
        &["http://a:1", "without a protocol"],
    );
    check(
        "cluster info --user alice",
        &["--user", "alice", "--sasl-mechanism"],
    );
    check("cluster info --sasl-mechanism PLAIN", &["--user"]);
    check(
        "cluster info --sasl-mechanism MD5 --user alice",
        &["MD5", "SCRAM-SHA-512"],
    );
    let alice = "cluster info --sasl-mechanism PLAIN --user alice";
    check(alice, &["alice", "TIDEMARK_PASSWORD", "--password-file"]);
    check(
        &format!("{alice} --password-file /nowhere"),
        &["--password-file", "/nowhere"],
    );
    check("cluster info --tls-ca /nowhere", &["--tls-ca", "/nowhere"]);
    check(
        "cluster info --tls-ca /dev/null",
        &["--tls-ca", "/dev/null", "certificate"],
    );
    check(
        "cluster info --tls-cert a.pem",
        &["--tls-cert", "--tls-key"],
    );
    check("cluster info --tls-key a.pem", &["--tls-key", "--tls-cert"]);
    check(
        "produce a -z zstd:99",
        &["--compression", "zstd:99", "to 22"],
    );
    check(
        "produce a -z lz4:best",
        &["lz4:best", "a level is a number"],
    );
    check("produce a -z snappy:1", &["snappy:1", "has no levels"]);
    check(
        "produce a --max-request-size 0",
        &["--max-request-size \"0\"", "from 1 to 2147483647"],
    );
    check("completions", &["<SHELL>"]);
    check("completions csh", &["csh", "bash", "zsh", "fish"]);
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = said(command().args(["completions", shell]));
        assert_eq!((said.code, &*said.errors), (Some(0), ""));
        assert!(said.output.contains("reset-offsets"), "{shell}");
    }
}

/// What bash offers in place of the last word.
fn bash_offers(script: &str, words: &[&str]) -> Vec<String> {
    let asks = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _tidemark "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let said = said(
        Command::new("bash")
            .args(["--noprofile", "--norc", "-c", asks, "bash", script])
            .args(words),
    );
    assert_eq!((said.code, &*said.errors), (Some(0), ""));
    said.output.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tidemark.bash");
    let script = said(command().args(["completions", "bash"])).output;
    std::fs::write(&path, script).unwrap();
    let path = path.to_str().unwrap();
    let checked = said(Command::new("bash").args(["-n", path]));
    assert_eq!((checked.code, &*checked.errors), (Some(0), ""));
    let check = |words: &[&str], expected: &[&str]| {
        let found = bash_offers(path, words);
        for word in expected {
            assert!(found.iter().any(|found| found == word), "{word}: {found:?}");
        }
    };
    let commands = ["serve", "topic", "group", "produce", "consume", "cluster"];
    check(&["tidemark", ""], &commands);
    assert_eq!(bash_offers(path, &["tidemark", "prod"]), ["produce"]);
    assert_eq!(
        bash_offers(path, &["tidemark", "group", "res"]),
        ["reset-offsets"]
    );
    check(
        &["tidemark", "consume", "t", "--"],
        &["--from", "--follow", "--group", "--bootstrap"],
    );
    check(
        &["tidemark", "produce", "--format", ""],
        &["lines", "json", "files"],
    );
}

#[test]
fn help_is_no_failure() {
    for line in [
        "--help",
        "topic --help",
        "group reset-offsets --help",
        "cluster info -h",
    ] {
        let said = said(command().args(line.split_whitespace()));
        assert_eq!((said.code, &*said.errors), (Some(0), ""), "{line}");
        assert!(said.output.contains("Usage: tidemark"), "{line}");
    }
}
