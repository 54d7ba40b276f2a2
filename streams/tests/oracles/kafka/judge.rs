//! Kafka's test driver in a Java process: integration-tests/foreign/java/StreamsJudge.java.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Takes one case after the other. Dropping it ends the process.
pub(super) struct Judge {
    process: Child,
    /// It runs until this is closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Judge {
    /// # Errors
    /// `scripts/prepare` has not been run, or could not have the jars.
    pub(super) fn start() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tools = std::env::var_os("TIDEMARK_TOOLS");
        let tools = tools.map_or_else(|| root.join(".tools"), PathBuf::from);
        let jars = tools.join("java/jars");
        if !jars.join("judges.jar").exists() {
            return Err("Kafka Streams is not there: run scripts/prepare".to_owned());
        }
        let java = std::env::var_os("JAVA_HOME").map(PathBuf::from);
        let java = java.map_or_else(|| PathBuf::from("java"), |home| home.join("bin/java"));
        let logging = root.join("integration-tests/foreign/java/log4j2.properties");
        let mut process = Command::new(java)
            .args(["-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .arg("-cp")
            .arg(jars.join("*"))
            .arg("StreamsJudge")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("Java does not run: {error}"))?;
        let output = process.stdout.take().ok_or("no output")?;
        Ok(Self {
            input: process.stdin.take(),
            output: BufReader::new(output),
            process,
        })
    }

    /// What comes out of the observed nodes with each step.
    pub(super) fn run(&mut self, case: &Value) -> Result<Vec<Value>, String> {
        let mut answer = String::new();
        let input = self.input.as_mut().ok_or("it has ended")?;
        writeln!(input, "{case}").map_err(|error| error.to_string())?;
        input.flush().map_err(|error| error.to_string())?;
        let read = self.output.read_line(&mut answer);
        read.map_err(|error| error.to_string())?;
        match serde_json::from_str(&answer) {
            Ok(Value::Array(steps)) => Ok(steps),
            Ok(other) => Err(other.to_string()),
            Err(_) => Err(format!("no answer: {answer:?}")),
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
