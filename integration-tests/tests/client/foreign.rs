//! Other clients as processes: where `scripts/prepare` has put them, and how they are run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What of `foreign/` is run by Python.
pub(crate) fn python(script: &str) -> Option<Command> {
    let python = prepared("python", "python/bin/python")?;
    let mut command = Command::new(python);
    command.arg(foreign().join("python").join(script));
    Some(command)
}

/// A class that is prepared, or a source file of `foreign/java`, run by Java.
pub(crate) fn java(class: &str) -> Option<Command> {
    let jars = prepared("jars", "java/jars")?;
    let home = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    let java = home.map_or_else(|| "java".into(), |home| home.join("bin/java"));
    let logging = foreign().join("java/log4j2.properties");
    let mut command = Command::new(java);
    command
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        .arg("-cp")
        .arg(jars.join("*"));
    match class.ends_with(".java") {
        true => command.arg(foreign().join("java").join(class)),
        false => command.arg(class),
    };
    Some(command)
}

/// A tool, if it is there. If not that is said; with `CI` set it is a failure.
fn prepared(stamp: &str, path: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("TIDEMARK_TOOLS").filter(|tools| !tools.is_empty());
    let tools = tools.map_or_else(|| root().join(".tools"), PathBuf::from);
    let found = tools.join(path);
    if found.exists() && tools.join("stamps").join(stamp).is_file() {
        return Some(found);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI, {path} has to be there"
    );
    eprintln!(
        "left out: {} is not there: run scripts/prepare",
        found.display()
    );
    None
}

fn foreign() -> PathBuf {
    root().join("integration-tests/foreign")
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap().into()
}

/// A process that is killed when the test lets go of it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
