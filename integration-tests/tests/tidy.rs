//! The rules of ARCHITECTURE.md that a compiler does not check: which module may use which, how
//! large files may grow, what must not stand in the code.
//!
//! The lists of exceptions may only shrink: an entry that is no longer needed fails the test too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests.
const MAX_LINES: usize = 800;
/// Entries of a folder; the flat lists of APIs and records are long on purpose.
const MAX_ENTRIES: usize = 14;
const FLAT_LISTS: &[&str] = &[
    "broker/src/api",
    "broker/src/catalog/records",
    "broker/src",
    "streams/src/operator",
];

/// What each module of the broker must not use (ARCHITECTURE.md, "Directions").
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "types",
        &[
            "api",
            "catalog",
            "config",
            "coordinator",
            "environment",
            "net",
            "partition",
            "storage",
        ],
    ),
    (
        "config",
        &[
            "api",
            "catalog",
            "coordinator",
            "environment",
            "net",
            "partition",
            "storage",
        ],
    ),
    (
        "environment",
        &[
            "api",
            "catalog",
            "config",
            "coordinator",
            "net",
            "partition",
            "storage",
        ],
    ),
    (
        "storage",
        &[
            "api",
            "catalog",
            "config",
            "coordinator",
            "net",
            "partition",
        ],
    ),
    ("partition", &["api", "catalog", "coordinator", "net"]),
    (
        "coordinator",
        &[
            "api",
            "catalog",
            "environment",
            "net",
            "partition",
            "storage",
        ],
    ),
    (
        "catalog",
        &["api", "environment", "net", "partition", "storage"],
    ),
    ("net", &["catalog", "coordinator", "partition", "storage"]),
    ("api", &["net"]),
    ("admin", &["catalog", "coordinator", "storage"]),
];

/// Uses that break [`FORBIDDEN`], with the reason why they may stay for now.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// What must not stand in code outside of tests, with what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("std::time::Instant", "environment::Clock"),
    ("SystemTime", "environment::Clock"),
    ("std::fs", "environment::Disk"),
    ("thread_rng", "environment::Entropy"),
    ("unbounded_channel", "a bounded channel"),
    (
        "lazy_static",
        "a value that is handed in: two brokers live in one process",
    ),
];

/// Where [`BANNED`] words are at home: the doors themselves, the binary's edge, the client's socket.
const DOORS: &[&str] = &[
    "broker/src/environment",
    "broker/cli/src",
    "client/src/clock.rs",
    "client/examples",
    "streams/src/runtime/commit/snapshot.rs",
    "streams/src/serving/snapshot/folder.rs",
    "streams/examples",
    "integration-tests",
    "client/protocol/tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Every Rust file of the repository with its text, by path relative to the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    open.push(path);
                }
            } else if name.ends_with(".rs") {
                let relative = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push((relative, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(
        found.len() > 100,
        "only {} files found: is the root right?",
        found.len()
    );
    found.sort();
    found
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/testing")
}

/// The text up to its test module, if that is written out at the end. A `mod tests;` near the top
/// is one line like any other: what follows it is code.
fn without_tests(text: &str) -> &str {
    let marks = text.match_indices("#[cfg(test)]\nmod ");
    let inline = marks.map(|(at, _)| at).find(|at| {
        let line = text[*at..].lines().nth(1).unwrap_or_default();
        line.ends_with('{')
    });
    &text[..inline.unwrap_or(text.len())]
}

/// The text without its test module and without comments.
fn code(text: &str) -> String {
    without_tests(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules of the crate's root that the code names: in paths, and in lists behind `crate::`,
/// however many lines these take.
fn modules_used(code: &str) -> BTreeSet<String> {
    let identifier = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut used = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        // Not `some_crate::`, nor `$crate::` of another crate's macro.
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + path.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            used.insert(identifier(rest));
            continue;
        };
        let mut depth = 1;
        let mut item = String::new();
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                used.insert(identifier(item.trim_start()));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    // A list may end in a comma.
    used.remove("");
    used
}

#[test]
fn what_is_looked_at_is_all_of_the_code() {
    let code_of = |text: &str| code(text);
    let early = "mod a;\n#[cfg(test)]\nmod tests;\nuse crate::net;\n// crate::api::x\n";
    assert!(code_of(early).contains("crate::net"));
    assert!(!code_of(early).contains("crate::api"));
    let late = "use crate::net;\n#[cfg(test)]\nmod tests {\n    use crate::api;\n}\n";
    assert!(!code_of(late).contains("crate::api"));
    let used = |code: &str| modules_used(code).into_iter().collect::<Vec<_>>();
    assert_eq!(
        used("use crate::net::Limits; crate::api::find(1)"),
        ["api", "net"]
    );
    assert_eq!(used("use crate::storage;"), ["storage"]);
    assert_eq!(
        used(
            "use crate::{\n    api::{self, View},\n    net,\n    types::{Now, Offset},\n};\nuse x::net2;"
        ),
        ["api", "net", "types"]
    );
    assert_eq!(used("use other_crate::net;"), [] as [&str; 0]);
}

#[test]
fn files_and_folders_stay_small() {
    let mut complaints = Vec::new();
    let mut folders: std::collections::BTreeMap<String, BTreeSet<String>> = Default::default();
    for (path, text) in sources() {
        let lines = without_tests(&text).lines().count();
        if lines > MAX_LINES && !is_test(&path) {
            complaints.push(format!(
                "{path} has {lines} lines: split it (limit {MAX_LINES})"
            ));
        }
        let (folder, name) = path.rsplit_once('/').unwrap();
        let stem = name.trim_end_matches(".rs").to_owned();
        folders.entry(folder.to_owned()).or_default().insert(stem);
    }
    for (folder, entries) in folders {
        let flat = FLAT_LISTS.contains(&folder.as_str()) || is_test(&format!("{folder}/"));
        if entries.len() > MAX_ENTRIES && !flat {
            complaints.push(format!(
                "{folder} has {} entries: group them (limit {MAX_ENTRIES})",
                entries.len()
            ));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn modules_use_only_what_they_may() {
    let mut complaints = Vec::new();
    let mut unused: BTreeSet<_> = EXCEPTIONS
        .iter()
        .map(|(path, module, _)| (*path, *module))
        .collect();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("broker/src/") else {
            continue;
        };
        if is_test(&path) {
            continue;
        }
        let module = inside.split(['/', '.']).next().unwrap();
        let Some((_, forbidden)) = FORBIDDEN.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        let used = modules_used(&code(&text));
        for other in *forbidden {
            if !used.contains(*other) {
                continue;
            }
            match EXCEPTIONS
                .iter()
                .find(|(file, name, _)| *file == path && name == other)
            {
                Some((file, name, _)) => {
                    unused.remove(&(file, name));
                }
                None => complaints.push(format!("{path} uses crate::{other}: {module} must not")),
            }
        }
    }
    complaints.extend(
        unused.iter().map(|(path, module)| {
            format!("{path} no longer uses {module}: take the exception out")
        }),
    );
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn nothing_reaches_around_the_doors() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) || DOORS.iter().any(|door| path.starts_with(door)) {
            continue;
        }
        let code = code(&text);
        for line in code
            .lines()
            .filter(|line| line.contains("static ") && line.contains(": "))
        {
            if ["Lock<", "Cell<", "Mutex<", "Atomic"]
                .iter()
                .any(|kind| line.contains(kind))
            {
                complaints.push(format!("{path} has global state: {}", line.trim()));
            }
        }
        for (word, instead) in BANNED {
            if code.contains(word) {
                complaints.push(format!("{path} has {word}: use {instead}"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn names_tell_subjects_and_nothing_is_left_open() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        for ending in [
            "_v2.rs",
            "_new.rs",
            "_old.rs",
            "2.rs",
            "utils.rs",
            "helpers.rs",
            "misc.rs",
        ] {
            // Nexmark numbers its queries.
            if path.ends_with(ending) && !path.starts_with("streams/examples/nexmark/") {
                complaints.push(format!("{path}: name the subject"));
            }
        }
        // Spelled in two parts, so that this file does not complain about itself.
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("#[ig", "nore"),
        ] {
            if text.contains(word) {
                complaints.push(format!("{path} has {word}: finish it or take it out"));
            }
        }
        if path.starts_with("broker/src/") && !text.starts_with("//!") && !is_test(&path) {
            complaints.push(format!(
                "{path} does not say what it is for (a //! comment)"
            ));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
